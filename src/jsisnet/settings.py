"""Checked settings: dataclasses from plain values, such as YAML, and command-line options."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import (
    MISSING,
    asdict,
    dataclass,
    field,
    fields,
    is_dataclass,
    make_dataclass,
)
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from keyword import iskeyword
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import App, Parameter

from jsisnet.checks import nearest

Settings = TypeVar("Settings")

_MOST = 1e30
"""Largest number of a setting, which single precision holds."""

_KINDS: dict[object, str] = {int: "an integer", float: "a number"}
_LIMIT = re.compile(r"Must be ([<>]=?) (\S+)\.")
_LIMITS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}

_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Choice:
    """Choice of a section's dataclass by one of its settings, the name of a method.

    Stands in the annotation of the section, ``Annotated[Protocol, Choice(...)]``. Other packages
    add methods through entry points; a file of settings can name one, but never a module.
    """

    tag: str
    """Setting that names the method. Each dataclass has it, with its own name as the default."""

    built_in: Mapping[str, str]
    """Dataclasses of this package by the name of the method, as ``module:name``."""

    group: str
    """Group of the entry points of other packages."""

    def names(self) -> tuple[str, ...]:
        """List the methods of all installed packages."""
        return tuple(dict.fromkeys((*self.built_in, *_entry_points(self.group))))

    def find(self, name: str, setting: str) -> type:
        """Import the dataclass of a method.

        Args:
            name: Name of the method.
            setting: What is set to it, for messages.

        Raises:
            ValueError: If there is no such method, or it can't be used.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found: type = getattr(import_module(module), attribute)
            return found
        point = _entry_points(self.group).get(name)
        if point is None:
            near = nearest(name, self.names())
            raise ValueError(
                f"{setting} is {name!r}.{near} Choices: {', '.join(self.names())}. Other packages "
                "may have more"
            )
        try:
            found = point.load()
        except Exception as error:  # whatever another package raises
            raise ValueError(f"{setting} is {name!r}, which can't be imported ({error})") from error
        if not (isinstance(found, type) and is_dataclass(found) and _has(found, self.tag)):
            raise ValueError(
                f"{setting} is {name!r}, which is not a dataclass with a field {self.tag!r}"
            )
        return found

    def settings(self) -> dict[str, type]:
        """Return the dataclasses of this package by the name of the method."""
        return {name: self.find(name, self.tag) for name in self.built_in}


@cache
def _entry_points(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group)}


def _has(kind: type, name: str) -> bool:
    return name in {item.name for item in fields(kind)}


def _default(kind: type, name: str) -> object:
    return next(item.default for item in fields(kind) if item.name == name)


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
    try:
        converted = with_names(kind, values, overrides)
    except ValueError as error:
        raise ValueError(_blame(f"{error}", overrides, source)) from None
    values = _of_chosen(kind, converted, values)
    _check_values(converted, values, source)
    _check_options(kind, converted, overrides)
    # With the defaults filled in, a section may set one value without the others.
    empty = {name for name in _dictionaries(kind) if not values.get(name)}
    given = {name: value for name, value in values.items() if name not in empty}
    completed = joined(_defaults(kind, converted), given)
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
        result = _without_names(kind, app(list(overrides), exit_on_error=False, print_error=False))
    except cyclopts.MissingArgumentError as error:
        option = getattr(error.argument, "name", "")
        if option in overrides:
            raise ValueError(f"{option} needs a value") from error
        missing = option.removeprefix("--").replace("-", "_")
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


def invalid_value(error: cyclopts.CycloptsError) -> str | None:
    """Say which value is invalid and what was expected; ``None`` if only the parser knows."""
    argument = error.argument
    if argument is None or not argument.tokens:
        return None
    token = error.token if isinstance(error, cyclopts.CoercionError) else None
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
        option = token.partition("=")[0]
        setting = option.removeprefix("--").replace("-", "_")
        if option.startswith("--") and f".{setting}".endswith(f".{name}"):
            return option + message.removeprefix(name)
    return None


def with_names(
    kind: type,
    values: Mapping[str, Any],
    options: Sequence[str],
    *,
    prefix: str = "",
    every_method: bool = False,
) -> type:
    """Replace dictionaries of sections, and sections with a choice, by plain dataclasses.

    The converter needs to know all names in advance. A dictionary becomes a dataclass with the
    names that occur; a section with a choice, the dataclass of the chosen method.

    Args:
        kind: Dataclass of the settings.
        values: Nested values.
        options: Command-line arguments; those that are not options of `kind` are ignored.
        prefix: What stands before the names of `kind` in options, such as ``network.``.
        every_method: Whether a section with a choice becomes a dataclass with the settings of all
            methods, for when `values` are not known yet.

    Returns:
        A dataclass without dictionaries and choices.

    Raises:
        ValueError: If a name can't be part of an option, or there is no such method.
    """
    members: list[tuple[str, object, Any]] = []
    hints, choices = get_type_hints(kind), _choices(kind)
    for item in fields(kind):
        hint, default = hints[item.name], field(default=item.default)
        given, path = values.get(item.name), f"{prefix}{item.name}"
        if item.default_factory is not MISSING:
            default = field(default_factory=item.default_factory)
        if item.name in _dictionaries(kind):
            names = _names(item.name, given, options)
            hint = _dataclass(item.name, [(name, get_args(hint)[1], field()) for name in names])
            default = field() if names else field(default_factory=hint)
        elif item.name in choices:
            choice = choices[item.name]
            if every_method:
                hint = _with_all_methods(choice, path, options)
            else:
                assert callable(item.default_factory)
                name = _named(choice, path, given, options)
                name = name or getattr(item.default_factory(), choice.tag)
                hint = choice.find(name, f"{path}.{choice.tag}")
            default = field(default_factory=hint)
        elif _has_choices(hint):
            section = given if isinstance(given, Mapping) else {}
            inside = f"{path}."
            hint = with_names(hint, section, options, prefix=inside, every_method=every_method)
            default = field(default_factory=hint)
        members.append((item.name, hint, default))
    return _dataclass(kind.__name__, members)


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


def _names(dictionary: str, values: object, options: Sequence[str]) -> list[str]:
    """Return the names of sections in values and options."""
    names = dict.fromkeys(map(str, values if isinstance(values, Mapping) else ()))
    for option in options:
        prefix, _, rest = option.removeprefix("--").replace("-", "_").partition(".")
        if prefix == dictionary and "." in rest and option.startswith("--"):
            names[rest.partition(".")[0]] = None
    for name in names:
        if not _NAME.fullmatch(name) or iskeyword(name):
            raise ValueError(
                f"{dictionary}.{name}: expected a name of lower-case letters, digits and _"
            )
    return list(names)


def _dataclass(name: str, members: Sequence[tuple[str, object, Any]]) -> type:
    # The converter treats classes of some standard modules as values instead of sections.
    own = {"__module__": __name__}
    return make_dataclass(name, members, kw_only=True, frozen=True, namespace=own)


def _without_names(kind: type[Settings], settings: object) -> Settings:
    """Convert an instance of the dataclass that `with_names` returned."""
    values, hints = dict(vars(settings)), get_type_hints(kind)
    for name, value in values.items():
        if name in _dictionaries(kind):
            values[name] = vars(value)
        elif _is_generated(type(value)):
            values[name] = _without_names(hints[name], value)
    return kind(**values)


def _is_generated(kind: type) -> bool:
    return is_dataclass(kind) and kind.__module__ == __name__


def _choices(kind: type) -> dict[str, Choice]:
    """Return the sections of a dataclass that have a choice."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: note
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
        for note in hint.__metadata__
        if isinstance(note, Choice)
    }


def _has_choices(hint: object) -> bool:
    """Return whether a section, or one inside it, has a choice."""
    if not (isinstance(hint, type) and is_dataclass(hint)):
        return False
    return bool(_choices(hint)) or any(map(_has_choices, get_type_hints(hint).values()))


def _named(choice: Choice, path: str, values: object, options: Sequence[str]) -> str | None:
    """Return the name of the method in options or values; ``None`` if they do not name one."""
    for number, option in enumerate(options):
        setting, equals, value = option.partition("=")
        if setting.removeprefix("--").replace("-", "_") == f"{path}.{choice.tag}":
            return value if equals else "".join(options[number + 1 : number + 2])
    name = values.get(choice.tag) if isinstance(values, Mapping) else None
    return None if name is None else str(name)


def _with_all_methods(choice: Choice, path: str, options: Sequence[str]) -> type:
    """Return a dataclass with the settings of all methods, those of other packages if needed."""
    kinds = dict(choice.settings())
    if any(option.removeprefix("--").startswith(f"{path}.") for option in options):
        for name in choice.names():
            with suppress(ValueError):  # not before it is chosen does it matter
                kinds[name] = choice.find(name, choice.tag)
    hints: dict[str, object] = {}
    for kind in kinds.values():
        hints |= get_type_hints(kind)
    hints[choice.tag] = str
    return _dataclass(path, [(name, hint, field(default=None)) for name, hint in hints.items()])


def _of_chosen(kind: type, converted: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out settings of methods that were not chosen, which a base may have set."""
    choices, hints = _choices(kind), get_type_hints(converted)
    result = dict(values)
    for name, value in values.items():
        if not isinstance(value, Mapping) or name not in hints:
            continue
        if name in choices:
            others = _fields_of_others(choices[name], hints[name])
            result[name] = {key: item for key, item in value.items() if key not in others}
        elif _is_generated(hints[name]) and name not in _dictionaries(kind):
            result[name] = _of_chosen(get_type_hints(kind)[name], hints[name], value)
    return result


def _fields_of_others(choice: Choice, chosen: type) -> dict[str, str]:
    """Return the settings that only other methods have, with the name of one that does."""
    return {
        item.name: name
        for name, kind in reversed(choice.settings().items())
        for item in fields(kind)
        if not _has(chosen, item.name)
    }


def _check_options(kind: type, converted: type, options: Sequence[str], prefix: str = "") -> None:
    """Raise for an option that is a setting of a method that was not chosen."""
    hints = get_type_hints(converted)
    for name, choice in _choices(kind).items():
        others = _fields_of_others(choice, hints[name])
        for option in options:
            setting = option.partition("=")[0].removeprefix("--").replace("-", "_")
            section, _, last = setting.rpartition(".")
            if section == f"{prefix}{name}" and last in others:
                raise ValueError(
                    f"{option.partition('=')[0]} is a setting of the {choice.tag} {others[last]}; "
                    f"{prefix}{name}.{choice.tag} is {_default(hints[name], choice.tag)}"
                )
    for name, hint in get_type_hints(kind).items():
        if _has_choices(hint):
            _check_options(hint, hints[name], options, f"{prefix}{name}.")


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
        section = _section(hint)
        if section is not None:
            yield from _settings(section, f"{prefix}{name}.")


def _given(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from _given(value, f"{prefix}{name}.")


def _dictionaries(kind: type) -> list[str]:
    """Return the settings that hold sections by user-defined names."""
    return [name for name, hint in get_type_hints(kind).items() if get_origin(hint) is dict]


def _section(hint: object) -> type | None:
    """Return the dataclass of a section's type, or ``None`` for the type of a value."""
    if get_origin(hint) is dict:
        return None
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)


def _form_error(hint: object, value: object) -> str | None:
    """Describe the expected form if a value does not have it."""
    kinds = (hint, *get_args(hint))
    if value is None and type(None) in kinds:
        return None
    if _section(hint) is not None:
        return None if isinstance(value, Mapping) else "a mapping of settings"
    numbers = value if isinstance(value, list) else [value]
    if get_origin(hint) is tuple and Ellipsis not in kinds and len(numbers) != len(get_args(hint)):
        return f"{len(get_args(hint))} values"
    broken = any(isinstance(number, float) and not number.is_integer() for number in numbers)
    return "an integer" if broken and int in kinds and float not in kinds else None


def _contents(kind: type, name: str) -> str:
    """Name the required settings of a section; empty if the name is not that of a section."""
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
        and item.name not in _dictionaries(kind)
        and _section(hints[item.name]) is not None
    }


def _values_of(default: Any, kind: type) -> Any:  # noqa: ANN401 - a dataclass, and its values
    """Return the values of a section's default, or of a method's if it is another one's."""
    if not _is_generated(kind):
        return plain(default if isinstance(default, kind) else kind())
    hints = get_type_hints(kind)
    return {
        item.name: _values_of(value, hints[item.name])
        if isinstance(hints[item.name], type) and is_dataclass(value)
        else plain(value)
        for item in fields(default)
        if (value := getattr(default, item.name)) is not None
    }
