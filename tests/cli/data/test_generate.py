import subprocess
import sys

import pytest

from jsisnet.cli.app import run


def test_generated_truth_scores_perfectly_against_itself(tmp_path, capsys):
    folder = tmp_path / "scenes"
    options = ["--train", "2", "--val", "6", "--size", "48x64"]

    assert run(["data", "generate", "--out", str(folder), *options]) == 0
    assert "2 training and 6 validation scenes to" in capsys.readouterr().out

    truth = str(folder / "panoptic_val.json")
    assert run(["score", truth, truth]) == 0
    assert "100.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "1x1"], "expected sides of 32 to 10000"),
        (["--size", "128"], "expected HEIGHTxWIDTH, such as 128x192"),
        (["--size", "99999999x64"], "expected sides of 32 to 10000"),
        (["--train", "-1"], "expected 0 or more"),
    ],
)
def test_invalid_options_give_one_message(options, message, tmp_path, capsys):
    assert run(["data", "generate", "--out", str(tmp_path / "a"), *options]) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_generating_starts_without_torch(tmp_path):
    program = (
        "import sys; from jsisnet.cli.app import run\n"
        f"code = run(['data', 'generate', '--out', {str(tmp_path / 'a')!r}, '--train', '1',"
        " '--val', '0', '--size', '32x32'])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_the_help_has_an_example(capsys):
    assert run(["data", "generate", "--help"]) == 0

    text = capsys.readouterr().out
    assert text.startswith("Usage: jsisnet data generate --out DIR")
    assert "\n    jsisnet data generate --out scenes" in text
