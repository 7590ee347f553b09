"""Files below a folder, or inside a zip, which is never unpacked."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

_LARGEST = 2**30
"""Bytes of a file in a zip; a small zip can claim any number."""

_OF_OTHERS = "__MACOSX"
"""Folder that some systems add to a zip."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a zip."""

    archive: Path
    """The zip."""

    name: str
    """Its path in there."""

    def read_bytes(self) -> bytes:
        """Read it whole."""
        archive = _opened(self.archive, os.getpid()).content
        try:
            if archive.getinfo(self.name).file_size > _LARGEST:
                raise OSError(27, f"is larger than {_LARGEST} bytes")
            return archive.read(self.name)
        except KeyError:
            raise FileNotFoundError(2, "No such file in the zip", str(self)) from None
        except OSError:
            raise
        except Exception as error:  # damaged zips raise anything, zlib.error included
            raise OSError(5, f"is damaged or packed in an unknown way ({error})") from None

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


StoredFile = Path | Member
"""A file whose bytes can be read."""


def file_in(root: Path, name: str) -> StoredFile | None:
    """Give a file of a folder or zip, if it is there.

    Raises:
        ValueError: If there is no such folder or zip.
    """
    if _iszip(root):
        return Member(root, name) if name in _names(root) else None
    return root / name if (root / name).is_file() else None


def files_below(root: Path, folder: str, ending: str) -> dict[str, StoredFile]:
    """List files by their paths below a folder, sorted; hidden ones are left out.

    Args:
        root: A folder or a zip.
        folder: Path in there; empty for all of it.
        ending: How the names end.

    Raises:
        ValueError: If there is no such folder or zip, or a name in the zip leads out of it.
    """
    found: dict[str, StoredFile] = {}
    if _iszip(root):
        prefix = f"{folder}/" if folder else ""
        for name in _names(root):
            if name.startswith(prefix) and name.endswith(ending):
                found[name.removeprefix(prefix)] = Member(root, name)
    else:
        base = root / folder
        for path in base.rglob(f"*{ending}"):
            if path.is_file():
                found[path.relative_to(base).as_posix()] = path
    return {name: found[name] for name in sorted(found) if not _ishidden(name)}


def pngs_of(annotations: Path, pngs: Path | None) -> Path:
    """Give the folder or zip of the PNGs that a JSON file lists.

    Args:
        annotations: The JSON file.
        pngs: The folder or zip, if it is known; default: the one beside the file that is named
            like it.

    Raises:
        ValueError: If there is none.
    """
    folder = annotations.with_suffix("") if pngs is None else pngs
    archive = folder.with_suffix(".zip") if pngs is None else folder
    if folder.is_dir():
        return folder
    if archive.is_file():
        return archive
    raise ValueError(f"{annotations}: the folder of its PNGs, {folder}, does not exist")


def stored(path: Path) -> StoredFile:
    """Give the file of a path, which may lead into a zip: ``maps.zip/a.png``.

    If all files of a zip are in one folder that is named like it, as COCO packs its maps, the path
    may leave that out.

    Raises:
        ValueError: If it leads into something that is no zip.
    """
    archive = None if path.exists() else next(filter(Path.is_file, path.parents), None)
    if archive is None:
        return path
    name = path.relative_to(archive).as_posix()
    inner = f"{archive.stem}/{name}"
    return Member(archive, inner if inner in _names(archive) else name)


def holds(path: Path) -> bool:
    """Tell whether there is a file at a path, which may lead into a zip."""
    found = path if path.is_file() else stored(path)
    return found.name in _names(found.archive) if isinstance(found, Member) else found.is_file()


def _iszip(root: Path) -> bool:
    if root.is_dir():
        return False
    if not root.is_file():
        raise ValueError(f"{root}: does not exist; expected a folder or a zip")
    return True


@dataclass(frozen=True, slots=True)
class _Archive:
    """A zip whose names stay inside."""

    content: ZipFile
    names: frozenset[str]


def _names(archive: Path) -> frozenset[str]:
    return _opened(archive, os.getpid()).names


@lru_cache(maxsize=4)
def _opened(archive: Path, process: int) -> _Archive:  # noqa: ARG001 - part of the cache's key
    """Open a zip once in each process: copies of a process share the position in a file."""
    try:
        content = ZipFile(archive)
    except Exception as error:  # as above
        raise ValueError(f"{archive}: is neither a folder nor a readable zip ({error})") from None
    names = frozenset(content.namelist())
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise ValueError(f"{archive}: holds {name!r}; expected names that stay in the zip")
    return _Archive(content, names)


def _ishidden(name: str) -> bool:
    return any(part.startswith(".") or part == _OF_OTHERS for part in PurePosixPath(name).parts)
