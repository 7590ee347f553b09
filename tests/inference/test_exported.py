import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import onnx
import onnxruntime
import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.inference import engine as engines
from jsisnet.inference.engine import Engine, EngineOptions, EngineUnavailableError, Extras
from jsisnet.inference.exported import open_onnxruntime, open_openvino
from jsisnet.inference.model_folder import EXPORTED, WEIGHTS, embedded_names, find
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.thresholds import DetectionConfig
from onnx_files import DESCRIPTION, METADATA, SCORES, SIZE, network, write, write_folder

ONE_THREAD = EngineOptions(device="cpu", threads=1)
HAS_OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is an extra")
ENGINES = pytest.mark.parametrize(
    "open_engine", [open_onnxruntime, pytest.param(open_openvino, marks=HAS_OPENVINO)]
)


def pictures(*colors):
    """Return pictures whose upper half has the first colour, and whose lower half is red."""
    images = np.zeros((len(colors), *SIZE, 3), np.uint8)
    for image, color in zip(images, colors, strict=True):
        image[:] = (255, 0, 0)
        image[: SIZE[0] // 2] = color
    return images


BLUE, BLACK = (0, 0, 255), (0, 0, 0)


@ENGINES
def test_an_exported_network_gives_what_its_branches_predict(tmp_path, open_engine):
    engine = open_engine(write(tmp_path / "network.onnx"), ONE_THREAD)

    first, second = engine(pictures(BLUE, BLACK))

    assert isinstance(engine, Engine)
    assert (engine.device, engine.config.size) == ("cpu", SIZE)
    assert engine.categories == factories.CATEGORIES
    assert engine.predicts == {"semantic", "instances"}
    assert (
        first.semantic.argmax(0).tolist() == [[factories.SKY] * 6] * 2 + [[factories.ROAD] * 6] * 2
    )
    assert second.semantic[factories.SKY].max() == 0
    for outputs in (first, second):
        assert outputs.instances.scores == pytest.approx(SCORES[:2])
        assert outputs.instances.labels.tolist() == [factories.CAR] * 2
        assert outputs.instances.boxes[1].tolist() == [8, 0, 16, 8]


@ENGINES
def test_a_network_may_have_a_semantic_branch_only(tmp_path, open_engine):
    path = write(tmp_path / "network.onnx", network(instances=False))

    engine = open_engine(path, ONE_THREAD)

    (outputs,) = engine(pictures(BLUE), Extras(detection=DetectionConfig()))
    assert engine.predicts == {"semantic"}
    assert outputs.instances is outputs.ranked is None


def test_the_predictor_finds_the_engine_of_an_exported_network(tmp_path):
    path = write(tmp_path / "network.onnx")

    result = Predictor(path)(pictures(BLUE)[0])

    names = [factories.CATEGORIES[segment.label].name for segment in result.panoptic.segments]
    assert names == ["car", "car", "sky", "road"]
    assert result.panoptic.areas()[3] == 192
    assert result.panoptic.areas().sum() == 16 * 24


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=HAS_OPENVINO)])
def test_thresholds_may_be_chosen_after_the_export(tmp_path, engine):
    path = write(tmp_path / "network.onnx")

    counts = [
        len(Predictor(path, engine=engine, **setting).outputs(pictures(BLUE)[0]).instances)
        for setting in (
            {"min_score": 0.1},
            {"min_score": 0.5},
            {"min_score": 0.7},
            {"max_detections": 1},
        )
    ]

    assert counts == [3, 2, 1, 1]


@ENGINES
def test_an_evaluation_selects_other_detections(tmp_path, open_engine):
    engine = open_engine(write(tmp_path / "network.onnx"), ONE_THREAD)

    (outputs,) = engine(pictures(BLUE), Extras(detection=DetectionConfig(min_score=0.05)))

    assert len(outputs.ranked) == 3
    assert len(outputs.instances) == 2
    assert outputs.ranked_proposals is None


def test_fixed_thresholds_can_not_be_chosen(tmp_path):
    path = write(tmp_path / "network.onnx", network(fixed=True))
    engine = open_onnxruntime(path, ONE_THREAD)

    (outputs,) = engine(pictures(BLUE), Extras(detection=DetectionConfig(min_score=0.05)))

    assert len(outputs.instances) == 2
    assert outputs.ranked is None
    with pytest.raises(ValueError, match="has its thresholds of the detections fixed"):
        Predictor(path, min_score=0.1)


def test_a_model_folder_with_an_exported_network_needs_no_weights(tmp_path):
    predictor = Predictor(write_folder(tmp_path / "model"), threads=1)

    assert repr(predictor).endswith("16x24, onnxruntime on cpu)")
    assert len(predictor(pictures(BLUE)[0])) == 4


def test_a_model_folder_without_weights_is_predicted_beside_a_gpu_too(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_has_gpu", lambda: True)
    folder = write_folder(tmp_path / "model")

    assert Predictor(folder).engine.name == "onnxruntime"
    (folder / "model.onnx").unlink()
    with pytest.raises(ValueError, match=r"no model\.safetensors, .* no model\.onnx; write it"):
        Predictor(folder)


def test_the_settings_of_a_folder_win_over_those_of_its_exported_network(tmp_path):
    merge = {"min_score": 0.8, "min_stuff_area": 0.0}

    predictor = Predictor(write_folder(tmp_path / "model", merge=merge))

    assert predictor.config.merge.min_score == 0.8


def test_several_threads_share_an_engine(tmp_path):
    predictor = Predictor(write(tmp_path / "network.onnx"), threads=1)
    images = list(pictures(*[BLUE, BLACK] * 20))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(predictor.panoptic, images))

    for image, panoptic in zip(images, results, strict=True):
        assert np.array_equal(panoptic.ids, predictor.panoptic(image).ids)


@ENGINES
def test_a_pickled_engine_predicts_the_same(tmp_path, open_engine):
    engine = open_engine(write(tmp_path / "network.onnx"), ONE_THREAD)

    other = pickle.loads(pickle.dumps(engine))

    assert other.fingerprint() == engine.fingerprint()
    assert np.array_equal(other(pictures(BLUE))[0].semantic, engine(pictures(BLUE))[0].semantic)


@HAS_OPENVINO
def test_fingerprints_tell_networks_and_engines_apart(tmp_path):
    one = write(tmp_path / "one.onnx")
    two = write(tmp_path / "two.onnx", network(instances=False))

    prints = [
        open_onnxruntime(one, ONE_THREAD).fingerprint(),
        open_onnxruntime(two, ONE_THREAD).fingerprint(),
        open_openvino(one, ONE_THREAD).fingerprint(),
        open_openvino(one, replace(ONE_THREAD, precision="bfloat16")).fingerprint(),
    ]

    assert len(set(prints)) == 4


def without(name):
    model = network()
    kept = [output for output in model.graph.output if output.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


def reshaped(name, shape):
    """Claim another shape of an output."""
    model = network()
    (output,) = (output for output in model.graph.output if output.name == name)
    output.CopyFrom(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    # The runtime would notice that the shape is not what the nodes compute.
    del model.graph.node[:]
    for made in model.graph.output:
        zeros = np.zeros([axis.dim_value or 1 for axis in made.type.tensor_type.shape.dim])
        kind = onnx.helper.tensor_dtype_to_np_dtype(made.type.tensor_type.elem_type)
        value = onnx.numpy_helper.from_array(zeros.astype(kind))
        model.graph.node.append(onnx.helper.make_node("Constant", [], [made.name], value=value))
    return model


def external(file):
    """Let a network read its weights from another file; return it with the other's content."""
    model = network()
    tensor = model.graph.initializer[0]
    content = b"header, " + tensor.raw_data
    values = {"location": file, "offset": 8, "length": len(tensor.raw_data)}
    for key, value in values.items():
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    return model, content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"can't be loaded as an exported network"),
        (b"not a network", r"can't be loaded as an exported network"),
        (network().SerializeToString()[:-40], r"network\.onnx: "),
        (network(None).SerializeToString(), r"not exported by jsisnet \(no metadata 'jsisnet'\)"),
        (
            network({**METADATA, "format": 2, "version": "9.0"}).SerializeToString(),
            r"by jsisnet 9\.0 in format 2; expected 1, so upgrade",
        ),
        (network({**METADATA, "categories": 3}).SerializeToString(), r"'categories' is not a list"),
        (
            network({**METADATA, "size": [16, 16]}).SerializeToString(),
            r"are not those of a network of \(16, 16\)",
        ),
        (network({**METADATA, "size": "big"}).SerializeToString(), r"network\.onnx: "),
        (network({**METADATA, "colour": 1}).SerializeToString(), r"unknown setting colour"),
        (without("masks").SerializeToString(), r"inputs and outputs .* are not those"),
        (without("valid").SerializeToString(), r"inputs and outputs .* are not those"),
        (reshaped("semantic", [6]).SerializeToString(), r"semantic \[6\].* are not those"),
        (reshaped("boxes", [1, 3, 5]).SerializeToString(), r"boxes \[1, 3, 5\].* are not those"),
        (reshaped("scores", [1, 9]).SerializeToString(), r"scores \[1, 9\].* are not those"),
    ],
    ids=[
        "empty",
        "text",
        "cut",
        "foreign",
        "newer",
        "classes",
        "size",
        "words",
        "setting",
        "outputs",
        "no validity",
        "flat",
        "corners",
        "detections",
    ],
)
def test_a_file_that_is_no_exported_network_is_refused(tmp_path, content, message):
    path = tmp_path / "network.onnx"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message):
        Predictor(path)


@ENGINES
def test_weights_may_be_in_the_weights_file_beside_the_network(tmp_path, open_engine):
    model, weights = external("model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(weights)
    shared = open_engine(write(tmp_path / "shared.onnx", model), ONE_THREAD)
    whole = open_engine(write(tmp_path / "whole.onnx"), ONE_THREAD)

    (found,), (expected,) = shared(pictures(BLUE)), whole(pictures(BLUE))

    assert found.semantic.any()
    np.testing.assert_array_equal(found.semantic, expected.semantic)


@ENGINES
@pytest.mark.parametrize("damage", [None, b"", b"header, too short"])
def test_weights_that_are_missing_or_cut_are_named(tmp_path, open_engine, damage):
    path = write(tmp_path / "network.onnx", external("model.safetensors")[0])
    if damage is not None:
        (tmp_path / "model.safetensors").write_bytes(damage)

    with pytest.raises(ValueError, match=r"must be in model\.safetensors beside it"):
        open_engine(path, ONE_THREAD)


@ENGINES
@pytest.mark.parametrize("location", ["{}/secret.bin", "../secret.bin", "secret.bin"])
def test_weights_are_not_read_from_elsewhere(tmp_path, monkeypatch, open_engine, location):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    model, secret = external(location.format(tmp_path))
    (tmp_path / "secret.bin").write_bytes(secret)

    with pytest.raises(ValueError, match="can't be loaded as an exported network"):
        open_engine(write(tmp_path / "folder/network.onnx", model), ONE_THREAD)


def test_built_in_models_hold_their_weights_once():
    for name in embedded_names():
        exported, weights = find(name) / EXPORTED, find(name) / WEIGHTS
        assert exported.stat().st_size < 0.1 * weights.stat().st_size, name


@pytest.mark.parametrize("damaged", [EXPORTED, WEIGHTS])
@pytest.mark.parametrize("named", ["the folder", "the file"])
def test_damage_to_a_built_in_model_is_found(tmp_path, damaged, named):
    folder = shutil.copytree(find("street"), tmp_path / "street")
    content = bytearray((folder / damaged).read_bytes())
    content[len(content) // 2] ^= 4
    (folder / damaged).write_bytes(content)

    message = rf"{damaged}: damaged, as its checksum does not match; copy or download it again"
    with pytest.raises(ValueError, match=message):
        open_onnxruntime(folder if named == "the folder" else folder / EXPORTED, ONE_THREAD)


def test_what_the_runtime_raises_becomes_one_sentence(tmp_path):
    model = network()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    engine = open_onnxruntime(write(tmp_path / "network.onnx", model), ONE_THREAD)

    with pytest.raises(ValueError, match=r"network\.onnx: the network can't be run \(.*data type"):
        engine(pictures(BLUE))


@pytest.mark.parametrize("label", [-1, len(factories.CATEGORIES), 2**62])
def test_labels_that_are_no_classes_are_refused(tmp_path, label):
    model = network()
    (labels,) = (tensor for tensor in model.graph.initializer if tensor.name == "all_labels")
    labels.CopyFrom(onnx.numpy_helper.from_array(np.full((1, 3), label), "all_labels"))
    predictor = Predictor(write(tmp_path / "network.onnx", model))

    with pytest.raises(ValueError, match=f"the label {label}; expected a label of its 6 classes"):
        predictor(pictures(BLUE)[0])


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "can't use cuda here"),
        ("cuda:1", "can't use cuda:1 here"),
        ("cuda:x", "expected a number, as in cuda:1"),
    ],
)
def test_a_gpu_that_the_runtime_skips_is_not_claimed(tmp_path, monkeypatch, device, message):
    path = write(tmp_path / "network.onnx")
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda content, options, **_: session(content, options, providers=["CPUExecutionProvider"]),
    )

    with pytest.raises(EngineUnavailableError, match=message):
        open_onnxruntime(path, EngineOptions(device=device, threads=1))
    engine = open_onnxruntime(path, EngineOptions(threads=1))
    assert (engine.device, engine.batch_size) == ("cpu", 1)


def test_damaged_files_give_one_sentence_on_the_command_line(tmp_path, capsys):
    (tmp_path / "network.onnx").write_bytes(b"nonsense")

    code = run(
        [
            "predict",
            "x.png",
            "--out",
            str(tmp_path / "out"),
            "--model",
            str(tmp_path / "network.onnx"),
        ]
    )

    assert code == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_whose_two_networks_differ_is_refused(tmp_path):
    folder = write_folder(
        tmp_path / "model", network({**METADATA, "weights": hashlib.sha256(b"").hexdigest()})
    )
    (folder / "model.safetensors").write_bytes(b"other weights")

    with pytest.raises(
        ValueError, match=r"has other weights .*export it again with `jsisnet export"
    ):
        Predictor(folder)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"size": [32, 32]}, "other settings"),
        ({"network": {"proposals": {"max_proposals": 9}}}, "other settings"),
        ({"categories": DESCRIPTION["categories"][:-1]}, "other classes"),
    ],
)
def test_a_folder_whose_description_differs_from_its_network_is_refused(tmp_path, changed, what):
    with pytest.raises(ValueError, match=f"has {what} than the model in its folder"):
        Predictor(write_folder(tmp_path / "model", **changed))


def test_a_folder_may_lack_settings_that_a_newer_version_has_exported(tmp_path):
    newer = {**METADATA, "network": {**METADATA["network"], "invented_later": {"width": 3}}}

    made = Predictor(write_folder(tmp_path / "model", network(newer)))

    assert made.config.network.proposals.max_proposals == 3


@pytest.mark.parametrize("damaged", [None, [], "lite"])
def test_a_folder_whose_description_is_damaged_is_refused(tmp_path, damaged):
    with pytest.raises(ValueError, match=r"model\.json: network is .*; expected a mapping"):
        Predictor(write_folder(tmp_path / "model", network=damaged))


def test_weights_that_can_not_be_read_are_refused(tmp_path):
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").mkdir()

    with pytest.raises(ValueError, match=r"model\.safetensors: not weights of a model \("):
        Predictor(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (32, 32)}, r"a size of \(16, 24\), not \(32, 32\)"),
        ({"max_detections": 500}, "room for 3 detections"),
        (
            {"overrides": ("--network.proposals.max-proposals", "9")},
            "other limits of the proposals",
        ),
        ({"precision": "bfloat16"}, "no bfloat16"),
        ({"device": "mps"}, "no device 'mps'"),
        ({"device": "cuda"}, "onnxruntime has no CUDA"),
    ],
)
def test_settings_that_were_fixed_by_the_export_say_so(tmp_path, settings, message):
    path = write(tmp_path / "network.onnx")

    with pytest.raises(EngineUnavailableError, match=message):
        Predictor(path, engine="onnxruntime", **settings)


def test_a_folder_without_exported_network_says_how_to_export_it(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(DESCRIPTION))

    with pytest.raises(
        EngineUnavailableError, match=r"no model\.onnx; write it with `jsisnet export"
    ):
        Predictor(tmp_path, engine="onnxruntime")


def test_nothing_is_reported_or_stored_in_the_home_of_the_user(tmp_path):
    home, path = tmp_path / "home", write(tmp_path / "network.onnx")
    home.mkdir()
    program = (
        "import sys; from jsisnet import Predictor; import numpy as np;"
        "Predictor(sys.argv[1]).panoptic(np.zeros((8, 8, 3), np.uint8))"
    )
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)

    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=True)

    assert list(home.iterdir()) == []
