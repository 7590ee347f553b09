"""Reading photos of any kind as RGB, and writing pictures."""

import errno
import io
import logging
import os
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeGuard, runtime_checkable

import numpy as np
from PIL import Image, UnidentifiedImageError, features
from PIL.PngImagePlugin import PngImageFile

from jsisnet.arrays import Integer, Shaped, UInt8
from jsisnet.files.atomic import replacing
from jsisnet.files.memory import check_memory, memory_text
from jsisnet.files.png import check_chunks, find_chunk, stream_rgb
from jsisnet.files.regular import check_regular, irregular
from jsisnet.lazy import install_hint
from jsisnet.panoptic import row_strips

MAX_PIXELS = 200_000_000
"""Size limit of photos, whatever the limit on memory."""

_USED = 10
"""Bytes of memory that segmenting a photo and drawing the result takes for each pixel."""

_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes that Pillow stores for a pixel, by mode; 4 for the others."""

_DECODERS = {"WEBP": 8, "AVIF": 8, "TIFF": 8, "GIF": 4}
"""Most bytes for each pixel that decoders hold beside those that Pillow stores; of a TIFF, only for
the rows that are decoded at once."""

_HEIF = 16
"""Bytes of memory for each pixel of a HEIF."""

_PROGRESSIVE = 6
"""The same for a progressive JPEG, whose coefficients are collected first."""

_STRIP = 1 << 18
"""Pixels that are converted at a time."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
"""Formats that Pillow reads here, whatever the file name; of several frames the first is used."""

_HEIF_SUFFIXES = (".heic", ".heif", ".hif")

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Brands at the start of a HEIF file; AVIF has the same container."""

_MAX_ENCODED = 1 << 30
"""Size limit in bytes of what is read from a file object, which may be endless."""

_CHUNK = 1 << 20

_JPEG_QUALITY = 90

MAX_JPEG_SIDE = 65_500
"""Longest side of a JPEG in pixels."""

_MAX_16_BIT = 65535

_TWELVE, _FOURTEEN, _SIXTEEN = 12, 14, 16
_DEPTHS = (8, _TWELVE, _FOURTEEN, _SIXTEEN)
"""Bits that cameras and scanners use of 16."""

_MIN_12_BIT = 2**10
"""Lowest maximum that tells a photo of 12 bits from one of 10."""

_LOW_BYTE_12_BIT, _LOW_BYTE_14_BIT = 16, 64
"""High bytes that values of 12 and 14 bits do not reach."""

_ROW = 8
"""Bytes that Pillow stores for a row besides its pixels."""

_START_OF_SCAN, _MAX_SCANS = b"\xff\xda", 1000
"""Marker of JPEGs, and a limit on its number. Progressive ones have 10 or so; it may also occur by
chance, in what follows the pixels."""

_ROWS_OF_STRIP, _COLUMNS_OF_TILE, _ROWS_OF_TILE = 278, 322, 323
"""TIFF tags."""

_ORIENTATION, _UPRIGHT = 0x112, 1
"""EXIF tag, and its value for photos that are not turned."""

_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by its orientation."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

_MAX_SHOWN = 300
"""Characters of a path that a message shows."""

_URL = re.compile("[a-z][a-z0-9+.-]+://", re.IGNORECASE)

_CHANNELS = (1, 3, 4)
"""Grey, RGB and RGBA."""

_log = logging.getLogger(__name__)

_pillow_limit = threading.Lock()


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | str | None: ...


@runtime_checkable
class _Pathlike(Protocol):
    """A path that the operating system does not know, such as one inside a zip."""

    def open(self, mode: str) -> BinaryIO: ...
    def read_bytes(self) -> bytes: ...


@runtime_checkable
class _Tensor(Protocol):
    """What is needed of a torch tensor; torch itself may not be installed."""

    shape: Sequence[int]
    dtype: object

    def numpy(self, *, force: bool) -> np.ndarray: ...


def check_image(image: object) -> None:
    """Check that an image is an array of 8-bit RGB pixels, and not of floats from 0 to 1.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"the image is of type {type(image).__name__}; expected a NumPy array")
    if image.dtype != np.uint8 or image.shape[2:] != (3,):
        found = f"{image.dtype} of shape {image.shape}"
        raise ValueError(f"the image is {found}; expected uint8 of height x width x 3")


def read_image(path: Path | str, *, upright: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photo as RGB.

    Grey, palette and CMYK images are converted, 16-bit grey is scaled to 8 bits (by 8, 12 or 14
    bits if its values use no more), and transparent pixels are blended with white.

    Args:
        path: File in one of the `FORMATS`, or in HEIF (``.heic``) where pillow-heif is installed,
            with at most `MAX_PIXELS` pixels.
        upright: Apply the EXIF orientation. Off by default because annotations, such as COCO's,
            refer to the pixels as stored. HEIF files are always upright.

    Raises:
        ValueError: If the file is missing, damaged or not an image; the message names it.
    """
    path = Path(path)
    name = printable_path(str(path))
    try:
        isfile = path.is_file()
    except OSError as error:  # a name too long, or a folder that can't be searched
        raise ValueError(f"{name}: {error.strerror}; expected an image") from None
    if not isfile:
        raise ValueError(f"{name}: {irregular(path) or 'not a file; expected an image'}")
    with naming(name):
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        return _decode(path, upright=upright)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoHeader:
    """What a photo says before its pixels are decoded."""

    size: tuple[int, int]
    """Height and width in pixels, before any EXIF rotation."""

    mode: str
    """Mode of Pillow, such as ``RGB``."""

    isturned: bool
    """Whether EXIF says to rotate or mirror it."""


def read_header(source: Path | io.BytesIO) -> PhotoHeader | None:
    """Read the header of a photo, a file or its content; ``None`` if missing or damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about damaged EXIF data
        try:
            with _open(source) as image:
                size, mode = (image.height, image.width), image.mode
                orientation = _exif(image).get(_ORIENTATION, _UPRIGHT)
        except Exception:  # damaged files raise anything
            return None
    return PhotoHeader(size=size, mode=mode, isturned=orientation != _UPRIGHT)


def _exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF data of an image that was opened, without decoding its pixels."""
    if isinstance(image, PngImageFile) and "exif" not in image.info:  # Pillow would decode it all
        assert image.fp is not None
        late = find_chunk(image.fp, b"eXIf")
        if late is not None:
            image.info["exif"] = b"Exif\0\0" + late
        return Image.Image.getexif(image)
    return image.getexif()


def unpack(path: Path, file: BinaryIO) -> tuple[tuple[int, int], int]:
    """Write the pixels of a photo as stored to a file, as 8-bit RGB rows without any header.

    A plain PNG is decoded in strips; of others Pillow holds all pixels. They are converted as by
    `read_image`, and may have more than `MAX_PIXELS`.

    Returns:
        Height and width, and the EXIF orientation.

    Raises:
        OSError: If the disk is too small for its pixels.
        ValueError: If the photo can't be read, or takes more memory than the limit. The message
            does not name it.
    """
    with _open(path) as image:
        found = _exif(image).get(_ORIENTATION, _UPRIGHT)
        orientation = found if found in _TURNS else _UPRIGHT
        size = (image.height, image.width)
        _check_disk(size, Path(file.name).parent)
        with path.open("rb") as content:
            streamed = stream_rgb(content) if image.format == "PNG" else None
            if streamed is not None:
                for strip in streamed[1]:
                    colors = strip.astype("<u4", copy=False).view(np.uint8)
                    file.write(np.ascontiguousarray(colors.reshape(*strip.shape, 4)[..., :3]).data)
                return size, orientation
        each = _STORED.get(image.mode, 4) + _decoder_bytes(image)
        check_memory(size[0] * size[1] * each + _tile_bytes(image), f"{size[1]} x {size[0]} pixels")
        _check_content(path, image)
        for part in _converted(image):
            file.write(np.ascontiguousarray(np.broadcast_to(part, (*part.shape[:2], 3))).data)
    return size, orientation


def _check_disk(size: tuple[int, int], folder: Path) -> None:
    needed, free = 3 * size[0] * size[1], shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"its {size[1]} x {size[0]} pixels would take {memory_text(needed)} of the disk of "
            f"{folder}, which has {memory_text(free)} left",
        )


def used_bits(path: Path) -> int:
    """Return the bits that the values of a grey photo of 16 or 32 bits use: 8, 12, 14 or 16.

    Raises:
        ValueError: If it can't be read, or its values are negative or ambiguous.
    """
    with naming(printable_path(str(path))), _open(path) as image:
        _check_size(image)
        return bits_of(_highest_16_bit(image))


def to_rgb(source: object, *, upright: bool = True) -> UInt8[np.ndarray, "h w 3"]:
    """Return a photo of any kind as a new array of RGB, converted as by `read_image`.

    Args:
        source: One of the following.

            - The path of a file, as `str` or `os.PathLike`, or an object like a path, such as a
              `zipfile.Path`.
            - The content of a file, as `bytes`, `bytearray` or `memoryview`.
            - A binary file object; it is read to its end and may be a pipe.
            - A PIL image of any mode, which stays open.
            - An array: grey (h w, or h w 1), RGB (h w 3) or RGBA (h w 4), of uint8, uint16 or bool.
              The channels of OpenCV's arrays, which are BGR, can't be told from RGB: reverse them
              with ``image[..., ::-1]``.
            - A torch tensor of uint8, 3 h w or h w 3; grey and RGBA too.
        upright: Apply the EXIF orientation of files and PIL images. Arrays and tensors have none.

    Raises:
        ValueError: If the source can't be read or is of another kind; the message says what to do.
    """
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fsdecode(source), upright=upright)
    if isinstance(source, bytes | bytearray | memoryview):
        with naming("the bytes"):
            return _decode(io.BytesIO(source), upright=upright)
    if isinstance(source, Image.Image):
        with naming("the PIL image"):
            return _convert(source, upright=upright)
    if isinstance(source, _Readable | _Pathlike):
        return _read_stream(source, upright=upright)
    if _istensor(source):
        return _from_array(_channels_last(source), "tensor")
    if hasattr(source, "__array__"):
        return _from_array(np.asarray(source), "array")
    raise ValueError(
        f"the image is of type {type(source).__name__}; expected a path, bytes, a binary file "
        "object, a PIL image, a NumPy array or a torch tensor"
    )


def has_photo_suffix(path: Path) -> bool:
    """Return whether a file name ends like those of the photos that can be read."""
    suffix = path.suffix.lower()
    return suffix in _HEIF_SUFFIXES or _pillow_format(suffix) in FORMATS


def printable_path(path: str) -> str:
    """Return a path for a message, shortened and escaped where a line could not hold it."""
    text = path if path.isprintable() else ascii(path)
    return text if len(text) <= _MAX_SHOWN else f"{text[:100]}...{text[-100:]}"


def refuse_url(path: str) -> None:
    """Raise a `ValueError` if a path is a URL, as nothing is downloaded."""
    if _URL.match(path):
        raise ValueError(
            f"{printable_path(path)}: a URL; download the file, and give its path or bytes"
        )


def format_of(path: Path) -> str:
    """Return the format for a file name's extension.

    Raises:
        ValueError: If no such format can be written.
    """
    kind = _pillow_format(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"{path}: expected a name that ends in .jpg or .png")
    return kind


def _pillow_format(suffix: str) -> str | None:
    """Return Pillow's name of the format of a suffix; importing all its formats takes 20 ms."""
    Image.preinit()
    return Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix)


def write_picture(picture: UInt8[np.ndarray, "h w c"], path: Path | str) -> None:
    """Write an RGB or RGBA picture atomically, in the format of its file name.

    Raises:
        ValueError: If the format is unknown, or can't hold a picture of this size or transparency.
    """
    path = Path(path)
    kind = format_of(path)
    if kind == "JPEG" and picture.shape[2] != 3:  # noqa: PLR2004 - red, green and blue
        raise ValueError(f"{path}: a JPEG has no transparency; expected a name that ends in .png")
    if kind == "JPEG" and max(picture.shape) > MAX_JPEG_SIDE:
        raise ValueError(f"{path}: a JPEG has at most {MAX_JPEG_SIDE} pixels along a side")
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format=kind, quality=_JPEG_QUALITY)


def _read_path(path: str, *, upright: bool) -> UInt8[np.ndarray, "h w 3"]:
    refuse_url(path)
    return read_image(path, upright=upright)


def _read_stream(source: _Readable | _Pathlike, *, upright: bool) -> UInt8[np.ndarray, "h w 3"]:
    name = getattr(source, "name", None) if isinstance(source, _Readable) else str(source)
    with naming(printable_path(name) if isinstance(name, str) else "the file object"):
        if isinstance(source, _Readable):
            content = _read_all(source.read)
            if not content:
                raise ValueError("no bytes are left; was the file read before?")
        else:
            with source.open("rb") as file:
                content = _read_all(file.read)
        return _decode(io.BytesIO(content), upright=upright)


def _read_all(read: Callable[[int], bytes | str | None]) -> bytes:
    content = bytearray()
    while chunk := read(_CHUNK):
        if isinstance(chunk, str):
            raise ValueError("opened as text; open it with mode 'rb'")
        content += chunk
        if len(content) > _MAX_ENCODED:
            raise ValueError(f"more than {_MAX_ENCODED:,} bytes")
    return bytes(content)


def _decode(source: Path | io.BytesIO, *, upright: bool) -> UInt8[np.ndarray, "h w 3"]:
    with _open(source) as image:
        _check_size(image)
        _check_content(source, image)
        return _convert(image, upright=upright)


def _check_content(source: Path | io.BytesIO, image: Image.Image) -> None:
    """Check what Pillow overlooks in an image that was opened."""
    if image.format == "PNG":  # a missing end
        _check_chunks(source)
    if image.info.get("progressive"):
        _check_scans(source)


def _content(source: Path | io.BytesIO) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source.getvalue()


def _check_chunks(source: Path | io.BytesIO) -> None:
    if isinstance(source, Path):
        with source.open("rb") as file:
            check_chunks(file)
    else:
        position = source.tell()
        check_chunks(source)
        source.seek(position)


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Open an image without Pillow's own size limit, which is global and lower than ours."""
    if isinstance(source, Path):
        check_regular(source)
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=FORMATS)
        except UnidentifiedImageError:
            brands = _brands(source)
            if b"avif" in brands:
                lacking = "which this build of Pillow can't read: pip install --upgrade pillow"
                reason = "but damaged" if features.check("avif") else lacking
                raise ValueError(f"AVIF, {reason}") from None
            if brands.isdisjoint(_HEIF_BRANDS):
                raise
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    return _open_heif(source)


def _open_heif(source: Path | io.BytesIO) -> Image.Image:
    try:
        pillow_heif = import_module("pillow_heif")
    except ModuleNotFoundError:
        raise ValueError(install_hint("HEIF", "pillow_heif")) from None
    file = pillow_heif.open_heif(source)
    _check_pixels(*file.size)
    check_memory(_HEIF * file.size[0] * file.size[1], "{} x {} pixels".format(*file.size))
    image: Image.Image = file.to_pillow()
    return image


def _brands(source: Path | io.BytesIO) -> set[bytes]:
    """Return the brands of a file in the ISO base media format; empty for others."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(64)
    else:
        head = source.getvalue()[:64]
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[start : start + 4] for start in range(8, end, 4)}


def _convert(image: Image.Image, *, upright: bool) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an image strip by strip, so that no other copy of it is needed."""
    _check_size(image)
    iswide = _iswide(image)
    image.load()
    turn = _Turn(image.getexif().get(_ORIENTATION, _UPRIGHT) if upright else _UPRIGHT)
    convert = _converter(image, iswide=iswide)
    rgb = np.empty((*turn.size(image), 3), np.uint8)
    for rows, part in _parts(image):
        rgb[turn.target(rows, image.height)] = convert(turn.apply(part))
    return rgb


def _converted(image: Image.Image) -> Iterator[UInt8[np.ndarray, "rows w _"]]:
    """Decode an image, and yield strips of it as stored, with one channel or three."""
    iswide = _iswide(image)
    image.load()
    convert = _converter(image, iswide=iswide)
    return (convert(part) for _, part in _parts(image))


def _iswide(image: Image.Image) -> bool:
    """Return whether an image that is not loaded yet has 16-bit colours."""
    tiles = str(getattr(image, "tile", ""))  # it names the layout in the file, until it is loaded
    return ";16" in tiles and len(image.getbands()) > 1


def _parts(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield strips of an image, each with its rows."""
    for rows in row_strips((image.height, image.width), _STRIP):
        yield rows, image.crop((0, rows.start, image.width, rows.stop))


@dataclass(frozen=True, slots=True)
class _Turn:
    """An orientation of EXIF, applied to strips of an image."""

    orientation: object
    """The tag's value; damaged files have any."""

    @property
    def _turns(self) -> bool:
        """Whether rows become columns."""
        return self.orientation in (5, 6, 7, 8)

    def size(self, image: Image.Image) -> tuple[int, int]:
        """Return height and width of the upright image."""
        return image.size if self._turns else (image.height, image.width)

    def apply(self, part: Image.Image) -> Image.Image:
        """Return a strip in its orientation."""
        method = _TURNS.get(self.orientation)
        return part if method is None else part.transpose(method)

    def target(self, rows: slice, height: int) -> tuple[slice, slice]:
        """Return the rows and columns of the upright image that a strip becomes.

        Args:
            rows: Rows of the strip.
            height: Rows of the image.
        """
        backwards = self.orientation in (3, 4, 6, 7)
        place = slice(height - rows.stop, height - rows.start) if backwards else rows
        return (slice(None), place) if self._turns else (place, slice(None))


def _converter(
    image: Image.Image, *, iswide: bool
) -> Callable[[Image.Image], UInt8[np.ndarray, "h w _"]]:
    """Return what makes RGB of parts of an image.

    Args:
        image: The image, of which values may tell how.
        iswide: Whether it has 16-bit colours, of which Pillow reads the high bytes.

    Raises:
        ValueError: If it can't be converted.
    """
    if image.mode.startswith("I"):
        bits = bits_of(_highest_16_bit(image))
        return lambda part: scaled(np.asarray(part), bits)[..., None]
    if iswide and _must_stretch(image):
        _tell_bits(_FOURTEEN)
        return lambda part: _stretched(np.asarray(flattened(part)))
    return lambda part: np.asarray(flattened(part))


def _must_stretch(image: Image.Image) -> bool:
    """Return whether a photo of 16-bit colours uses 14 bits.

    Raises:
        ValueError: If its high bytes hold too little of it.
    """
    highest = max(high for _, high in np.reshape(image.getextrema(), (-1, 2))[:3].tolist())
    if highest < _LOW_BYTE_12_BIT:
        raise ValueError(
            f"its 16-bit colours stay below {256 * (highest + 1):,} of 65,536, so that it would be "
            "almost black; expected colours that use the 16 bits, or 8-bit ones"
        )
    return highest < _LOW_BYTE_14_BIT and image.mode == "RGB"


def _stretched(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return the high bytes of 14 bits in full brightness."""
    return rgb * np.uint8(4) + rgb // np.uint8(16)


def _check_size(image: Image.Image) -> None:
    """Check the size of an image, and the memory that it takes, before it is decoded."""
    width, height = image.size
    _check_pixels(width, height)
    each = max(_USED, _STORED.get(image.mode, 4) + 3 + _decoder_bytes(image))
    needed = width * height * each + _ROW * height + _tile_bytes(image)
    check_memory(needed, f"{width} x {height} pixels")


def _decoder_bytes(image: Image.Image) -> int:
    """Return the bytes for each pixel that the decoder of an image holds for itself."""
    if image.info.get("progressive"):
        return _PROGRESSIVE
    each = _DECODERS.get(image.format or "", 0)
    if image.format != "TIFF":
        return each
    if image.info.get("compression") == "raw" or _tile_bytes(image):
        return 0
    rows = getattr(image, "tag_v2", {}).get(_ROWS_OF_STRIP)
    if isinstance(rows, int) and 0 < rows < image.height:
        return -(-each * rows // image.height)
    return each


def _tile_bytes(image: Image.Image) -> int:
    """Return the memory of a tile of a TIFF, which may be larger than the image."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    if image.info.get("compression") == "raw" or not {_COLUMNS_OF_TILE, _ROWS_OF_TILE} <= set(tags):
        return 0
    return int(_DECODERS["TIFF"] * tags[_ROWS_OF_TILE] * tags[_COLUMNS_OF_TILE])


def _check_scans(source: Path | io.BytesIO) -> None:
    """Refuse a progressive JPEG of which a few bytes take as long as all its pixels, many times."""
    scans = _content(source).count(_START_OF_SCAN)
    if scans > _MAX_SCANS:
        raise ValueError(f"its pixels are refined {scans:,} times; expected at most {_MAX_SCANS:,}")


def _check_pixels(width: int, height: int) -> None:
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels; expected 1 to {MAX_PIXELS:,}")


def flattened(image: Image.Image) -> Image.Image:
    """Return an image as RGB, blended with white where it is transparent.

    Raises:
        ValueError: If its pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers; expected 8 or 16 bits")
    if image.mode == "La":  # its alpha is premultiplied, and Pillow converts it to LA alone
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _highest_16_bit(image: Image.Image) -> int:
    """Return the highest value of a grey image of 16 or 32 bits.

    Raises:
        ValueError: If a value does not fit 16 bits.
    """
    values = (np.asarray(part) for _, part in _parts(image))
    extremes = np.array([(part.min(), part.max()) for part in values], np.int64)
    if extremes.min() < 0 or extremes.max() > _MAX_16_BIT:
        raise ValueError("grey values exceed 16 bits")
    return int(extremes.max())


def scaled(values: Integer[np.ndarray, "..."], bits: int) -> UInt8[np.ndarray, "..."]:
    """Scale 16-bit values to 8 bits, by the bits that they use."""
    if bits == _SIXTEEN:
        return (values // 257).astype(np.uint8)
    _tell_bits(bits)
    return (values.astype(np.uint32) * 255 // (2**bits - 1)).astype(np.uint8)


def bits_of(highest: int) -> int:
    """Return the bits that values of up to 16 bits use: 8, 12, 14 or 16.

    Args:
        highest: The highest of the values.

    Raises:
        ValueError: If that leaves open how bright they are meant to be.
    """
    if not highest:
        return _SIXTEEN
    bits = next(bits for bits in _DEPTHS if highest < 2**bits)
    if bits == _TWELVE and highest < _MIN_12_BIT:
        raise ValueError(
            f"its values reach only {highest:,} of 65,535, so that it would be almost black, and "
            "could have 10 bits or 12; expected values that use 8, 12, 14 or 16 bits"
        )
    return bits


@cache
def _tell_bits(bits: int) -> None:
    """Log once that photos hold fewer bits than their files could."""
    _log.warning(
        "photos of 16 or 32 bits whose values use %d bits are scaled by these, to be as bright as "
        "others",
        bits,
    )


def _istensor(source: object) -> TypeGuard[_Tensor]:
    return any((c.__module__, c.__name__) == ("torch", "Tensor") for c in type(source).__mro__)


def _channels_last(tensor: _Tensor) -> Shaped[np.ndarray, "..."]:
    """Return a torch tensor as an array of h w, or h w c."""
    shape, dtype = tuple(tensor.shape), str(tensor.dtype)
    if dtype != "torch.uint8":
        fix = ": (tensor * 255).byte(), if 1 is white" if "float" in dtype else ""
        raise ValueError(f"the tensor is {dtype} of shape {shape}; expected torch.uint8{fix}")
    array = tensor.numpy(force=True)
    if array.ndim == 3:  # noqa: PLR2004 - channels, height and width
        first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
        if first and last:
            raise ValueError(
                f"the tensor has the shape {shape}, in which the channels may come first or last; "
                "give a NumPy array of height x width x channels"
            )
        if first:
            return array.transpose(1, 2, 0)
    return array


def _from_array(array: Shaped[np.ndarray, "..."], kind: str) -> UInt8[np.ndarray, "h w 3"]:
    found = f"the {kind} is {array.dtype} of shape {array.shape}"
    if array.ndim == 2:  # noqa: PLR2004 - height and width
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS:  # noqa: PLR2004 - and channels
        raise ValueError(
            f"{found}; expected height x width, with 3 channels, 4 or none{_hint(array)}"
        )
    if not 0 < array.shape[0] * array.shape[1] <= MAX_PIXELS:
        raise ValueError(f"{found}; expected 1 to {MAX_PIXELS:,} pixels")
    pixels = _to_8_bit(array, found)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:  # noqa: PLR2004 - red, green and blue
        return np.array(pixels, order="C")
    return np.array(flattened(Image.fromarray(np.ascontiguousarray(pixels))))


def _hint(array: Shaped[np.ndarray, "..."]) -> str:
    if array.ndim == 3 and array.shape[0] in _CHANNELS:  # noqa: PLR2004 - channels come first
        return "; move the channels to the end with transpose(1, 2, 0)"
    if array.ndim == 4:  # noqa: PLR2004 - a batch
        return "; give the images of a batch one by one, or as a list"
    return ""


def _to_8_bit(array: Shaped[np.ndarray, "h w c"], found: str) -> UInt8[np.ndarray, "h w c"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.newbyteorder("=") == np.uint16:
        return scaled(array, bits_of(int(array.max())))
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    fix = ": (255 * array).round().astype(np.uint8), if 1 is white"
    raise ValueError(f"{found}; expected uint8{fix if array.dtype.kind == 'f' else ''}")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn all that a damaged image raises, struct.error and KeyError included, into one error.

    Args:
        name: Name of the image, with which the message begins.

    Raises:
        ValueError: In place of any other error of the block.
    """
    try:
        yield
    except Exception as error:
        isfull = isinstance(error, OSError) and error.errno in _DISK_FULL
        problem = "the disk is full" if isfull else "can't be read as an image"
        raise ValueError(f"{name}: {problem} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "none of " + ", ".join(FORMATS)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return f"{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
