"""COCO's encodings of regions: polygons, and run lengths down the columns."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from hotcoco import mask

from jsisnet.arrays import Bool, Float64, Int32, Int64
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.formats.instance_faults import Fault, OnFault
from jsisnet.formats.records import size_text
from jsisnet.formats.regions import run_lengths

Polygon = Float64[np.ndarray, " _"]
"""Corners of an outline in pixels: x, y, x, y and so on. Integers are edges of pixels."""

RunLengths = Mapping[str, object]
"""A mask as `hotcoco` represents it: its size, and compressed run lengths down the columns."""

Shape = tuple[Polygon, ...] | RunLengths
"""Polygons of the visible parts of a region, or its mask."""

CroppedMask = tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]
"""Rows and columns of a window in the photo, and the mask inside the window."""

Intervals = Int64[np.ndarray, "_ 2"]
"""First positions, and positions after the last, of runs of pixels down the columns."""

_BITS, _SIGN, _MORE = 5, 0x10, 0x20
"""Bits of a number in a byte, its sign, and whether another byte follows."""

_MIN_NUMBERS = 6
"""Numbers in a polygon of three corners."""

_BYTES_TEXT = re.compile(r"b'([0-o]*)'")
"""Compressed run lengths as Python's ``str`` shows bytes; quotes are no run lengths."""


class MissingOutlineError(ValueError):
    """A region of which at most a box is known."""


def shape(values: Entry, size: tuple[int, int], on_oddity: OnFault = lambda *_: None) -> Shape:
    """Read the ``segmentation`` of an entry: polygons, or run lengths, compressed or not.

    Args:
        values: The entry.
        size: Height and width of the photo.
        on_oddity: Called with what is not as COCO has it, and yet unambiguous.

    Raises:
        MissingOutlineError: If there is none.
        ValueError: If it is invalid, or does not fit the photo.
    """
    found = values.get("segmentation")
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict):
        on_oddity(Fault.FORM, "'segmentation' is a list of one mask")
        found = found[0]
    if isinstance(found, dict) and found:
        return _run_lengths(found, size, on_oddity, values.get("bbox"))
    if found is None or found in ([], {}):
        raise MissingOutlineError(
            "missing 'segmentation'; a box alone does not determine its pixels"
        )
    corners = _lists(json_fields.items(values, "segmentation"), on_oddity)
    tiny = [position for position, each in enumerate(corners) if _has_no_area(each)]
    if len(tiny) == len(corners):
        raise MissingOutlineError(
            "its 'segmentation' has no polygon of at least three corners; a box alone does not "
            "determine its pixels"
        )
    for position in tiny:
        name = f"polygon {position} of 'segmentation'"
        on_oddity(Fault.PART, f"{name} has fewer than three corners")
    polygons = tuple(
        _polygon(position, each, size)
        for position, each in enumerate(corners)
        if position not in tiny
    )
    if all(map(_is_fraction, polygons)):
        raise ValueError(
            "the polygons of 'segmentation' have coordinates from 0 to 1, as if they were "
            "fractions of the photo; expected pixels"
        )
    return polygons


def runs(region: Shape, size: tuple[int, int]) -> RunLengths:
    """Return the run lengths of a region in a photo of the given height and width."""
    if isinstance(region, Mapping):
        return region
    parts = [mask.fr_poly(polygon.tolist(), *size) for polygon in region]
    return parts[0] if len(parts) == 1 else mask.merge(parts)


def area(region: RunLengths) -> int:
    """Return the area of a region in pixels."""
    return mask.area(dict(region))


def box(region: RunLengths) -> list[float]:
    """Return the left, top, width and height of a region in pixels."""
    return mask.to_bbox(dict(region)).tolist()


def draw(region: RunLengths) -> CroppedMask:
    """Decode a region into a mask of its bounding box, which may be empty."""
    x, y, width, height = mask.to_bbox(dict(region)).astype(int).tolist()
    window = (slice(y, y + height), slice(x, x + width))
    return window, np.ascontiguousarray(mask.decode(dict(region))[window]).view(bool)


def written(region: Shape) -> object:
    """Return a region as a ``segmentation`` in COCO's form."""
    if isinstance(region, Mapping):
        counts = region["counts"]
        return {**region, "counts": counts.decode() if isinstance(counts, bytes) else counts}
    return [polygon.tolist() for polygon in region]


def intervals(regions: Sequence[RunLengths]) -> list[Intervals]:
    """Return the pixels of regions as intervals of their positions down the columns.

    Each is half-open and not empty, and no two of a region touch.
    """
    if not regions:
        return []
    texts = [region["counts"] for region in regions]
    assert all(isinstance(text, bytes) for text in texts)  # as the library compresses them
    codes = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - ord("0")  # type: ignore[arg-type]
    # Each number has its low bits first, 5 in a byte: COCO's variant of LEB128.
    ends = np.flatnonzero(codes < _MORE)
    starts = np.append(0, ends[:-1] + 1)[: len(ends)]
    sizes = ends - starts + 1
    shifts = _BITS * (np.arange(len(codes)) - np.repeat(starts, sizes))
    numbers = np.add.reduceat((codes & (_MORE - 1)) << shifts, starts) if len(ends) else ends
    numbers -= (codes[ends] & _SIGN > 0) * (1 << _BITS * sizes)
    lengths = np.cumsum([len(text) for text in texts])  # type: ignore[arg-type]
    return [_intervals(own) for own in np.split(numbers, np.searchsorted(ends, lengths[:-1]))]


def _intervals(numbers: Int64[np.ndarray, " _"]) -> Intervals:
    """Return the intervals of a region, whose runs are differences to the one before the last."""
    counts = numbers.copy()
    for first in (1, 2):
        np.cumsum(numbers[first::2], out=counts[first::2])
    bounds = np.cumsum(counts)[: len(counts) // 2 * 2].reshape(-1, 2)
    return joined(bounds[bounds[:, 0] < bounds[:, 1]])


def joined(found: Intervals) -> Intervals:
    """Join intervals that touch."""
    if len(found) < 2 or not (found[1:, 0] == found[:-1, 1]).any():  # noqa: PLR2004 - a pair
        return found
    breaks = found[1:, 0] != found[:-1, 1]
    return np.stack([found[np.append(True, breaks), 0], found[np.append(breaks, True), 1]], axis=1)


def entry_in_box(ids: Int32[np.ndarray, "h w"], number: int, box: Sequence[int]) -> Entry:
    """Return the fields of an instances annotation that describe a mask, with compressed runs.

    Args:
        ids: Map that holds the mask.
        number: Its id there.
        box: Its left, upper, right and lower end; elsewhere nothing is looked at.
    """
    x0, y0, x1, y1 = box
    pixels = ids[:, x0:x1] == number
    return {
        "area": int(np.count_nonzero(pixels)),
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "segmentation": compressed_columns(pixels, x0, ids.shape[1]),
    }


def compressed_columns(pixels: Bool[np.ndarray, "h w"], left: int, width: int) -> dict[str, object]:
    """Return the compressed run lengths of a mask that lies within some columns of a photo.

    Args:
        pixels: The mask in these columns, of the full height.
        left: The first of the columns.
        width: Width of the photo.
    """
    height, columns = pixels.shape
    counts: list[int] = run_lengths(pixels.T).tolist()
    counts[0] += left * height
    behind = (width - left - columns) * height
    if len(counts) % 2:  # the last run is unset
        counts[-1] += behind
    elif behind:
        counts.append(behind)
    size = [height, width]
    found = mask.fr_py_objects({"size": size, "counts": counts}, *size)
    return {"size": size, "counts": found["counts"].decode()}


def _lists(found: list[object], on_oddity: OnFault) -> list[object]:
    """Return the polygons of a ``segmentation`` as lists x, y, x, y, ..."""
    first = found[0]
    if _is_number(first):
        on_oddity(Fault.FORM, "'segmentation' is one polygon without the outer list")
        return [found]
    if len(found) >= _MIN_NUMBERS // 2 and all(map(_is_pair, found)):
        found = [found]
    elif not isinstance(first, list) or not first or not isinstance(first[0], list):
        return found
    inner = [each for each in found if isinstance(each, list)]
    parts = [part for each in inner for part in each]
    if len(inner) < len(found):
        return found
    if all(map(_is_pair, parts)):
        on_oddity(Fault.FORM, "the polygons of 'segmentation' are lists of pairs x, y")
        return [[number for pair in each for number in pair] for each in inner]
    if all(isinstance(part, list) for part in parts):
        on_oddity(Fault.FORM, "'segmentation' is nested one level too deep")
        return parts
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))  # noqa: PLR2004


def _has_no_area(corners: object) -> bool:
    """Check for a point, a line or nothing; a list of an odd length is another fault."""
    if corners is None:
        return True
    if not isinstance(corners, list) or len(corners) >= _MIN_NUMBERS or len(corners) % 2:
        return False
    return all(map(_is_number, corners))


def _is_fraction(polygon: Polygon) -> bool:
    """Check for an outline inside the first pixel that is not this pixel."""
    if polygon[0] > 1:  # the usual case, in no time
        return False
    return bool(polygon.min() >= 0 and polygon.max() <= 1 and (polygon % 1).any())


def _polygon(position: int, corners: object, size: tuple[int, int]) -> Polygon:
    name = f"polygon {position} of 'segmentation'"
    try:
        numbers = np.array(corners)
    except ValueError:  # lists of several lengths
        numbers = np.array(None)
    if numbers.ndim != 1 or len(numbers) % 2 or len(numbers) < _MIN_NUMBERS:
        raise ValueError(f"{name} is not a list x, y, x, y, ... of at least three corners")
    if numbers.dtype.kind == "U":
        raise ValueError(f"{name} has strings; expected finite numbers")
    # NaN fails this test of the usual case, too.
    if numbers.dtype.kind in "if" and numbers.min() >= -min(size) and numbers.max() <= min(size):
        return numbers.astype(np.float64, copy=False)
    if numbers.dtype.kind not in "if" or not np.isfinite(numbers).all():
        raise ValueError(f"{name} has values other than finite numbers")
    limits = np.array(size[::-1])
    points = numbers.astype(np.float64)
    if (abs(points.reshape(-1, 2) - limits / 2) > 1.5 * limits).any():
        raise ValueError(f"{name} is far outside the photo of {size_text(size)} pixels")
    return points


def _run_lengths(
    values: Entry, size: tuple[int, int], on_oddity: OnFault, bbox: object
) -> RunLengths:
    height, width = size
    found_size = values.get("size")
    if found_size == [width, height] != [height, width] and _agrees(values, size, bbox):
        on_oddity(Fault.FORM, "the 'size' of its mask has height and width swapped")
    elif found_size != [height, width]:
        swapped = (
            "; its height and width seem to be swapped" if found_size == [width, height] else ""
        )
        raise ValueError(
            f"the 'size' of its mask is {found_size}; expected the size of the image, "
            f"[{height}, {width}]{swapped}"
        )
    counts = _counts(values.get("counts"), on_oddity)
    if isinstance(counts, list) and not _covers(counts, height * width):
        raise ValueError(
            f"the 'counts' of its mask are not integers that add up to {height * width}, the "
            "number of pixels of the image"
        )
    try:
        found: RunLengths = mask.fr_py_objects(
            {"size": [height, width], "counts": counts}, height, width
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"the 'counts' of its mask can't be read ({error})") from None
    if isinstance(counts, str) and _fits(counts, height * width - 1):
        raise ValueError(
            f"the 'counts' of its mask add up to less than the {height * width} pixels of the image"
        )
    return found


def _agrees(values: Entry, size: tuple[int, int], bbox: object) -> bool:
    """Check whether the box of a mask is `bbox`, within a pixel, in this size and not turned."""
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))):  # noqa: PLR2004
        return False
    counts = _counts(values.get("counts"), lambda *_: None)
    if isinstance(counts, list) and not _covers(counts, size[0] * size[1]):
        return False
    fits = []
    for height, width in (size, size[::-1]):
        try:
            region = mask.fr_py_objects({"size": [height, width], "counts": counts}, height, width)
        except (TypeError, ValueError):
            return False
        fits.append(np.allclose(mask.to_bbox(region), bbox, rtol=0, atol=1))
    return fits == [True, False]


def _counts(found: object, on_oddity: OnFault) -> object:
    """Return the run lengths as the library takes them."""
    if isinstance(found, list):
        return [int(n) if isinstance(n, float) and n.is_integer() else n for n in found]
    written = isinstance(found, str) and _BYTES_TEXT.fullmatch(found)
    if not written:
        return found
    on_oddity(Fault.FORM, "the 'counts' of its mask are bytes that were written as text, b'...'")
    return written[1].replace("\\\\", "\\")


def _fits(counts: str, pixels: int) -> bool:
    """Check whether valid runs have at most this many pixels; the library refuses more."""
    try:
        mask.fr_py_objects({"size": [pixels, 1], "counts": counts}, pixels, 1)
    except ValueError:
        return False
    return True


def _covers(counts: list[object], pixels: int) -> bool:
    lengths = [count for count in counts if isinstance(count, int) and 0 <= count <= pixels]
    return len(lengths) == len(counts) and sum(lengths) == pixels
