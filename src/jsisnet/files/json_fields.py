"""Checked access to the fields of JSON objects.

Every function raises a `ValueError` that says what was found and what was expected. The caller adds
the context, because only the caller knows what the object describes.
"""

import json
import math
import os
import re
import sys
from collections.abc import Callable, Container, Mapping
from pathlib import Path, PureWindowsPath
from typing import NoReturn, TypeVar

from jsisnet.files import json_text
from jsisnet.files.archives import StoredFile
from jsisnet.files.regular import check_regular

Entry = Mapping[str, object]
"""A JSON object."""

_T = TypeVar("_T")
_MAX_SHOWN = 60
"""Characters of a value in a message."""

_ENCODER = json.JSONEncoder(check_circular=False, skipkeys=True, default=str)
"""Encoder that accepts the types of YAML too, such as dates."""

_MAX_INTEGER = 2**63 - 1
_PLAIN_NAME = re.compile(r"\w[\w.-]{,62}")
"""Names that stay inside their folder on any system, and are not too long for any."""

_MAX_NAME, _MAX_PATH = 255, 4000
"""Bytes of a name, and characters of a path, that file systems allow."""

_MAX_UTF8 = 4
"""Bytes of a character."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)
"""Strings that look like an id that is a number."""


def load(path: StoredFile) -> Entry:
    """Read a file that holds one JSON object.

    Raises:
        ValueError: If the file is missing or holds anything else; the message names it.
    """
    try:
        if isinstance(path, Path):
            check_regular(path)
        return entry(json_text.parse(path.read_bytes()))
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def entry(value: object) -> Entry:
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise ValueError(f"found {shown(value)}; expected an object")
    return value


def has(values: Entry, key: str) -> bool:
    """Check whether a field is present and not null."""
    return values.get(key) is not None


def items(values: Entry, key: str) -> list[object]:
    """Return a field that must be a list."""
    found = _required(values, key)
    if not isinstance(found, list):
        _refuse(key, found, "a list")
    return found


def each(values: Entry, key: str, read: Callable[[Entry], _T]) -> tuple[_T, ...]:
    """Read a field that must be a list of objects.

    Raises:
        ValueError: If an item is no object, or `read` raises; the message gives its position.
    """
    results = []
    for position, value in enumerate(items(values, key)):
        try:
            results.append(read(entry(value)))
        except ValueError as error:
            raise ValueError(f"{key}[{position}]: {error}") from None
    return tuple(results)


def string(values: Entry, key: str) -> str:
    """Return a field that must be a string."""
    found = _required(values, key)
    if not isinstance(found, str):
        _refuse(key, found, "a string")
    _check_unicode(key, found)
    return found


def number(values: Entry, key: str) -> float:
    """Return a field that must be a finite number."""
    found = _required(values, key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        _refuse(key, found, "a number")
    # math.isfinite raises on integers that are too large for a float.
    if not abs(found) <= sys.float_info.max:
        _refuse(key, found, "a number")
    return float(found)


def integer(values: Entry, key: str, *, lowest: int = 0, highest: int | None = None) -> int:
    """Return a field that must be an integer within limits, both inclusive; 2.0 is 2."""
    found = _whole(_required(values, key))
    upper = math.inf if highest is None else highest
    if isinstance(found, bool) or not isinstance(found, int) or not lowest <= found <= upper:
        limits = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        _refuse(key, found, f"an integer {limits}")
    return found


def identity(values: Entry, key: str) -> int | str:
    """Return a field that must be a 64-bit integer or a string; 2.0 is 2."""
    found = _whole(_required(values, key))
    if isinstance(found, bool) or not isinstance(found, int | str):
        _refuse(key, found, "an integer or a string")
    if isinstance(found, int) and not -_MAX_INTEGER <= found <= _MAX_INTEGER:
        _refuse(key, found, "a 64-bit integer")
    _check_unicode(key, found)
    return found


def strings(values: Entry, key: str) -> tuple[str, ...]:
    """Return a field that must be a list of strings."""
    found = items(values, key)
    if not all(isinstance(item, str) for item in found):
        _refuse(key, found, "a list of strings")
    for item in found:
        _check_unicode(key, item)
    return tuple(str(item) for item in found)


def flag(values: Entry, key: str) -> bool:
    """Return a field that must be 0, 1, true or false; 1.0 is 1."""
    found = _whole(_required(values, key))
    if not isinstance(found, bool | int) or found not in (0, 1):
        _refuse(key, found, "0 or 1")
    return bool(found)


def crowd_flag(value: object) -> bool:
    """Return what a value of ``iscrowd`` means to most tools, for which any number but 0 is true.

    What cannot be read is false, as if there were no such field.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        value = True if word == "true" else unquoted(word)
    return isinstance(value, int | float) and math.isfinite(value) and value != 0


def check_file_name(key: str, name: str) -> None:
    """Check that a field can be the name of a file.

    Raises:
        ValueError: If it is a data URI, invalid Unicode, or longer than any file system allows.
    """
    if name[:5].lower() == "data:":
        _refuse(key, name, "the name of a file, but this is the content of one: save it as a file")
    if not name.isascii():
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            _refuse(key, name, "a name in valid Unicode")
    if len(name) > _MAX_NAME // _MAX_UTF8:
        longest = max(len(part.encode(errors="surrogatepass")) for part in re.split(r"[/\\]", name))
        if longest > _MAX_NAME or len(name) > _MAX_PATH:
            _refuse(key, name, f"a name of at most {_MAX_NAME} bytes")


def path_in(folder: Path, values: Entry, key: str) -> Path:
    """Return the path of a file inside `folder` that a field names."""
    name = string(values, key)
    if _PLAIN_NAME.fullmatch(name):
        return folder / name
    check_file_name(key, name)
    if not stays_inside(name):
        _refuse(key, name, "the name of a file inside its folder")
    return folder / name


def stays_inside(name: str) -> bool:
    """Return whether a name is that of a file inside its folder, on any system."""
    if _PLAIN_NAME.fullmatch(name):
        return True
    # Windows knows both separators, so a name that is safe there is safe on any system.
    parsed = PureWindowsPath(name)
    return bool(parsed.name) and not parsed.anchor and ".." not in parsed.parts and "\0" not in name


def twin(found: int | str, known: Container[object]) -> int | str | None:
    """Return the known id that is a number where `found` is a string, or the reverse."""
    other: int | str = str(found)
    if isinstance(found, str):
        if not _NUMBER.fullmatch(found):
            return None
        other = int(found)
    return other if other in known else None


def other_type(found: int | str, known: Container[object]) -> str:
    """Explain why an id is unknown if it would be known as a number, or as a string.

    Args:
        found: The id, which is not known.
        known: The known ids.

    Returns:
        The explanation, to be appended to a message, or an empty string.
    """
    other = twin(found, known)
    if other is None:
        return ""
    kind = "a number" if isinstance(other, int) else "a string"
    return f": it has {shown(other)} ({kind}); write the ids of both in the same way"


def unquoted(value: object) -> object:
    """Return an integer for a string that looks like one, and any other value as it is."""
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _whole(value: object) -> object:
    """Return a whole float as an integer, and any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _required(values: Entry, key: str) -> object:
    if key not in values:
        raise ValueError(f"missing {key!r}")
    return values[key]


def _refuse(key: str, found: object, expected: str) -> NoReturn:
    raise ValueError(f"{key!r} is {shown(found)}; expected {expected}{_cause(found, expected)}")


def _check_unicode(key: str, found: object) -> None:
    """Refuse half of a pair of surrogates, which no file name and no output can hold."""
    if isinstance(found, str) and not found.isascii() and _SURROGATE.search(found):
        _refuse(key, found, "valid Unicode, without half of a surrogate pair")


def _cause(found: object, expected: str) -> str:
    """Name the usual cause of a wrong value."""
    quoted = isinstance(found, str) and re.fullmatch(r"\s*[-+]?[\d.]+\s*", found)
    return " (remove the quotes)" if quoted and "string" not in expected else ""


def shown(value: object) -> str:
    """Return the beginning of a value, which may be huge or contain itself (YAML aliases)."""
    text = ""
    try:
        for part in _ENCODER.iterencode(value):
            text += part
            if len(text) > _MAX_SHOWN:
                return f"{text[:_MAX_SHOWN]}..."
    except RecursionError:
        return "a value that is nested too deeply"
    return text
