"""Files in folders and zip archives alike; zips are read without unpacking them."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZipFile, ZipInfo

_MAX_BYTES = 2**30
"""Size limit of a file in a zip, because a small zip can expand to any size."""

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

    def read_bytes(self, limit: int | None = None) -> bytes:
        """Read the whole file.

        Args:
            limit: Size limit in bytes; that of all files in zips by default.

        Raises:
            OSError: If it is missing, damaged or too large.
        """
        limit = _MAX_BYTES if limit is None else limit
        archive = _opened(self.archive).content
        try:
            if self._entry().file_size > limit:
                raise OSError(27, f"larger than {limit:,} bytes")
            return archive.read(self.name)
        except OSError:
            raise
        except Exception as error:  # damaged zips raise anything, zlib.error included
            raise OSError(5, f"damaged or uses an unsupported compression ({error})") from None

    def _entry(self) -> ZipInfo:
        try:
            return _opened(self.archive).content.getinfo(self.name)
        except KeyError:
            raise FileNotFoundError(2, "No such file in the zip", str(self)) from None

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


StoredFile = Path | Member
"""A file on disk or inside a zip."""


def file_in(root: Path, name: str) -> StoredFile | None:
    """Return a file of a folder or zip, or ``None`` if it does not exist.

    Raises:
        ValueError: If the folder or zip does not exist.
    """
    if _iszip(root):
        return Member(root, name) if name in _names(root) else None
    return root / name if (root / name).is_file() else None


def files_below(root: Path, folder: str, suffix: str) -> dict[str, StoredFile]:
    """Return the files below a folder by relative path, sorted, without hidden files.

    Args:
        root: A folder or a zip.
        folder: Path inside `root`; empty for all of it.
        suffix: Suffix of the file names.

    Raises:
        ValueError: If the folder or zip does not exist, or a path in the zip leads out of it.
    """
    found: dict[str, StoredFile] = {}
    if _iszip(root):
        prefix = f"{folder}/" if folder else ""
        for name in _names(root):
            if name.startswith(prefix) and name.endswith(suffix):
                found[name.removeprefix(prefix)] = Member(root, name)
    else:
        base = root / folder
        for path in base.rglob(f"*{suffix}"):
            if path.is_file():
                found[path.relative_to(base).as_posix()] = path
    return {name: found[name] for name in sorted(found) if not _ishidden(name)}


def png_folder(annotations: Path, pngs: Path | None) -> Path:
    """Return the folder or zip of the PNGs that a JSON file lists.

    Args:
        annotations: The JSON file.
        pngs: The folder or zip; by default the one beside the JSON file with the same stem.

    Raises:
        ValueError: If it does not exist.
    """
    folder = annotations.with_suffix("") if pngs is None else pngs
    archive = folder.with_suffix(".zip") if pngs is None else folder
    if folder.is_dir():
        return folder
    if archive.is_file():
        return archive
    raise ValueError(f"{annotations}: the folder of its PNGs, {folder}, does not exist")


def stored_file(path: Path) -> StoredFile:
    """Resolve a path that may lead into a zip, such as ``maps.zip/a.png``.

    The path may omit a top folder that is named like the zip, as in COCO's archives of maps.

    Raises:
        ValueError: If it leads into a file that is not a zip.
    """
    archive = None if path.exists() else next(filter(Path.is_file, path.parents), None)
    if archive is None:
        return path
    name = path.relative_to(archive).as_posix()
    inner = f"{archive.stem}/{name}"
    return Member(archive, inner if inner in _names(archive) else name)


def file_exists(path: Path) -> bool:
    """Whether a file exists at a path, which may lead into a zip."""
    found = path if path.is_file() else stored_file(path)
    return found.name in _names(found.archive) if isinstance(found, Member) else found.is_file()


def _iszip(root: Path) -> bool:
    if root.is_dir():
        return False
    if not root.is_file():
        raise ValueError(f"{root}: does not exist; expected a folder or a zip")
    return True


@dataclass(frozen=True, slots=True)
class _Archive:
    """An open zip, none of whose paths leads out of it."""

    content: ZipFile
    names: frozenset[str]


def _names(archive: Path) -> frozenset[str]:
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
    names = frozenset(content.namelist())
    for name in names:
        path = PurePosixPath(name)
        isdrive = PureWindowsPath(name).drive != ""
        if path.is_absolute() or isdrive or ".." in path.parts or "\\" in name:
            raise ValueError(
                f"{archive}: contains {name!r}; expected paths that stay inside the zip"
            )
    return _Archive(content, names)


def _ishidden(name: str) -> bool:
    return any(
        part.startswith(".") or part == _MACOS_METADATA for part in PurePosixPath(name).parts
    )
