"""Atomic writes, and locks on output folders."""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from jsisnet.files.json_fields import Entry

LOCK = ".jsisnet.lock"
"""Name of the lock file of a folder; it is deleted on release."""

_TEMPORARY = re.compile(r"\.jsisnet-[0-9a-f]{8}\.part", re.ASCII)
"""Names of temporary files."""

_DEVICES = Path("/dev")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` when the block ends without an error.

    Missing parent folders are created. After an error the temporary file is deleted; those of
    killed processes are deleted when another process first writes to the folder. The name is
    random, and no link of this name is followed, so that other users of a shared folder can't
    choose what is overwritten. A device or pipe, such as ``/dev/stdout``, can't be replaced, so its
    own path is yielded.

    Raises:
        OSError: If the file can't be written; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _isdevice(path):
        yield path
        return
    _tidy(path.parent.absolute())
    try:
        with _temporary_file(path.parent) as temporary:
            yield temporary
            temporary.replace(path)
    except OSError as error:
        if error.filename is None or _istemporary(error.filename):
            error.filename = str(path)
        if error.filename2 is not None and _istemporary(error.filename2):
            error.filename2 = str(path)
        raise


def _isdevice(path: Path) -> bool:
    # /dev/stdout resolves to a regular file if the shell redirects it to one.
    return path.absolute().parent == _DEVICES or not (
        path.is_file() or path.is_dir() or not path.exists()
    )


@contextmanager
def _temporary_file(folder: Path) -> Iterator[Path]:
    """Create an empty file, which is locked until the block ends, and deleted if it still exists.

    The lock tells it from the files of killed processes, whose locks the system has released.
    """
    path, descriptor = _create(folder)
    try:
        yield path
    finally:
        # A failed deletion must not hide the error that led here.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _create(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f".jsisnet-{secrets.token_hex(4)}.part"
        try:
            descriptor = _open(path, os.O_EXCL)
        except FileExistsError:
            continue
        if _lock(descriptor) and _isfile(path, descriptor):
            return path, descriptor
        os.close(descriptor)  # another process took it for a leftover before it was locked


def _open(path: Path, flags: int = 0) -> int:
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def _lock(descriptor: int) -> bool:
    """Try to lock a file; on file systems without locks that always succeeds."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _isfile(path: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@cache
def _tidy(folder: Path) -> None:
    """Delete the temporary files of killed processes, once in each folder, or again with a lock."""
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes have left in a folder."""
    for path in filter(_istemporary, folder.glob(".jsisnet-*.part")):
        with suppress(OSError):
            _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def holds_files(folder: Path, *, besides: str = LOCK) -> bool:
    """Return whether a folder holds more than a lock, temporary files, and a file of a name."""
    return any(
        path.name not in (LOCK, besides) and not _istemporary(path) for path in folder.iterdir()
    )


def _istemporary(path: str | Path) -> bool:
    return _TEMPORARY.fullmatch(Path(path).name) is not None


@contextmanager
def lock_folder(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Lock a folder for this process until the block ends; create it if it is missing.

    The operating system releases the lock if the process is killed. On a file system without locks
    the block runs unprotected.

    Args:
        folder: Folder that the process will write to.
        name: Name of the lock file; another one locks less than the whole folder.

    Raises:
        ValueError: If another process holds the lock, or the folder is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ValueError(f"{folder}: a file; expected a folder") from None
    path = folder / name
    descriptor = _acquire(path)
    _tidy.cache_clear()
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        try:
            descriptor = _open(path)
        except FileNotFoundError:  # another process has just deleted the folder, as it was empty
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        except OSError as error:
            # Another user may have left a lock in a folder that both may write to.
            error.filename = str(path if path.exists() else path.parent)
            raise
        if not _lock(descriptor):
            os.close(descriptor)
            raise ValueError(f"{path.parent}: another command is writing to it")
        if _isfile(path, descriptor):
            return descriptor
        os.close(descriptor)  # its process released it, and deleted it, in between


def write_json(path: Path, values: Entry, lists: Mapping[str, Iterable[Entry]]) -> None:
    """Write a JSON object atomically, streaming its lists.

    Args:
        path: File to write.
        values: Fields that come first.
        lists: Lists of objects by field name; each may be a generator.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "{"
        for name, value in values.items():
            file.write(f"{separator}{json.dumps(name)}: {json.dumps(value)}")
            separator = ",\n"
        for name, entries in lists.items():
            file.write(f"{separator}{json.dumps(name)}: [")
            file.writelines(_json_lines(entries))
            file.write("\n]")
            separator = ",\n"
        file.write("}\n")


def _json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ",\n"
