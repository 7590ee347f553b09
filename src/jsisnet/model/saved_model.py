"""Saved models: reading and writing the weights of a model folder beside its description."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from jsisnet.categories import Categories
from jsisnet.checks import check_size
from jsisnet.files.atomic import replacing
from jsisnet.files.checksum import NAME, UNSET, check_intact, seal
from jsisnet.files.regular import check_regular
from jsisnet.formats import categories_json
from jsisnet.inference.model_folder import (
    COPY_AGAIN,
    DESCRIPTION,
    EXPORTED,
    WEIGHTS,
    find,
    read_description,
)
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.settings import from_dict, joined

MAX_REASON = 200
"""Length to which torch's list of mismatched weights is shortened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Settings of a trained network, apart from its weights and classes."""

    size: tuple[int, int]
    """Height and width that images are resized to."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Architecture and thresholds of the network."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """Rules and thresholds of the merge."""

    def __post_init__(self) -> None:
        check_size(self.size)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A network with its settings and classes."""

    config: ModelConfig
    categories: Categories
    network: JSISNet
    """In evaluation mode, on the CPU, in single precision."""


def read(
    model: str | Path,
    overrides: tuple[str, ...] = (),
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> SavedModel:
    """Read a model.

    Args:
        model: Name of a built-in model, or a model or run folder.
        overrides: Command-line options such as ``("--merge.canvas", "original")``, which win over
            all other settings.
        settings: Nested values of `ModelConfig` that win over those of the file.

    Raises:
        ValueError: If the model does not exist, is an exported network, a file is damaged, or a
            setting is invalid; the message names the file or the setting.
    """
    folder = find(model)
    if folder.is_file():
        raise ValueError(
            f"{folder}: an exported network has no weights for PyTorch; expected a model folder"
        )
    description = read_description(folder)
    values, categories = description.values, description.categories
    config = from_dict(ModelConfig, values, overrides, source=description.source)
    if settings:
        config = from_dict(ModelConfig, joined(values, settings), overrides, source="settings")
    try:
        network = JSISNet(config.network, categories)
    except ValueError as error:
        raise ValueError(f"{description.source}: {error}") from error
    weights = folder / WEIGHTS
    try:
        check_regular(weights)
        check_intact(weights, COPY_AGAIN)
        state = safetensors.torch.load_file(weights)
        network.load_state_dict(state)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = shorten(str(error), MAX_REASON)
        raise ValueError(f"{weights}: not the weights of {DESCRIPTION} ({reason})") from error
    return SavedModel(config, categories, network.float().eval())


def write(
    folder: Path,
    config: ModelConfig,
    categories: Categories,
    state: dict[str, Tensor],
    *,
    half: bool = False,
) -> None:
    """Write a model; each of its two files appears complete or not at all.

    An exported network of earlier weights is removed.

    Args:
        folder: Folder to write to, created if missing.
        config: Settings of the network.
        categories: Its classes.
        state: Its state dictionary.
        half: Store weights in half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: value.half() if half and value.dtype == torch.float32 else value
        for name, value in state.items()
    }
    values = {**asdict(config), "categories": categories_json.entries(categories)}
    (folder / EXPORTED).unlink(missing_ok=True)
    write_weights(stored, folder / WEIGHTS)
    with replacing(folder / DESCRIPTION) as path:
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, with a checksum; the file appears complete or not at all."""
    contiguous = {name: value.contiguous() for name, value in state.items()}
    # save_file would make the file unreadable for other users.
    content = safetensors.torch.save(contiguous, metadata={NAME: UNSET})
    with replacing(path) as temporary, temporary.open("w+b") as file:
        file.write(content)
        seal(file)
