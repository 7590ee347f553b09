"""Atomic writes, and locks on output folders."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from jsisnet.files.json_fields import Entry

_LOCK = ".lock"
"""Name of the lock file of a folder; it is deleted on release."""

_DEVICES = Path("/dev")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose file replaces `path` when the block ends without an error.

    Missing parent folders are created. After an error the temporary file is deleted. A device or
    pipe, such as ``/dev/stdout``, can't be replaced, so its own path is yielded.

    Raises:
        OSError: If the file can't be written; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    isdevice = _isdevice(path)
    temporary = path if isdevice else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        if not isdevice:
            temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)
        if error.filename2 is not None and str(error.filename2) == str(temporary):
            error.filename2 = str(path)
        raise
    finally:
        if not isdevice:
            # A failed deletion must not hide the error that led here.
            with suppress(OSError):
                temporary.unlink()


def _isdevice(path: Path) -> bool:
    # /dev/stdout resolves to a regular file if the shell redirects it to one.
    return path.absolute().parent == _DEVICES or not (
        path.is_file() or path.is_dir() or not path.exists()
    )


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of killed writers; no other process may be writing there."""
    for temporary in folder.glob(".*.part"):
        temporary.unlink()


def holds_files(folder: Path) -> bool:
    """Return whether a folder holds more than locks and temporary files of killed writers."""
    names = [path.name for path in folder.iterdir()]
    return any(name != _LOCK and not fnmatch(name, ".*.part") for name in names)


@contextmanager
def lock_folder(folder: Path, name: str = _LOCK) -> Iterator[None]:
    """Lock a folder for this process until the block ends; create it if it is missing.

    The operating system releases the lock if the process is killed. On a file system without locks
    the block runs unprotected.

    Args:
        folder: Folder that the process will write to.
        name: Name of the lock file; locks with different names are independent.

    Raises:
        ValueError: If another process holds the lock, or the folder is a file.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ValueError(f"{folder}: a file; expected a folder") from None
    lock = FileLock(folder / name, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{folder}: another command is writing to it") from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        # On Windows, where an open file can't be deleted, `release` does it.
        with suppress(OSError):
            (folder / name).unlink()
        lock.release()


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
