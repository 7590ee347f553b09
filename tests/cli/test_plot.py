import json

import pytest
from PIL import Image

from jsisnet.cli.app import run


@pytest.fixture
def runs(tmp_path):
    """Two run folders, and one that has just begun."""
    for name, count in (("a", 3), ("b", 2), ("new", 0)):
        (tmp_path / name).mkdir()
        entries = [{"step": step + 1, "total": 1.0 / (step + 1)} for step in range(count)]
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        (tmp_path / name / "metrics.jsonl").write_text(lines)
    return tmp_path


@pytest.mark.parametrize("names", [["a"], ["a", "b", "new"]])
def test_the_metrics_of_runs_are_plotted(runs, names, capsys):
    out = runs / "look.png"

    assert run(["plot", *(str(runs / name) for name in names), "--out", str(out)]) == 0

    assert capsys.readouterr().out == f"Wrote {out}\n"
    with Image.open(out) as picture:
        assert picture.width == 1600


def test_by_default_the_plot_is_in_the_current_folder(runs, monkeypatch):
    monkeypatch.chdir(runs)

    assert run(["plot", "a"]) == 0

    assert (runs / "plot.png").exists()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "give at least one run folder"),
        (["nowhere"], "nowhere/metrics.jsonl: can't be read (No such file or directory)"),
        (["new"], "new: no metrics yet"),
        (["a/metrics.jsonl"], "can't be read"),
        (["a", "--out", "look.jpg"], "look.jpg: expected a name that ends in .png"),
    ],
)
def test_invalid_input_gives_one_message(runs, monkeypatch, capsys, tokens, message):
    monkeypatch.chdir(runs)

    assert run(["plot", *tokens]) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (runs / "plot.png").exists()
