"""Lazy imports: names that are imported when they are first used, and missing dependencies.

The ``__init__.pyi`` of a package says where its public names are; type checkers and editors read it
too.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

Exports = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]


class _Extra(NamedTuple):
    name: str
    """Extra of the distribution, as in ``jsisnet[torch]``."""
    library: str
    """The missing library, as its users write it."""


_EXTRAS = {
    "av": _Extra("video", "PyAV"),
    "fastapi": _Extra("serve", "FastAPI"),
    "fiftyone": _Extra("fiftyone", "FiftyOne"),
    "fsspec": _Extra("scale", "fsspec"),
    "huggingface_hub": _Extra("hub", "huggingface_hub"),
    "imagecodecs": _Extra("tiff", "imagecodecs"),
    "lightning_fabric": _Extra("torch", "Lightning Fabric"),
    "matplotlib": _Extra("torch", "Matplotlib"),
    "mlflow": _Extra("mlflow", "MLflow"),
    "pillow_heif": _Extra("heif", "pillow-heif"),
    "onnx": _Extra("torch", "onnx"),
    "onnxscript": _Extra("torch", "onnxscript"),
    "openvino": _Extra("openvino", "OpenVINO"),
    "prometheus_client": _Extra("serve", "prometheus-client"),
    "python_multipart": _Extra("serve", "python-multipart"),
    "ray": _Extra("scale", "Ray"),
    "safetensors": _Extra("torch", "safetensors"),
    "skimage": _Extra("demo", "scikit-image"),
    "supervision": _Extra("supervision", "supervision"),
    "tensorboard": _Extra("tensorboard", "TensorBoard"),
    "tifffile": _Extra("tiff", "tifffile"),
    "timm": _Extra("torch", "timm"),
    "torch": _Extra("torch", "PyTorch"),
    "torchmetrics": _Extra("torch", "TorchMetrics"),
    "torchvision": _Extra("torch", "torchvision"),
    "uvicorn": _Extra("serve", "uvicorn"),
    "wandb": _Extra("wandb", "Weights & Biases"),
}
"""Extras by the module that they provide."""


def libraries_of_extras() -> dict[str, dict[str, tuple[str, str]]]:
    """Return the libraries of each extra, with the names that their packages may have."""
    extras: dict[str, dict[str, tuple[str, str]]] = {}
    for module, extra in sorted(_EXTRAS.items(), key=lambda item: item[1].name):
        extras.setdefault(extra.name, {})[extra.library] = (module, extra.library)
    return extras


def attach(package: str, file: str) -> Exports:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package, as its stub declares them.

    Args:
        package: Name of the package, ``__name__``.
        file: Its ``__init__.py``, ``__file__``; the stub lies beside it.
    """
    imports = _imports(Path(file).with_suffix(".pyi"))

    def get(name: str) -> object:
        if name not in imports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = imports[name]
        value = getattr(import_extra(f"{package}.{name}", module), attribute)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        dunders = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*imports, *dunders})

    return get, names, sorted(imports)


def import_extra(user: str, module: str) -> ModuleType:
    """Import a module that is an extra, or needs one.

    Args:
        user: What needs the module, such as ``jsisnet.train``.
        module: Name of the module.

    Raises:
        ImportError: If a library is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        hint = install_hint(user, error.name or "")
        if hint is None:
            raise
        raise ImportError(hint) from error


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


def _imports(stub: Path) -> dict[str, tuple[str, str]]:
    """Read the module and the original name of each import in a stub."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
