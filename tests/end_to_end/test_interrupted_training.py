"""Trainings that are ended by force, at moments that nobody chose."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import runs

from jsisnet import saved_model
from jsisnet.cli.app import run
from jsisnet.config import read_config
from jsisnet.training.checkpoint import Checkpoint

STEPS = 100


@pytest.fixture
def config(tiny, tmp_path):
    return runs.write_config(tmp_path / "street.yaml", tiny, steps=STEPS)


@pytest.mark.slow
def test_a_terminated_and_then_killed_training_goes_on_to_its_end(config, tmp_path, capsys):
    folder = tmp_path / "run"
    code, error = ended_by(signal.SIGTERM, config, folder, "--train.workers=1")

    assert code == 128 + signal.SIGTERM
    assert error.count("\n") == 1
    assert f"--out {folder} --train.workers=1 --resume" in error
    assert_whole(folder)

    code, error = ended_by(signal.SIGKILL, config, folder, "--resume")

    assert (code, error) == (-signal.SIGKILL, "")
    assert_whole(folder)

    assert run(["train", str(config), "--out", str(folder), "--resume"]) == 0
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(2, STEPS + 1, 2), STEPS]
    assert "PQ after step 100" in capsys.readouterr().out
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_interrupted_training_says_how_to_go_on(config, tmp_path, capsys):
    folder = tmp_path / "run"

    def interrupt() -> None:
        wait_for(folder / "checkpoint.pt")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    code = run(["train", str(config), "--out", str(folder)])

    assert code == 128 + signal.SIGINT
    assert capsys.readouterr().err == (
        "jsisnet: stopped; to go on from the last checkpoint: "
        f"jsisnet train {config} --out {folder} --resume\n"
    )
    assert_whole(folder)


def ended_by(number, config, folder, *options):
    """Train in another process, send it a signal, and give its exit code and last words."""
    lines = len((folder / "metrics.jsonl").read_bytes()) if folder.exists() else 0
    command = [sys.executable, "-m", "jsisnet", "train", str(config), "--out", str(folder)]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(folder / "metrics.jsonl", size=lines + 1)
    time.sleep(random.uniform(0, 0.5))  # noqa: S311
    process.send_signal(number)
    return process.wait(timeout=60), process.stderr.read()


def wait_for(path, size=1):
    end = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_whole(folder):
    """Make sure that no file of a run is half-written."""
    read_config(folder / "config.yaml")
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    if (folder / "model.json").exists():
        saved_model.read(folder)
    if (folder / "checkpoint.pt").exists():
        saved_model.read(folder)
        Checkpoint.load(folder / "checkpoint.pt")
