"""PNGs of segment ids (R + 256 G + 65536 B), decoded in strips, and of 8 or 16-bit values."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from zlib_ng import zlib_ng

from jsisnet.arrays import Shaped, UInt32
from jsisnet.files import pixels
from jsisnet.files.archives import StoredFile, stored
from jsisnet.files.atomic import replacing

if TYPE_CHECKING:
    from PIL import Image

MAX_ID = 2**24 - 1
"""Highest id that a colour can code."""

Ids = UInt32[np.ndarray, "_ w"]
"""Rows of a map of ids."""

_STRIP = 3 * 2**13
"""Pixels that are decoded at once: few enough for a core's own cache, and for memory that the
allocator keeps."""

_PIECE = 2**16
"""Compressed bytes that are inflated at once."""

_MOST_BEHIND = 2**20
"""Bytes that may follow the last pixel, though they mean nothing."""

MOST_PIXELS = 178_956_970
"""Of a picture; more is taken for an attack, as Pillow does."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_CHANNELS = {"RGB": 3, "RGBA": 4}
_DEPTH = 8

_PARTS = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)),
    (1, 0, 2, 1),
)
"""First row and column, and the steps from them on, of the parts of an interlaced picture."""


_RUN_LENGTHS = 3
"""Compression strategy of zlib (Z_RLE)."""

_DEPTH_AT, _KIND_AT = 24, 25
"""Where the header holds the bits of a channel, and the kind of its pixels."""
_GREY, _PALETTE = 0, 3
_EIGHT, _SIXTEEN = 8, 16

Values = Shaped[np.ndarray, "h w ..."]
"""uint8 or uint16; pixels with several channels have a third axis. Of a palette, the positions."""


@dataclass(frozen=True, slots=True)
class IdStrips:
    """A map of ids under way."""

    size: tuple[int, int]
    """Height and width in pixels."""

    strips: Iterator[Ids]
    """Rows from top to bottom; those of a strip are valid until the next one is asked for."""


def open_ids(path: Path) -> IdStrips:
    """Begin to read the ids of a PNG, whose path may lead into a zip.

    Raises:
        ValueError: If the file isn't an 8-bit RGB or RGBA PNG, or if a strip turns out to be
            damaged. Any other picture would have to be converted, and then its colours would be
            other ids. The message does not name the file.
    """
    content = _content(path)
    header = _header(content)
    if not pixels.compiled() or header.interlaced:
        return IdStrips(header.size, _parts(_whole(content, header)))
    return IdStrips(header.size, _strips(content, header))


def read_ids(path: Path) -> UInt32[np.ndarray, "h w"]:
    """Read all ids of a PNG at once.

    Raises:
        ValueError: As `open_ids` does.
    """
    opened = open_ids(path)
    ids = np.empty(opened.size, np.uint32)
    row = 0
    for strip in opened.strips:
        ids[row : row + len(strip)] = strip
        row += len(strip)
    return ids


def _content(path: Path) -> bytes:
    try:
        if path.is_file():
            return path.read_bytes()
        if path.exists():
            raise ValueError("is no file")  # reading a pipe or a device may take for ever
        return stored(path).read_bytes()
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or error}") from None


@dataclass(frozen=True, slots=True)
class _Header:
    size: tuple[int, int]
    channels: int
    interlaced: bool


def _header(content: bytes) -> _Header:
    if not content.startswith(_SIGNATURE):
        raise ValueError("is not a PNG, expected one with 8-bit RGB pixels")
    name, values = next(_chunks(content), (b"", memoryview(b"")))
    if name != b"IHDR" or len(values) != _HEADER.size:
        raise ValueError("can't be decoded: the header is damaged")
    width, height, depth, code, _, _, interlace = _HEADER.unpack(values)
    kind = _KINDS.get(code, "unknown")
    if depth != _DEPTH or kind not in _CHANNELS:
        raise ValueError(f"is a PNG with {depth}-bit {kind} pixels, expected 8-bit RGB")
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"can't be decoded: it claims to have {height}x{width} pixels")
    return _Header((height, width), _CHANNELS[kind], interlace != 0)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Give the parts of a PNG, up to its end."""
    view, start = memoryview(content), len(_SIGNATURE)
    name = b""
    while name != b"IEND":
        begin = start + _CHUNK.size
        if begin > len(view):
            raise ValueError("can't be decoded: it is cut off")
        length, name = _CHUNK.unpack_from(view, start)
        end = begin + length
        if end + _CHECKSUM.size > len(view):
            raise ValueError("can't be decoded: it is cut off")
        if (zlib_ng.crc32(view[start + 4 : end]),) != _CHECKSUM.unpack_from(view, end):
            raise ValueError(f"can't be decoded: its part {name!r} is damaged")
        yield name, view[begin:end]
        start = end + _CHECKSUM.size


def _strips(content: bytes, header: _Header) -> Iterator[Ids]:
    height, width = header.size
    rows = _rows(header.size)
    # The first row is the last one of the strip before, which filters refer to.
    ids = np.zeros((rows + 1, width), np.uint32)
    inflated = _Inflated(content)
    for start in range(0, height, rows):
        count = min(rows, height - start)
        raw = inflated.take(count * (1 + width * header.channels))
        pixels.unfilter(raw, ids[: count + 1], header.channels)
        yield ids[1 : count + 1]
        ids[0] = ids[count]
    inflated.finish()


def _refuse_damage(content: bytes, header: _Header) -> None:
    """Notice what Pillow overlooks; it takes pixels that are missing for black ones."""
    height, width = header.size
    parts = _PARTS if header.interlaced else ((0, 0, 1, 1),)
    sizes = ((len(range(y, height, dy)), len(range(x, width, dx))) for y, x, dy, dx in parts)
    left = sum(rows * (1 + columns * header.channels) for rows, columns in sizes if columns)
    inflated = _Inflated(content)
    while left:
        left -= len(inflated.take(min(left, _PIECE)))
    inflated.finish()


class _Inflated:
    """The pixels of a PNG as its filters left them."""

    def __init__(self, content: bytes):
        parts = (values for name, values in _chunks(content) if name == b"IDAT")
        self._pieces = chain.from_iterable(
            (part[start : start + _PIECE] for start in range(0, len(part), _PIECE))
            for part in parts
        )
        self._stream = zlib_ng.decompressobj()

    def take(self, count: int) -> bytes:
        """Give the next bytes."""
        found = self._next(count)
        if len(found) == count:
            return found
        parts = [found]
        missing = count - len(found)
        while missing:
            parts.append(self._next(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> None:
        """Notice a wrong check sum behind the last pixel, and a stream that goes on for long."""
        more = 0
        while not self._stream.eof:
            more += len(self._next(_PIECE))
            if more > _MOST_BEHIND:
                raise ValueError("can't be decoded: it goes on behind its last pixel")

    def _next(self, most: int) -> bytes:
        if self._stream.eof:
            raise ValueError("can't be decoded: pixels are missing")
        pending = self._stream.unconsumed_tail or next(self._pieces, b"")
        try:
            found = self._stream.decompress(pending, most)
        except zlib_ng.error as error:  # type: ignore[misc]  # its stub calls it a value
            raise ValueError(f"can't be decoded: {error}") from None
        if not found and not pending:
            raise ValueError("can't be decoded: pixels are missing")
        return found


def _rows(size: tuple[int, int]) -> int:
    """Give the height of a strip: the same for all maps of one size."""
    height, width = size
    return max(1, min(height, _STRIP // width))


def _parts(ids: UInt32[np.ndarray, "h w"]) -> Iterator[Ids]:
    rows = _rows((ids.shape[0], ids.shape[1]))
    for start in range(0, len(ids), rows):
        yield ids[start : start + rows]


def _whole(content: bytes, header: _Header) -> UInt32[np.ndarray, "h w"]:
    _refuse_damage(content, header)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return rgb_to_ids(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"can't be decoded: {error}") from None


def write_ids(ids: UInt32[np.ndarray, "h w"], path: Path) -> None:
    """Write ids as a PNG, which appears complete or not at all."""
    with replacing(path) as temporary:
        # Maps are runs of equal pixels: coding only those is as fast as zlib's lowest level and
        # gives smaller files than its default.
        ids_to_rgb(ids).save(temporary, format="PNG", compress_type=_RUN_LENGTHS)


def rgb_to_ids(image: "Image.Image") -> UInt32[np.ndarray, "h w"]:
    """Give the id of each pixel of an RGB or RGBA picture; alpha is ignored."""
    layout = "RGBX" if image.mode == "RGB" else "RGBA"
    values = np.frombuffer(image.tobytes("raw", layout), "<u4")
    return (values & np.uint32(MAX_ID)).reshape(image.height, image.width)


def ids_to_rgb(ids: UInt32[np.ndarray, "h w"]) -> "Image.Image":
    """Give the RGB picture that codes ids."""
    from PIL import Image

    height, width = ids.shape
    return Image.frombytes("RGB", (width, height), np.ascontiguousarray(ids, "<u4"), "raw", "RGBX")


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
    if not content.startswith(_SIGNATURE) or len(content) <= _KIND_AT:
        raise ValueError("is not a PNG")
    depth, kind = content[_DEPTH_AT], content[_KIND_AT]
    if (depth == _SIXTEEN and kind != _GREY) or (depth < _EIGHT and kind != _PALETTE):
        raise ValueError(
            f"is a PNG with {depth} bits in each channel of a kind that loses its values in "
            "reading; expected 8 bits, or 16 bits of grey"
        )
    from PIL import Image, UnidentifiedImageError

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
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG", compress_type=_RUN_LENGTHS)


def size_of(values: Values) -> tuple[int, int]:
    """Give height and width."""
    return values.shape[0], values.shape[1]
