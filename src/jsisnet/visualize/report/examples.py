"""Example pictures of the segments of each class, for the page on a data set."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int64, UInt8
from jsisnet.categories import Categories
from jsisnet.datatools.statistics import SegmentTable, Statistics
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.overlay import Style, draw
from jsisnet.visualize.report.templates import Picture
from jsisnet.visualize.truth import read_photo, resized_ids, resized_photo

_PICTURES = 400
"""Approximate number of pictures on a page; with many classes, each has fewer."""

_RANKS = (0.0, 0.5, 0.25, 0.75)
"""Segments to show of a class, in order of preference: 0 is the largest, 1 the smallest."""

_HEIGHT, _WIDTH = 240, 320
"""Largest size of a picture in pixels."""

_CONTEXT = 1.6
"""Side of the cropped region relative to that of the segment."""

_MIN_CROP = 1 / 8
"""Smallest side of a cropped region relative to the shorter side of the photo."""

_STYLE = Style(opacity=0.0, names=False, outline=1 / 130)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A segment that is shown as an example of its class."""

    label: int

    image: int
    """Index of its record."""

    number: int
    """Index in the segments of its map."""

    share: float
    """Fraction of the image that it covers, 0 to 1."""

    rank: int
    """Rank by size within its class, 1 for the largest."""

    of: int
    """Number of segments of its class."""


def choose_examples(statistics: Statistics) -> tuple[Example, ...]:
    """Choose segments of each class, each from a different image, the largest first.

    Crowd regions are chosen only for classes that have nothing else.
    """
    segments = statistics.segments
    seen = np.unique(segments.labels).tolist()
    count = min(len(_RANKS), max(1, _PICTURES // max(1, len(seen))))
    return tuple(example for label in seen for example in _choose(segments, label, count))


def draw_examples(
    examples: Sequence[Example],
    source: Source,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Mapping[Example, Picture], tuple[str, ...]]:
    """Draw examples: each segment outlined at full brightness on darkened surroundings.

    Args:
        examples: What to draw; each image is read once.
        source: Their data set, with photos.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.

    Returns:
        The pictures, and a message about each photo that can't be read.

    Raises:
        ValueError: If a map has been damaged since it was counted.
    """
    by_image = defaultdict(list)
    for example in examples:
        by_image[example.image].append(example)
    drawing = _Drawing(
        records=tuple(source.records[image] for image in by_image),
        examples=tuple(map(tuple, by_image.values())),
        categories=source.categories,
    )
    pictures: dict[Example, Picture] = {}
    unreadable = []
    for done, result in enumerate(in_order(drawing, len(by_image), processes), 1):
        if isinstance(result, str):
            unreadable.append(result)
        else:
            pictures.update(zip(drawing.examples[done - 1], result, strict=True))
        on_image(done, len(by_image))
    return pictures, tuple(unreadable)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawing:
    """Draws the examples of each image, or says why its photo can't be read."""

    records: tuple[Record, ...]
    examples: tuple[tuple[Example, ...], ...]
    categories: Categories

    def __call__(self, numbers: Iterable[int]) -> Iterator[tuple[Picture, ...] | str]:
        for number in numbers:
            record, examples = self.records[number], self.examples[number]
            assert record.image is not None  # a data set without photos has no examples
            panoptic = record.read()
            try:
                photo = read_photo(record.image, panoptic.size)
            except ValueError as error:
                yield str(error)
                continue
            boxes = panoptic.boxes()
            yield tuple(
                Picture.of(
                    _spotlight(photo, panoptic, each.number, boxes[each.number], self.categories)
                )
                for each in examples
            )


def _choose(segments: SegmentTable, label: int, count: int) -> list[Example]:
    positions = np.flatnonzero(segments.labels == label)
    single = positions[~segments.crowds[positions]]
    positions = single if len(single) else positions
    positions = positions[np.argsort(-segments.shares[positions], kind="stable")]
    free = np.ones(len(positions), bool)
    found = []
    for part in _RANKS[:count]:
        distance = np.abs(np.arange(len(positions)) - part * (len(positions) - 1))
        nearest = int(np.where(free, distance, np.inf).argmin())
        if not free[nearest]:
            break
        position = positions[nearest]
        image = int(segments.images[position])
        free &= segments.images[positions] != image
        found.append(
            Example(
                label=label,
                image=image,
                number=int(segments.indices[position]),
                share=float(segments.shares[position]),
                rank=nearest + 1,
                of=len(positions),
            )
        )
    return sorted(found, key=lambda example: example.rank)


def _spotlight(
    photo: UInt8[np.ndarray, "h w 3"],
    panoptic: PanopticMap,
    number: int,
    box: Int64[np.ndarray, " 4"],
    categories: Categories,
) -> UInt8[np.ndarray, "_ _ 3"]:
    rows, columns = _crop(box.tolist(), panoptic.size)
    factor = min(_HEIGHT / (rows.stop - rows.start), _WIDTH / (columns.stop - columns.start))
    height, width = (max(1, round(factor * (each.stop - each.start))) for each in (rows, columns))
    inside = resized_ids(panoptic.ids[rows, columns], (height, width)) == number + 1
    canvas = resized_photo(photo[rows, columns], (height, width))
    canvas[~inside] = canvas[~inside] * 0.4 + 10
    segment = panoptic.segments[number]
    around = Segment(label=segment.label, isthing=False)
    return draw(canvas, PanopticMap(inside + np.int32(1), (around, segment)), categories, _STYLE)


def _crop(box: Sequence[int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns to crop around a box, in the shape of a picture."""
    x0, y0, x1, y1 = box
    wanted = max(
        _CONTEXT * (y1 - y0), _CONTEXT * (x1 - x0) * _HEIGHT / _WIDTH, min(size) * _MIN_CROP
    )
    return _interval(y0, y1, wanted, size[0]), _interval(x0, x1, wanted * _WIDTH / _HEIGHT, size[1])


def _interval(low: int, high: int, wanted: float, side: int) -> slice:
    length = min(side, max(1, round(wanted)))
    start = min(max(0, (low + high - length) // 2), side - length)
    return slice(start, start + length)
