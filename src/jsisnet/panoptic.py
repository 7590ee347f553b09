"""The panoptic map: which segment each pixel belongs to, and what each segment is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int, Int32, Int64, Shaped

ImageId = int | str
"""Id that ground truth and predictions of an image share."""

SMALL, MEDIUM = 32**2, 96**2
"""Areas of a box, in square pixels, below which it counts as small or as medium."""

VOID = 0
"""Id of the pixels that belong to no segment."""

IGNORE = 255
"""Value of void pixels in a map of labels, unless there are more than 255 labels."""

MAX_LABELS = 65535
"""Most labels that maps of labels can hold, in 16 bits; with more than 255, also their void."""

_STRIP = 1 << 18
"""Pixels per table look-up; NumPy converts the indices to 64 bits, which takes memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One region of a panoptic map: a thing instance, or all pixels of a stuff class."""

    label: int
    """Contiguous class number, 0 to K-1."""

    isthing: bool
    """Whether the class is countable."""

    iscrowd: bool = False
    """Whether the region is a group of unseparated things; ground truth only."""

    score: float | None = None
    """Confidence in [0, 1] of a predicted thing; ``None`` for stuff and for ground truth."""


@dataclass(frozen=True, slots=True, eq=False)
class PanopticMap:
    """Non-overlapping segments of one image; pixel value i means ``segments[i - 1]``.

    A segment may have no pixels: ground truth can list such segments, and the metric counts them.
    """

    ids: Int32[np.ndarray, "h w"]
    """Number of each pixel's segment, from 1, or `VOID`."""

    segments: tuple[Segment, ...]
    """Segments in the order of their numbers."""

    def __post_init__(self) -> None:
        if not isinstance(self.ids, np.ndarray):
            raise ValueError(f"ids are of type {type(self.ids).__name__}; expected a NumPy array")
        if self.ids.dtype != np.int32 or self.ids.ndim != 2:  # noqa: PLR2004 - height and width
            found = f"{self.ids.dtype} {'x'.join(map(str, self.ids.shape))}"
            raise ValueError(f"ids are {found}; expected int32 with shape (height, width)")
        _check_ids(self.ids, len(self.segments))

    def __repr__(self) -> str:
        height, width = self.size
        return f"PanopticMap({height}x{width}, {len(self.segments)} segments)"

    @classmethod
    def compact(cls, ids: Int[np.ndarray, "h w"], segments: Sequence[Segment]) -> "PanopticMap":
        """Return a map without the segments that have no pixels, renumbered in order.

        Raises:
            ValueError: If an id is no integer from `VOID` to the number of segments.
        """
        _check_ids(ids, len(segments))
        pixels = np.zeros(len(segments) + 1, np.int64)
        for strip in _strips(ids):
            pixels += np.bincount(strip.ravel().astype(np.int64), minlength=len(pixels))
        present = np.flatnonzero(pixels[1:]) + 1
        renumber = np.zeros(len(segments) + 1, np.int32)
        renumber[present] = np.arange(1, len(present) + 1)
        return cls(_look_up(renumber, ids), tuple(segments[i - 1] for i in present.tolist()))

    def resized(self, size: tuple[int, int]) -> "PanopticMap":
        """Return the map at another height and width, sampled as by `resize_ids`.

        Segments that lose all their pixels are dropped.
        """
        if size == self.size:
            return self
        ids = resize_ids(self.ids, size)
        if size[0] >= self.size[0] and size[1] >= self.size[1]:
            return PanopticMap(ids, self.segments)
        return PanopticMap.compact(ids, self.segments)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.ids.shape
        return height, width

    def areas(self) -> Int64[np.ndarray, " n"]:
        """Count the pixels of each segment, in order."""
        areas = np.zeros(len(self.segments) + 1, np.int64)
        for strip in _strips(self.ids):
            areas += np.bincount(strip.ravel(), minlength=len(areas))
        return areas[1:]

    def boxes(self) -> Int64[np.ndarray, "n 4"]:
        """Return the tight box of each segment: x0, y0, x1, y1, upper end exclusive.

        The box of a segment without pixels is 0, 0, 0, 0.
        """
        height, width = self.ids.shape
        # Boxes follow from the runs of equal pixels along rows, which are far fewer than pixels.
        starts = np.ones((height, width), bool)
        np.not_equal(self.ids[:, 1:], self.ids[:, :-1], out=starts[:, 1:])
        rows, columns = np.nonzero(starts)
        lengths = np.diff(rows * width + columns, append=height * width)
        numbers = self.ids[rows, columns]
        boxes = np.array([width, height, 0, 0]) + np.zeros((len(self.segments) + 1, 1), np.int64)
        np.minimum.at(boxes[:, 0], numbers, columns)
        np.minimum.at(boxes[:, 1], numbers, rows)
        np.maximum.at(boxes[:, 2], numbers, columns + lengths)
        np.maximum.at(boxes[:, 3], numbers, rows + 1)
        boxes[boxes[:, 2] == 0] = 0
        return boxes[1:]

    def labels(self, void: int = IGNORE) -> Int32[np.ndarray, "h w"]:
        """Return the label of each pixel.

        Args:
            void: Value of void pixels; see `void_label`.

        Raises:
            ValueError: If a segment has this label.
        """
        table = np.array([void, *(segment.label for segment in self.segments)], np.int32)
        if (table[1:] == void).any():
            raise ValueError(f"the label of a segment is {void}, which stands for void")
        return _look_up(table, self.ids)


def void_label(num_labels: int) -> int:
    """Return the value of void pixels in maps of this many labels: 255, or 65535 if that is one.

    Raises:
        ValueError: If there are more labels than 16 bits can tell apart.
    """
    if num_labels > MAX_LABELS:
        raise ValueError(
            f"{num_labels:,} classes; expected at most {MAX_LABELS:,}, as maps of labels have 16 "
            "bits for each pixel"
        )
    return IGNORE if num_labels <= IGNORE else MAX_LABELS


def _check_ids(ids: Shaped[np.ndarray, "h w"], count: int) -> None:
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids are {ids.dtype}; expected integers")
    lowest, highest = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if lowest < VOID or highest > count:
        raise ValueError(
            f"ids of a map with {count} segments are {lowest} to {highest}; "
            f"expected {VOID} to {count}"
        )


def _look_up(
    table: Int32[np.ndarray, " n"], ids: Int[np.ndarray, "h w"]
) -> Int32[np.ndarray, "h w"]:
    result = np.empty(ids.shape, table.dtype)
    for target, strip in zip(_strips(result), _strips(ids), strict=True):
        # Ids are in range; without the check of another mode, this takes half the time.
        np.take(table, strip, out=target, mode="clip")
    return result


def _strips(pixels: Int[np.ndarray, "h w"]) -> Iterator[Int[np.ndarray, "rows w"]]:
    return (pixels[rows] for rows in row_strips((pixels.shape[0], pixels.shape[1]), _STRIP))


def row_strips(size: tuple[int, int], pixels: int) -> Iterator[slice]:
    """Split the rows of an image into strips of at most `pixels` pixels, but at least one row."""
    height, width = size
    rows = max(1, pixels // max(1, width))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def resize_ids(ids: Int32[np.ndarray, "h w"], size: tuple[int, int]) -> Int32[np.ndarray, "H W"]:
    """Resize a map of ids by nearest neighbour, sampled at pixel centres."""
    if ids.shape == size:
        return ids
    rows, columns = (
        (np.arange(new) * 2 + 1) * old // (2 * new)
        for new, old in zip(size, ids.shape, strict=True)
    )
    return ids.take(columns, axis=1).take(rows, axis=0)
