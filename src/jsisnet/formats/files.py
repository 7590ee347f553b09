"""Files that appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed have left in a folder; nobody else may be writing."""
    for temporary in folder.glob(".*.part"):
        temporary.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path whose file takes the place of `path` when the block ends without error.

    The folder of `path` is made if it is missing. After an error nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
