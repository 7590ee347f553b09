"""Settings of a training run, and their YAML files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from jsisnet import strict_yaml
from jsisnet.checks import check_ranges, check_size, nearest
from jsisnet.data.transforms import TransformConfig
from jsisnet.files.regular import read_regular
from jsisnet.formats.dataset import DataConfig
from jsisnet.formats.open import check_location
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.settings import from_dict, joined, plain
from jsisnet.training.devices import DeviceConfig, Precision
from jsisnet.training.objective import ObjectiveConfig
from jsisnet.training.optim import MOST_EPOCHS, OptimConfig

BASE = "base"
"""Key of a YAML file that names another one, whose values it overrides."""

BUILT_IN = Path(str(files("jsisnet"))) / "configs"
"""Folder of the built-in YAML files."""

MOST_STEPS = 1_000_000_000
"""Most steps of a training, or between what is done repeatedly."""

_NEVER_MEASURED = {"miou": "instance", "mask_ap": "semantic", "box_ap": "semantic"}
"""The only branch of a network whose evaluations lack a metric, by metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepConfig:
    """Models that a training keeps in its run folder, beside the last one."""

    best: Literal["pq", "pq_things", "pq_stuff", "miou", "mask_ap", "box_ap"] | None = None
    """Metric of the validation data: the model that was best by it is kept in ``best``."""

    every: int = 0
    """Steps between the snapshots in ``snapshots``; 0 for none."""

    def __post_init__(self) -> None:
        check_ranges(self, "train.keep", every=(0, MOST_STEPS))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Length, batch size and intervals of a training; the defaults are the paper's for COCO."""

    steps: int = 189_264
    """Number of optimiser steps."""

    epochs: float | None = None
    """Number of passes through the training data, which replaces `steps`."""

    batch_size: int = 5
    """Photos per step, over all devices together."""

    seed: int = 0
    """Seed of data order, augmentation and sampling."""

    precision: Precision = "32-true"
    """Numeric precision of the network; losses are always computed in 32 bits."""

    sync_norm: bool = False
    """Whether batch normalisation uses the statistics of all GPUs together."""

    workers: int = 2
    """Data loader workers per device; 0 loads in the training process."""

    log_every: int = 10
    """Steps between lines of metrics.jsonl."""

    checkpoint_every: int = 500
    """Steps between checkpoints."""

    evaluate_every: int = 0
    """Steps between evaluations on the validation data; 0 evaluates at the end only."""

    fit_anchors: bool = False
    """Whether the anchors are fitted to the training data before the first step, beginning with
    those of the settings; config.yaml has what is found."""

    ap: bool = False
    """Whether evaluations measure the average precision of the instances, too."""

    keep: KeepConfig = field(default_factory=KeepConfig)
    """Models that are kept beside the last one."""

    deterministic: bool = False
    """Whether a GPU computes with deterministic algorithms only, which are slower: two runs are
    then equal bit for bit, as they always are on a CPU."""

    pictures: int = 4
    """Number of validation photos, from the first on, that are drawn at each evaluation."""

    export: bool = True
    """Whether to export the model at the end, to predict without PyTorch."""

    def __post_init__(self) -> None:
        intervals = dict.fromkeys(("steps", "log_every", "checkpoint_every"), (1, MOST_STEPS))
        check_ranges(
            self,
            "train",
            **intervals,
            evaluate_every=(0, MOST_STEPS),
            batch_size=(1, 65_536),
            workers=(0, 256),
            seed=(0, 2**32 - 1),
            pictures=(0, 1000),
        )
        if self.epochs is not None and not 0 < self.epochs <= MOST_EPOCHS:
            raise ValueError(
                f"train.epochs is {self.epochs:g}; expected a positive number up to {MOST_EPOCHS:,}"
            )
        if self.keep.best in ("mask_ap", "box_ap") and not self.ap:
            raise ValueError(f"train.keep.best is {self.keep.best}; expected --train.ap as well")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """All settings of a training run."""

    root: str = "."
    """Folder that relative paths in data, more_data and validation refer to."""

    data: DataConfig
    """Training data."""

    more_data: dict[str, DataConfig] = field(default_factory=dict)
    """Further training data under names of your choice. Classes of the same name are merged."""

    validation: DataConfig | None = None
    """Validation data, evaluated in the classes of the training data."""

    size: tuple[int, int] | None = None
    """Height and width that photos are resized to in validation and prediction. Default: those of
    `augment`."""

    augment: TransformConfig = field(default_factory=TransformConfig)
    """Input size in training, and augmentation."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""

    start: str | None = None
    """Model to start from: a built-in one's name or a folder. The weights of a class are those of
    the class of the same name; all others are those of equal name and shape. The rest, such as the
    weights of new classes, is initialised. ``torchvision:maskrcnn_resnet50_fpn_v2`` or
    ``torchvision:maskrcnn_resnet50_fpn`` are torchvision's COCO weights, which ``=FILE`` reads from
    a file."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """Loss weights and sampling."""

    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate schedule."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """Merging of both branches into one panoptic map."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """Length, batch size and intervals."""

    devices: DeviceConfig = field(default_factory=DeviceConfig)
    """Devices."""

    def __post_init__(self) -> None:
        check_size(self.size)
        sections = {"data": self.data, "validation": self.validation}
        sections |= {f"more_data.{name}": data for name, data in self.more_data.items()}
        for name, data in sections.items():
            if data is not None:
                check_location(data.kind, data.location(), prefix=f"{name}.")
        best, branches = self.train.keep.best, self.network.branches
        if self.train.fit_anchors and branches == "semantic":
            raise ValueError(
                "train.fit_anchors is true, but network.branches is semantic, which has no "
                "anchors; leave one of the two out"
            )
        if best and self.validation is None:
            raise ValueError(
                f"train.keep.best is {best}; expected validation data to measure it on "
                "(--validation.images and --validation.annotations)"
            )
        if best and branches == _NEVER_MEASURED.get(best):
            raise ValueError(
                f"train.keep.best is {best}, which is not measured with network.branches "
                f"{branches}; expected pq"
            )

    @property
    def prediction_size(self) -> tuple[int, int]:
        """Height and width that photos are resized to in validation and prediction."""
        return self.size or self.augment.size

    def in_steps(self, photos: int) -> "RunConfig":
        """Return the settings with everything that is given in epochs in steps as well.

        Args:
            photos: Photos of an epoch.
        """

        def steps(epochs: float) -> int:
            return max(1, round(epochs * photos / self.train.batch_size))

        train, optim = self.train, self.optim
        if train.epochs is not None:
            train = replace(train, steps=steps(train.epochs))
        if optim.milestone_epochs:
            milestones = tuple(map(steps, optim.milestone_epochs))
            if len(set(milestones)) < len(milestones):
                raise ValueError(
                    f"optim.milestone_epochs is {optim.milestone_epochs}, which are the steps "
                    f"{milestones}; expected different steps"
                )
            optim = replace(optim, milestones=milestones)
        return replace(self, train=train, optim=optim)

    def sources(self) -> tuple[DataConfig, ...]:
        """Return all training data, `data` first, with paths resolved against `root`."""
        return tuple(data.under(self.root) for data in (self.data, *self.more_data.values()))


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file of settings, on top of its base if it has one.

    Args:
        path: The file, or the name of a built-in one such as ``coco.yaml``.
        overrides: Command-line options that override the file, such as ``["--optim.lr", "0.01"]``.

    Raises:
        ValueError: If a file can't be read, a key is unknown (the message names the nearest one), a
            value is missing or has the wrong type.
    """
    return from_dict(RunConfig, read_values(path), overrides, source=str(path))


def to_yaml(config: RunConfig) -> str:
    """Return the YAML text of a configuration, which `read_config` reads back."""
    return yaml.safe_dump(plain(config), sort_keys=False)


def read_values(path: Path) -> dict[str, Any]:
    """Read the values of a YAML file on top of those of its base, without checking them.

    Raises:
        ValueError: If a file can't be read.
    """
    layers: list[dict[str, Any]] = []
    visited: list[Path] = []
    following: Path | None = _find(Path(), str(path))
    while following is not None:
        values = _read_yaml(following)  # first, as `resolve` raises for a circular link
        if following.resolve() in visited:
            raise ValueError(f"{path}: the chain of bases contains {following} twice")
        visited.append(following.resolve())
        base = values.pop(BASE, None)
        if base is not None and not (isinstance(base, str) and base):
            raise ValueError(f"{following}: {BASE} is {base!r}; expected the name of a file")
        layers.append(values)
        following = None if base is None else _find(following.parent, base, exclude=following)
    return reduce(joined, reversed(layers))


def built_in_configs() -> tuple[str, ...]:
    """Return the names of the built-in YAML files."""
    return tuple(sorted(path.name for path in BUILT_IN.glob("*.yaml")))


def _find(folder: Path, name: str, *, exclude: Path | None = None) -> Path:
    """Find a file in a folder, or else the built-in one of that name."""
    path = folder / name
    exists = path.is_file() and not (exclude is not None and path.samefile(exclude))
    return path if exists or str(Path(name)) not in built_in_configs() else BUILT_IN / name


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = strict_yaml.parse(read_regular(path, strict_yaml.MOST_BYTES + 1))
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist{_hint(path)}") from None
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of settings, found {type(values).__name__}")
    return values


def _hint(path: Path) -> str:
    """Return a hint at the built-in files for the error about a missing one."""
    names = built_in_configs()
    if path.name in names:
        return f"; for the built-in file, give {path.name} without a folder"
    if path != Path(path.name):
        beside = (each.name for each in path.parent.glob("*.y*ml"))
        return f".{near}" if (near := _nearest_file(path, beside)) else ""
    known = {*names, *(each.name for each in Path().glob("*.y*ml"))}
    return f".{_nearest_file(path, known)} Built-in: {', '.join(names)}"


def _nearest_file(path: Path, names: Iterable[str]) -> str:
    """Suggest the file whose name is most like another, apart from what all YAML files share."""
    alike = (name for name in names if get_close_matches(path.stem, [Path(name).stem]))
    return nearest(path.name, alike)
