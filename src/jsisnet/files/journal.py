"""Append-only journal of finished work items, so that an interrupted run can resume."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jsisnet.files.atomic import lock_folder, replacing
from jsisnet.files.json_fields import Entry

_OTHER_WORK = "unfinished work of another command; repeat that command, or choose a new folder"


@dataclass(kw_only=True)
class Journal:
    """Open journal; iterating over it reads the items from the file one by one."""

    path: Path
    count: int
    """Number of finished items."""
    file: BinaryIO
    """The file, open for appending."""

    def add(self, values: Entry) -> int:
        """Append a finished item, and return its position in the file, for `read`."""
        position = self.file.tell()
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()
        self.count += 1
        return position

    def __iter__(self) -> Iterator[Entry]:
        return (entry for _, entry in self.positions())

    def positions(self) -> Iterator[tuple[int, Entry]]:
        """Read the items with their positions in the file, for `read`."""
        with self.path.open("rb") as lines:
            position = len(next(lines))
            for line in lines:
                yield position, json.loads(line)
                position += len(line)

    def read(self, positions: Iterable[int]) -> Iterator[Entry]:
        """Read the items at the given positions."""
        with self.path.open("rb") as lines:
            for position in positions:
                lines.seek(position)
                yield json.loads(lines.readline())

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Replace all items atomically, for example to sort them."""
        with self.path.open("rb") as lines, replacing(self.path) as temporary:
            count = 0
            with temporary.open("wb") as file:
                file.write(next(lines))
                for values in entries:
                    file.write(json.dumps(values).encode() + b"\n")
                    count += 1
            lines.close()
            # Some systems can't replace an open file.
            self.file.close()
        self.file, self.count = self.path.open("ab"), count


def refuse_other_files(path: Path) -> None:
    """Check that the folder of a journal is new or empty, or holds the journal already.

    Raises:
        ValueError: If it is a file, or holds other files.
    """
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; expected a new folder")
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if names - {_lock_name(path)} and path.name not in names:
        raise ValueError(f"{folder}: not empty; expected a new folder")


@contextmanager
def open_journal(
    path: Path, purpose: str, *, restart: bool = False, refusal: str = _OTHER_WORK
) -> Iterator[Journal]:
    """Start a journal, or resume one.

    Args:
        path: The file.
        purpose: Identifies the work; items of different work must not be mixed.
        restart: Whether to overwrite a journal of other work; by default that is an error.
        refusal: Message for that error, which follows the name of the folder.

    Raises:
        ValueError: If another process is writing to the journal, or it is of other work and
            `restart` is false.
    """
    with lock_folder(path.parent, _lock_name(path)):
        journal = _open(path, purpose, restart=restart, refusal=refusal)
        try:
            yield journal
        finally:
            journal.file.close()


def purpose_of(path: Path) -> str | None:
    """Return the purpose of a journal; ``None`` if there is none, or only the start of one."""
    try:
        with path.open("rb") as file:
            return str(json.loads(file.readline())["purpose"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open(path: Path, purpose: str, *, restart: bool, refusal: str) -> Journal:
    first = json.dumps({"purpose": purpose}).encode() + b"\n"
    file = path.open("a+b")
    try:
        file.seek(0)
        # A run that was killed may leave an incomplete last line.
        whole = [len(line) for line in file if line.endswith(b"\n")]
        file.truncate(sum(whole))
        file.seek(0)
        other = bool(whole) and file.readline() != first
        if other and restart:
            file.truncate(0)
            whole = []
        elif other:
            raise ValueError(f"{path.parent}: {refusal}")
        file.seek(0, 2)
        if not whole:
            file.write(first)
            file.flush()
    except BaseException:
        file.close()
        raise
    return Journal(path=path, count=max(0, len(whole) - 1), file=file)


def _lock_name(path: Path) -> str:
    return f".{path.name}.lock"
