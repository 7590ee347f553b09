"""Anchors against the true boxes of a data set: which they reach, and which anchors would fit."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from jsisnet.arrays import Float64
from jsisnet.evaluation.proposal_recall import GROUPS, MIN_IOU, groups, true_boxes
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record

_STEPS = (1.4, 1.2, 1.1, 1.05)
"""Factors by which the fit changes sizes and ratios, one after the other."""

_TIE = 0.01
"""Weight of the mean IoU against the fraction of the boxes that are reached."""

_MOST_BOXES = 20_000
"""Boxes that anchors are fitted to; of more, evenly spaced ones are taken."""

_APART = 1.05
"""Smallest ratio of two neighbouring sizes, or ratios, of fitted anchors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchors:
    """Anchors of all combinations of sizes and ratios, on the grid of one or several maps."""

    sizes: tuple[float, ...]
    """Square roots of the areas in pixels of the network's input, ascending; spread over the maps
    in this order."""

    ratios: tuple[float, ...]
    """Aspect ratios, height over width."""

    strides: tuple[int, ...]
    """Stride of each map, whose multiples are the centres. Their number divides that of sizes."""

    def __post_init__(self) -> None:
        if len(self.sizes) % len(self.strides):
            raise ValueError(
                f"anchors.sizes has {len(self.sizes)} numbers; expected a multiple of "
                f"{len(self.strides)}, as many for each map"
            )

    def shapes(self) -> Iterator[tuple[float, float, int]]:
        """Yield height, width and stride of the anchors of a cell, by size and then by ratio."""
        per_map = len(self.sizes) // len(self.strides)
        for number, size in enumerate(self.sizes):
            for ratio in self.ratios:
                yield size * ratio**0.5, size / ratio**0.5, self.strides[number // per_map]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrueBoxes:
    """Boxes of the things of a data set, without crowds."""

    boxes: Float64[np.ndarray, "g 4"]
    """Corners in pixels of the images, none of them empty."""

    sides: Float64[np.ndarray, "g 2"]
    """Height and width of each box's image."""

    def __len__(self) -> int:
        return len(self.boxes)

    def resized(self, size: tuple[int, int]) -> Float64[np.ndarray, "g 4"]:
        """Return the boxes after the images were resized to a height and width."""
        vertical, horizontal = (size / self.sides).T
        return self.boxes * np.stack([horizontal, vertical, horizontal, vertical], axis=1)


def read_true_boxes(
    records: Sequence[Record],
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> TrueBoxes:
    """Read the maps of a data set for the boxes of its things.

    Args:
        records: Images whose maps are read.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.

    Raises:
        ValueError: If a map is damaged or invalid; the message names its file.
    """
    values = array("d")
    for done, found in enumerate(in_order(_BoxReader(tuple(records)), len(records), processes), 1):
        values.frombytes(found.tobytes())
        on_image(done, len(records))
    table = np.array(values, np.float64).reshape(-1, 6)
    return TrueBoxes(boxes=table[:, :4], sides=table[:, 4:])


@dataclass(frozen=True, slots=True)
class _BoxReader:
    """Reads the boxes of some maps in a worker process, each with the sides of its image."""

    records: tuple[Record, ...]

    def __call__(self, numbers: Iterable[int]) -> Iterator[Float64[np.ndarray, "g 6"]]:
        for number in numbers:
            panoptic = self.records[number].read()
            boxes = true_boxes(panoptic)
            sides = np.broadcast_to(np.array(panoptic.size, np.float64), (len(boxes), 2))
            yield np.concatenate([boxes, sides], axis=1)


def best_iou(
    boxes: Float64[np.ndarray, "g 4"], anchors: Anchors, size: tuple[int, int]
) -> Float64[np.ndarray, " g"]:
    """Return the highest IoU of each box with an anchor.

    Args:
        boxes: Corners in pixels of the network's input, none of them empty.
        anchors: Anchors, which are not clipped.
        size: Height and width of the network's input.
    """
    best = np.zeros(len(boxes))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for height, width, stride in anchors.shapes():
        common = _overlap(boxes[:, 1::2], height, stride, size[0])
        common *= _overlap(boxes[:, 0::2], width, stride, size[1])
        np.maximum(best, common / (areas + height * width - common), out=best)
    return best


def recall(true: TrueBoxes, anchors: Anchors, size: tuple[int, int]) -> dict[str, Any]:
    """Measure what anchors reach at an input size, as plain values ready for JSON.

    Returns:
        For ``all`` things and those of each size and shape, as `proposal_recall` groups them by
        their boxes in the image: the number of ``things``, the ``recall``, which is the percentage
        whose best anchor has an IoU of at least `MIN_IOU`, and the mean ``iou`` with the best
        anchor, in percent. The last two are ``None`` without things.
    """
    best = best_iou(true.resized(size), anchors, size)
    return {
        name: {
            "things": int(members.sum()),
            "recall": _percentage(best[members] >= MIN_IOU),
            "iou": _percentage(best[members]),
        }
        for name, members in zip(GROUPS, groups(true.boxes), strict=True)
    }


def fit(boxes: Float64[np.ndarray, "g 4"], start: Anchors, size: tuple[int, int]) -> Anchors:
    """Improve sizes and ratios, so that the anchors reach as many boxes as possible.

    Sizes and ratios are multiplied by ever smaller factors, one at a time, as long as more boxes
    have an anchor with an IoU of at least `MIN_IOU`, or as many, with a higher mean.

    Args:
        boxes: Corners in pixels of the network's input, none of them empty.
        start: Anchors to begin with, which the result resembles; their numbers and strides stay.
        size: Height and width of the network's input.

    Returns:
        Anchors with three significant digits, which depend on the arguments alone.

    Raises:
        ValueError: If there are no boxes.

    Reference:
        The search of YOLOv5's `autoanchor.py`, without chance. Its other part, k-means on the IoU,
        is left out: a higher mean reached fewer boxes, as most of them are small.
    """
    if not len(boxes):
        raise ValueError("there are no things that anchors could be fitted to")
    boxes = boxes[:: -(-len(boxes) // _MOST_BOXES)]
    found = start
    for step in _STEPS:
        while (better := _stepped(boxes, found, size, step)) != found:
            found = better
    return found


def _stepped(
    boxes: Float64[np.ndarray, "g 4"], anchors: Anchors, size: tuple[int, int], step: float
) -> Anchors:
    """Multiply or divide each size and ratio by a step where that makes the anchors fitter."""
    highest = _fitness(boxes, anchors, size)
    numbers = range(len(anchors.sizes) + len(anchors.ratios))
    for number, factor in product(numbers, (step, 1 / step)):
        moved = _moved(anchors, number, factor)
        fitness = _fitness(boxes, moved, size)
        if fitness > highest:
            anchors, highest = moved, fitness
    return anchors


def _moved(anchors: Anchors, number: int, factor: float) -> Anchors:
    """Multiply one of the sizes or else of the ratios."""
    values = np.array([*anchors.sizes, *anchors.ratios])
    values[number] *= factor
    sizes, ratios = np.split(values, [len(anchors.sizes)])
    return replace(anchors, sizes=_ascending(sizes), ratios=_ascending(ratios))


def _ascending(values: Float64[np.ndarray, " n"]) -> tuple[float, ...]:
    """Sort values, move those apart that are almost equal, and round them."""
    steps = _APART ** np.arange(len(values))
    apart = np.maximum.accumulate(np.sort(values) / steps) * steps
    return tuple(float(f"{value:.3g}") for value in apart.tolist())


def _fitness(boxes: Float64[np.ndarray, "g 4"], anchors: Anchors, size: tuple[int, int]) -> float:
    best = best_iou(boxes, anchors, size)
    return float((best >= MIN_IOU).mean() + _TIE * best.mean())


def _overlap(
    spans: Float64[np.ndarray, "g 2"], length: float, stride: int, side: int
) -> Float64[np.ndarray, " g"]:
    """Return what each span of an axis shares with the nearest anchor, whose overlap is largest."""
    cells = -(-side // stride)
    centres = (spans.mean(axis=1) / stride).round().clip(0, cells - 1) * stride
    ends = np.minimum(spans[:, 1], centres + length / 2)
    common: Float64[np.ndarray, " g"] = ends - np.maximum(spans[:, 0], centres - length / 2)
    return common.clip(min=0)


def _percentage(values: np.ndarray) -> float | None:
    return 100 * float(values.mean()) if len(values) else None
