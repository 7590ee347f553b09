"""Joining of the maps of overlapping tiles: which segments of neighbours are one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from jsisnet.arrays import Bool, Int64, UInt32
from jsisnet.inference.cuts import Cuts
from jsisnet.inference.tiles import Grid, Span, zone
from jsisnet.panoptic import VOID, PanopticMap, Segment

_FAR = 2**62
"""Corner of a box without pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class TileMap:
    """Map of a tile, in numbers that all tiles share."""

    rows: Span
    columns: Span

    numbers: UInt32[np.ndarray, "h w"]
    """Number of each pixel's segment among those of all tiles, from 1, or `VOID`."""

    def part(self, rows: range, columns: range) -> UInt32[np.ndarray, "h w"]:
        """Return the numbers in rows and columns of the picture."""
        top, left = self.rows.whole.start, self.columns.whole.start
        return self.numbers[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


LoadTile = Callable[[int, int], TileMap]
"""Function that returns the map of a tile by its row and column among the tiles."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joined:
    """The segments of a whole picture."""

    segments: tuple[Segment, ...]
    """Things, best score first, then stuff. A thing's score is the mean of its parts', weighted by
    their pixels."""

    areas: Int64[np.ndarray, " n"]
    """Number of pixels of each."""

    boxes: Int64[np.ndarray, "n 4"]
    """Box of each: x0, y0, x1, y1, upper end exclusive."""

    ids: UInt32[np.ndarray, " numbers"]
    """Id in the whole map, from 1, by the number among those of all tiles; the first is `VOID`."""

    cuts: Cuts
    """Where the tiles end."""


def join(
    grid: Grid,
    load: LoadTile,
    segments: Sequence[Segment],
    min_overlap: float,
) -> Joined:
    """Join the maps of the tiles of a picture; each ends where it differs least from the next.

    Stuff is joined by class. A thing is joined with one of the same class in a neighbouring tile if
    the IoU of both, among the pixels that both tiles see, is higher than `min_overlap`. With 0.5 or
    more, each has one partner at most there, so that two things that meet at a seam remain two.

    Args:
        grid: The tiles.
        load: Returns the map of a tile; tiles are asked for row by row.
        segments: Segments of all tiles, in the order of their numbers.
        min_overlap: IoU of the parts of one thing in the overlap.
    """
    groups = _Groups(segments)
    cuts = Cuts.straight(grid)
    for i, row in enumerate(grid.rows):
        left = None
        for j, column in enumerate(grid.columns):
            tile = load(i, j)
            if left is not None:
                groups.match(left, tile, min_overlap)
                shared = row.whole, zone(left.columns, column)
                cuts.cut_left(i, j, groups.differ(left.part(*shared), tile.part(*shared)))
            if i:
                above = load(i - 1, j)
                groups.match(above, tile, min_overlap)
                shared = zone(above.rows, row), column.core
                cuts.cut_above(i, j, groups.differ(above.part(*shared), tile.part(*shared)))
            left = tile
    return _joined(groups, _sums(grid, load, cuts, len(segments)), cuts, segments)


def _common(first: Span, second: Span) -> range:
    return range(
        max(first.whole.start, second.whole.start), min(first.whole.stop, second.whole.stop)
    )


class _Groups:
    """Numbers that stand for one segment, as trees that lead to the lowest of them."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        labels, things = [-1], [False]
        self._parents = [VOID]
        stuff: dict[int, int] = {}
        for number, segment in enumerate(segments, 1):
            labels.append(segment.label)
            things.append(segment.isthing)
            isfirst = segment.isthing or segment.label not in stuff
            self._parents.append(number if isfirst else stuff[segment.label])
            if not segment.isthing:
                stuff.setdefault(segment.label, number)
        self._labels, self._things = np.array(labels, np.int64), np.array(things, bool)

    def root(self, number: int) -> int:
        while (parent := self._parents[number]) != number:
            self._parents[number] = number = self._parents[parent]
        return number

    def match(self, first: TileMap, second: TileMap, min_overlap: float) -> None:
        """Join the things of two tiles that are the same in what both see."""
        both = _common(first.rows, second.rows), _common(first.columns, second.columns)
        pairs, counts = np.unique(
            first.part(*both).astype(np.uint64) << np.uint64(32) | second.part(*both),
            return_counts=True,
        )
        a, b = ((pairs >> np.uint64(32)).astype(np.int64), pairs.astype(np.uint32).astype(np.int64))
        union = _sums_by(a, counts) + _sums_by(b, counts) - counts
        same = self._things[a] & (self._labels[a] == self._labels[b])
        same &= counts > min_overlap * union
        for one, other in zip(a[same].tolist(), b[same].tolist(), strict=True):
            low, high = sorted((self.root(one), self.root(other)))
            self._parents[high] = low

    def differ(
        self, first: UInt32[np.ndarray, "h w"], second: UInt32[np.ndarray, "h w"]
    ) -> Bool[np.ndarray, "h w"]:
        """Return at which pixels two tiles see segments that are not joined."""
        return self._roots(first) != self._roots(second)

    def _roots(self, numbers: UInt32[np.ndarray, "h w"]) -> Int64[np.ndarray, "h w"]:
        present, places = np.unique(numbers, return_inverse=True)
        roots = np.array([self.root(number) for number in present.tolist()], np.int64)
        return roots[places.reshape(numbers.shape)]


def _sums_by(
    keys: Int64[np.ndarray, " n"], counts: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Return, for each key, the sum of the counts with the same one."""
    _, places = np.unique(keys, return_inverse=True)
    return np.bincount(places, counts).astype(np.int64)[places]


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Areas and boxes of numbers, in the pixels that belong to their tiles."""

    areas: Int64[np.ndarray, " numbers"]
    boxes: Int64[np.ndarray, "numbers 4"]


def _sums(grid: Grid, load: LoadTile, cuts: Cuts, count: int) -> _Sums:
    sums = _Sums(np.zeros(count + 1, np.int64), np.zeros((count + 1, 4), np.int64))
    for i, j in product(range(len(grid.rows)), range(len(grid.columns))):
        tile = load(i, j)
        present, places = np.unique(tile.numbers, return_inverse=True)
        ids = (places.reshape(tile.numbers.shape) + 1) * cuts.owned(i, j)
        part = PanopticMap(ids.astype(np.int32), (Segment(label=0, isthing=False),) * len(present))
        left, top = tile.columns.whole.start, tile.rows.whole.start
        sums.areas[present] = part.areas()
        sums.boxes[present] = part.boxes() + np.array([left, top, left, top])
    return sums


def _joined(groups: _Groups, sums: _Sums, cuts: Cuts, segments: Sequence[Segment]) -> Joined:
    numbers = np.flatnonzero(sums.areas[1:]) + 1
    roots = np.array([groups.root(number) for number in numbers.tolist()], np.int64)
    found, places = np.unique(roots, return_inverse=True)
    areas = np.zeros(len(found), np.int64)
    np.add.at(areas, places, sums.areas[numbers])
    scores = np.array([segments[number - 1].score or 0.0 for number in numbers.tolist()])
    means = np.bincount(places, scores * sums.areas[numbers], len(found)) / areas
    boxes = np.tile(np.array([_FAR, _FAR, 0, 0]), (len(found), 1))
    np.minimum.at(boxes[:, :2], places, sums.boxes[numbers, :2])
    np.maximum.at(boxes[:, 2:], places, sums.boxes[numbers, 2:])

    joined = [_scored(segments[n - 1], m) for n, m in zip(found.tolist(), means, strict=True)]
    order = sorted(range(len(joined)), key=lambda i: _rank(joined[i]))
    ids = np.zeros(len(segments) + 1, np.uint32)
    ids[numbers] = np.argsort(order)[places] + 1
    return Joined(
        segments=tuple(joined[i] for i in order),
        areas=areas[order],
        boxes=boxes[order],
        ids=ids,
        cuts=cuts,
    )


def _scored(segment: Segment, mean: float) -> Segment:
    return segment if segment.score is None else replace(segment, score=float(mean))


def _rank(segment: Segment) -> tuple[bool, float, int]:
    """Return what things with a good score come first by, and stuff in the order of classes."""
    return not segment.isthing, -(segment.score or 0.0), 0 if segment.isthing else segment.label
