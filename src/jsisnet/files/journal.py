"""What is done of a long work, a line for each part: who is killed can go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jsisnet.files.atomic import lock_folder
from jsisnet.files.json_fields import Entry

_OTHER_WORK = "holds a part of some other work; expected what it was begun with, or a new folder"


@dataclass(kw_only=True)
class Journal:
    """The lines; going through it reads one after the other from the file."""

    path: Path
    count: int
    """Parts that are done."""
    file: BinaryIO
    """Open to append."""

    def add(self, values: Entry) -> None:
        """Note that the next part is done."""
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()
        self.count += 1

    def __iter__(self) -> Iterator[Entry]:
        with self.path.open("rb") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)


def refuse_other_files(path: Path) -> None:
    """Make sure that the folder of a journal is new, or was begun with the journal.

    Raises:
        ValueError: If it is a file, or holds anything else.
    """
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; expected a new folder")
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if names - {_lock_name(path)} and path.name not in names:
        raise ValueError(f"{folder}: holds other files already; expected a new folder")


@contextmanager
def opened(
    path: Path, purpose: str, *, forgets: bool = False, refusal: str = _OTHER_WORK
) -> Iterator[Journal]:
    """Begin a journal, or go on with one.

    Args:
        path: The file.
        purpose: Differs for work whose parts may not be mixed.
        forgets: Whether a journal that was begun for another purpose is begun anew.
        refusal: What is said of the folder if it is not.

    Raises:
        ValueError: If another process is writing to it, or it was begun for another purpose and
            that is not forgotten.
    """
    first = json.dumps({"purpose": purpose}).encode() + b"\n"
    with lock_folder(path.parent, _lock_name(path)), path.open("a+b") as file:
        file.seek(0)
        # A last line without its end was being written when the run was killed.
        whole = [len(line) for line in file if line.endswith(b"\n")]
        file.truncate(sum(whole))
        file.seek(0)
        other = bool(whole) and file.readline() != first
        if other and forgets:
            file.truncate(0)
            whole = []
        elif other:
            raise ValueError(f"{path.parent}: {refusal}")
        file.seek(0, 2)
        if not whole:
            file.write(first)
            file.flush()
        yield Journal(path=path, count=max(0, len(whole) - 1), file=file)


def _lock_name(path: Path) -> str:
    return f".{path.name}.lock"
