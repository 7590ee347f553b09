"""Streaming of large JSON files: entries of lists are passed on one by one and not kept."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn

from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry

_CHUNK = 2**18
"""Bytes to read at a time."""

_NO_SPACE = re.compile(r"[^ \t\n\r]")
_ENDS = tuple(" \t\n\r,:]}")
"""Characters that may follow a value."""

_LONGEST_WORD = len("-Infinity")
"""Length of the longest literal, which has to be in the buffer as a whole."""

_UTF8_MARK = "\xef\xbb\xbf"
"""Byte order mark that some editors put in front of UTF-8, decoded as Latin-1."""

_UTF16_MARKS = ("\xff\xfe", "\xfe\xff")
"""Byte order marks of UTF-16, decoded as Latin-1."""

_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ByteRange:
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
    with _scanning(path, on_item) as scanner:
        return scanner.run()


def scan_list(path: Path, on_item: OnItem) -> None:
    """Read a file that holds one JSON list, item by item.

    Args:
        path: The file.
        on_item: Callback for each item; the file's name is added to the errors it raises.

    Raises:
        ValueError: If the file is missing or is no such list; the message names it.
    """
    with _scanning(path, {}) as scanner:
        scanner.run_list(on_item)


def load_without(path: Path, skipped: Collection[str]) -> Entry:
    """Read a file that holds one JSON object, with some of its lists empty.

    Args:
        path: The file.
        skipped: Keys of the lists whose items are not kept.

    Raises:
        ValueError: If the file is missing or is not such JSON; the message names it.
    """
    return scan(path, {key: lambda *_: None for key in skipped})


@contextmanager
def _scanning(path: Path, on_item: dict[str, OnItem]) -> Iterator["_Scanner"]:
    try:
        with path.open("rb") as file:
            if not file.seekable():
                raise ValueError("a pipe; expected a regular file, because it is read twice")
            yield _Scanner(file, on_item)
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise ValueError(f"{path}: invalid JSON: nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: invalid JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class EntryReader:
    """Random access to the JSON objects of a file by their positions."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> "EntryReader":
        try:
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
    text: str = ""
    """The buffer."""
    before: int = 0
    """Position of the buffer in the file."""
    at: int = 0
    """Current position in the buffer."""

    def run(self) -> Entry:
        self._begin()
        if self._peek() != "{":
            return json_fields.entry(self._value())
        self._expect("{")
        values: dict[str, object] = {}
        while self._peek() != "}":
            if values:
                self._expect(",")
            key = self._value()
            self._expect(":")
            if not isinstance(key, str):
                self._refuse("expected a key in double quotes")
            if key in self.on_item and key in values:
                self._refuse(f"found a duplicate key {key!r}")
            if key in self.on_item and self._peek() == "[":
                values[key] = []
                self._items(self.on_item[key])
            else:
                values[key] = self._value()
        self._expect("}")
        self._end()
        return values

    def run_list(self, on_item: OnItem) -> None:
        self._begin()
        if self._peek() != "[":
            json_fields.items({"the content": self._value()}, "the content")
        self._items(on_item)
        self._end()

    def _begin(self) -> None:
        self._load()
        if self.text.startswith(_UTF8_MARK):
            self.at = len(_UTF8_MARK)
        if self.text.startswith(_UTF16_MARKS):
            raise ValueError("encoded in UTF-16; expected UTF-8")

    def _end(self) -> None:
        if self._peek():
            self._refuse("expected the end of the file")

    def _items(self, on_item: OnItem) -> None:
        self._expect("[")
        first = True
        while self._peek() != "]":
            if not first:
                self._expect(",")
            self._peek()
            start = self.before + self.at
            value = self._value()
            on_item(value, ByteRange(start, self.before + self.at))
            first = False
        self._expect("]")

    def _value(self) -> object:
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self._maybe_cut_off(error) or not self._load():
                    self.at = error.pos
                    self._refuse(error.msg)
                continue
            # A number may continue beyond the buffer.
            if self.text[end : end + 1] in _ENDS or not self._load():
                break
        found = self.text[self.at : end]
        self.at = end
        return value if found.isascii() else json.loads(found.encode("latin-1"))

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
        more = self.file.read(max(_CHUNK, len(self.text) - self.at)).decode("latin-1")
        if more:
            self.text = self.text[self.at :] + more
            self.before += self.at
            self.at = 0
        return bool(more)
