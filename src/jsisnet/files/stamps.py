"""Stamps of files, which tell whether a file has changed since an earlier run."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from jsisnet.files.archives import Member, StoredFile, stored_file

Stamp = list[str | int]
"""Path, size in bytes, and time of change in nanoseconds or, in a zip, CRC-32; of a missing file
the path alone. A list, as JSON has no tuples."""


def stamp(file: StoredFile) -> Stamp:
    """Return the stamp of a file as it is now; a path may lead into a zip."""
    place = str(file.resolve() if isinstance(file, Path) else file)
    try:
        found = stored_file(file) if isinstance(file, Path) else file
        if isinstance(found, Member):
            return [place, *found.checksum]
        status = found.stat()
    except (OSError, ValueError):  # reading it says why
        return [place]
    return [place, status.st_size, status.st_mtime_ns]


def stamps(files: Iterable[StoredFile | None]) -> list[Stamp]:
    """Return the stamps of those files that are known."""
    return [stamp(file) for file in files if file is not None]


def are_unchanged(before: Iterable[Sequence[object]]) -> bool:
    """Return whether files existed when they were stamped, and are still the same."""
    return all(len(each) > 1 and stamp(Path(str(each[0])))[1:] == list(each[1:]) for each in before)
