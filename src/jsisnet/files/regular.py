"""The check that a user's file is a regular one: a pipe may block for ever, a device never end."""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_ADVICE = {"a pipe": "; write its content to a file first (also that of <(...) in bash)"}


def check_regular(path: Path) -> None:
    """Check that a path does not lead to a pipe, device or socket; it may be missing.

    Raises:
        OSError: If it does.
    """
    found = irregular(path)
    if found is not None:
        raise OSError(errno.EINVAL, found, str(path))


def read_regular(path: Path, most: int) -> bytes:
    """Read a file, or as many of its first bytes.

    Raises:
        OSError: If it can't be read, or is a pipe, device or socket.
    """
    check_regular(path)
    with path.open("rb") as file:
        return file.read(most)


def irregular(path: Path) -> str | None:
    """Return what follows the path of a pipe, device or socket in a message."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib takes longer, for each of the photos
    except (OSError, ValueError):  # which opening it would say better
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
    return f"{kind}; expected a regular file{_ADVICE.get(kind, '')}"
