"""COCO's encodings of regions: polygons, and run lengths down the columns."""

from collections.abc import Mapping

import numpy as np
from hotcoco import mask

from jsisnet.arrays import Bool, Float64
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
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

_MIN_NUMBERS = 6
"""Numbers in a polygon of three corners."""


def shape(values: Entry, size: tuple[int, int]) -> Shape:
    """Read the ``segmentation`` of an entry: polygons, or run lengths, compressed or not.

    Args:
        values: The entry.
        size: Height and width of the photo.

    Raises:
        ValueError: If it is invalid, or does not fit the photo.
    """
    found = values.get("segmentation")
    if isinstance(found, dict):
        return _run_lengths(found, size)
    if not json_fields.has(values, "segmentation") or not json_fields.items(values, "segmentation"):
        raise ValueError("missing 'segmentation'; a box alone does not determine its pixels")
    return tuple(
        _polygon(position, corners, size)
        for position, corners in enumerate(json_fields.items(values, "segmentation"))
    )


def runs(region: Shape, size: tuple[int, int]) -> RunLengths:
    """Return the run lengths of a region in a photo of the given height and width."""
    if isinstance(region, Mapping):
        return region
    return mask.merge([mask.fr_poly(polygon.tolist(), *size) for polygon in region])


def area(region: RunLengths) -> int:
    """Return the area of a region in pixels."""
    return mask.area(dict(region))


def draw(region: RunLengths) -> CroppedMask:
    """Decode a region into a mask of its bounding box, which may be empty."""
    x, y, width, height = mask.to_bbox(dict(region)).astype(int).tolist()
    window = (slice(y, y + height), slice(x, x + width))
    return window, np.ascontiguousarray(mask.decode(dict(region))[window]).view(bool)


def entry(pixels: Bool[np.ndarray, "h w"]) -> Entry:
    """Return the fields of an instances annotation that describe a mask, with compressed runs."""
    found = mask.encode(pixels)
    counts = found["counts"].decode()
    return {
        "area": mask.area(found),
        "bbox": mask.to_bbox(found).tolist(),
        "segmentation": {"size": list(pixels.shape), "counts": counts},
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
    else:
        counts.append(behind)
    size = [height, width]
    found = mask.fr_py_objects({"size": size, "counts": counts}, *size)
    return {"size": size, "counts": found["counts"].decode()}


def _polygon(position: int, corners: object, size: tuple[int, int]) -> Polygon:
    name = f"polygon {position} of 'segmentation'"
    try:
        numbers = np.array(corners)
    except ValueError:  # lists of several lengths
        numbers = np.array(None)
    if numbers.ndim != 1 or len(numbers) % 2 or len(numbers) < _MIN_NUMBERS:
        raise ValueError(f"{name} is not a list x, y, x, y, ... of at least three corners")
    if numbers.dtype.kind not in "if" or not np.isfinite(numbers).all():
        raise ValueError(f"{name} has values other than finite numbers")
    limits = np.array(size[::-1])
    points = numbers.astype(np.float64)
    if (abs(points.reshape(-1, 2) - limits / 2) > 1.5 * limits).any():
        raise ValueError(f"{name} is far outside the photo of {size_text(size)} pixels")
    return points


def _run_lengths(values: Entry, size: tuple[int, int]) -> RunLengths:
    height, width = size
    if values.get("size") != [height, width]:
        raise ValueError(
            f"the 'size' of its mask is {values.get('size')}; expected the size of the image, "
            f"[{height}, {width}]"
        )
    counts = values.get("counts")
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
