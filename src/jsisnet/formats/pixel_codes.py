"""Conversion between panoptic maps and pixel values that encode a class and an instance."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int32, Int64, Integer, UInt32
from jsisnet.categories import Categories
from jsisnet.files import pixels
from jsisnet.panoptic import VOID, PanopticMap, Segment, row_strips

_STRIP = 2**18
"""Number of pixels that are processed at once, which limits the size of temporary arrays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentKey:
    """What a pixel value stands for; values with equal keys belong to one segment."""

    label: int
    """Label of the class."""

    instance: int = 0
    """Number that separates the things of a class; always 0 for stuff."""

    iscrowd: bool = False
    """Whether the region is a group of things without separate outlines."""


def decode(
    size: tuple[int, int],
    values: Callable[[slice], Integer[np.ndarray, "rows w"]],
    key: Callable[[int], SegmentKey | None],
    categories: Categories,
) -> PanopticMap:
    """Convert pixel values to a panoptic map, strip by strip.

    Args:
        size: Height and width in pixels.
        values: Returns the values of a range of rows.
        key: Returns what a value stands for, `None` for void; called once for each value.
        categories: Classes of the labels.

    Returns:
        The map. Segments come in the order in which they first appear, row by row, and each has at
        least one pixel.
    """
    ids = np.empty(size, np.int32)
    numbers: dict[int, int] = {}
    segments: dict[SegmentKey, int] = {}
    for rows in row_strips(size, _STRIP):
        flat = values(rows).ravel()
        # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
        starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))[: len(flat)]
        found, positions = np.unique(flat[starts], return_inverse=True)
        for value in found.tolist():
            if value not in numbers:
                meant = key(value)
                new = len(segments) + 1
                numbers[value] = VOID if meant is None else segments.setdefault(meant, new)
        table = np.array([numbers[value] for value in found.tolist()], np.int32)
        lengths = np.diff(starts, append=len(flat))
        ids[rows] = np.repeat(table[positions], lengths).reshape(-1, size[1])
    return PanopticMap(
        ids,
        tuple(
            Segment(label=s.label, isthing=categories[s.label].isthing, iscrowd=s.iscrowd)
            for s in segments
        ),
    )


def lookup(
    table: Integer[np.ndarray, " n"], ids: Int32[np.ndarray, "h w"]
) -> Integer[np.ndarray, "h w"]:
    """Return ``table[ids]`` without a 64-bit copy of the whole map."""
    result = np.empty(ids.shape, table.dtype)
    for rows in row_strips((ids.shape[0], ids.shape[1]), _STRIP):
        result[rows] = table[ids[rows]]
    return result


def instance_numbers(panoptic: PanopticMap) -> list[int]:
    """Return numbers that count the things of each class from 1; stuff and crowds get 0."""
    seen: Counter[int] = Counter()
    numbers = []
    for segment in panoptic.segments:
        counts = segment.isthing and not segment.iscrowd
        seen[segment.label] += counts
        numbers.append(seen[segment.label] if counts else 0)
    return numbers


def bgr_hint(found: Integer[np.ndarray, " n"], listed: Iterable[int]) -> str:
    """Return a hint for a message if ids that do not fit would all fit with R and B swapped.

    Args:
        found: The ids of a map.
        listed: The ids that it should have.
    """
    ids, known = found.astype(np.int64), {VOID, *listed}
    swapped = (ids & 0xFF) << 16 | ids & 0xFF00 | ids >> 16
    fit = known.issuperset(swapped.tolist()) and not known.issuperset(ids.tolist())
    return "; its channels seem to be in BGR order" if fit else ""


def renumber(
    ids: UInt32[np.ndarray, "h w"], listed: Sequence[int]
) -> tuple[Int32[np.ndarray, "h w"], Int64[np.ndarray, " n"]]:
    """Replace each panoptic id by one plus its position in `listed`, and count the pixels of each.

    Raises:
        ValueError: If an id other than `VOID` is not listed.
    """
    known = np.array([*listed, *([] if VOID in listed else [VOID])], np.uint32)
    numbers = np.append(np.arange(1, len(listed) + 1), VOID).astype(np.int32)[: len(known)]
    order = np.argsort(known)
    dense = np.empty(ids.shape, np.int32)
    areas = np.zeros(len(known), np.int64)
    ascending = known[order], numbers[order]
    flat = np.ascontiguousarray(ids).ravel()
    renumbered = pixels.renumber(flat, *ascending, dense.ravel(), areas)
    if renumbered < len(flat):
        text = f"segment {flat[renumbered]}: in the PNG, but not in the JSON file"
        raise ValueError(text + bgr_hint(np.unique(flat), listed))
    counted = np.empty_like(areas)
    counted[order] = areas
    return dense, counted[: len(listed)]
