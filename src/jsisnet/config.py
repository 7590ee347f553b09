"""The settings of a training run, and the one converter that makes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

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
        lowest = {"workers": 0, "evaluate_every": 0, "seed": 0}
        for name in (*lowest, "steps", "batch_size", "log_every", "checkpoint_every"):
            least = lowest.get(name, 1)
            if getattr(self, name) < least:
                raise ValueError(f"train.{name} is {getattr(self, name)}; expected {least} or more")


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
    _check(kind, values, source)
    # With all defaults there, one value of a section can be given without the others.
    completed = _joined(_defaults(kind), dict(values))
    app = App(
        config=cyclopts.config.Dict(completed, source=source, use_commands_as_keys=False),
        result_action="return_value",
        help_flags=(),
        version_flags=(),
    )

    @app.default
    def settings(*, settings: Annotated[kind, Parameter(name="*")]) -> kind:  # type: ignore[valid-type]
        return settings

    try:
        made = app(list(overrides), exit_on_error=False, print_error=False)
    except cyclopts.MissingArgumentError as error:
        missing = getattr(error.argument, "name", "").removeprefix("--").replace("-", "_")
        raise ValueError(f"{source}: {missing} is missing{_contents(kind, missing)}") from error
    except (cyclopts.CycloptsError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from error
    assert isinstance(made, kind)
    _refuse_negative(asdict(made), source)  # type: ignore[call-overload]
    return made


def to_yaml(config: RunConfig) -> str:
    """Write a configuration so that `read_config` gives it back."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False)


def read_values(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings and the one it names as its base, unchecked.

    Raises:
        ValueError: If a file can't be read.
    """
    layers: list[dict[str, Any]] = []
    read: list[Path] = []
    following: Path | None = path
    while following is not None:
        if following.resolve() in read:
            raise ValueError(f"{path}: its bases lead back to {following}")
        read.append(following.resolve())
        values = _read_yaml(following)
        base = values.pop(BASE, None)
        layers.append(values)
        following = None if base is None else following.parent / str(base)
    return reduce(_joined, reversed(layers))


def _read_yaml(path: Path) -> dict[str, Any]:
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
    return values


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


def _check(kind: type, values: Mapping[str, Any], source: str) -> None:
    """Refuse what the converter would take for something else, such as ``optim: 3``."""
    hints = dict(_settings(kind))
    for name, value in _given(values):
        if name not in hints:
            last = name.rpartition(".")[2]
            near = [other for other in hints if other.rpartition(".")[2] == last]
            near = near or get_close_matches(name, hints, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{source}: there is no setting {name}{hint}")
        expected = _expected(hints[name], value)
        if expected is not None:
            raise ValueError(f"{source}: {name} is {value!r}; expected {expected}")


def _refuse_negative(values: Mapping[str, Any], source: str) -> None:
    """Refuse numbers below zero and NaN, which no setting can be."""
    for name, value in _given(values):
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(number >= 0 for number in numbers if isinstance(number, int | float)):
            raise ValueError(f"{source}: {name} is {value}; expected 0 or more")


def _settings(kind: type, place: str = "") -> Iterator[tuple[str, object]]:
    """List all names of settings, those of sections too, with their types."""
    for name, hint in get_type_hints(kind).items():
        yield f"{place}{name}", hint
        section = _section(hint)
        if section is not None:
            yield from _settings(section, f"{place}{name}.")


def _given(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        yield f"{place}{name}", value
        if isinstance(value, Mapping):
            yield from _given(value, f"{place}{name}.")


def _section(hint: object) -> type | None:
    """Give the settings that a type stands for, if it is not that of a value."""
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)


def _expected(hint: object, value: object) -> str | None:
    """Tell what a value should be, if it is not of that form."""
    kinds = (hint, *get_args(hint))
    if value is None and type(None) in kinds:
        return None
    if _section(hint) is not None:
        return None if isinstance(value, Mapping) else "settings by name"
    numbers = value if isinstance(value, list) else [value]
    if get_origin(hint) is tuple and Ellipsis not in kinds and len(numbers) != len(get_args(hint)):
        return f"{len(get_args(hint))} values"
    broken = any(isinstance(number, float) and not number.is_integer() for number in numbers)
    return "a whole number" if broken and int in kinds and float not in kinds else None


def _contents(kind: type, name: str) -> str:
    """List what a section needs, if the name is one's."""
    section = _section(dict(_settings(kind)).get(name))
    if section is None:
        return ""
    needed = [
        f"{name}.{item.name}"
        for item in fields(section)
        if item.default is MISSING and item.default_factory is MISSING
    ]
    return f"; expected at least {' and '.join(needed)}"


def _defaults(kind: type) -> dict[str, Any]:
    """Give the values of the sections that need not be given."""
    return {
        item.name: _plain(asdict(item.default_factory()))
        for item in fields(kind)
        if item.default_factory is not MISSING and _section(item.type) is not None
    }


def _plain(value: object) -> object:
    """Turn tuples into lists and leave out what is not set, as YAML wants it."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
