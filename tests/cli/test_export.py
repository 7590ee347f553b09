import sys
from pathlib import Path

import numpy as np
import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.inference.engine import EngineOptions
from jsisnet.inference.exported import open_onnxruntime
from jsisnet.model import saved_model
from jsisnet.model.engine import open_engine
from jsisnet.model.saved_model import ModelConfig
from networks import TINY, network, shapes_unchecked

SIZE = (64, 96)


@pytest.fixture
def folder(tmp_path):
    """Return a model folder, whose network sees something in every region."""
    made = network(TINY)
    made.instance.roi.classify.bias.data[0] = 5
    config = ModelConfig(size=SIZE, network=TINY)
    saved_model.write(tmp_path / "model", config, factories.CATEGORIES, made.state_dict())
    return tmp_path / "model"


@pytest.mark.slow
def test_an_exported_model_folder_predicts_the_same_without_torch(folder, capsys):
    with shapes_unchecked():
        assert run(["export", str(folder)]) == 0

    assert capsys.readouterr().out.startswith(f"Wrote {folder / 'model.onnx'} (")
    options = EngineOptions()
    engine, original = open_onnxruntime(folder, options), open_engine(folder, options)
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    for made, expected in zip(engine(images), original(images), strict=True):
        np.testing.assert_allclose(made.semantic, expected.semantic, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            made.instances.boxes, expected.instances.boxes, rtol=1e-4, atol=1e-2
        )
        assert np.array_equal(made.instances.labels, expected.instances.labels)
        assert len(made.instances.labels) == TINY.detection.max_detections


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["coco"], "give --out FILE.onnx: model.onnx of the folder is not for a built-in model"),
        (["MODEL", "--size", "64", "64"], "is not for other settings than the model's"),
        (["MODEL", "--out", "model.bin"], "model.bin: --out must end in .onnx"),
        (["nowhere"], "No model named 'nowhere'"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_sentence(folder, capsys, arguments, reason):
    tokens = [str(folder) if token == "MODEL" else token for token in arguments]

    assert run(["export", *tokens]) == 1

    assert reason in capsys.readouterr().err
    assert not (folder / "model.onnx").exists()


@pytest.mark.parametrize("library", ["onnx", "onnxscript"])
def test_missing_packages_are_named(folder, capsys, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "jsisnet.model.export", raising=False)

    assert run(["export", str(folder)]) == 1

    expected = f"needs {library}, which is not installed: pip install 'jsisnet[torch]'"
    assert expected in capsys.readouterr().err


def test_an_exported_network_cannot_be_exported_again(capsys):
    file = Path(saved_model.find("coco"), "model.onnx")

    assert run(["export", str(file), "--out", "again.onnx"]) == 1

    assert "has no weights for PyTorch" in capsys.readouterr().err


def test_a_model_that_is_replaced_while_it_is_read_is_not_exported(folder, monkeypatch, capsys):
    read = saved_model.read

    def overtaken(*arguments):
        model = read(*arguments)
        other = network(TINY, seed=1).state_dict()
        saved_model.write(folder, model.config, model.categories, other)
        return model

    monkeypatch.setattr(saved_model, "read", overtaken)

    assert run(["export", str(folder)]) == 1
    assert (
        "a training replaced its model just now; run the command again" in capsys.readouterr().err
    )
    assert not (folder / "model.onnx").exists()
