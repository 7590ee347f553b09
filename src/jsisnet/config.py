"""The settings of a training run, and the one converter that makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import cyclopts
import yaml
from cyclopts import App, Parameter

from jsisnet.data.dataset import DataConfig
from jsisnet.data.transforms import TransformConfig
from jsisnet.inference.merge import MergeConfig
from jsisnet.model.network import NetworkConfig
from jsisnet.training.objective import ObjectiveConfig
from jsisnet.training.optim import OptimConfig

Settings = TypeVar("Settings")

Precision = Literal["32-true", "bf16-mixed"]
"""Numbers that a network is trained with."""

BASE = "base"
"""Key of a YAML file that names another one, whose values it begins with."""


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

    workers: int = 2
    """Processes that prepare photos; 0 for none but the training's own."""

    log_every: int = 10
    """Steps between the lines of `metrics.jsonl`."""

    checkpoint_every: int = 500
    """Steps between checkpoints."""

    evaluate_every: int = 0
    """Steps between evaluations on the validation data; 0 for one at the end."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} is {getattr(self, name)}; expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything that decides a training run."""

    root: str = "."
    """Folder in which the relative paths of `data` and `validation` begin."""

    data: DataConfig
    """Photos to train on."""

    validation: DataConfig | None = None
    """Photos to measure on, in the classes of `data`."""

    augment: TransformConfig = field(default_factory=TransformConfig)
    """Size of the network's input, and how photos are varied."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """The loss."""

    optim: OptimConfig = field(default_factory=OptimConfig)
    """The optimiser."""

    merge: MergeConfig = field(default_factory=MergeConfig)
    """How the branches' predictions become one map."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """Length and pace."""


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, and the one it names as its base.

    Args:
        path: The file.
        overrides: Command-line options that win over the file, such as ``["--optim.lr", "0.01"]``.

    Raises:
        ValueError: If a file can't be read, a key is unknown (the message names the nearest one), a
            value is missing or has the wrong type.
    """
    return from_dict(RunConfig, read_values(path), overrides, source=str(path))


def from_dict(
    kind: type[Settings],
    values: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    source: str,
) -> Settings:
    """Make settings of plain values.

    Args:
        kind: A dataclass of settings.
        values: Nested values, as YAML or a saved run holds them.
        overrides: Command-line options that win over `values`.
        source: Where `values` comes from; messages name it.

    Raises:
        ValueError: If a key is unknown, a value is missing or has the wrong type.
    """
    app = App(
        config=cyclopts.config.Dict(dict(values), source=source, use_commands_as_keys=False),
        result_action="return_value",
        help_flags=(),
        version_flags=(),
    )

    @app.default
    def settings(*, settings: Annotated[kind, Parameter(name="*")]) -> kind:  # type: ignore[valid-type]
        return settings

    try:
        made = app(list(overrides), exit_on_error=False, print_error=False)
    except (cyclopts.CycloptsError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from error
    assert isinstance(made, kind)
    return made


def to_yaml(config: RunConfig) -> str:
    """Write a configuration so that `read_config` gives it back."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False)


def read_values(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings and the one it names as its base, unchecked.

    Raises:
        ValueError: If a file can't be read.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected settings by name, found {type(values).__name__}")
    base = values.pop(BASE, None)
    return values if base is None else _joined(read_values(path.parent / str(base)), values)


def _joined(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Let values win over those of the base, at every depth."""
    joined = dict(base)
    for name, value in values.items():
        before = joined.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            joined[name] = _joined(before, value)
        else:
            joined[name] = value
    return joined


def _plain(value: object) -> object:
    """Turn tuples into lists and leave out what is not set, as YAML wants it."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
