import inspect
import os
import subprocess
import sys

import pytest
from PIL import Image
from rich.console import Console

from jsisnet.cli.app import app, run
from jsisnet.cli.errors import MISUSED, describe_error

COMMANDS = (
    "predict",
    "demo",
    "evaluate",
    "score",
    "compare",
    "submit",
    "train",
    "show-batch",
    "plot",
    "show",
    "describe",
    "imagenet",
    "serve",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name, capsys):
    assert run([name, "--help"]) == 0

    text = capsys.readouterr().out
    assert text.startswith(f"Usage: jsisnet {name} ")
    assert f"\n    jsisnet {name}" in text


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ((), (*COMMANDS, "merge", "data", "reproduce")),
        (("data",), ("check", "convert", "generate", "merge-classes", "show", "split", "stats")),
        (("reproduce",), ("table1", "table2", "table3", "table4", "figure1", "figure3", "speed")),
    ],
)
def test_lists_of_commands_give_the_first_sentence_of_each_help(group, names, capsys, monkeypatch):
    monkeypatch.setattr("jsisnet.cli.console.out.width", 200)
    monkeypatch.setattr(app, "_console", Console(width=200))  # an earlier one has another width
    assert run([*group, "--help"]) == 0
    lines = [line.strip("\u2502 ") for line in capsys.readouterr().out.splitlines()]
    listed = dict(line.split(maxsplit=1) for line in lines if line.startswith(names))

    for name in names:
        run([*group, name, "--help"])
        assert f"\n\n{listed[name]}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_narrow_terminals_do_not_wrap_the_help(name):
    text = inspect.getdoc(app[name].default_command).partition("Args:")[0]
    lines = text.splitlines()

    assert max(map(len, lines)) <= 80


def test_without_command_the_help_lists_all(capsys):
    assert run([]) == 0

    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["predcit"], "Did you mean predict?"),
        (["score", "a", "b", "--jsn", "c"], "Did you mean --json?"),
        (["show", "a.jpg", "a.png", "a.json"], "--out"),
        (["predict", "a.jpg", "--out"], "--out"),
        (["score", "a"], "PREDICTION"),
        (["score", "a", "b", "c"], "unexpected argument 'c': see jsisnet score --help"),
        (["score", "a", "b", "--boundary", "yes"], "--boundary takes no value, but 'yes' follows"),
        (
            ["score", "a", "b", "--processes", "1", "1"],
            "unexpected argument '1': see jsisnet score",
        ),
        (["score", "a", "b", "--mode", "strickt"], "--mode is 'strickt'. Did you mean strict?"),
        (["score", "a", "b", "--processes", "0"], "--processes is 0; expected at least 1"),
        (["score", "a", "b", "--processes", "x"], "--processes is 'x'; expected an integer"),
        (["score", "a", "b", "--csv", "c", "--csv", "d"], "--csv is given twice"),
        (["predict", "a.jpg", "--min-score", "3"], "--min-score is 3; expected at most 1"),
        (["predict", "a.jpg", "-o"], "-o needs DIR: see jsisnet predict --help"),
        (["score", "a", ""], "an argument is empty; is a variable of the shell not set? See jsis"),
        (["score", "a", "--json", "-", ""], "an argument is empty; is a variable"),
        (["predict", "a.jpg", "--out=d", ""], "an argument is empty; is a variable"),
        (["predict", "--", "--json", ""], "an argument is empty; is a variable"),
        (["predict", "a.jpg", "--out", ""], "the argument after --out is empty; is a variable of"),
        (["predict", "a.jpg", "-o", ""], "the argument after -o is empty; is a variable of"),
        (["predict", "a.jpg", "--out="], "--out is empty; is a variable of the shell not set? See"),
        (["train", "a.yaml", "--start", ""], "the argument after --start is empty; is a variable"),
        (["predict", "a.jpg", "--merge.min-score="], "--merge.min-score is empty; is a variable"),
        (["data", "show", "--otu", "x"], "there is no option --otu. Did you mean --out?"),
        (["predict", "a.jpg", "--merge.min-scor", "1"], "Did you mean --merge.min-score? See jsis"),
        (["describe", "coco", "--things", "many"], "--things"),
    ],
)
def test_wrong_usage_gives_one_message(tokens, message, capsys):
    assert run(tokens) == 2

    error = capsys.readouterr().err
    assert error.startswith("jsisnet: ")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--merge.min-score", "3"], "--merge.min-score is 3; expected a number from 0 to 1"),
        (["--network.detection.max-overlap=-1"], "--network.detection.max-overlap is -1; expected"),
        (["--merge.min-score", "some"], "--merge.min-score is 'some'; expected a number"),
        (["--merge.owner", "scores"], "--merge.owner is 'scores'. Did you mean score? Choices:"),
        (["--merge.min-score"], "--merge.min-score needs a value"),
        (["--size", "8"], "--size needs 2 values"),
        (["--merge"], "--merge is a section; expected one of its settings, such as"),
        (
            ["--network.detection.one-class-per-region=maybe"],
            "--network.detection.one-class-per-region is 'maybe'; expected true",
        ),
    ],
)
def test_a_setting_out_of_range_is_named_as_the_option(tokens, message, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)

    assert run(["predict", str(photo), "--out", str(tmp_path / "out"), *tokens]) == 1

    assert capsys.readouterr().err.startswith(f"jsisnet: {message}")


def test_the_settings_of_a_merge_of_files_have_ranges(capsys):
    files = [
        "--image-info",
        "a.json",
        "--instances",
        "b.json",
        "--semantic",
        "c",
        "--out",
        "d.json",
    ]

    assert run(["merge", *files, "--kirillov.max-overlap", "2"]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: --kirillov.max-overlap is 2; expected a number from 0 to 1\n"
    )


def test_invalid_input_gives_one_message(capsys):
    assert run(["score", "nowhere.json", "nothing.json"]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: nowhere.json: can't be read: No such file or directory\n"
    )


def test_debug_mode_shows_the_traceback(monkeypatch):
    with pytest.raises(ValueError, match=r"nowhere\.json"):
        run(["score", "nowhere.json", "nothing.json", "--debug"])

    monkeypatch.setenv("JSISNET_DEBUG", "1")
    with pytest.raises(ValueError, match=r"nowhere\.json"):
        run(["score", "nowhere.json", "nothing.json"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (FileExistsError(17, "File exists", "maps"), "maps: File exists"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("image file is truncated"), "image file is truncated"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("can't allocate memory: 9 bytes"), "not enough memory"),
        (KeyError("x"), "KeyError: 'x' (this is a bug in jsisnet"),
    ],
)
def test_an_error_becomes_one_message(error, text):
    assert describe_error(error).startswith(text)


def test_scoring_starts_without_torch(tiny):
    program = (
        "import sys; from jsisnet.cli.app import run\n"
        f"code = run(['score', {str(tiny.annotations)!r}, {str(tiny.annotations)!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"100.00" in done.stdout


def test_a_closed_pipe_ends_a_command_silently(tiny):
    command = [sys.executable, "-m", "jsisnet", "score", *2 * [str(tiny.annotations)]]
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert done.returncode != 0
    assert done.stderr == b""


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_process_may_be_started_without_a_stream(tiny, tmp_path, closed):
    files = 2 * [str(tiny.annotations)]
    command = [sys.executable, "-m", "jsisnet", "score", *files, "--json", str(tmp_path / "q.json")]
    number = {"stdout": 1, "stderr": 2}[closed]

    done = subprocess.run(["sh", "-c", f'exec "$@" {number}>&-', "sh", *command], check=False)

    assert done.returncode == 0
    assert (tmp_path / "q.json").read_text().startswith("{")


def test_the_version_is_that_of_the_package(capsys):
    assert run(["--version"]) == 0

    assert capsys.readouterr().out[0].isdigit()


def test_a_thread_that_fails_at_the_end_is_silent():
    program = (
        "import sys, threading; from jsisnet.cli.app import main\n"
        "sys.argv = ['jsisnet', '--version']; main()\n"
        "def fail(): raise OSError\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "raise KeyError('shown')"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "OSError" not in done.stderr
    assert "KeyError: 'shown'" in done.stderr


def test_a_missing_library_is_named_with_the_install_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "jsisnet.training.curves", raising=False)

    assert run(["plot", "run"]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: `jsisnet plot` needs Matplotlib, which is not installed: "
        "pip install 'jsisnet[torch]'\n"
    )


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["imagenet"], "--out FILE is required: see jsisnet imagenet --help"),
        (["predict", "x.jpg", "--out"], "--out needs DIR: see jsisnet predict --help"),
        (["data", "split"], "--annotations FILE is required: see jsisnet data split --help"),
    ],
)
def test_a_missing_argument_is_named_with_where_to_read_on(tokens, message, capsys):
    assert run(tokens) == MISUSED
    assert message in capsys.readouterr().err
