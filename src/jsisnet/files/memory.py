"""The limit on the memory of one picture: a small file can expand to any size."""

import os
import re
from typing import Final

SETTING: Final = "JSISNET_PICTURE_MEMORY"
"""Environment variable with the limit, such as ``4GB`` or ``500MB``; without a unit, bytes."""

DEFAULT: Final = "1GB"
"""The limit if the variable is not set."""

_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""Bytes of each unit; memory is counted in powers of two."""

_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def picture_memory() -> int:
    """Return the bytes of memory that one picture may take beyond its file.

    Raises:
        ValueError: If the environment variable is set to something that is no positive amount.
    """
    text = os.environ.get(SETTING, "").strip() or DEFAULT
    match = _AMOUNT.fullmatch(text)
    amount = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if not amount:
        raise ValueError(
            f"the environment variable {SETTING} is {text[:40]!r}; expected an amount of memory, "
            "such as 4GB or 500MB"
        )
    return amount


def check_memory(needed: int, found: str) -> None:
    """Check that a picture does not take more memory than the limit, before it is decoded.

    Args:
        needed: Estimate of the bytes that decoding and using it take beyond its file.
        found: What takes them, such as ``14000x14000 pixels``; the message begins with it.

    Raises:
        ValueError: If it would take more. The message does not name the file.
    """
    limit = picture_memory()
    if needed > limit:
        raise ValueError(
            f"{found} would take about {memory_text(needed)} of memory, but the limit is "
            f"{memory_text(limit)}; set the environment variable {SETTING}={_enough(needed)} to "
            "raise it"
        )


def memory_text(amount: int) -> str:
    """Return an amount of memory in GB, or in MB if it is less than one, such as ``1.5 GB``."""
    unit = "G" if amount >= _UNITS["G"] else "M"
    return f"{amount / _UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}B"


def _enough(amount: int) -> str:
    """Return a value of the variable that allows an amount."""
    unit = "G" if amount >= _UNITS["G"] else "M"
    return f"{-(-amount // _UNITS[unit])}{unit}B"
