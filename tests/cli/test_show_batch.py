import numpy as np
import pytest
from PIL import Image

import training_runs
from jsisnet.cli.app import run


@pytest.fixture
def show(tiny, tmp_path, monkeypatch):
    """Return a function that draws a batch of streets and returns the exit code."""
    config = training_runs.write_config(tmp_path / "street.yaml", tiny, steps=4)
    monkeypatch.chdir(tmp_path)
    return lambda *options: run(["show-batch", str(config), *options])


def picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_the_batch_of_a_step_is_drawn(show, tmp_path, capsys):
    assert show() == 0
    assert show("--step", "1") == 0

    assert capsys.readouterr().out == "Wrote street_batch_0.png\nWrote street_batch_1.png\n"
    first, second = (picture(tmp_path / f"street_batch_{step}.png") for step in range(2))
    assert first.shape == second.shape
    assert (first != second).any()


def test_a_step_starts_after_the_photos_of_earlier_steps(show, tmp_path):
    assert show("--step", "2", "--count", "1", "--out", "a.png") == 0
    assert show("--step", "4", "--count", "1", "--out", "b.png", "--train.batch-size", "1") == 0

    assert (picture(tmp_path / "a.png") == picture(tmp_path / "b.png")).all()


@pytest.mark.parametrize(
    "options",
    [
        ["--train.seed", "1"],
        ["--augment.max-scale", "3"],
        ["--augment.brightness", "0.9"],
        ["--augment.keep-aspect", "--augment.size", "96", "96"],
        ["--count", "5"],
    ],
)
def test_settings_change_the_batch(show, tmp_path, options):
    assert show("--out", "before.png") == 0
    assert show("--out", "after.png", *options) == 0

    before, after = (picture(tmp_path / name) for name in ("before.png", "after.png"))
    assert before.shape != after.shape or (before != after).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--step", "-1"], "--step must be at least 0 and --count at least 1"),
        (["--count", "0"], "--step must be at least 0 and --count at least 1"),
        (["--count", "999999"], "999999 images are too many for one picture; use --count 4882"),
        (["--out", "look.txt"], "look.txt: expected a name that ends in .jpg or .png"),
        (["--out", "street.yaml"], "street.yaml is an input"),
        (["--out", "tiny/photos/street0.jpg"], "is a file of the data set"),
        (["--out", "tiny/panoptic_tiny/map0.png"], "is a file of the data set"),
        (["--augment.hue", "3"], "hue is 3"),
        (["--root", "nowhere"], "nowhere"),
    ],
)
def test_invalid_input_gives_one_message(show, tiny, capsys, options, message):
    files = {path: path.read_bytes() for path in tiny.images.parent.rglob("*") if path.is_file()}

    assert show(*options) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert files == {path: path.read_bytes() for path in files}


def test_a_misspelt_setting_names_the_nearest(show, capsys):
    assert show("--augment.huge", "0.1") == 2

    assert "--augment.hue" in capsys.readouterr().err


def test_no_network_is_needed(show):
    assert show("--network.trunk.name", "unicorn") == 0
