"""Files that appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEVICES = Path("/dev")


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed have left in a folder; nobody else may be writing."""
    for temporary in folder.glob(".*.part"):
        temporary.unlink()


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
        raise
    finally:
        if not isdevice:
            temporary.unlink(missing_ok=True)


def _isdevice(path: Path) -> bool:
    # /dev/stdout leads to a file where the shell has it written to one.
    return path.absolute().parent == _DEVICES or not (
        path.is_file() or path.is_dir() or not path.exists()
    )
