"""Panoptic maps from and to pixels whose values code a class and an instance."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, Integer, UInt32

from jsisnet.categories import Categories
from jsisnet.panoptic import VOID, PanopticMap, Segment

try:
    from jsisnet import _pixels
except ImportError:
    _pixels = None  # type: ignore[assignment]  # installed without a C compiler

_STRIP = 2**18
"""Pixels that are looked at together; intermediate results are no larger than that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a value stands for; values of the same meaning are one segment."""

    label: int
    """The class."""

    instance: int = 0
    """Tells things of a class apart; always 0 for stuff."""

    iscrowd: bool = False
    """Whether the things of the region are not told apart."""


def drawn(
    size: tuple[int, int],
    values: Callable[[slice], Integer[np.ndarray, "rows w"]],
    meaning: Callable[[int], Meaning | None],
    categories: Categories,
) -> PanopticMap:
    """Draw a map, strip by strip.

    Args:
        size: Height and width in pixels.
        values: Gives the values of some rows.
        meaning: Tells what a value stands for, `None` for void; is asked once for each value.
        categories: Classes of the labels.

    Returns:
        The map, with segments in the order in which rows from the top come upon them; each owns
        at least one pixel.
    """
    ids = np.empty(size, np.int32)
    numbers: dict[int, int] = {}
    segments: dict[Meaning, int] = {}
    for rows in _strips(size):
        flat = values(rows).ravel()
        # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
        starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))[: len(flat)]
        found, places = np.unique(flat[starts], return_inverse=True)
        for value in found.tolist():
            if value not in numbers:
                meant = meaning(value)
                new = len(segments) + 1
                numbers[value] = VOID if meant is None else segments.setdefault(meant, new)
        table = np.array([numbers[value] for value in found.tolist()], np.int32)
        lengths = np.diff(starts, append=len(flat))
        ids[rows] = np.repeat(table[places], lengths).reshape(-1, size[1])
    return PanopticMap(
        ids,
        tuple(
            Segment(label=m.label, isthing=categories[m.label].isthing, iscrowd=m.iscrowd)
            for m in segments
        ),
    )


def looked_up(
    table: Integer[np.ndarray, " n"], ids: Int32[np.ndarray, "h w"]
) -> Integer[np.ndarray, "h w"]:
    """Give the entry of a table for each pixel, without 64-bit numbers of the whole map."""
    result = np.empty(ids.shape, table.dtype)
    for rows in _strips((ids.shape[0], ids.shape[1])):
        result[rows] = table[ids[rows]]
    return result


def instance_numbers(panoptic: PanopticMap) -> list[int]:
    """Count the things of each class from 1; stuff and crowds get 0."""
    seen: Counter[int] = Counter()
    numbers = []
    for segment in panoptic.segments:
        counts = segment.isthing and not segment.iscrowd
        seen[segment.label] += counts
        numbers.append(seen[segment.label] if counts else 0)
    return numbers


def _strips(size: tuple[int, int]) -> Iterator[slice]:
    height, width = size
    rows = max(1, _STRIP // max(1, width))
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


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
    renumbered = (_renumber if _pixels is None else _pixels.renumber)(
        flat, *ascending, dense.ravel(), areas
    )
    if renumbered < len(flat):
        raise ValueError(f"segment {flat[renumbered]}: is in the PNG, but not in the JSON file")
    counted = np.empty_like(areas)
    counted[order] = areas
    return dense, counted[: len(listed)]


def _renumber(
    ids: UInt32[np.ndarray, " n"],
    known: UInt32[np.ndarray, " k"],
    numbers: Int32[np.ndarray, " k"],
    renumbered: Int32[np.ndarray, " n"],
    areas: Int64[np.ndarray, " k"],
) -> int:
    """Do what the compiled loop does: give the pixels up to the first unknown id."""
    # Neighbours mostly share a segment, so runs of equal pixels are looked up, not pixels.
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))[: len(ids)]
    places = np.searchsorted(known, ids[starts]).clip(max=len(known) - 1)
    strange = starts[known[places] != ids[starts]]
    if len(strange):
        return int(strange[0])
    lengths = np.diff(starts, append=len(ids))
    renumbered[:] = np.repeat(numbers[places], lengths)
    areas[:] = np.bincount(places, lengths, len(known))
    return len(ids)
