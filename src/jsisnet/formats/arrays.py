"""NumPy's files, as somebody else wrote them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def load(path: Path) -> Mapping[str, np.ndarray]:
    """Read a ``.npz`` file, or a ``.npy`` file as one with the sole array ``array``.

    Raises:
        ValueError: If the file is missing, damaged, or holds Python objects. The message doesn't
            name it.
    """
    if not path.is_file():
        raise ValueError("is no file")
    try:
        # NumPy itself would leave the file open when it is damaged.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"array": content}
            return {name: content[name] for name in content.files}
    except Exception as error:  # damaged files raise anything, zlib's and zipfile's own included
        raise ValueError(f"can't be read as NumPy's file ({error})") from None


def finite(values: np.ndarray, name: str) -> None:
    """Refuse an array that holds NaN, infinity or no numbers.

    Raises:
        ValueError: The message names the array.
    """
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name} is of type {values.dtype}, expected numbers")
    # Both are NaN if any value is, and no array of the same size is needed.
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise ValueError(f"{name} holds NaN or infinity")
