"""The check that a user's file is a regular one: a pipe may block for ever, a device never end."""

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}

_ADVICE = {"a pipe": "; write its content to a file first, also that of <(...)"}


def check_regular(path: Path) -> None:
    """Check that a path does not lead to a pipe, device, socket or folder; it may be missing.

    Raises:
        ValueError: If it does. The message does not name the path.
    """
    found = irregular(path)
    if found is not None:
        raise ValueError(found)


def irregular(path: Path) -> str | None:
    """Return what follows the path of a pipe, device, socket or folder in a message."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib takes longer, for each of the photos
    except (OSError, ValueError):  # which opening it would say better
        return None
    if stat.S_ISREG(mode):
        return None
    kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
    return f"{kind}; expected a regular file{_ADVICE.get(kind, '')}"
