import json
from dataclasses import asdict, replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import factories
from jsisnet import __version__
from jsisnet.files.checksum import check_intact
from jsisnet.formats import categories_json
from jsisnet.inference.exported import INSTANCES, SEMANTIC, THRESHOLDS
from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.model import saved_model
from jsisnet.model.agreement import disagreement
from jsisnet.model.export import export, share_weights
from jsisnet.model.network import JSISNet
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.saved_model import ModelConfig, SavedModel
from networks import PYRAMID, TINY, network, shapes_unchecked

SIZE = (64, 96)
LOOSE = DetectionConfig(
    min_score=0.3, max_overlap=0.9, one_class_per_region=False, max_detections=100
)


def detecting(made: JSISNet) -> JSISNet:
    """Let a random network be rather sure of what it sees, with weights in half precision."""
    made.instance.roi.classify.bias.data[:2] = torch.tensor([2.0, 1.9])
    made.instance.roi.classify.weight.data.mul_(100)
    return made.half().float()


@pytest.fixture(scope="module")
def model() -> SavedModel:
    config = ModelConfig(size=SIZE, network=TINY)
    return SavedModel(config, factories.CATEGORIES, detecting(network(TINY)))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    """Return an exported network."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    with shapes_unchecked():
        export(model, path, weights="abc", half=True)
    return path


def opened(path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def session(file):
    return opened(file)


def run(session: onnxruntime.InferenceSession, images: np.ndarray, **thresholds) -> dict:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images, **thresholds}), strict=True))


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), np.uint8)


def expected(model: SavedModel, images: np.ndarray, config: DetectionConfig) -> dict:
    """Return what the network predicts without its file."""
    with torch.inference_mode():
        outputs = model.network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
        found = model.network.instance.detections(outputs.candidates, outputs.proposals, config)
    arrays = {name: getattr(found, name).numpy() for name in INSTANCES}
    return {SEMANTIC: outputs.semantic.numpy(), **arrays}


def test_inputs_are_images_and_optional_thresholds(session):
    assert [(item.name, item.type) for item in session.get_inputs()] == [
        ("images", "tensor(uint8)")
    ]
    assert session.get_inputs()[0].shape[1:] == [*SIZE, 3]
    optional = {item.name: item.type for item in session.get_overridable_initializers()}
    assert optional == dict(
        zip(THRESHOLDS, ["tensor(float)", "tensor(float)", "tensor(bool)"], strict=True)
    )


def test_outputs_are_those_of_both_branches(session):
    made = run(session, pictures(2))

    assert {name: (array.dtype.name, array.shape) for name, array in made.items()} == {
        "semantic": ("float32", (2, 6, 16, 24)),
        "boxes": ("float32", (2, 100, 4)),
        "labels": ("int64", (2, 100)),
        "scores": ("float32", (2, 100)),
        "masks": ("float32", (2, 100, 14, 14)),
        "valid": ("bool", (2, 100)),
    }


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("detection", [None, LOOSE, replace(LOOSE, one_class_per_region=True)])
def test_the_file_predicts_what_the_network_predicts(model, session, count, detection):
    images = pictures(count)
    own = replace(TINY.detection, max_detections=100)
    given = {} if detection is None else {name: getattr(detection, name) for name in THRESHOLDS}
    kinds = (np.float32, np.float32, bool)
    thresholds = {
        name: np.array(value, kind)
        for (name, value), kind in zip(given.items(), kinds, strict=False)
    }

    made = run(session, images, **thresholds)

    wanted = expected(model, images, detection or own)
    assert wanted["valid"].any()
    for name in ("valid", "labels"):
        assert np.array_equal(made[name], wanted[name])
    for name in ("semantic", "boxes", "scores", "masks"):
        np.testing.assert_allclose(made[name], wanted[name], rtol=1e-4, atol=1e-3)


def test_an_image_without_detections_is_all_padding(session):
    made = run(session, pictures(2), min_score=np.array(2, np.float32))

    assert not made["valid"].any()
    assert all(np.abs(made[name]).max() == 0 for name in ("boxes", "scores", "masks"))


def test_the_file_describes_the_model(file, model):
    metadata = {item.key: item.value for item in onnx.load(file).metadata_props}

    config = json.loads(json.dumps(asdict(model.config)))
    assert json.loads(metadata["jsisnet"]) == {
        "format": 1,
        "version": __version__,
        **config,
        "categories": categories_json.entries(model.categories),
        "weights": "abc",
    }


def test_weights_are_stored_in_half_precision(file):
    graph = onnx.load(file).graph

    weights = [tensor for tensor in graph.initializer if tensor.name.startswith("network.")]
    large = [tensor for tensor in weights if np.prod(tensor.dims) > 1024]
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}


def test_other_weights_are_a_disagreement(file, model):
    content = file.read_bytes()
    other = detecting(network(TINY, seed=1))

    assert disagreement(content, model.network, SIZE, 100) is None
    assert "semantic logits differ by" in disagreement(content, other, SIZE, 100)


def test_other_boxes_are_a_disagreement(file):
    other = detecting(network(TINY))
    other.instance.roi.deltas.bias.data += 1

    assert "detections have no counterpart" in disagreement(file.read_bytes(), other, SIZE, 100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("branches", "outputs"), [("semantic", (SEMANTIC,)), ("instance", INSTANCES)]
)
def test_a_network_of_one_branch_has_its_outputs_alone(tmp_path, branches, outputs):
    config = replace(TINY, branches=branches)
    made = SavedModel(ModelConfig(size=SIZE, network=config), factories.CATEGORIES, network(config))

    with shapes_unchecked():
        export(made, tmp_path / "model.onnx")

    session = opened(tmp_path / "model.onnx")
    assert tuple(output.name for output in session.get_outputs()) == outputs


@pytest.mark.slow
def test_a_file_that_differs_is_not_written(tmp_path):
    config = replace(TINY, branches="semantic")
    broken = network(config)
    broken.semantic.classify.weight.data[0, 0] = torch.nan
    model = SavedModel(ModelConfig(size=SIZE, network=config), factories.CATEGORIES, broken)

    reason = r"model\.onnx: not written, because .*semantic logits"
    with shapes_unchecked(), pytest.raises(ValueError, match=reason):
        export(model, tmp_path / "model.onnx")

    assert list(tmp_path.iterdir()) == []


def test_shared_weights_are_those_of_the_file(model, file, session, tmp_path):
    state = model.network.state_dict()
    saved_model.write(tmp_path, model.config, model.categories, state, half=True)
    shared = tmp_path / "model.onnx"
    shared.write_bytes(file.read_bytes())

    share_weights(tmp_path)

    check_intact(file, "")
    check_intact(shared, "")
    images = pictures(1)
    found, expected = run(opened(shared), images), run(session, images)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    whole, original = onnx.load(shared).graph, onnx.load(file).graph
    assert [weight.raw_data for weight in whole.initializer] == [
        weight.raw_data for weight in original.initializer
    ]
    half = [w for w in original.initializer if w.data_type == onnx.TensorProto.FLOAT16]
    saved = file.stat().st_size - shared.stat().st_size
    assert saved > 0.9 * sum(len(weight.raw_data) for weight in half) > 0


def test_a_network_with_the_settings_of_both_later_codes_is_exported(tmp_path):
    """The export compares the file with the network, and writes none that differs."""
    config = replace(
        TINY,
        trunk=replace(
            TINY.trunk, name="test_convnext", stride=16, mean=(0.5, 0.5, 0.5), channel_order="bgr"
        ),
        semantic=replace(
            TINY.semantic, norm="batch_fixed_affine", upsample_kernel=3, upsample_stride=1
        ),
        anchors=replace(TINY.anchors, outside="prune"),
        roi=LastStageConfig(
            width=16,
            crop=7,
            pool=1,
            norm="frozen",
            class_agnostic_boxes=True,
            mask_channels=16,
            mask_size=14,
            mask_norm="group",
            mask_convolutions=3,
            mask_kernel=3,
            mask_resize="before_first",
        ),
    )
    made = SavedModel(
        ModelConfig(size=(65, 97), network=config), factories.CATEGORIES, detecting(network(config))
    )

    with shapes_unchecked():
        export(made, tmp_path / "model.onnx")

    session = opened(tmp_path / "model.onnx")
    assert run(session, np.zeros((1, 65, 97, 3), np.uint8))[SEMANTIC].shape == (1, 6, 5, 7)


@pytest.mark.slow
def test_methods_on_a_pyramid_are_exported(tmp_path):
    config = ModelConfig(size=SIZE, network=PYRAMID)
    made = SavedModel(config, factories.CATEGORIES, detecting(network(PYRAMID)))

    with shapes_unchecked():
        export(made, tmp_path / "model.onnx")

    assert run(opened(tmp_path / "model.onnx"), pictures(2))["masks"].shape[2:] == (14, 14)
