"""Files in folders and zip archives alike; zips are read without unpacking them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from posixpath import commonpath, dirname
from stat import S_ISLNK
from typing import Final
from unicodedata import normalize
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from jsisnet.files.links import Links, other_spellings
from jsisnet.files.memory import SETTING, memory_text, picture_memory
from jsisnet.files.regular import irregular

_PIECE, _SMALL_PIECE = 2**20, 2**12
"""Bytes of a file in a zip that are expanded at once; the small piece is for compressions of which
Python expands all that a piece of the zip holds, which can be the 20,000-fold."""

_MAX_BYTES = 2**30
"""Size limit of a file in a zip, because a small zip can expand to any size."""

_MAX_INNER = 50
"""Folders inside each other that may be omitted from the paths inside a zip."""

_MODE: Final = 16
"""Bits of a zip entry's attributes below those of its Unix mode."""

_MACOS_METADATA = "__MACOSX"
"""Folder that macOS adds to a zip."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a zip."""

    archive: Path
    """Path of the zip."""

    name: str
    """Path inside the zip."""

    @property
    def checksum(self) -> tuple[int, int]:
        """Size and CRC-32 of the file, as the zip gives them."""
        entry = self._entry()
        return entry.file_size, entry.CRC

    def read_bytes(self) -> bytes:
        """Read the whole file.

        Raises:
            OSError: If it is missing, damaged, too large or a symbolic link.
        """
        archive = _opened(self.archive).content
        try:
            entry = self._entry()
            if entry.file_size > _MAX_BYTES:
                raise OSError(27, f"larger than {_MAX_BYTES:,} bytes")
            if S_ISLNK(entry.external_attr >> _MODE):
                raise OSError(40, "a symbolic link, which is not followed inside a zip")
            _check_expansion(entry, self.archive)
            return _expanded(archive, entry)
        except OSError:
            raise
        except Exception as error:  # damaged zips raise anything, zlib.error included
            raise OSError(5, f"damaged or uses an unsupported compression ({error})") from None

    def _entry(self) -> ZipInfo:
        opened = _opened(self.archive)
        if self.name not in opened.names:
            raise FileNotFoundError(2, f"No such file in the zip, {opened.described}", str(self))
        return opened.names[self.name]

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


StoredFile = Path | Member
"""A file on disk or inside a zip."""


def file_in(root: Path, name: str) -> StoredFile | None:
    """Return a file of a folder or zip, or ``None`` if it does not exist.

    Raises:
        ValueError: If the folder or zip does not exist, or a link leads out of it.
    """
    if _iszip(root):
        found = _opened(root).find(name)
        return None if found is None else Member(root, found)
    if not (root / name).is_file():
        return None
    Links(root).refuse(root / name)
    return root / name


def files_below(root: Path, folder: str, suffix: str) -> dict[str, StoredFile]:
    """Return the files below a folder by relative path, sorted, without hidden files.

    Args:
        root: A folder or a zip.
        folder: Path inside `root`; empty for all of it.
        suffix: Suffix of the file names.

    Raises:
        ValueError: If the folder or zip does not exist, or a path or link leads out of it.
    """
    found: dict[str, StoredFile] = {}
    if _iszip(root):
        prefix = _opened(root).prefix(folder)
        for name in _names(root):
            if name.startswith(prefix) and name.endswith(suffix):
                found[name.removeprefix(prefix)] = Member(root, name)
    else:
        for name in Links(root).files(folder, iswanted=lambda name: name.endswith(suffix)):
            found[name] = root / folder / name
    return {name: found[name] for name in sorted(found) if not _ishidden(name)}


def png_folder(annotations: Path, pngs: Path | None) -> Path:
    """Return the folder or zip of the PNGs that a JSON file lists.

    Args:
        annotations: The JSON file.
        pngs: The folder or zip; by default the one beside the JSON file with the same stem.

    Raises:
        ValueError: If it does not exist; the message blames the JSON file if that is missing too.
    """
    folder = annotations.with_suffix("") if pngs is None else pngs
    archive = folder.with_suffix(".zip") if pngs is None else folder
    if folder.is_dir():
        return folder
    if archive.is_file():
        return archive
    if not file_exists(annotations):
        reason = irregular(annotations) or "no such file; expected a JSON file of annotations"
        raise ValueError(f"{annotations}: {reason}")
    if found := irregular(folder):
        raise ValueError(f"{folder}: {found}")
    raise ValueError(
        f"{annotations}: the folder of its PNGs, {folder}, does not exist; instances files, "
        "which have none, are read with the format coco-instances"
    )


def stored_file(path: Path) -> StoredFile:
    r"""Resolve a path that may lead into a zip, such as ``maps.zip/a.png``.

    The path may omit a top folder that is named like the zip, as in COCO's archives of maps, and
    the folders that hold all that is in it. A missing file is also looked up with ``\`` as ``/``
    and in the other Unicode form.

    Raises:
        ValueError: If it leads into a file that is not a zip.
    """
    if path.exists():
        return path
    archive = next(filter(Path.is_file, path.parents), None)
    if archive is None:
        return next(filter(Path.is_file, other_spellings(path)), path)
    name = path.relative_to(archive).as_posix()
    opened, inner = _opened(archive), f"{archive.stem}/{name}"
    found = inner if inner in opened.names else opened.find(name)
    return Member(archive, name if found is None else found)


def file_exists(path: Path) -> bool:
    """Whether a file exists at a path, which may lead into a zip."""
    found = path if path.is_file() else stored_file(path)
    return found.name in _names(found.archive) if isinstance(found, Member) else found.is_file()


def describe_missing(path: Path) -> str:
    """Return what follows the path of a missing file in a message; of a zip, what it holds."""
    if reason := irregular(path):
        return reason
    found = stored_file(path)
    holds = f"; {_opened(found.archive).described}" if isinstance(found, Member) else ""
    return f"does not exist{holds}"


def file_size(path: Path) -> int:
    """Return the size in bytes of an existing file, whose path may lead into a zip."""
    found = path if path.is_file() else stored_file(path)
    return found.checksum[0] if isinstance(found, Member) else found.stat().st_size


def _iszip(root: Path) -> bool:
    if root.is_dir():
        return False
    if not root.is_file():
        raise ValueError(
            f"{root}: {irregular(root) or 'does not exist; expected a folder or a zip'}"
        )
    return True


@dataclass(frozen=True)
class _Archive:
    """An open zip, none of whose paths leads out of it."""

    content: ZipFile
    names: Mapping[str, ZipInfo]
    """Entries by their paths, with ``/``."""

    @cached_property
    def described(self) -> str:
        """What it holds, for a message."""
        files = self._files
        if not files:
            return "the zip is empty"
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        return f"the zip holds {files[0]}{more}"

    @cached_property
    def _files(self) -> tuple[str, ...]:
        return tuple(sorted(n for n in self.names if not n.endswith("/") and not _ishidden(n)))

    @cached_property
    def _inner(self) -> tuple[str, ...]:
        """Folders that hold all files, innermost first, each with ``/`` at the end."""
        folder = commonpath(map(dirname, self._files)) if self._files else ""
        parts = PurePosixPath(folder).parts[:_MAX_INNER]
        return tuple("/".join(parts[:n]) + "/" for n in range(len(parts), 0, -1))

    @cached_property
    def _normal(self) -> dict[str, str]:
        """Paths by their Unicode form NFC."""
        return {normalize("NFC", name): name for name in self._files}

    def find(self, name: str) -> str | None:
        r"""Return the path of a file, which may omit the folders that hold all files.

        Without such a file, ``\`` in its name counts as ``/``, and its Unicode form is ignored.
        """
        if name in self.names:
            return name
        wanted = normalize("NFC", name.replace("\\", "/"))
        paths = (self._normal.get(normalize("NFC", inner) + wanted) for inner in ("", *self._inner))
        return next(filter(None, paths), None)

    def prefix(self, folder: str) -> str:
        """Return the beginning of the paths below a folder, in this zip or its inner folder."""
        wanted = f"{folder}/" if folder else ""
        for prefix in (wanted, *(inner + wanted for inner in self._inner)):
            if any(name.startswith(prefix) for name in self.names):
                return prefix
        return wanted


def _check_expansion(entry: ZipInfo, archive: Path) -> None:
    """Refuse a file that takes far more memory than in the zip.

    It may take half of the limit: pictures are compressed already, and the other half is for their
    pixels.
    """
    limit = picture_memory() // 2
    if entry.file_size <= limit:
        return
    packed = min(entry.compress_size, archive.stat().st_size)
    if entry.file_size - packed > limit:
        raise OSError(
            27,
            f"expands from {memory_text(packed)} in the zip to {memory_text(entry.file_size)}, but "
            f"the limit is {memory_text(limit)}, half of what the environment variable {SETTING} "
            "allows for a picture",
        )


def _expanded(archive: ZipFile, entry: ZipInfo) -> bytes:
    """Expand a file piece by piece, as what a zip says about its size may be wrong."""
    size = _PIECE if entry.compress_type in (ZIP_STORED, ZIP_DEFLATED) else _SMALL_PIECE
    content = BytesIO()
    with archive.open(entry) as file:
        while piece := file.read(size):
            content.write(piece)
    return content.getvalue()


def _names(archive: Path) -> Mapping[str, ZipInfo]:
    return _opened(archive).names


def _opened(archive: Path) -> _Archive:
    """Open a zip once per process, because forked processes share the file position."""
    try:
        status = archive.stat()
    except OSError as error:
        raise ValueError(f"{archive}: {error.strerror}; expected a folder or a zip") from None
    return _open_zip(archive, (os.getpid(), status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _open_zip(archive: Path, _: tuple[int, ...]) -> _Archive:
    """Open a zip; the other argument tells it from others that had the same path."""
    try:
        content = ZipFile(archive)
    except Exception as error:  # damaged zips raise anything
        raise ValueError(f"{archive}: neither a folder nor a readable zip ({error})") from None
    names: dict[str, ZipInfo] = {}
    for entry in content.infolist():
        name = entry.filename.replace("\\", "/")
        if name in names and not entry.is_dir():
            raise ValueError(f"{archive}: contains {name!r} twice; expected each file once")
        names[name] = entry
    for name, entry in names.items():
        path = PurePosixPath(name)
        isdrive = PureWindowsPath(name).drive != ""
        if path.is_absolute() or isdrive or ".." in path.parts:
            raise ValueError(
                f"{archive}: contains {entry.filename!r}; expected paths that stay inside the zip"
            )
    return _Archive(content, names)


def _ishidden(name: str) -> bool:
    return any(
        part.startswith(".") or part == _MACOS_METADATA for part in PurePosixPath(name).parts
    )
