"""Settings of plain values, such as a YAML file's, and of command-line options."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import (
    MISSING,
    asdict,
    field,
    fields,
    is_dataclass,
    make_dataclass,
)
from difflib import get_close_matches
from keyword import iskeyword
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import App, Parameter

Settings = TypeVar("Settings")

_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


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
    try:
        converted = with_names(kind, values, overrides)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    _check(converted, values, source)
    # With all defaults there, one value of a section can be given without the others.
    empty = {name for name in _dictionaries(kind) if not values.get(name)}
    completed = joined(_defaults(kind), {n: v for n, v in values.items() if n not in empty})
    app = App(
        config=cyclopts.config.Dict(completed, source=source, use_commands_as_keys=False),
        result_action="return_value",
        help_flags=(),
        version_flags=(),
    )

    @app.default
    def settings(*, settings: Annotated[converted, Parameter(name="*")]) -> converted:  # type: ignore[valid-type]
        return settings

    try:
        made = _without_names(kind, app(list(overrides), exit_on_error=False, print_error=False))
    except cyclopts.MissingArgumentError as error:
        missing = getattr(error.argument, "name", "").removeprefix("--").replace("-", "_")
        hint = _contents(converted, missing) or _nearest(missing, values)
        raise ValueError(f"{source}: {missing} is missing{hint}") from error
    except (cyclopts.CycloptsError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from error
    _refuse_negative(asdict(made), source)  # type: ignore[call-overload]
    return made


def with_names(kind: type, values: Mapping[str, Any], options: Sequence[str]) -> type:
    """Turn each dictionary of sections into one section with the names that occur.

    The converter needs to know all names beforehand.

    Args:
        kind: A dataclass of settings.
        values: Nested values.
        options: Command-line options; what else is among them doesn't matter.

    Returns:
        A dataclass without dictionaries.

    Raises:
        ValueError: If a name can't be an option.
    """
    members: list[tuple[str, object, Any]] = []
    for item in fields(kind):
        hint, default = get_type_hints(kind)[item.name], field(default=item.default)
        if item.default_factory is not MISSING:
            default = field(default_factory=item.default_factory)
        if item.name in _dictionaries(kind):
            names = _names(item.name, values.get(item.name), options)
            hint = _dataclass(item.name, [(name, get_args(hint)[1], field()) for name in names])
            default = field() if names else field(default_factory=hint)
        members.append((item.name, hint, default))
    return _dataclass(kind.__name__, members)


def joined(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Let values win over those of the base, at every depth."""
    result = dict(base)
    for name, value in values.items():
        before = result.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            result[name] = joined(before, value)
        else:
            result[name] = value
    return result


def plain(settings: object) -> object:
    """Turn settings into what YAML can say: tuples into lists, without what is not set."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return plain(asdict(settings))
    if isinstance(settings, dict):
        return {name: plain(item) for name, item in settings.items() if item is not None}
    if isinstance(settings, tuple | list):
        return [plain(item) for item in settings]
    return settings


def _names(dictionary: str, values: object, options: Sequence[str]) -> list[str]:
    """Give the names of sections that values or options choose."""
    names = dict.fromkeys(map(str, values if isinstance(values, Mapping) else ()))
    for option in options:
        place, _, rest = option.removeprefix("--").replace("-", "_").partition(".")
        if place == dictionary and "." in rest and option.startswith("--"):
            names[rest.partition(".")[0]] = None
    for name in names:
        if not _NAME.fullmatch(name) or iskeyword(name):
            raise ValueError(
                f"{dictionary}.{name}: expected a name of lower-case letters, digits and _"
            )
    return list(names)


def _dataclass(name: str, members: Sequence[tuple[str, object, Any]]) -> type:
    # The converter takes classes of some of Python's modules for values instead of sections.
    own = {"__module__": __name__}
    return make_dataclass(name, members, kw_only=True, frozen=True, namespace=own)


def _without_names(kind: type[Settings], made: object) -> Settings:
    """Invert `with_names` for a value."""
    values = vars(made)
    return kind(**values | {name: vars(values[name]) for name in _dictionaries(kind)})


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


def _dictionaries(kind: type) -> list[str]:
    """List the settings that hold sections by names of the user's choice."""
    return [name for name, hint in get_type_hints(kind).items() if get_origin(hint) is dict]


def _section(hint: object) -> type | None:
    """Give the settings that a type stands for, if it is not that of a value."""
    if get_origin(hint) is dict:
        return None
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


def _nearest(name: str, values: Mapping[str, Any]) -> str:
    """Point to a setting that is given and has almost this name."""
    near = get_close_matches(name, dict(_given(values)), 1, cutoff=0.9)
    return f"; did you mean {near[0]}?" if near else ""


def _defaults(kind: type) -> dict[str, Any]:
    """Give the values of the sections that need not be given."""
    return {
        item.name: plain(item.default_factory())
        for item in fields(kind)
        if item.default_factory is not MISSING and _section(item.type) is not None
    }
