import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import sys

class Told:
    def find_spec(self, name, *_):
        if name == "jsisnet.cli":
            print("importing", flush=True)

sys.meta_path.insert(0, Told())
from jsisnet.cli import main
sys.exit(main())
"""
"""What a package installer writes, which tells when the package has begun to import."""


@pytest.mark.parametrize(
    ("number", "milliseconds"),
    [(signal.SIGINT, 0), (signal.SIGINT, 40), (signal.SIGINT, 300), (signal.SIGTERM, 40)],
)
def test_a_command_that_is_stopped_while_it_starts_prints_no_traceback(
    tmp_path, number, milliseconds
):
    (tmp_path / "jsisnet").write_text(COMMAND)
    command = [sys.executable, tmp_path / "jsisnet", "score", "nowhere.json", "nothing.json"]

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(milliseconds / 1000)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode in (-number, 128 + number, 1)  # 1: it was faster
    assert b"Traceback" not in errors
