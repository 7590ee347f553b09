"""Folder of the results of `jsisnet predict` if none is given."""

from collections.abc import Callable
from pathlib import Path

DEFAULT_OUT = Path("runs/predict")
"""Folder of the results of the first run; those of the others get a number."""


def next_folder(is_unfinished: Callable[[Path], bool]) -> Path:
    """Return the default folder: of the latest run if this command resumes it, or a new one."""
    parent, stem = DEFAULT_OUT.parent, DEFAULT_OUT.name
    suffixes = (path.name.removeprefix(stem) for path in parent.glob(f"{stem}*"))
    numbers = [
        1 if not each else int(each[1:])
        for each in suffixes
        if not each or (each[0] == "_" and each[1:].isdecimal())
    ]
    latest = max(numbers, default=0)
    if latest and is_unfinished(_numbered(latest)):
        return _numbered(latest)
    return _numbered(latest + 1)


def _numbered(number: int) -> Path:
    return DEFAULT_OUT if number <= 1 else DEFAULT_OUT.with_name(f"{DEFAULT_OUT.name}_{number}")
