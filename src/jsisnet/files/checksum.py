"""Checksums that files carry in themselves, to find damage as they are read.

A file holds the SHA-256 of its content, in which the 64 characters of the checksum count as zeros.
"""

import mmap
import re
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

NAME = "sha256"
"""What stands before a checksum, with two or three bytes of the file's format in between."""

UNSET = "0" * 64
"""What a file holds in the place of its checksum until `seal` is called."""

_PLACE = re.compile(NAME.encode() + rb".{2,3}([0-9a-f]{64})", re.DOTALL)

_REACH = 1 << 16
"""Number of bytes at the beginning and the end of a file where its checksum may be."""


def seal(file: BinaryIO) -> None:
    """Write the checksum of a file to the place that it has for it.

    Args:
        file: File that was opened for reading and writing, with `UNSET` after the `NAME`.
    """
    file.flush()
    with mmap.mmap(file.fileno(), 0) as content:
        place = _place(content)
        assert place is not None
        content[slice(*place)] = _checksum(content, place).encode()


def check_intact(path: Path, remedy: str) -> bool:
    """Check that the content of a file is that of its checksum; without one, nothing is checked.

    Args:
        path: The file.
        remedy: What to do about a damaged one, for the message.

    Returns:
        Whether it has a checksum.

    Raises:
        ValueError: If it is not.
        OSError: If the file can't be read.
    """
    if path.stat().st_size == 0:  # an empty file can't be mapped
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = _place(content)
        intact = place is None or content[slice(*place)].decode() == _checksum(content, place)
    if not intact:
        raise ValueError(f"{path}: damaged, as its checksum does not match; {remedy}")
    return place is not None


def _place(content: mmap.mmap) -> tuple[int, int] | None:
    """Find the checksum of a file."""
    found = _PLACE.search(content[:_REACH])
    if found is not None:
        return found.span(1)
    start = max(0, len(content) - _REACH)
    *_, last = [None, *_PLACE.finditer(content[start:])]
    return None if last is None else (start + last.start(1), start + last.end(1))


def _checksum(content: mmap.mmap, place: tuple[int, int]) -> str:
    first, last = place
    with memoryview(content) as view:
        digest = sha256(view[:first])
        digest.update(UNSET.encode())
        digest.update(view[last:])
    return digest.hexdigest()
