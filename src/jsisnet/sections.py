"""Sections of settings whose contents depend on the values: names of the user's, and methods."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from jsisnet.checks import nearest

Settings = TypeVar("Settings")

_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


def setting_of(token: str) -> str:
    """Return the name of the setting of a command-line option; empty for other tokens."""
    option = token.partition("=")[0]
    return option[2:].replace("-", "_") if option.startswith("--") else ""


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
    from importlib.metadata import entry_points  # noqa: PLC0415 - a tenth of `score --help`

    return {point.name: point for point in entry_points(group=group)}


def _has(kind: type, name: str) -> bool:
    return name in {item.name for item in fields(kind)}


def _default(kind: type, name: str) -> object:
    return next(item.default for item in fields(kind) if item.name == name)


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
        if item.name in dictionaries(kind):
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
                if name is None:
                    name = getattr(item.default_factory(), choice.tag)
                hint = choice.find(name, f"{path}.{choice.tag}")
            default = field(default_factory=hint)
        elif _has_choices(hint):
            section = given if isinstance(given, Mapping) else {}
            inside = f"{path}."
            hint = with_names(hint, section, options, prefix=inside, every_method=every_method)
            default = field(default_factory=hint)
        members.append((item.name, hint, default))
    return _dataclass(kind.__name__, members)


def _names(dictionary: str, values: object, options: Sequence[str]) -> list[str]:
    """Return the names of sections in values and options."""
    names = dict.fromkeys(map(str, values if isinstance(values, Mapping) else ()))
    for option in options:
        prefix, _, rest = setting_of(option).partition(".")
        if prefix == dictionary and "." in rest:
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


def without_names(kind: type[Settings], settings: object) -> Settings:
    """Convert an instance of the dataclass that `with_names` returned."""
    values, hints = dict(vars(settings)), get_type_hints(kind)
    for name, value in values.items():
        if name in dictionaries(kind):
            values[name] = vars(value)
        elif is_generated(type(value)):
            values[name] = without_names(hints[name], value)
    return kind(**values)


def is_generated(kind: type) -> bool:
    """Return whether `with_names` made a dataclass."""
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
        if setting_of(option) == f"{path}.{choice.tag}":
            _, equals, value = option.partition("=")
            return value if equals else "".join(options[number + 1 : number + 2])
    if isinstance(values, Mapping) and choice.tag in values:
        name = values[choice.tag]
        return "null" if name is None else str(name)
    return None


def _with_all_methods(choice: Choice, path: str, options: Sequence[str]) -> type:
    """Return a dataclass with the settings of all methods, those of other packages if needed."""
    kinds = dict(choice.settings())
    if any(setting_of(option).startswith(f"{path}.") for option in options):
        for name in choice.names():
            with suppress(ValueError):  # not before it is chosen does it matter
                kinds[name] = choice.find(name, choice.tag)
    hints: dict[str, object] = {}
    for kind in kinds.values():
        hints |= get_type_hints(kind)
    hints[choice.tag] = str
    return _dataclass(path, [(name, hint, field(default=None)) for name, hint in hints.items()])


def of_chosen(kind: type, converted: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out settings of methods that were not chosen, which a base may have set."""
    choices, hints = _choices(kind), get_type_hints(converted)
    result = dict(values)
    for name, value in values.items():
        if not isinstance(value, Mapping) or name not in hints:
            continue
        if name in choices:
            others = _fields_of_others(choices[name], hints[name])
            result[name] = {key: item for key, item in value.items() if key not in others}
        elif is_generated(hints[name]) and name not in dictionaries(kind):
            result[name] = of_chosen(get_type_hints(kind)[name], hints[name], value)
    return result


def _fields_of_others(choice: Choice, chosen: type) -> dict[str, str]:
    """Return the settings that only other methods have, with the name of one that does."""
    return {
        item.name: name
        for name, kind in reversed(choice.settings().items())
        for item in fields(kind)
        if not _has(chosen, item.name)
    }


def check_options(kind: type, converted: type, options: Sequence[str], prefix: str = "") -> None:
    """Raise for an option that is a setting of a method that was not chosen."""
    hints = get_type_hints(converted)
    for name, choice in _choices(kind).items():
        others = _fields_of_others(choice, hints[name])
        for option in options:
            section, _, last = setting_of(option).rpartition(".")
            if section == f"{prefix}{name}" and last in others:
                raise ValueError(
                    f"{option.partition('=')[0]} is a setting of the {choice.tag} {others[last]}; "
                    f"{prefix}{name}.{choice.tag} is {_default(hints[name], choice.tag)}"
                )
    for name, hint in get_type_hints(kind).items():
        if _has_choices(hint):
            check_options(hint, hints[name], options, f"{prefix}{name}.")


def dictionaries(kind: type) -> list[str]:
    """Return the settings that hold sections by user-defined names."""
    return [name for name, hint in get_type_hints(kind).items() if get_origin(hint) is dict]


def section_of(hint: object) -> type | None:
    """Return the dataclass of a section's type, or ``None`` for the type of a value."""
    if get_origin(hint) is dict:
        return None
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)
