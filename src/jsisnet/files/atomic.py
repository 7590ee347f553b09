"""Files that appear complete or not at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jsisnet.files.json_fields import Entry

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has no such locks

_DEVICES = Path("/dev")


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed have left in a folder; nobody else may be writing."""
    for temporary in folder.glob(".*.part"):
        temporary.unlink()


def refuse_second_writer(file: BinaryIO | int, folder: Path) -> None:
    """Keep a file for this process, as long as it is open.

    Raises:
        ValueError: If another process has it; the message names the folder that it is about.
    """
    if fcntl is not None:
        try:
            # The system forgets it with the process, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another command is writing to it") from None
        except OSError:
            return  # Some network file systems have no locks.


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Keep a folder, which is made if it is missing, for this process as long as the block lasts.

    Raises:
        ValueError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        refuse_second_writer(opened, folder)
        yield
    finally:
        os.close(opened)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path whose file takes the place of `path` when the block ends without error.

    The folder of `path` is made if it is missing. After an error nothing is left behind. A device
    or a pipe, such as ``/dev/stdout``, is no file to replace: its own path is given.

    Raises:
        OSError: If nothing can be written there; it names `path`.
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
            # Where nothing can be written, there is nothing to remove, and another error to tell.
            with suppress(OSError):
                temporary.unlink()


def _isdevice(path: Path) -> bool:
    # /dev/stdout leads to a file where the shell has it written to one.
    return path.absolute().parent == _DEVICES or not (
        path.is_file() or path.is_dir() or not path.exists()
    )


def write_json(path: Path, values: Entry, lists: Mapping[str, Iterable[Entry]]) -> None:
    """Write an object; memory does not grow with its lists.

    Args:
        path: The file, which appears complete or not at all.
        values: The fields that come first.
        lists: Lists of objects, by the names of their fields.
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
