"""Checked settings: dataclasses from plain values, such as YAML, and command-line options."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, is_dataclass
from difflib import get_close_matches
from itertools import repeat, zip_longest
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import cyclopts
from cyclopts import App, Parameter

from jsisnet.checks import nearest
from jsisnet.sections import (
    check_options,
    dictionaries,
    is_generated,
    of_chosen,
    section_of,
    setting_of,
    with_names,
    without_names,
)

Settings = TypeVar("Settings")

_MOST = 1e30
"""Largest number of a setting, which single precision holds."""

_PAIR = 2

_KINDS: dict[object, str] = {int: "an integer", float: "a number", bool: "true or false"}
_LIMIT = re.compile(r"Must be ([<>]=?) (\S+)\.")
_LIMITS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def from_dict(
    kind: type[Settings],
    values: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    source: str,
) -> Settings:
    """Convert plain values to settings.

    Args:
        kind: Dataclass of the settings.
        values: Nested values, as read from YAML or a saved run.
        overrides: Command-line options that take precedence over `values`.
        source: Origin of `values`, named in error messages.

    Raises:
        ValueError: If a key is unknown, or a value is missing or has the wrong type.
    """
    values = _with_pairs(kind, values)
    try:
        converted = with_names(kind, values, overrides)
    except ValueError as error:
        raise ValueError(_blame(f"{error}", overrides, source)) from None
    values = of_chosen(kind, converted, values)
    _check_values(converted, values, source)
    _refuse_values_of_sections(converted, overrides)
    _refuse_fractions(converted, overrides)
    check_options(kind, converted, overrides)
    # With the defaults filled in, a section may set one value without the others.
    empty = {name for name in dictionaries(kind) if not values.get(name)}
    given = {name: value for name, value in values.items() if name not in empty}
    completed = joined(_defaults(kind, converted), given)
    exact = None if overrides else _of_exact_types(converted, completed)
    try:
        parsed = exact or _parsed(converted, completed, overrides, source)
        result = without_names(kind, parsed)
    except cyclopts.MissingArgumentError as error:
        option = getattr(error.argument, "name", "")
        missing = setting_of(option) or option
        if missing in map(setting_of, overrides):
            count = error.argument.token_count()[0] if error.argument else 1
            needed = "a value" if count == 1 else f"{count} values"
            raise ValueError(f"{option} needs {needed}") from error
        hint = _contents(converted, missing) or _nearest(missing, values)
        raise ValueError(f"{source}: {missing} is missing{hint}") from error
    except cyclopts.CycloptsError as error:
        raise ValueError(_blame(invalid_value(error) or f"{error}", overrides, source)) from error
    except ValueError as error:
        raise ValueError(_blame(f"{error}", overrides, source)) from error
    try:
        _refuse_impossible(asdict(result))  # type: ignore[call-overload]
    except ValueError as error:
        raise ValueError(_blame(f"{error}", overrides, source)) from None
    return result


def _of_exact_types(kind: type, values: Mapping[str, Any]) -> object | None:
    """Return the settings if no value needs to be converted, in a tenth of the parser's time."""
    try:
        return _exact(kind, values)
    except (TypeError, ValueError):  # the parser converts, or says what is wrong
        return None


def _exact(hint: Any, value: Any) -> Any:  # noqa: ANN401 - any type, and a value of it
    """Return a plain value as one of the given type.

    Raises:
        TypeError: If the value would need to be converted, or a setting is missing or unknown.
        ValueError: If a section refuses its settings.
    """
    if is_dataclass(hint) and isinstance(value, Mapping):
        hints = get_type_hints(hint)
        return hint(**{name: _exact(hints[name], item) for name, item in value.items()})  # type: ignore[operator]
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list):
        each = repeat(kinds[0], len(value)) if Ellipsis in kinds else kinds
        return tuple(_exact(*pair) for pair in zip(each, value, strict=True))
    if origin in (Union, UnionType):
        for kind in kinds:
            with suppress(TypeError):
                return _exact(kind, value)
    elif hint is float and type(value) is int:
        return float(value)
    elif hint is type(value) or (value in kinds and type(value) in map(type, kinds)):
        return value
    raise TypeError(f"{value!r} is no {hint}")


def _parsed(kind: type, values: dict[str, Any], options: Sequence[str], source: str) -> object:
    """Let the parser of the command line convert values, and options that take precedence."""
    app = App(
        config=cyclopts.config.Dict(values, source=source, use_commands_as_keys=False),
        result_action="return_value",
        help_flags=(),
        version_flags=(),
    )

    @app.default
    def settings(*, settings: Annotated[kind, Parameter(name="*")]) -> object:  # type: ignore[valid-type]
        return settings

    return app(list(options), exit_on_error=False, print_error=False)


def invalid_value(error: cyclopts.CycloptsError) -> str | None:
    """Say which value is invalid and what was expected; ``None`` if only the parser knows."""
    argument = error.argument
    token = error.token if isinstance(error, cyclopts.CoercionError) else None
    if argument is None or not (token or argument.tokens):
        return None
    token = token or argument.tokens[-1]
    name = (token.keyword or argument.name).replace("][", ".").strip("[]")
    match error:
        case cyclopts.ValidationError():
            limit = _LIMIT.fullmatch(error.exception_message)
            return limit and f"{name} is {token.value}; expected {_LIMITS[limit[1]]} {limit[2]}"
        case cyclopts.CoercionError(target_type=kind) if get_origin(kind) is Literal:
            choices = [str(choice) for choice in get_args(kind)]
            near = nearest(token.value, choices)
            return f"{name} is {token.value!r}.{near} Choices: {', '.join(choices)}"
        case cyclopts.CoercionError(target_type=kind) if kind in _KINDS:
            return f"{name} is {token.value!r}; expected {_KINDS[kind]}"
    return None


def name_option(message: str, options: Sequence[str]) -> str | None:
    """Name the option in a message about the setting of an option.

    Args:
        message: Message that begins with the name of a setting, such as ``min_score is 3``.
        options: Command-line arguments.

    Returns:
        The message with the option as the user typed it; ``None`` if no option sets the setting.
    """
    name = message.partition(" ")[0]
    for token in options:
        setting = setting_of(token)
        if setting and f".{setting}".endswith(f".{name}"):
            return token.partition("=")[0] + message.removeprefix(name)
    return None


def joined(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested values into a base, where `values` take precedence."""
    result = dict(base)
    for name, value in values.items():
        before = result.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            result[name] = joined(before, value)
        else:
            result[name] = value
    return result


def plain(settings: object) -> object:
    """Convert settings to plain values for YAML: tuples become lists, and ``None`` is dropped."""
    if is_dataclass(settings) and not isinstance(settings, type):
        return plain(asdict(settings))
    if isinstance(settings, dict):
        return {name: plain(item) for name, item in settings.items() if item is not None}
    if isinstance(settings, tuple | list):
        return [plain(item) for item in settings]
    return settings


def _blame(message: str, options: Sequence[str], source: str) -> str:
    """Name the option that a message is about, or else the file."""
    if message.startswith("--"):
        return message
    return name_option(message, options) or f"{source}: {message}"


def _with_pairs(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn mappings into lists of pairs where a setting holds pairs of a name and a value."""
    hints, result = get_type_hints(kind), dict(values)
    for name, value in values.items():
        if not isinstance(value, Mapping) or name not in hints:
            continue
        section = section_of(hints[name])
        if section is not None:
            result[name] = _with_pairs(section, value)
        elif _ispairs(hints[name]):
            result[name] = [list(pair) for pair in value.items()]
    return result


def _ispairs(hint: object) -> bool:
    """Return whether a type is a tuple of pairs, such as ``tuple[tuple[str, float], ...]``."""
    return get_origin(hint) is tuple and get_origin(get_args(hint)[0]) is tuple


def _check_values(kind: type, values: Mapping[str, Any], source: str) -> None:
    """Raise for values that the converter would misread, such as ``optim: 3``."""
    hints = dict(_settings(kind))
    for name, value in _given(values):
        if name not in hints:
            last = name.rpartition(".")[2]
            near = [other for other in hints if other.rpartition(".")[2] == last]
            near = near or get_close_matches(name, hints, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{source}: unknown setting {name}{hint}")
        expected = _form_error(hints[name], value)
        if expected is not None:
            raise ValueError(f"{source}: {name} is {value!r}; expected {expected}")


def _refuse_values_of_sections(kind: type, options: Sequence[str]) -> None:
    """Raise for an option that sets a whole section to a value, such as ``--optim 3``."""
    sections = {name: section_of(hint) for name, hint in _settings(kind)}
    for option, following in zip_longest(options, options[1:], fillvalue=""):
        typed, equals, value = option.partition("=")
        section = sections.get(setting_of(option))
        value = value if equals else following
        if section is None or value.startswith("{"):
            continue
        setting = f"{typed}.{fields(section)[0].name}"
        raise ValueError(f"{typed} is a section; expected one of its settings, such as {setting}")


def _refuse_fractions(kind: type, options: Sequence[str]) -> None:
    """Raise for a number such as 4.5 for an integer, which the parser of options would round."""
    hints = dict(_settings(kind))
    option = ""
    for token in options:
        isoption = token.startswith("--")
        option, _, value = token.partition("=") if isoption else (option, "", token)
        if value and int in _scalars(hints.get(setting_of(option))) and _isfraction(value):
            raise ValueError(f"{option} is {value!r}; expected an integer")


def _isfraction(value: str) -> bool:
    with suppress(ValueError):
        return not float(value).is_integer()
    return False


def _scalars(hint: object) -> set[object]:
    """Return the types that a type is made of: ``int`` for ``tuple[int, int] | None``."""
    kinds = get_args(hint)
    return set[object]().union(*map(_scalars, kinds)) if kinds else {hint}


def _refuse_impossible(values: Mapping[str, Any]) -> None:
    """Raise for numbers that are invalid for every setting: negative, NaN, or beyond all use."""
    for name, value in _given(values):
        items = value if isinstance(value, tuple) else (value,)
        numbers = [item for item in items if isinstance(item, int | float)]
        if not all(number >= 0 for number in numbers):
            raise ValueError(f"{name} is {value}; expected 0 or more")
        if not all(number <= _MOST for number in numbers):
            raise ValueError(f"{name} is {value}; expected 0 to {_MOST:g}")


def _settings(kind: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted names of all settings and sections with their types."""
    for name, hint in get_type_hints(kind).items():
        yield f"{prefix}{name}", hint
        section = section_of(hint)
        if section is not None:
            yield from _settings(section, f"{prefix}{name}.")


def _given(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from _given(value, f"{prefix}{name}.")


def _form_error(hint: object, value: object) -> str | None:
    """Describe the expected form if a value does not have it."""
    kinds = (hint, *get_args(hint))
    if type(None) in kinds:
        if value is None:
            return None
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
        kinds = (hint, *get_args(hint))
    if section_of(hint) is not None:
        return None if isinstance(value, Mapping) else "a mapping of settings"
    numbers = value if isinstance(value, list) else [value]
    if _ispairs(hint):
        arepairs = all(isinstance(each, list) and len(each) == _PAIR for each in numbers)
        return None if arepairs else "a value for each name, such as {person: 0.5}"
    if get_origin(hint) is tuple and Ellipsis not in kinds and len(numbers) != len(get_args(hint)):
        return f"{len(get_args(hint))} values"
    broken = any(isinstance(number, float) and not number.is_integer() for number in numbers)
    return "an integer" if broken and int in kinds and float not in kinds else None


def _contents(kind: type, name: str) -> str:
    """Name the required settings of a section; empty if the name is not that of a section."""
    section = section_of(dict(_settings(kind)).get(name))
    if section is None:
        return ""
    needed = [
        f"{name}.{item.name}"
        for item in fields(section)
        if item.default is MISSING and item.default_factory is MISSING
    ]
    return f"; expected at least {' and '.join(needed)}"


def _nearest(name: str, values: Mapping[str, Any]) -> str:
    """Suggest a given setting with almost the same name."""
    near = get_close_matches(name, dict(_given(values)), 1, cutoff=0.9)
    return f"; did you mean {near[0]}?" if near else ""


def _defaults(kind: type, converted: type) -> dict[str, Any]:
    """Return the default values of the optional sections, with those of the chosen methods."""
    hints = get_type_hints(converted)
    return {
        item.name: _values_of(item.default_factory(), hints[item.name])
        for item in fields(kind)
        if item.default_factory is not MISSING
        and item.name not in dictionaries(kind)
        and section_of(hints[item.name]) is not None
    }


def _values_of(default: Any, kind: type) -> Any:  # noqa: ANN401 - a dataclass, and its values
    """Return the values of a section's default, or of a method's if it is another one's."""
    if not is_generated(kind):
        return plain(default if isinstance(default, kind) else kind())
    hints = get_type_hints(kind)
    return {
        item.name: _values_of(value, hints[item.name])
        if isinstance(hints[item.name], type) and is_dataclass(value)
        else plain(value)
        for item in fields(default)
        if (value := getattr(default, item.name)) is not None
    }
