"""Streaming of large JSON files: entries of lists are passed on one by one and not kept."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np

from jsisnet.files import json_fields, json_text
from jsisnet.files.json_fields import Entry
from jsisnet.files.regular import check_regular

_CHUNK = 2**16
"""Bytes to read at a time."""

_SEPARATOR = re.compile(r"[ \t\n\r]*,[ \t\n\r]*(?=[^ \t\n\r])")
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_ENDS = tuple(" \t\n\r,:]}")
"""Characters that may follow a value."""

_LONGEST_START = 4
"""Bytes of which one can tell the encoding."""

_LONGEST_WORD = len("-Infinity")
"""Length of the longest literal, which has to be in the buffer as a whole."""

_QUOTE, _COLON = b'":'

_FAST = json.JSONDecoder()
"""Decoder that keeps the last value of a duplicate name."""

_length = dict.__len__


class ByteRange(NamedTuple):
    """Position of an entry in a file, in bytes."""

    start: int
    """First byte."""

    stop: int
    """The byte after the last."""


OnItem = Callable[[object, ByteRange], None]
"""Called with each item of a list and its position in the file."""


def scan(path: Path, on_item: dict[str, OnItem]) -> Entry:
    """Read a file that holds one JSON object, without keeping its long lists.

    Args:
        path: The file.
        on_item: Callback for the items of a list, by the list's key. A value that is no list is
            returned like any other field.

    Returns:
        The fields of the object; the lists in `on_item` are empty.

    Raises:
        ValueError: If the file is missing or is not such JSON; the message names it.
    """
    with _reading(path) as file:
        scanner = _Scanner(file, on_item)
        values = scanner.run()
        if scanner.may_repeat_names:
            _Scanner(_rewound(file), dict.fromkeys(on_item, _ignore), json_text.STRICT).run()
        return values


def scan_list(path: Path, on_item: OnItem) -> None:
    """Read a file that holds one JSON list, item by item.

    Args:
        path: The file.
        on_item: Callback for each item; the file's name is added to the errors it raises.

    Raises:
        ValueError: If the file is missing or is no such list; the message names it.
    """
    with _reading(path) as file:
        scanner = _Scanner(file, {})
        scanner.run_list(on_item)
        if scanner.may_repeat_names:
            _Scanner(_rewound(file), {}, json_text.STRICT).run_list(_ignore)


def load_without(path: Path, skipped: Collection[str]) -> Entry:
    """Read a file that holds one JSON object, with some of its lists empty.

    Args:
        path: The file.
        skipped: Keys of the lists whose items are not kept.

    Raises:
        ValueError: If the file is missing or is not such JSON; the message names it.
    """
    return scan(path, dict.fromkeys(skipped, _ignore))


def _ignore(_: object, __: ByteRange) -> None:
    """Skip an item."""


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise ValueError(f"{path}: invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class EntryReader:
    """Random access to the JSON objects of a file by their positions."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> "EntryReader":
        try:
            check_regular(self._path)
            self._file = self._path.open("rb")
        except OSError as error:
            raise ValueError(f"{self._path}: can't be read: {error.strerror or error}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, position: ByteRange) -> Entry:
        """Read the object at a position that `scan` or `scan_list` has passed on.

        Raises:
            ValueError: If the file has changed since; the message names it.
        """
        self._file.seek(position.start)
        try:
            return json_fields.entry(json.loads(self._file.read(position.stop - position.start)))
        except ValueError:
            raise ValueError(f"{self._path}: changed while it was being read") from None


@dataclass
class _Scanner:
    """State of one scan. The file is decoded as Latin-1, so that characters count bytes."""

    file: BinaryIO
    on_item: dict[str, OnItem]
    decoder: json.JSONDecoder = _FAST
    text: str = ""
    """The buffer."""
    before: int = 0
    """Position of the buffer in the file."""
    at: int = 0
    """Current position in the buffer."""
    last: int = 0
    """Last byte of the buffer."""
    colons: int = 0
    """Colons that may follow a name; no fewer than the names."""
    names: int = 0
    """Names in the values that were read, where duplicates count once; no more than there are."""

    @property
    def may_repeat_names(self) -> bool:
        """Whether an object may have a name twice; false is certain."""
        return self.names < self.colons

    def run(self) -> Entry:
        self._begin()
        if self._peek() != "{":
            return json_fields.entry(self._value())
        self._expect("{")
        values: dict[str, object] = {}
        while self._peek() != "}":
            if values:
                self._expect(",")
                self._peek()
            key = self._value()
            self._expect(":")
            self._peek()
            if not isinstance(key, str):
                self._refuse("expected a key in double quotes")
            if key in values:
                self._refuse(f"duplicate name {json.dumps(key)}")
            if key in self.on_item and self._peek() == "[":
                values[key] = []
                self._items(self.on_item[key])
            else:
                values[key] = self._value()
        self._expect("}")
        self._end()
        self.names += len(values)
        return values

    def run_list(self, on_item: OnItem) -> None:
        self._begin()
        if self._peek() != "[":
            json_fields.items({"the content": self._value()}, "the content")
        self._items(on_item)
        self._end()

    def _begin(self) -> None:
        while len(self.text) < _LONGEST_START and self._load():
            pass
        self.at = json_text.text_start(self.text.encode("latin-1"))

    def _end(self) -> None:
        if self._peek():
            self._refuse("expected the end of the file")

    def _items(self, on_item: OnItem) -> None:
        self._expect("[")
        isend = self._peek() == "]"
        while not isend:
            start = self.before + self.at
            value = self._value()
            on_item(value, ByteRange(start, self.before + self.at))
            isend = self._is_last()
        self._expect("]")

    def _is_last(self) -> bool:
        """Move from an item of a list to the next one, if there is one."""
        separator = _SEPARATOR.match(self.text, self.at)
        if separator is not None:
            self.at = separator.end()
            return False
        if self._peek() == "]":
            return True
        self._expect(",")
        self._peek()
        return False

    def _value(self) -> object:
        """Read the value at the current position, which is not white space."""
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self._maybe_cut_off(error) or not self._load():
                    self.at = error.pos
                    self._refuse(error.msg)
                continue
            except ValueError as error:
                self._refuse_value(error, self.text[self.at :].encode("latin-1"))
            # A number may continue beyond the buffer.
            if self.text[end : end + 1] in _ENDS or not self._load():
                break
        found = self.text[self.at : end]
        if not found.isascii():
            value = self._decode(found.encode("latin-1"))
        self.at = end
        self.names += _fewest_names(value)
        return value

    def _decode(self, found: bytes) -> object:
        """Decode a value that is not ASCII."""
        try:
            return self.decoder.decode(found.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(json_text.not_utf8(self.before + self.at + error.start)) from None
        except ValueError as error:
            self._refuse_value(error, found)

    def _refuse_value(self, error: ValueError, found: bytes) -> NoReturn:
        """Refuse a value for an error that has no place."""
        fault = json_text.located(error, found.decode("utf-8", "replace"))
        self.at += len(fault.doc[: fault.pos].encode())
        self._refuse(fault.msg)

    def _maybe_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Check whether an error may only be due to the end of the buffer."""
        return "Unterminated" in error.msg or error.pos + _LONGEST_WORD > len(self.text)

    def _peek(self) -> str:
        """Return the next character that is not white space, or "" at the end of the file."""
        while True:
            found = _NO_SPACE.search(self.text, self.at)
            if found is not None:
                self.at = found.start()
                return found.group()
            self.at = len(self.text)
            if not self._load():
                return ""

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            self._refuse(f"expected {character!r}")
        self.at += 1

    def _refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"invalid JSON: at byte {self.before + self.at}: {reason}")

    def _load(self) -> bool:
        """Extend the buffer, at least doubling what is left of it; return False at the end."""
        more = self.file.read(max(_CHUNK, len(self.text) - self.at))
        if more:
            self.text = self.text[self.at :] + more.decode("latin-1")
            self.before += self.at
            self.at = 0
            self.colons += _colons_after_names(more, self.last)
            self.last = more[-1]
        return bool(more)


def _colons_after_names(content: bytes, before: int) -> int:
    """Count the colons after a quote, white space or !, given the byte before the content."""
    found = np.frombuffer(content, np.uint8)
    inside = np.count_nonzero((found[:-1] <= _QUOTE) & (found[1:] == _COLON))
    return int(inside) + (content[0] == _COLON and before <= _QUOTE)


def _fewest_names(value: object) -> int:
    """Count the names in a value down to objects in a list of an object, as COCO's files have."""
    if type(value) is list:
        return _names_in_list(value)
    if type(value) is not dict:
        return 0
    count = len(value)
    for each in value.values():
        kind = type(each)
        if kind is list:
            count += _names_in_list(each)
        elif kind is dict:
            count += len(each)
    return count


def _names_in_list(values: list[object]) -> int:
    if not values or type(values[0]) is not dict:
        return 0
    try:
        return sum(map(_length, values))  # type: ignore[arg-type]
    except TypeError:  # not all of them are objects
        return 0
