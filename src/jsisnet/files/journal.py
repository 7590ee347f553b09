"""Append-only journal of finished work items, so that an interrupted run can resume."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jsisnet.files.atomic import LOCK, holds_files, lock_folder, replacing
from jsisnet.files.json_fields import Entry, entry
from jsisnet.files.regular import check_regular, irregular

JOURNAL = ".journal.jsonl"
"""Name of the journal in a folder of files that belong together, such as a data set."""

_FINISHED = "finished"
"""Key of the line that marks complete work."""

_BEGIN = b'{"purpose": "'
"""How each journal begins."""

_LONGEST = 4096
"""Most bytes of a first line; a file of others may be one line of any length."""

_OTHER_WORK = (
    "holds unfinished work of another command or of files that have changed since; repeat that "
    "command, or choose a new folder"
)
_OTHER_RESULT = (
    "holds the result of another command or of files that have changed since; choose a new folder"
)


@dataclass(kw_only=True)
class Journal:
    """Open journal; iterating over it reads the items from the file one by one."""

    path: Path
    count: int
    """Number of finished items."""
    file: BinaryIO
    """The file, open for appending."""
    finished: Entry | None = None
    """What `finish` noted; ``None`` if the work is unfinished."""
    offolder: bool = True
    """Whether it is of all files in its folder, which would then have to be deleted with it."""

    def add(self, values: Entry) -> int:
        """Append a finished item, and return its position in the file, for `read`."""
        position = self.file.tell()
        with _naming(self.path):
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
                yield position, self._parse(line)
                position += len(line)

    def read(self, positions: Iterable[int]) -> Iterator[Entry]:
        """Read the items at the given positions."""
        with self.path.open("rb") as lines:
            for position in positions:
                lines.seek(position)
                yield self._parse(lines.readline())

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

    def finish(self, values: Entry) -> None:
        """Replace all items by a mark that the work is complete.

        Args:
            values: What the same command needs to know when it is repeated.
        """
        self.rewrite([{_FINISHED: values}])
        self.finished = values

    def _parse(self, line: bytes) -> Entry:
        try:
            return entry(json.loads(line))
        except (ValueError, RecursionError):
            raise self._damaged() from None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Name the journal in errors of values that are not as they were added."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise self._damaged() from error

    def _damaged(self) -> ValueError:
        what = "its folder" if self.offolder else "it"
        return ValueError(f"{self.path}: damaged; delete {what} to start again")


def refuse_other_files(path: Path) -> None:
    """Check that the folder of a journal is new or empty, or holds the journal already.

    Raises:
        ValueError: If it is a file, or holds other files.
    """
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; choose a new or empty one")
    if folder.is_dir() and purpose_of(path) is None and holds_files(folder, besides=path.name):
        raise ValueError(f"{folder}: not empty; choose a new or empty folder")


@contextmanager
def open_journal(
    path: Path,
    purpose: str,
    *,
    restart: bool = False,
    refusal: str | None = None,
    lock: str | None = LOCK,
) -> Iterator[Journal]:
    """Start a journal, or resume one.

    Args:
        path: The file.
        purpose: Identifies the work; items of different work must not be mixed.
        restart: Whether to overwrite a journal of other work; by default that is an error.
        refusal: Message for that error, which follows the name of the folder.
        lock: Name of the lock; by default that of the whole folder. ``None`` if the caller has
            locked the folder.

    Raises:
        ValueError: If another process is writing to the journal, or it is of other work and
            `restart` is false.
    """
    with nullcontext() if lock is None else lock_folder(path.parent, lock):
        journal = _open(path, purpose, restart=restart, refusal=refusal)
        journal.offolder = lock in (LOCK, None)
        try:
            yield journal
        finally:
            with _naming(path):
                journal.file.close()


def purpose_of(path: Path) -> str | None:
    """Return the purpose of a journal; ``None`` if there is none, or only the start of one."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            return str(json.loads(file.readline(_LONGEST))["purpose"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _open(path: Path, purpose: str, *, restart: bool, refusal: str | None) -> Journal:
    first = json.dumps({"purpose": purpose}).encode() + b"\n"
    file = _open_file(path)
    try:
        isother = _is_other(file, first)
        isjournal = not isother or purpose_of(path) is not None
        lines, length, last = _whole_lines(file) if isjournal else (0, 0, b"")
        finished = _parse_mark(last)
        if isother:
            if not restart:
                other = _OTHER_WORK if finished is None else _OTHER_RESULT
                raise ValueError(f"{path.parent}: {refusal or other}")
            lines, length, finished = 0, 0, None
        file.truncate(length)
        file.seek(0, os.SEEK_END)
        if not lines:
            with _naming(path):
                file.write(first)
                file.flush()
    except BaseException:
        with suppress(OSError):
            file.close()
        raise
    return Journal(path=path, count=max(0, lines - 1), file=file, finished=finished)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a file in errors of writing it, as on a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _open_file(path: Path) -> BinaryIO:
    """Open the file of a journal for appending; in a folder of others it may be anything else."""
    linked = "a symbolic link; expected a journal" if path.is_symlink() else None
    found = irregular(path) or linked
    if found is not None:
        raise ValueError(f"{path}: {found}; delete it, or choose another folder")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "a+b")


def _is_other(file: BinaryIO, first: bytes) -> bool:
    """Return whether a file begins otherwise than a journal with this first line."""
    file.seek(0)
    found = file.readline(len(first))
    # The disk may have been full when a journal was started.
    isincomplete = not found.endswith(b"\n") and found.startswith(_BEGIN[: len(found)])
    return found != first and not (isincomplete and not file.read(1))


def _whole_lines(file: BinaryIO) -> tuple[int, int, bytes]:
    """Return the number and length of the whole lines, and the last one."""
    count, length, last = 0, 0, b""
    file.seek(0)
    for line in file:
        if line.endswith(b"\n"):
            count, length, last = count + 1, length + len(line), line
    return count, length, last


def _parse_mark(line: bytes) -> Entry | None:
    """Return what `Journal.finish` noted, if a line is its mark."""
    try:
        values = json.loads(line).get(_FINISHED)
    except (ValueError, AttributeError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
