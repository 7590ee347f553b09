"""Windows of pictures that are too large to hold: TIFFs in place, others once unpacked on disk."""

import io
import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np
from PIL import Image

from jsisnet.arrays import Shaped, UInt8
from jsisnet.files.memory import check_memory
from jsisnet.files.photos import bits_of, flattened, naming, printable_path, scaled, unpack
from jsisnet.files.png import MAX_MAP_PIXELS
from jsisnet.files.regular import irregular
from jsisnet.files.stamps import Stamp, stamp
from jsisnet.lazy import import_extra

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFFs begin, those with addresses of 64 bits included."""

_CACHE = 96 << 20
"""Bytes of decoded strips or tiles of a TIFF that are kept for the next windows."""

_STRIP = 1 << 22
"""Pixels that are read at once to find the highest value."""

_PAGES = 100
"""Most pages of a TIFF among which the full picture is sought."""

_COPIES = 3
"""Copies of a strip or tile that decoding holds at a time."""

_RAW, _LZW, _JPEG, _DEFLATE, _ADOBE_DEFLATE, _PACKBITS, _ZSTD = 1, 5, 7, 32946, 8, 32773, 50000
_COMPRESSIONS = (_RAW, _LZW, _JPEG, _DEFLATE, _ADOBE_DEFLATE, _PACKBITS, _ZSTD)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
"""Channels of the photometric interpretations that can be read."""

_PREMULTIPLIED, _ALPHA = 1, 2
_ORIENTATION = 274
_REDUCED, _UNSIGNED, _SEPARATE = 1, 1, 2
_KINDS = {_UNSIGNED: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}
_BITS = (1, 8, 16)
_EIGHT, _SIXTEEN = 8, 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture on the disk, of which any process and thread can read windows."""

    path: Path
    """The picture."""

    size: tuple[int, int]
    """Height and width in pixels, upright."""

    orientation: int = 1
    """How EXIF says that it is turned, 1 to 8."""

    bits: int = _EIGHT
    """Bits that its values use."""

    unpacked: Path | None = None
    """File of its pixels; ``None`` for a TIFF."""

    def read(self, rows: range, columns: range) -> UInt8[np.ndarray, "h w 3"]:
        """Read a window of the upright picture as RGB.

        Raises:
            ValueError: If the picture is damaged there; the message names it.
        """
        turned, upside_down, mirrored = _turns(self.orientation)
        down, across = (columns, rows) if turned else (rows, columns)
        height, width = self.size[::-1] if turned else self.size
        if upside_down:
            down = range(height - down.stop, height - down.start)
        if mirrored:
            across = range(width - across.stop, width - across.start)
        with naming(printable_path(str(self.path))):
            part = _source(self, self._version()).read(down, across)
        part = part[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        return np.ascontiguousarray(part.transpose(1, 0, 2) if turned else part)

    def _version(self) -> tuple[int, int]:
        status = (self.unpacked or self.path).stat()
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, which is read when it is needed."""

    picture: Picture
    rows: range
    columns: range

    @property
    def name(self) -> str:
        """Name of the picture's file."""
        return self.picture.path.name

    def read(self) -> UInt8[np.ndarray, "h w 3"]:
        """Read the pixels as RGB.

        Raises:
            ValueError: If the picture is damaged there; the message names it.
        """
        return self.picture.read(self.rows, self.columns)

    def stamp(self) -> Stamp:
        """Return what tells whether the window is still the same."""
        place, *rest = stamp(self.picture.path)
        sides = (self.rows.start, self.rows.stop, self.columns.start, self.columns.stop)
        return [place, *sides, *rest]

    def __str__(self) -> str:
        return f"{self.picture.path} from row {self.rows.start}, column {self.columns.start}"


def open_picture(path: Path, unpacked: Path) -> Picture:
    """Open a picture of any size to read windows of it.

    A TIFF is read in place, the first page that is no reduced copy of another. Of all other formats
    the pixels are written to a file first, in strips for a plain PNG; Pillow has to hold those of
    the others whole, within the limit on memory.

    Args:
        path: File in one of the formats of `jsisnet.files.photos`; TIFFs need the extra ``tiff``.
        unpacked: File that is written unless the picture is a TIFF: 3 bytes for each pixel.

    Raises:
        ImportError: If the extra is missing.
        ValueError: If it is no picture, damaged, or takes too much memory or space on the disk; the
            message names it.
    """
    name = printable_path(str(path))
    if not path.is_file():
        raise ValueError(f"{name}: {irregular(path) or 'not a file; expected an image'}")
    with path.open("rb") as file:
        istiff = file.read(4) in _MAGIC
    if istiff:
        _require("tifffile")
        _require("imagecodecs")
        with naming(name):
            return _open_tiff(path)
    with naming(name), unpacked.open("wb") as file:
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        size, orientation = unpack(path, file)
        return Picture(
            path=path,
            size=size[::-1] if _turns(orientation)[0] else size,
            orientation=orientation,
            unpacked=unpacked,
        )


def _require(module: str) -> Any:  # noqa: ANN401 - a module
    return import_extra("Reading TIFFs in windows", module)


def _open_tiff(path: Path) -> Picture:
    tiff = _Tiff(path)
    orientation = tiff.orientation
    bits = tiff.used_bits()
    return Picture(
        path=path,
        size=tiff.size[::-1] if _turns(orientation)[0] else tiff.size,
        orientation=orientation,
        bits=bits,
    )


def _turns(orientation: int) -> tuple[bool, bool, bool]:
    """Return whether rows become columns, after they are reversed, or each of them is."""
    return orientation in (5, 6, 7, 8), orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)


@lru_cache(maxsize=1)
def _source(picture: Picture, version: tuple[int, int]) -> "_Unpacked | _Tiff":  # noqa: ARG001 - part of the key
    if picture.unpacked is None:
        return _Tiff(picture.path, picture.bits)
    turned = _turns(picture.orientation)[0]
    return _Unpacked(picture.unpacked, picture.size[0 if turned else 1])


class _Unpacked:
    """File of 8-bit RGB rows."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width

    def read(self, rows: range, columns: range) -> UInt8[np.ndarray, "h w 3"]:
        window = np.empty((len(rows), len(columns), 3), np.uint8)
        with self._path.open("rb", buffering=0) as file:
            for target, row in zip(window, rows, strict=True):
                _read_into(file.fileno(), target, 3 * (row * self._width + columns.start))
        return window


class _Tiff:
    """Page of a TIFF, of which the strips or tiles are decoded that a window needs."""

    def __init__(self, path: Path, bits: int = _EIGHT) -> None:
        """Open a file.

        Args:
            path: The file.
            bits: Bits that its values use, if known.

        Raises:
            ValueError: If it can't be read, or its pixels are of an unknown kind.
        """
        logging.getLogger("tifffile").addHandler(logging.NullHandler())  # errors tell the same
        with _require("tifffile").TiffFile(path) as file:
            full = (page for page in islice(file.pages, _PAGES) if not page.subfiletype & _REDUCED)
            page: Any = next(full, file.pages[0])
            _check_kind(page)
            self._tables, self._decode = page.jpegtables, page.decode
            self._palette = page.colormap if page.photometric == _PALETTE else None
            offsets, counts = page.dataoffsets, page.databytecounts
            found = page.tags.valueof(_ORIENTATION, 1)
            self.orientation = found if isinstance(found, int) else 1
        self._page = page
        self._parts = tuple(zip(offsets, counts, strict=True))
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finalize(self, os.close, self._descriptor)
        self._lock, self._kept = Lock(), OrderedDict[int, Shaped[np.ndarray, "h w _"]]()
        self.size: tuple[int, int] = page.imagelength, page.imagewidth
        self._bits, self._channels = bits, int(page.samplesperpixel)
        self._dtype = np.dtype(np.uint16 if page.bitspersample == _SIXTEEN else np.uint8)
        self._planes = self._channels if page.planarconfig == _SEPARATE else 1
        self._tile = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, self.size[0]), self.size[1])
        )
        down, across = (-(-s // t) for s, t in zip(self.size, self._tile, strict=True))
        self._grid = down, across
        self._row_bytes = self._tile[1] * self._channels // self._planes * self._dtype.itemsize
        self._isdirect = not page.is_tiled and _isplain(page)
        self._check_parts("tiles" if page.is_tiled else "strips")

    def read(self, rows: range, columns: range) -> UInt8[np.ndarray, "h w 3"]:
        return self._rgb(self._values(rows, columns))

    def used_bits(self) -> int:
        """Return the bits that the values use, for which those of 16 bits are all read.

        Raises:
            ValueError: If they are ambiguous.
        """
        if self._dtype.itemsize == 1:
            return _EIGHT
        height, width = self.size
        rows = max(1, min(_STRIP // width, self._tile[0]))
        colors = _COLORS[self._page.photometric]
        strips = (range(top, min(top + rows, height)) for top in range(0, height, rows))
        return bits_of(
            max(int(self._values(each, range(width))[..., :colors].max()) for each in strips)
        )

    def _check_parts(self, what: str) -> None:
        """Check that all strips or tiles are there, and none is too large."""
        down, across = self._grid
        expected = down * across * self._planes
        if len(self._parts) < expected:
            raise ValueError(f"it has {len(self._parts):,} {what}; expected {expected:,}")
        length = os.fstat(self._descriptor).st_size
        beyond = sum(offset + count > length for offset, count in self._parts)
        if beyond:
            raise ValueError(
                f"it is truncated: {beyond:,} of {len(self._parts):,} {what} lie beyond its end"
            )
        if not self._isdirect:
            size = f"{what} of {self._tile[1]} x {self._tile[0]} pixels"
            check_memory(_COPIES * self._tile[0] * self._row_bytes, size)
            return
        last = self.size[0] - (down - 1) * self._tile[0]
        rows = [*[self._tile[0]] * (down - 1), last] * self._planes
        for (offset, count), high in zip(self._parts, rows, strict=False):
            if offset and count < high * self._row_bytes:
                raise ValueError("its strips are too short for its rows")

    def _values(self, rows: range, columns: range) -> Shaped[np.ndarray, "h w c"]:
        values = np.zeros((len(rows), len(columns), self._channels), self._dtype)
        with self._lock:
            for plane in range(self._planes):
                channels = slice(plane, plane + 1) if self._planes > 1 else slice(None)
                if self._isdirect:
                    self._copy_rows(values[..., channels], rows, columns, plane)
                else:
                    self._copy_parts(values[..., channels], rows, columns, plane)
        return values

    def _copy_rows(
        self, values: Shaped[np.ndarray, "h w _"], rows: range, columns: range, plane: int
    ) -> None:
        """Read uncompressed rows, and of them the columns alone that are needed."""
        pixel = values.shape[2] * self._dtype.itemsize
        stored = np.empty((len(columns), values.shape[2]), self._dtype)
        swapped = stored.view(stored.dtype.newbyteorder(self._page.parent.byteorder))
        for target, row in zip(values, rows, strict=True):
            strip, below = divmod(row, self._tile[0])
            offset, _ = self._parts[plane * self._grid[0] + strip]
            if offset:
                start = offset + below * self._row_bytes + columns.start * pixel
                _read_into(self._descriptor, stored, start)
                target[:] = swapped

    def _copy_parts(
        self, values: Shaped[np.ndarray, "h w _"], rows: range, columns: range, plane: int
    ) -> None:
        """Decode the strips or tiles that a window meets."""
        (height, width), (down, across) = self._tile, self._grid
        for i in range(rows.start // height, -(-rows.stop // height)):
            for j in range(columns.start // width, -(-columns.stop // width)):
                part = self._decoded((plane * down + i) * across + j)
                if part is None:
                    continue
                top, left = i * height, j * width
                y = range(max(rows.start, top), min(rows.stop, top + height))
                x = range(max(columns.start, left), min(columns.stop, left + width))
                values[
                    y.start - rows.start : y.stop - rows.start,
                    x.start - columns.start : x.stop - columns.start,
                ] = part[y.start - top : y.stop - top, x.start - left : x.stop - left]

    def _decoded(self, index: int) -> Shaped[np.ndarray, "h w c"] | None:
        """Return a strip or tile; ``None`` for one that is left out as it is empty."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        offset, count = self._parts[index]
        if not count or not offset:
            return None
        content = os.pread(self._descriptor, count, offset)
        if self._page.compression == _JPEG:
            self._check_jpeg(content)
        part = np.asarray(self._decode(content, index, jpegtables=self._tables)[0])[0]
        self._kept[index] = part
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > _CACHE:
            self._kept.popitem(last=False)
        return part

    def _check_jpeg(self, content: bytes) -> None:
        """Refuse a part that would expand to more than its place."""
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.width > self._tile[1] or image.height > self._tile[0]:
                raise ValueError(
                    f"a part has {image.width} x {image.height} pixels; expected at most "
                    f"{self._tile[1]} x {self._tile[0]}"
                )

    def _rgb(self, values: Shaped[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
        page = self._page
        count = _COLORS[page.photometric]
        if self._palette is not None:
            return (self._palette >> 8).astype(np.uint8).T[values[..., 0]]
        values = _to_8_bit(values, page.bitspersample, self._bits)
        colors = values[..., :count]
        if page.photometric == _WHITE_IS_ZERO:
            colors = 255 - colors
        if page.photometric == _CMYK:
            return np.asarray(Image.fromarray(np.ascontiguousarray(colors), "CMYK").convert("RGB"))
        if count == 1:
            colors = np.repeat(colors, 3, axis=2)
        extra = page.extrasamples[0] if page.extrasamples else None
        if extra == _ALPHA:
            rgba = np.concatenate([colors, values[..., count : count + 1]], axis=2)
            return np.asarray(flattened(Image.fromarray(rgba)))
        if extra == _PREMULTIPLIED:
            white = 255 - values[..., count : count + 1].astype(np.uint16)
            return np.minimum(colors + white, 255).astype(np.uint8)
        return colors


def _to_8_bit(
    values: Shaped[np.ndarray, "h w c"], stored: int, used: int
) -> UInt8[np.ndarray, "h w c"]:
    if stored == _SIXTEEN:
        return scaled(values, used)
    return values * np.uint8(255) if stored == 1 else values


def _check_kind(page: Any) -> None:  # noqa: ANN401 - tifffile is optional
    """Refuse pixels that can't be read."""
    height, width, depth = page.imagelength, page.imagewidth, page.imagedepth
    if not 0 < height * width <= MAX_MAP_PIXELS or depth != 1:
        of = f" x {depth}" if depth != 1 else ""
        raise ValueError(
            f"{width} x {height}{of} pixels; expected 1 to {MAX_MAP_PIXELS:,} of a plane"
        )
    if not page.is_tiled and not page.rowsperstrip:
        raise ValueError("strips of no rows; expected some")
    if page.compression not in _COMPRESSIONS:
        raise ValueError(
            f"compressed by {getattr(page.compression, 'name', page.compression)}; expected no "
            "compression, or LZW, deflate, JPEG, PackBits or Zstandard"
        )
    kind = getattr(page.photometric, "name", page.photometric)
    isknown = page.photometric in _COLORS and page.samplesperpixel >= _COLORS[page.photometric]
    if not isknown or (page.photometric == _YCBCR and page.compression != _JPEG):
        raise ValueError(f"{page.samplesperpixel} channels of {kind}; expected grey, RGB or CMYK")
    if page.bitspersample not in _BITS or page.sampleformat != _UNSIGNED:
        raise ValueError(
            f"{_KINDS.get(page.sampleformat, 'other values')} of {page.bitspersample} bits; "
            "expected unsigned integers of 1, 8 or 16 bits"
        )


def _isplain(page: Any) -> bool:  # noqa: ANN401 - tifffile is optional
    """Return whether pixels are stored as they are."""
    layout = page.compression, page.predictor, page.fillorder
    return layout == (_RAW, 1, 1) and page.bitspersample != 1


def _read_into(descriptor: int, target: Shaped[np.ndarray, "..."], offset: int) -> None:
    if os.preadv(descriptor, [target.data], offset) != target.nbytes:
        raise ValueError("it is truncated")
