"""Saved models: a folder with `model.json` and `model.safetensors`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from textwrap import shorten
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from jsisnet.categories import Categories
from jsisnet.files.atomic import replacing
from jsisnet.formats import categories_json as category_entries
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.detection import DetectionConfig
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.settings import from_dict, joined, plain

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
"""Names of the two files of a model folder."""

MAX_REASON = 200
"""Length to which torch's list of mismatched weights is shortened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Settings that a trained network needs to predict, apart from its weights and classes."""

    size: tuple[int, int]
    """Height and width that images are resized to."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Architecture and thresholds of the network."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """Rules and thresholds of the merge."""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size is {self.size}; expected a positive height and width")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A network with its settings and classes."""

    config: ModelConfig
    categories: Categories
    network: JSISNet
    """In evaluation mode, on the CPU, in single precision."""


def embedded_names() -> tuple[str, ...]:
    """List the built-in models."""
    folders = (Path(str(entry)) for entry in files("jsisnet.weights").iterdir())
    return tuple(sorted(folder.name for folder in folders if (folder / DESCRIPTION).is_file()))


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
        ValueError: If the model does not exist, a file is damaged, or a setting is invalid; the
            message names the file or the setting.
    """
    folder = _folder(model)
    values = _read_description(folder / DESCRIPTION)
    categories = _categories(folder / DESCRIPTION, values.pop("categories"))
    config = from_dict(ModelConfig, values, overrides, source=str(folder / DESCRIPTION))
    if settings:
        config = from_dict(ModelConfig, joined(values, settings), overrides, source="settings")
    network = JSISNet(config.network, categories)
    weights = folder / WEIGHTS
    try:
        state = safetensors.torch.load_file(weights)
        network.load_state_dict(state)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = shorten(str(error), MAX_REASON)
        raise ValueError(f"{weights}: not the weights of {DESCRIPTION} ({reason})") from error
    return SavedModel(config, categories, network.float().eval())


def nested_settings(settings: Mapping[str, object]) -> dict[str, Any]:
    """Nest settings of the merge and the detection as `ModelConfig` does.

    Args:
        settings: `size`, and fields of `MergeConfig` and `DetectionConfig`. A name that both have,
            `min_score`, sets both.

    Raises:
        TypeError: If a name is unknown.
    """
    merge = {field.name for field in fields(MergeConfig)}
    detection = {field.name for field in fields(DetectionConfig)}
    known = sorted({"size"} | merge | detection)
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TypeError(
            f"unknown setting {unknown[0]!r}{_nearest(unknown[0], known)} Settings: "
            f"{', '.join(known)}"
        )
    nested: dict[str, Any] = {}
    if "size" in settings:
        nested["size"] = plain(settings["size"])
    nested["merge"] = {name: value for name, value in settings.items() if name in merge}
    detecting = {name: value for name, value in settings.items() if name in detection}
    return nested | {"network": {"detection": detecting}} if settings else {}


def read_categories(folder: Path) -> Categories:
    """Read the classes of a model, without its network.

    Raises:
        ValueError: If the description is missing or damaged.
    """
    path = folder / DESCRIPTION
    return _categories(path, _read_description(path)["categories"])


def write(
    folder: Path,
    config: ModelConfig,
    categories: Categories,
    state: dict[str, Tensor],
    *,
    half: bool = False,
) -> None:
    """Write a model; each of its two files appears complete or not at all.

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
    values = {**asdict(config), "categories": category_entries.entries(categories)}
    with replacing(folder / WEIGHTS) as path:
        # save_file would make the file unreadable for other users.
        path.write_bytes(safetensors.torch.save(stored))
    with replacing(folder / DESCRIPTION) as path:
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _folder(model: str | Path) -> Path:
    if str(model) in embedded_names():
        return Path(str(files("jsisnet.weights") / str(model)))
    folder = Path(model)
    if (folder / DESCRIPTION).is_file():
        return folder
    if folder.is_dir():
        raise ValueError(f"{folder}: no {DESCRIPTION} in it; expected a model or run folder")
    names = embedded_names()
    raise ValueError(
        f"No model named {str(model)!r}{_nearest(str(model), names)} Built-in models: "
        f"{', '.join(names)}. For your own, give the folder with {DESCRIPTION}"
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    """Suggest the known name that is most like another; ends the sentence."""
    near = get_close_matches(name, known, 1)
    return f". Did you mean {near[0]!r}?" if near else "."


def _categories(path: Path, values: object) -> Categories:
    try:
        if not isinstance(values, list) or not values:
            raise ValueError("'categories' is not a list of classes")
        return category_entries.parse(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_description(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not the description of a model ({error})") from error
    if not isinstance(values, dict) or "categories" not in values:
        raise ValueError(f"{path}: not the description of a model (no categories)")
    return values
