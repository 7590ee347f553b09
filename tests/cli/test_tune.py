import json
from errno import ENOSPC

import numpy as np
import pytest
import yaml

import factories
import networks
from jsisnet import Predictor
from jsisnet.cli.app import run
from jsisnet.inference import model_folder
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig


@pytest.fixture
def model(tmp_path):
    """A network that has learned nothing, with a card."""
    settings = ModelConfig(size=(64, 96), network=networks.TINY)
    folder = tmp_path / "model"
    network = networks.network(networks.TINY)
    saved_model.write(folder, settings, factories.CATEGORIES, network.state_dict())
    (folder / "README.md").write_text("Licence: mine")
    return folder


def test_tune_writes_a_copy_of_the_model_and_says_which_photos_it_saw(
    tiny, tmp_path, model, capsys
):
    data = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    command = ["tune", str(model), *data, "--raw", str(tmp_path / "raw"), "--folds", "3"]

    assert run([*command, "--out", str(tmp_path / "tuned")]) == 0

    report = json.loads((tmp_path / "tuned/tuning.json").read_text())
    assert report["photos"] == [100 + number for number in range(6)]
    assert report["annotations"] == "panoptic_tiny.json"
    assert report["before"] == report["left_out"] == report["after"]
    assert report["changes"] == []
    output = capsys.readouterr().out
    assert "chosen on 6 photos of panoptic_tiny.json" in output
    assert "No other setting helps on photos left out" in output
    assert (tmp_path / "tuned/README.md").read_text() == "Licence: mine"
    tuned, own = Predictor(tmp_path / "tuned"), Predictor(model)
    assert tuned.config == own.config
    assert tuned.config.network.detection.min_score == tuned.config.merge.lowest_score
    assert tuned.categories == own.categories
    photo = np.zeros((64, 96, 3), np.uint8)
    assert np.array_equal(tuned.outputs(photo).semantic, own.outputs(photo).semantic)

    assert run([*command, "--out", str(tmp_path / "merge.yaml")]) == 0
    written = (tmp_path / "merge.yaml").read_text()
    assert yaml.safe_load(written) == report["settings"]
    assert written.startswith("# Chosen on 6 photos of panoptic_tiny.json")
    assert run([*command, "--out", str(tmp_path / "tuned")]) == 0  # replaces its own


def test_tune_can_choose_for_several_views_of_each_photo(tiny, tmp_path, model):
    data = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    found = {}
    for name, options in (("photo", []), ("views", ["--tta"])):
        out = tmp_path / f"{name}.json"
        command = ["tune", str(model), *data, *options, "--folds", "3", "--json", str(out)]
        assert run(command) == 0
        found[name] = json.loads(out.read_text())
    evaluated = ["evaluate", "--tta", "--model", str(model), *data, "--no-ap"]
    assert run([*evaluated, "--json", str(tmp_path / "evaluated.json")]) == 0

    measured = json.loads((tmp_path / "evaluated.json").read_text())
    assert [each["tta"] for each in found.values()] == [False, True]
    assert found["views"]["before"]["all"] == pytest.approx(measured["all"]["pq"])


def test_a_tuning_that_ended_while_it_copied_the_model_can_be_repeated(
    tiny, tmp_path, model, monkeypatch
):
    data = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    command = ["tune", str(model), *data, "--folds", "3", "--out", str(tmp_path / "tuned")]
    with monkeypatch.context() as disk:
        disk.setattr(model_folder, "copyfile", fail)
        assert run(command) == 1
    assert not (tmp_path / "tuned/model.json").exists()

    assert run(command) == 0

    assert Predictor(tmp_path / "tuned").categories == Predictor(model).categories


def fail(*_):
    raise OSError(ENOSPC, "No space left on device")


def test_what_would_be_overwritten_is_refused_before_the_work(tiny, tmp_path, model, capsys):
    data = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    (tmp_path / "model.onnx").touch()
    for name, out, message in (
        (model, model, "is an input"),
        (model, tmp_path / "mine", "is not empty; expected a new folder"),
        (model, tmp_path / "mine/notes.txt", "is a file; expected a new folder, or a name"),
        (tmp_path / "model.onnx", tmp_path / "new", "settings of an exported network"),
    ):
        assert run(["tune", str(name), *data, "--out", str(out)]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
