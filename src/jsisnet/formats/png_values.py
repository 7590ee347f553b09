"""The values of a PNG exactly as they are stored, in 8 or 16 bits."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, UnidentifiedImageError

from jsisnet.files.archives import StoredFile
from jsisnet.files.atomic import replacing

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH, _KIND = 24, 25
"""Where the header holds the bits of a channel, and the kind of its pixels."""
_GREY, _PALETTE = 0, 3
_EIGHT, _SIXTEEN = 8, 16
_RUN_LENGTHS = 3

Values = Shaped[np.ndarray, "h w ..."]
"""uint8 or uint16; pixels with several channels have a third axis. Of a palette, the positions."""


def read_values(file: StoredFile) -> Values:
    """Read a PNG.

    Raises:
        ValueError: If it is missing or damaged, or of a kind whose values would have to be
            converted. The message does not name the file.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or error}") from None
    if not content.startswith(_SIGNATURE) or len(content) <= _KIND:
        raise ValueError("is not a PNG")
    depth, kind = content[_DEPTH], content[_KIND]
    if (depth == _SIXTEEN and kind != _GREY) or (depth < _EIGHT and kind != _PALETTE):
        raise ValueError(
            f"is a PNG with {depth} bits in each channel of a kind that loses its values in "
            "reading; expected 8 bits, or 16 bits of grey"
        )
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            values = np.asarray(image)
    except UnidentifiedImageError:
        raise ValueError("can't be decoded: its header is damaged") from None
    except Exception as error:  # damaged files raise anything, struct.error and KeyError included
        raise ValueError(f"can't be decoded: {error or type(error).__name__}") from None
    return values.astype(np.uint16, copy=False) if depth == _SIXTEEN else values


def write_values(values: Values, path: Path) -> None:
    """Write uint8 or uint16 values as a PNG, which appears complete or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG", compress_type=_RUN_LENGTHS)


def size_of(values: Values) -> tuple[int, int]:
    """Give height and width."""
    return values.shape[0], values.shape[1]
