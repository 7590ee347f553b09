"""What to install when an optional dependency is missing."""

from typing import NamedTuple


class _Extra(NamedTuple):
    name: str
    """Extra of the distribution, as in ``jsisnet[torch]``."""
    library: str
    """The missing library, as its users write it."""


_EXTRAS = {
    "lightning": _Extra("torch", "Lightning"),
    "matplotlib": _Extra("torch", "Matplotlib"),
    "mlflow": _Extra("mlflow", "MLflow"),
    "safetensors": _Extra("torch", "safetensors"),
    "skimage": _Extra("demo", "scikit-image"),
    "tensorboard": _Extra("tensorboard", "TensorBoard"),
    "timm": _Extra("torch", "timm"),
    "torch": _Extra("torch", "PyTorch"),
    "torchmetrics": _Extra("torch", "TorchMetrics"),
    "torchvision": _Extra("torch", "torchvision"),
    "wandb": _Extra("wandb", "Weights & Biases"),
}
"""Extras by the module that they provide."""


def install_hint(user: str, module: str) -> str | None:
    """Return the sentence that says what to install.

    Args:
        user: What needs the module, such as `` `jsisnet train` ``.
        module: Name of the missing module, such as ``torch.nn``.

    Returns:
        One sentence with the line to type; ``None`` if no extra provides the module.
    """
    extra = _EXTRAS.get(module.partition(".")[0])
    if extra is None:
        return None
    return (
        f"{user} needs {extra.library}, which is not installed: pip install 'jsisnet[{extra.name}]'"
    )
