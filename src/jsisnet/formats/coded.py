"""Panoptic maps from and to pixels whose values code a class and an instance."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Integer

from jsisnet.categories import Categories
from jsisnet.panoptic import VOID, PanopticMap, Segment

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
