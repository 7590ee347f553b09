"""Stamps of files, which tell whether a file has changed since an earlier run."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from jsisnet.files.archives import Member, StoredFile, stored_file

Stamp = list[str | int]
"""Real path, size in bytes, and time of change in nanoseconds or, in a zip, CRC-32; of a missing
file the path alone. If links lead to the file, the path that was given is the last item. A list, as
JSON has no tuples."""


def stamp(file: StoredFile) -> Stamp:
    """Return the stamp of a file as it is now; a path may lead into a zip."""
    given = os.path.abspath(str(file))  # noqa: PTH100 - a link may be one of the parts
    place = os.path.realpath(str(file))
    links = [] if place == given else [given]
    try:
        found = stored_file(file) if isinstance(file, Path) else file
        if isinstance(found, Member):
            return [place, *found.checksum, *links]
        status = found.stat()
    except (OSError, ValueError):  # reading it says why
        return [place]
    return [place, status.st_size, status.st_mtime_ns, *links]


def stamps(files: Iterable[StoredFile | None]) -> list[Stamp]:
    """Return the stamps of those files that are known."""
    return [stamp(file) for file in files if file is not None]


def unsure(name: str) -> Stamp:
    """Return the stamp of what can't be stamped, and counts as changed when it is next asked."""
    return [name]


def are_unchanged(before: Iterable[Sequence[object]]) -> bool:
    """Return whether files existed when they were stamped, and are still the same."""
    return all(len(each) > 1 and stamp(_given(each)) == list(each) for each in before)


def _given(before: Sequence[object]) -> Path:
    """Return the path of which a stamp was taken."""
    first, last = before[0], before[-1]
    return Path(last if isinstance(last, str) else str(first))
