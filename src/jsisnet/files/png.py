"""PNGs of segment ids (R + 256 G + 65536 B), decoded in strips, and of 8 or 16-bit values."""

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from zlib_ng import zlib_ng

from jsisnet.arrays import Shaped, UInt8, UInt32
from jsisnet.files import pixels
from jsisnet.files.archives import StoredFile, describe_missing, stored_file
from jsisnet.files.atomic import replacing
from jsisnet.files.memory import check_memory
from jsisnet.files.pixels import FilteredRows
from jsisnet.files.regular import check_regular, irregular
from jsisnet.panoptic import row_strips

if TYPE_CHECKING:
    from PIL import Image

MAX_ID = 2**24 - 1
"""Highest id that fits the three bytes of a colour."""

MAX_MAP_PIXELS = 20_000_000_000
"""Size limit of a map, and of the pictures that are segmented in tiles."""

Ids = UInt32[np.ndarray, "_ w"]
"""Rows of a map of ids."""

Values = Shaped[np.ndarray, "h w ..."]
"""Pixels as uint8 or uint16; with several channels there is a third axis. Palette images hold
palette indices."""

_STRIP_PIXELS = 3 * 2**13
"""Pixels decoded at once: few enough for a core's private cache."""

_FILTERED_PIXELS = 400_000
"""Pixels inflated at once where they stay filtered: usual maps take one call."""

_INFLATE_BYTES = 2**16
"""Compressed bytes inflated at once."""

_STREAMED, _WHOLE = 14, 10
"""Bytes of memory for each pixel of a map: of the rows that are decoded at once, where it is read
in strips; and of all, where it is read whole and its segments are numbered."""

_VALUES = 16
"""The same for an image of values, of which tables make labels."""

_MAX_TRAILING = 2**20
"""Most bytes that may follow the last pixel; they are ignored."""

_PILLOW_RGB = 4
"""Bytes that Pillow stores for a pixel of an RGB image."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")

_COLOR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_GREY, _RGB, _PALETTE = 0, 2, 3
_STORED_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_CHANNELS = {"RGB": 3, "RGBA": 4}
_EIGHT, _SIXTEEN = 8, 16
_PALETTE_DEPTHS = (1, 2, 4, 8)

_NAME_AT, _HEADER_AT = 12, 16
_DEPTH_AT, _COLOR_TYPE_AT, _INTERLACE_AT = 24, 25, 28
"""Offsets of the bit depth, the colour type and whether it is interlaced in a file."""

_PASSES = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)),
    (1, 0, 2, 1),
)
"""Passes of an interlaced image: first row, first column, row step, column step."""

_LEVEL = 2
"""Compression level of zlib-ng. Most pixels of a map equal the one above, so after the filter
"up" higher levels save little: 5 % in twice the time."""


@dataclass(frozen=True, slots=True)
class IdStrips:
    """A map of ids that is decoded strip by strip."""

    size: tuple[int, int]
    """Height and width in pixels."""

    strips: Iterator[Ids]
    """Strips of rows from top to bottom; each is overwritten by the next."""

    filtered: Iterator[FilteredRows] | None = None
    """The same rows, inflated but still filtered, or ``None`` if only `strips` can be read."""


@dataclass(frozen=True, slots=True)
class _Header:
    size: tuple[int, int]
    channels: int
    depth: int
    """Bits of a channel; 8 unless there is a palette."""
    haspalette: bool
    interlaced: bool

    @property
    def raw_width(self) -> int:
        """Bytes of a filtered row."""
        return self.raw_bytes(self.size[1])

    def raw_bytes(self, columns: int) -> int:
        """Bytes of a filtered row of some columns."""
        return 1 + (columns * self.channels * self.depth + 7) // 8


def open_ids(path: Path) -> IdStrips:
    """Open a PNG of ids, whose path may lead into a zip.

    Raises:
        ValueError: If the file is missing or damaged, which may show only in a later strip, or is
            neither an 8-bit RGB or RGBA PNG nor one with a palette, whose colours are the ids;
            converting other images could change the ids. The message does not name the file.
    """
    content = _content(path)
    return _open(content, _header(content))


def _open(content: bytes, header: _Header) -> IdStrips:
    if not pixels.compiled() or header.interlaced or header.haspalette:
        return _decoded_by_pillow(content, header)
    _check_memory(header.size, _STREAMED * max(_FILTERED_PIXELS, header.size[1]))
    filtered = _inflate_strips(_pieces(content), header, _FILTERED_PIXELS)
    return IdStrips(header.size, _decode_strips(_pieces(content), header), filtered)


def read_ids(source: Path | bytes) -> UInt32[np.ndarray, "h w"]:
    """Read all ids of a PNG.

    Args:
        source: Path of the PNG, or its content.

    Raises:
        ValueError: See `open_ids`.
    """
    content = source if isinstance(source, bytes) else _content(source)
    header = _header(content)
    height, width = header.size
    _check_memory(header.size, _WHOLE * height * width)
    ids = np.empty(header.size, np.uint32)
    row = 0
    for strip in _open(content, header).strips:
        ids[row : row + len(strip)] = strip
        row += len(strip)
    return ids


def _content(path: Path) -> bytes:
    try:
        if os.path.isfile(path):  # noqa: PTH113 - pathlib takes twice as long, for each of the maps
            with path.open("rb", buffering=0) as file:
                return file.read()
        if path.exists():
            raise ValueError(irregular(path) or "not a file")
        return stored_file(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(describe_missing(path)) from None
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or error}") from None


def _header(content: bytes) -> _Header:
    if not content.startswith(_SIGNATURE):
        raise ValueError("not a PNG; expected one with 8-bit RGB pixels")
    name, values = next(_chunks(content), (b"", memoryview(b"")))
    if name != b"IHDR" or len(values) != _HEADER.size:
        raise ValueError("can't be decoded: the header is damaged")
    width, height, depth, code, *methods, interlace = _HEADER.unpack(values)
    if any(methods) or interlace > 1:  # there is one compression, and one set of filters
        raise ValueError("can't be decoded: the header is damaged")
    kind = _COLOR_TYPES.get(code, "unknown")
    haspalette = code == _PALETTE and depth in _PALETTE_DEPTHS
    if not haspalette and (depth != _EIGHT or kind not in _CHANNELS):
        raise ValueError(f"PNG with {depth}-bit {kind} pixels; expected 8-bit RGB")
    if not 0 < width * height <= MAX_MAP_PIXELS:
        raise ValueError(f"can't be decoded: it claims to have {height}x{width} pixels")
    return _Header((height, width), _CHANNELS.get(kind, 1), depth, haspalette, interlace != 0)


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the names and contents of the chunks of a PNG."""
    view, start = memoryview(content), len(_SIGNATURE)
    name, haspixels = b"", False
    while name != b"IEND":
        before = name
        begin = start + _CHUNK.size
        if begin > len(view):
            raise ValueError("can't be decoded: it is truncated")
        length, name = _CHUNK.unpack_from(view, start)
        end = begin + length
        if end + _CHECKSUM.size > len(view):
            raise ValueError("can't be decoded: it is truncated")
        checksum = zlib_ng.crc32(view[start + 4 : end]) if _iscritical(name) else None
        if checksum is not None and (checksum,) != _CHECKSUM.unpack_from(view, end):
            raise ValueError(f"can't be decoded: its chunk {name!r} is damaged")
        if name == b"IDAT" != before and haspixels:
            raise ValueError(f"can't be decoded: a chunk {before!r} interrupts its pixels")
        haspixels = haspixels or name == b"IDAT"
        yield name, view[begin:end]
        start = end + _CHECKSUM.size


def _iscritical(name: bytes) -> bool:
    """Return whether a chunk is needed to decode the pixels."""
    return name[:1].isupper()


def check_chunks(file: io.BufferedIOBase) -> None:
    """Check that a PNG is complete: up to its end, its critical chunks have the right checksum.

    Pillow overlooks a missing end, and wrong checksums of pixels. Those of texts and the like are
    wrong in the files of some tools, and change no pixel.

    Raises:
        ValueError: If it is not. The message does not name the file.
    """
    for _ in _checked_pieces(file):
        pass


def _checked_pieces(file: io.BufferedIOBase) -> Iterator[bytes]:
    """Read a PNG to its end, check it, and yield its compressed pixels piece by piece."""
    file.seek(len(_SIGNATURE))
    name = b""
    while name != b"IEND":
        head = file.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            raise ValueError("it is truncated")
        left, name = _CHUNK.unpack(head)
        checksum = zlib_ng.crc32(name)
        while left and (piece := file.read(min(left, _INFLATE_BYTES))):
            checksum = zlib_ng.crc32(piece, checksum)
            left -= len(piece)
            if name == b"IDAT":
                yield piece
        found = file.read(_CHECKSUM.size)
        if len(found) < _CHECKSUM.size:
            raise ValueError("it is truncated")
        if _iscritical(name) and (checksum,) != _CHECKSUM.unpack(found):
            raise ValueError(f"its chunk {name!r} is damaged")


def find_chunk(file: IO[bytes] | io.BytesIO, wanted: bytes) -> bytes | None:
    """Return the content of the first chunk of a name in a PNG, of which no other is read."""
    file.seek(len(_SIGNATURE))
    while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
        length, name = _CHUNK.unpack(head)
        if name == wanted:
            return file.read(length)
        file.seek(length + _CHECKSUM.size, os.SEEK_CUR)
    return None


def stream_rgb(file: io.BufferedReader) -> tuple[tuple[int, int], Iterator[Ids]] | None:
    """Decode a PNG of any size in strips of rows, whose ids are its colours.

    Returns:
        Height and width, and the strips, each of which is overwritten by the next; ``None`` if the
        PNG is interlaced or not plain RGB with 8 bits, or without the compiled loops. Damage is a
        `ValueError` of the iteration, which does not name the file.
    """
    head = file.read(_INTERLACE_AT + 1)
    begins = head.startswith(_SIGNATURE) and head[_NAME_AT:_HEADER_AT] == b"IHDR"
    if not begins or len(head) <= _INTERLACE_AT or not pixels.compiled():
        return None
    width, height, depth, kind, *_, interlaced = _HEADER.unpack(head[_HEADER_AT:])
    isplain = (depth, kind, interlaced) == (_EIGHT, _RGB, 0) and width * height > 0
    if not isplain or find_chunk(file, b"tRNS") is not None:
        return None
    header = _Header((height, width), _CHANNELS["RGB"], depth, False, False)
    _check_memory(header.size, _STREAMED * max(_STRIP_PIXELS, width))
    return header.size, _decode_strips(_checked_pieces(file), header)


def _decode_strips(pieces: Iterator[bytes | memoryview], header: _Header) -> Iterator[Ids]:
    strips = list(row_strips(header.size, _STRIP_PIXELS))
    # Row 0 is the last row of the previous strip, which the filters refer to.
    ids = np.zeros((strips[0].stop + 1, header.size[1]), np.uint32)
    inflated = _inflate_strips(pieces, header, _STRIP_PIXELS)
    for rows, filtered in zip(strips, inflated, strict=True):
        count = rows.stop - rows.start
        pixels.unfilter(filtered.raw, ids[: count + 1], header.channels)
        yield ids[1 : count + 1]
        ids[0] = ids[count]


def _inflate_strips(
    pieces: Iterator[bytes | memoryview], header: _Header, most: int
) -> Iterator[FilteredRows]:
    inflated = _Inflated(pieces)
    for rows in row_strips(header.size, most):
        raw = inflated.take((rows.stop - rows.start) * header.raw_width)
        yield FilteredRows(raw, header.channels)
    inflated.finish()


def _refuse_damage(content: bytes, header: _Header) -> None:
    """Raise for damage that Pillow overlooks: it decodes missing pixels as black."""
    height, width = header.size
    passes = _PASSES if header.interlaced else ((0, 0, 1, 1),)
    sizes = ((len(range(y, height, dy)), len(range(x, width, dx))) for y, x, dy, dx in passes)
    left = sum(rows * header.raw_bytes(columns) for rows, columns in sizes if columns)
    inflated = _Inflated(_pieces(content))
    while left:
        left -= len(inflated.take(min(left, _INFLATE_BYTES)))
    inflated.finish()


def _pieces(content: bytes) -> Iterator[memoryview]:
    """Yield the compressed pixels of a PNG piece by piece."""
    parts = (values for name, values in _chunks(content) if name == b"IDAT")
    return chain.from_iterable(
        (part[start : start + _INFLATE_BYTES] for start in range(0, len(part), _INFLATE_BYTES))
        for part in parts
    )


class _Inflated:
    """Stream of a PNG's inflated, still filtered pixels."""

    def __init__(self, pieces: Iterator[bytes | memoryview]):
        self._pieces = pieces
        self._stream = zlib_ng.decompressobj()

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
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
        """Check what follows the last pixel: checksums, the end, and the amount of other data."""
        more = 0
        while not self._stream.eof:
            more += len(self._next(_INFLATE_BYTES))
            if more > _MAX_TRAILING:
                raise ValueError("can't be decoded: too much data follows its last pixel")
        for _ in self._pieces:
            pass

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


def _decoded_by_pillow(content: bytes, header: _Header) -> IdStrips:
    """Decode a map that Pillow has to hold whole: interlaced, or with a palette."""
    height, width = header.size
    stored = 1 if header.haspalette else _PILLOW_RGB
    _check_memory(header.size, stored * height * width + _STREAMED * max(_STRIP_PIXELS, width))
    _refuse_damage(content, header)
    from PIL.PngImagePlugin import PngImageFile

    try:
        image = PngImageFile(io.BytesIO(content))  # Image.open has a size limit of its own
        image.load()
    except (OSError, SyntaxError) as error:
        raise ValueError(f"can't be decoded: {error}") from None
    ids = _palette_ids(image) if header.haspalette else rgb_to_ids
    parts = (
        image.crop((0, rows.start, width, rows.stop))
        for rows in row_strips(header.size, _STRIP_PIXELS)
    )
    return IdStrips(header.size, map(ids, parts))


def _palette_ids(image: "Image.Image") -> "Callable[[Image.Image], Ids]":
    """Return what gives the id of each pixel of parts of a palette image: its colour."""
    colors = np.array(image.getpalette() or [], np.uint32).reshape(-1, 3)
    ids = colors @ np.array([1, 2**8, 2**16], np.uint32)
    if max(np.ravel(image.getextrema())) >= len(ids):
        raise ValueError("can't be decoded: its palette lacks colours")
    return lambda part: ids[np.asarray(part)]


def _check_memory(size: tuple[int, int], needed: int) -> None:
    check_memory(needed, f"{size[0]}x{size[1]} pixels")


def write_ids(ids: UInt32[np.ndarray, "h w"], path: Path) -> None:
    """Write ids of up to `MAX_ID` as a PNG, atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        _encode_ids(file, ids)


def encode_ids(ids: UInt32[np.ndarray, "h w"]) -> bytes:
    """Return the content of the PNG that `write_ids` writes."""
    buffer = io.BytesIO()
    _encode_ids(buffer, ids)
    return buffer.getvalue()


def _encode_ids(file: io.BufferedIOBase, ids: UInt32[np.ndarray, "h w"]) -> None:
    strips = _strips_with_row_above(np.ascontiguousarray(ids))
    _encode(file, size_of(ids), (_EIGHT, _RGB), map(pixels.filter_up, strips))


def write_id_strips(strips: Iterable[Ids], size: tuple[int, int], path: Path) -> None:
    """Write ids that come in strips of rows as a PNG, atomically, in the memory of one strip.

    Args:
        strips: Rows of ids of up to `MAX_ID`, from top to bottom; each may overwrite the last.
        size: Height and width.
        path: File to write.
    """
    rows = map(pixels.filter_up, _with_row_above(strips, size[1]))
    with replacing(path) as temporary, temporary.open("wb") as file:
        _encode(file, size, (_EIGHT, _RGB), rows)


def _with_row_above(strips: Iterable[Ids], width: int) -> Iterator[Ids]:
    above = np.zeros((1, width), np.uint32)
    for strip in strips:
        yield np.concatenate([above, strip])
        above = strip[-1:].copy()


def _strips_with_row_above(values: Values) -> Iterator[Values]:
    for rows in row_strips(size_of(values), _STRIP_PIXELS):
        if rows.start:
            yield values[rows.start - 1 : rows.stop]
        else:
            yield np.concatenate([np.zeros_like(values[:1]), values[rows]])


def _filtered(values: Values) -> UInt8[np.ndarray, "rows n"]:
    """Filter rows of values, of which the first is the row above the others."""
    content = values.astype(values.dtype.newbyteorder(">"), "C").view(np.uint8)
    raw = np.full((len(content) - 1, 1 + content.shape[1]), pixels.UP, np.uint8)
    np.subtract(content[1:], content[:-1], out=raw[:, 1:])
    return raw


def _encode(
    file: io.BufferedIOBase,
    size: tuple[int, int],
    kind: tuple[int, int],
    strips: Iterable[UInt8[np.ndarray, "rows n"]],
) -> None:
    """Write a PNG of a height and width, a bit depth and a colour type to an open file."""
    packer = zlib_ng.compressobj(_LEVEL)
    file.write(_SIGNATURE)
    _write_chunk(file, b"IHDR", _HEADER.pack(size[1], size[0], *kind, 0, 0, 0))
    for strip in strips:
        _write_chunk(file, b"IDAT", packer.compress(strip))
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: io.BufferedIOBase, name: bytes, content: bytes) -> None:
    if content or name == b"IEND":
        checksum = zlib_ng.crc32(content, zlib_ng.crc32(name))
        file.write(_CHUNK.pack(len(content), name) + content + _CHECKSUM.pack(checksum))


def rgb_to_ids(image: "Image.Image") -> UInt32[np.ndarray, "h w"]:
    """Return the id of each pixel of an RGB or RGBA image; alpha is ignored."""
    layout = "RGBX" if image.mode == "RGB" else "RGBA"
    values = np.frombuffer(image.tobytes("raw", layout), "<u4")
    return (values & np.uint32(MAX_ID)).reshape(image.height, image.width)


def ids_to_rgb(ids: UInt32[np.ndarray, "h w"]) -> "Image.Image":
    """Return the RGB image that encodes ids."""
    from PIL import Image

    height, width = ids.shape
    return Image.frombytes("RGB", (width, height), np.ascontiguousarray(ids, "<u4"), "raw", "RGBX")


def read_values(file: StoredFile) -> Values:
    """Read the values of an 8-bit, 16-bit grey or palette PNG.

    Raises:
        ValueError: If the file is missing or damaged, or its values can't be read unchanged. The
            message does not name the file.
    """
    try:
        if isinstance(file, Path):
            check_regular(file)
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or error}") from None
    if not content.startswith(_SIGNATURE) or len(content) <= _COLOR_TYPE_AT:
        raise ValueError("not a PNG")
    if content[_NAME_AT:_HEADER_AT] != b"IHDR":  # Pillow overlooks chunks before it
        raise ValueError("can't be decoded: its header is damaged")
    depth, kind = content[_DEPTH_AT], content[_COLOR_TYPE_AT]
    if (depth == _SIXTEEN and kind != _GREY) or (depth < _EIGHT and kind != _PALETTE):
        raise ValueError(
            f"PNG with {depth} bits per channel, which can't be read without loss; "
            "expected 8 bits, or 16-bit grey"
        )
    values = _pillow_values(content)
    _refuse_damage(content, _stored(content, size_of(values)))
    return values.astype(np.uint16, copy=False) if depth == _SIXTEEN else values


def _pillow_values(content: bytes) -> Values:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            size = image.height, image.width
            _check_memory(size, _VALUES * size[0] * size[1])
            check_chunks(io.BytesIO(content))
            return np.asarray(image)
    except UnidentifiedImageError:
        raise ValueError("can't be decoded: its header is damaged") from None
    except Exception as error:  # damaged files raise anything, struct.error and KeyError included
        raise ValueError(f"can't be decoded: {error or type(error).__name__}") from None


def _stored(content: bytes, size: tuple[int, int]) -> _Header:
    """Return how the pixels of a PNG of any kind are stored."""
    depth, kind, interlace = (content[at] for at in (_DEPTH_AT, _COLOR_TYPE_AT, _INTERLACE_AT))
    return _Header(size, _STORED_CHANNELS[kind], depth, kind == _PALETTE, interlace != 0)


def write_values(values: Shaped[np.ndarray, "h w"], path: Path) -> None:
    """Write uint8 or uint16 values as a grey PNG, atomically."""
    kind = 8 * values.itemsize, _GREY
    strips = map(_filtered, _strips_with_row_above(values))
    with replacing(path) as temporary, temporary.open("wb") as file:
        _encode(file, size_of(values), kind, strips)


def size_of(values: Values) -> tuple[int, int]:
    """Return height and width."""
    return values.shape[0], values.shape[1]
