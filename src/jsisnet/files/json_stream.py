"""JSON files whose lists stay on disk, so that memory does not grow with them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn

from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry

_CHUNK = 2**18
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_ENDS = tuple(" \t\n\r,:]}")
"""What may follow a value."""

_LONGEST_WORD = len("-Infinity")
"""Characters, the most that have to be seen together."""

_MARK = "\xef\xbb\xbf"
"""What some editors put in front of UTF-8, as it looks here."""

_OTHER_MARKS = ("\xff\xfe", "\xfe\xff")
"""Likewise of UTF-16."""

_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies in a file."""

    start: int
    """Bytes before it."""

    stop: int
    """Bytes up to its end."""


OnItem = Callable[[object, Place], None]
"""Is given an item of a list and where it is."""


def scan(path: Path, on_item: dict[str, OnItem]) -> Entry:
    """Read a file that holds one JSON object, and pass on the items of its longest lists.

    Args:
        path: The file.
        on_item: What to do with each item of a list, by the key of the list.

    Returns:
        The other fields of the object.

    Raises:
        ValueError: If the file is missing or is not JSON; the message names it.
    """
    with _scanning(path, on_item) as scanner:
        return scanner.run()


def scan_list(path: Path, on_item: OnItem) -> None:
    """Read a file that holds one JSON list, and pass on its items.

    Args:
        path: The file.
        on_item: What to do with each item; what it raises gets the name of the file.

    Raises:
        ValueError: If the file is missing or is no such list; the message names it.
    """
    with _scanning(path, {}) as scanner:
        scanner.run_list(on_item)


@contextmanager
def _scanning(path: Path, on_item: dict[str, OnItem]) -> Iterator["_Scanner"]:
    try:
        with path.open("rb") as file:
            if not file.seekable():
                raise ValueError("is a pipe; expected a file, which can be read twice")
            yield _Scanner(file, on_item)
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise ValueError(f"{path}: is not JSON: nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class Objects:
    """Objects of a file, read where they lie."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> "Objects":
        self._file = self._path.open("rb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, place: Place) -> Entry:
        """Give the object at a place.

        Raises:
            ValueError: If the file was changed meanwhile.
        """
        self._file.seek(place.start)
        try:
            return json_fields.entry(json.loads(self._file.read(place.stop - place.start)))
        except ValueError:
            raise ValueError(f"{self._path}: was changed while it was read") from None


@dataclass
class _Scanner:
    """A file under way. Bytes are taken for characters, so that positions are those of the file."""

    file: BinaryIO
    on_item: dict[str, OnItem]
    text: str = ""
    """What is in memory."""
    before: int = 0
    """Bytes in front of it."""
    at: int = 0
    """Position in it."""

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
                self._refuse("a name in double quotes was expected")
            if key in self.on_item and key in values:
                self._refuse(f"{key!r} is there for the second time")
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
        if self.text.startswith(_MARK):
            self.at = len(_MARK)
        if self.text.startswith(_OTHER_MARKS):
            raise ValueError("is UTF-16, expected UTF-8")

    def _end(self) -> None:
        if self._peek():
            self._refuse("nothing more was expected")

    def _items(self, on_item: OnItem) -> None:
        self._expect("[")
        first = True
        while self._peek() != "]":
            if not first:
                self._expect(",")
            self._peek()
            start = self.before + self.at
            value = self._value()
            on_item(value, Place(start, self.before + self.at))
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
                    self._refuse(f"there is a mistake: {error.msg}")
                continue
            # A number may go on behind what is in memory.
            if self.text[end : end + 1] in _ENDS or not self._load():
                break
        found = self.text[self.at : end]
        self.at = end
        return value if found.isascii() else json.loads(found.encode("latin-1"))

    def _maybe_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Tell whether a mistake may only be the end of what is in memory."""
        return "Unterminated" in error.msg or error.pos + _LONGEST_WORD > len(self.text)

    def _peek(self) -> str:
        """Give the next character that is no space; none at the end of the file."""
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
            self._refuse(f"{character!r} was expected")
        self.at += 1

    def _refuse(self, why: str) -> NoReturn:
        raise ValueError(f"is not JSON: at byte {self.before + self.at} {why}")

    def _load(self) -> bool:
        """Read on, at least as much again as is left; tell whether there was more."""
        more = self.file.read(max(_CHUNK, len(self.text) - self.at)).decode("latin-1")
        if more:
            self.text = self.text[self.at :] + more
            self.before += self.at
            self.at = 0
        return bool(more)
