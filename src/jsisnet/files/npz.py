"""NumPy's files of arrays, of which little may declare much: sizes are checked before memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Final, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from jsisnet.arrays import Shaped
from jsisnet.files.memory import check_memory
from jsisnet.files.regular import irregular

ONLY: Final = "array"
"""Name of the array of an ``.npy`` file."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

_KINDS = "biufcUS"
"""Kinds of values that are neither Python objects nor records."""

_PIECE = 2**18
"""Bytes that are read at once, so that a zip member is never held twice."""

_CONVERTED = 4
"""Bytes of a value once more, as a number of 32 bits."""

_LONGEST = 200
"""Characters of a foreign message that are quoted."""


@dataclass(frozen=True, slots=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def memory(self) -> int:
        copy = self.dtype.itemsize if self.fortran else 0
        return self.bytes + math.prod(self.shape) * (copy + _CONVERTED)

    def __str__(self) -> str:
        return f"{self.dtype} values of the shape {self.shape}"


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """An open ``.npz`` file, or an ``.npy`` file with the one array `ONLY`."""

    file: BufferedIOBase
    size: int
    """Bytes of the file."""
    archive: ZipFile | None
    members: dict[str, ZipInfo | None]

    def read(self, names: Sequence[str]) -> list[Shaped[np.ndarray, "..."]]:
        """Read arrays in the order of their rows, whatever the order in the file.

        Raises:
            ValueError: If one is missing or damaged, contains Python objects or records, or all of
                them take more memory than a picture may. The message does not name the file.
        """
        needed, arrays = 0, []
        with ExitStack() as opened:
            for name in names:
                if name not in self.members:
                    raise ValueError(f"no array {name!r}")
                with _damaged(f"array {name!r}: "):
                    file, size = self._open(name)
                    opened.enter_context(file)
                    header = _read_header(file, size)
                needed += header.memory
                check_memory(needed - self.size, f"{name!r} with {header}")
                arrays.append((name, file, header))
            return [_read_values(*array) for array in arrays]

    def _open(self, name: str) -> tuple[BufferedIOBase, int]:
        """Open a member, and return its length, too."""
        entry = self.members[name]
        if self.archive is None or entry is None:
            self.file.seek(0)
            return self.file, self.size
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError("compressed in another way than NumPy does it")
        return cast(BufferedIOBase, self.archive.open(entry)), entry.file_size


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Open a file of arrays.

    Raises:
        ValueError: If it is missing or damaged, or has two arrays of one name. The message does not
            name the file.
    """
    if not path.is_file():
        raise ValueError(irregular(path) or "does not exist")
    with path.open("rb") as file:
        size = path.stat().st_size
        if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
            yield ArrayFile(file, size, None, {ONLY: None})
            return
        with _damaged(""):
            archive = ZipFile(file)
        with archive:
            yield ArrayFile(file, size, archive, _members(archive))


def _members(archive: ZipFile) -> dict[str, ZipInfo | None]:
    members: dict[str, ZipInfo | None] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if members.setdefault(name, entry) is not entry:
            raise ValueError(f"contains two arrays {name!r}")
    return members


def _read_header(file: BufferedIOBase, size: int) -> _Header:
    start = file.read(npy.MAGIC_LEN)
    if not start.startswith(npy.MAGIC_PREFIX) or len(start) < npy.MAGIC_LEN:
        raise ValueError("no .npy array; expected what numpy.savez writes")
    version = start[-2], start[-1]
    if version not in _HEADERS:
        raise ValueError(f"the version {version} of .npy; expected 1.0 or 2.0")
    header = _Header(*_HEADERS[version](file))
    if header.dtype.kind not in _KINDS or not header.dtype.itemsize:
        raise ValueError(f"the type {header.dtype}; expected numbers")
    found = size - file.tell()
    if min(header.shape, default=0) < 0 or found != header.bytes:
        raise ValueError(f"{header} are declared, but it has {found:,} bytes of values")
    return header


def _read_values(name: str, file: BufferedIOBase, header: _Header) -> Shaped[np.ndarray, "..."]:
    with _damaged(f"array {name!r}: "):
        values = np.empty(math.prod(header.shape), header.dtype)
        content = values.view(np.uint8)
        for start in range(0, len(content), _PIECE):
            part = content[start : start + _PIECE]
            piece = file.read(len(part))
            if len(piece) < len(part):
                raise ValueError("values are missing at its end")
            part[:] = np.frombuffer(piece, np.uint8)
        shaped = values.reshape(header.shape, order="F" if header.fortran else "C")
        return np.asarray(shaped, order="C")


@contextmanager
def _damaged(place: str) -> Iterator[None]:
    """Word what reading a damaged file raises: anything, zlib's and zipfile's own included."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"can't be read as a NumPy file ({place}{text[:_LONGEST]})") from None
