"""The settings of a training run, and the YAML files that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from jsisnet.data.dataset import DataConfig
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.open import check_location
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.settings import from_dict, joined, plain
from jsisnet.training.devices import DeviceConfig, Precision
from jsisnet.training.objective import ObjectiveConfig
from jsisnet.training.optim import OptimConfig

BASE = "base"
"""Key of a YAML file that names another one, whose values it begins with."""

EMBEDDED = Path(str(files("jsisnet"))) / "configs"
"""Folder of the YAML files inside this package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Length and pace of a training; the defaults are the paper's for COCO."""

    steps: int = 189_264
    """Number of optimiser steps."""

    batch_size: int = 5
    """Photos per step, over all devices."""

    seed: int = 0
    """Seed of the order of the photos, their variation and all sampling."""

    precision: Precision = "32-true"
    """Numbers that the network computes with; the loss is always computed in 32 bits."""

    sync_norm: bool = False
    """Whether the statistics of batch normalisation are those of all GPUs together."""

    workers: int = 2
    """Processes that prepare the photos of each device; 0 for none but the training's own."""

    log_every: int = 10
    """Steps between the lines of `metrics.jsonl`."""

    checkpoint_every: int = 500
    """Steps between checkpoints."""

    evaluate_every: int = 0
    """Steps between evaluations on the validation data; 0 for one at the end."""

    pictures: int = 4
    """Validation photos, the first ones, whose maps are drawn at each evaluation."""

    def __post_init__(self) -> None:
        lowest = {"workers": 0, "evaluate_every": 0, "seed": 0, "pictures": 0}
        for name in (*lowest, "steps", "batch_size", "log_every", "checkpoint_every"):
            least = lowest.get(name, 1)
            if getattr(self, name) < least:
                raise ValueError(f"train.{name} is {getattr(self, name)}; expected {least} or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything that decides a training run."""

    root: str = "."
    """Folder in which the relative paths of `data`, `more_data` and `validation` begin."""

    data: DataConfig
    """Photos to train on."""

    more_data: dict[str, DataConfig] = field(default_factory=dict)
    """Further photos to train on, by names of one's own. Classes of the same name are the same."""

    validation: DataConfig | None = None
    """Photos to measure on, in the classes of the data to train on."""

    augment: TransformConfig = field(default_factory=TransformConfig)
    """Size of the network's input, and how photos are varied."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""

    start: str | None = None
    """Model to begin with, an embedded one's name or a folder: every weight of it that has the same
    name and shape here. What the new classes need begins afresh."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """The loss."""

    optim: OptimConfig = field(default_factory=OptimConfig)
    """The optimiser."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """How the branches' predictions become one map."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """Length and pace."""

    devices: DeviceConfig = field(default_factory=DeviceConfig)
    """Where the training runs."""

    def __post_init__(self) -> None:
        sections = {"data": self.data, "validation": self.validation}
        sections |= {f"more_data.{name}": data for name, data in self.more_data.items()}
        for name, data in sections.items():
            if data is not None:
                check_location(data.kind, data.location(), prefix=f"{name}.")

    def sources(self) -> tuple[DataConfig, ...]:
        """Give all data to train on, `data` first, with paths that begin in `root`."""
        return tuple(data.under(self.root) for data in (self.data, *self.more_data.values()))


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, and the one it names as its base.

    Args:
        path: The file, or the name of one inside this package, such as ``coco.yaml``.
        overrides: Command-line options that win over the file, such as ``["--optim.lr", "0.01"]``.

    Raises:
        ValueError: If a file can't be read, a key is unknown (the message names the nearest one), a
            value is missing or has the wrong type.
    """
    return from_dict(RunConfig, read_values(path), overrides, source=str(path))


def to_yaml(config: RunConfig) -> str:
    """Write a configuration so that `read_config` gives it back."""
    return yaml.safe_dump(plain(config), sort_keys=False)


def read_values(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings and the one it names as its base, unchecked.

    Raises:
        ValueError: If a file can't be read.
    """
    layers: list[dict[str, Any]] = []
    read: list[Path] = []
    following: Path | None = _found(Path(), str(path))
    while following is not None:
        if following.resolve() in read:
            raise ValueError(f"{path}: its bases lead back to {following}")
        read.append(following.resolve())
        values = _read_yaml(following)
        base = values.pop(BASE, None)
        if base is not None and not (isinstance(base, str) and base):
            raise ValueError(f"{following}: {BASE} is {base!r}; expected the name of a file")
        layers.append(values)
        following = None if base is None else _found(following.parent, base, but=following)
    return reduce(joined, reversed(layers))


def embedded_configs() -> tuple[str, ...]:
    """List the names of the YAML files inside this package."""
    return tuple(sorted(path.name for path in EMBEDDED.glob("*.yaml")))


def _found(folder: Path, name: str, *, but: Path | None = None) -> Path:
    """Give another file of a folder, or the one inside this package if there is only that."""
    path = folder / name
    isthere = path.is_file() and not (but is not None and path.samefile(but))
    return path if isthere or str(Path(name)) not in embedded_configs() else EMBEDDED / name


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist{_hint(path)}") from None
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected settings by name, found {type(values).__name__}")
    return values


def _hint(path: Path) -> str:
    """Tell of a file that is missing what there is inside the package."""
    names = embedded_configs()
    if path.name in names:
        return f"; expected {path.name} alone, for the one inside the package"
    return f"; inside the package are {', '.join(names)}" if path == Path(path.name) else ""
