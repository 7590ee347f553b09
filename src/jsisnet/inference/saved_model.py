"""A trained network on disk: a folder with `model.json` and `model.safetensors`."""

import json
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from textwrap import shorten

import safetensors.torch
import torch
from torch import Tensor

from jsisnet.categories import Categories
from jsisnet.files.atomic import replacing
from jsisnet.formats import categories_json as category_entries
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.settings import from_dict

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
"""Names of the two files of a model folder."""

MAX_REASON = 200
"""Characters of torch's reason why weights don't fit; it lists all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What a network needs besides its weights and classes to work as it was trained."""

    size: tuple[int, int]
    """Height and width that photos are resized to."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """How the branches' predictions become one map."""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size is {self.size}; expected a positive height and width")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A network with all that belongs to it."""

    config: ModelConfig
    categories: Categories
    network: JSISNet
    """In evaluation mode, on the CPU, in single precision."""


def embedded_names() -> tuple[str, ...]:
    """List the models inside this package."""
    folders = (Path(str(entry)) for entry in files("jsisnet.weights").iterdir())
    return tuple(sorted(folder.name for folder in folders if (folder / DESCRIPTION).is_file()))


def read(model: str | Path, overrides: tuple[str, ...] = ()) -> SavedModel:
    """Read a model.

    Args:
        model: Name of an embedded model, or a model or run folder.
        overrides: Options that win over the model's own, as ``("--merge.canvas", "original")``.

    Raises:
        ValueError: If there is no such model, or a file is damaged; the message names it.
    """
    folder = _folder(model)
    values = _read_description(folder / DESCRIPTION)
    categories = _categories(folder / DESCRIPTION, values.pop("categories"))
    config = from_dict(ModelConfig, values, overrides, source=str(folder / DESCRIPTION))
    network = JSISNet(config.network, categories)
    weights = folder / WEIGHTS
    try:
        state = safetensors.torch.load_file(weights)
        network.load_state_dict(state)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = shorten(str(error), MAX_REASON)
        raise ValueError(f"{weights}: not the weights of {DESCRIPTION} ({reason})") from error
    return SavedModel(config, categories, network.float().eval())


def read_categories(folder: Path) -> Categories:
    """Read the classes of a model, but not its network.

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
    """Write a model, each of its two files at once or not at all.

    Args:
        folder: Made if it does not exist.
        config: What the network needs to work.
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
        # save_file would make the file unreadable for others.
        path.write_bytes(safetensors.torch.save(stored))
    with replacing(folder / DESCRIPTION) as path:
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _folder(model: str | Path) -> Path:
    if str(model) in embedded_names():
        return Path(str(files("jsisnet.weights") / str(model)))
    folder = Path(model)
    if (folder / DESCRIPTION).is_file():
        return folder
    names = ", ".join(embedded_names())
    raise ValueError(
        f"{str(model)!r} is no model: expected one of {names}, or a folder with {DESCRIPTION}"
    )


def _categories(path: Path, values: object) -> Categories:
    try:
        if not isinstance(values, list) or not values:
            raise ValueError("'categories' holds no classes")
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
