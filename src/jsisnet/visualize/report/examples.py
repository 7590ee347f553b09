"""Photos that show what the segments of a class look like."""

import io
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jsisnet.arrays import Int64, UInt8
from jsisnet.categories import Categories
from jsisnet.datatools.statistics import Segments, Statistics
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.overlay import Style, draw
from jsisnet.visualize.truth import read_photo, resized_ids, resized_photo

_QUALITY = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture for a page."""

    uri: str
    """All of it, as JPEG."""

    size: tuple[int, int]
    """Height and width in pixels."""


def encoded(pixels: UInt8[np.ndarray, "h w 3"]) -> Picture:
    """Make the pixels a picture for a page."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY, optimize=True)
    height, width = pixels.shape[:2]
    code = b64encode(content.getvalue()).decode("ascii")
    return Picture(uri=f"data:image/jpeg;base64,{code}", size=(height, width))


_PICTURES = 400
"""On a page, about; of many classes each has fewer."""

_WANTED = (0.0, 0.5, 0.25, 0.75)
"""Which segments of a class are shown, the most wanted first: 0 is the largest, 1 the smallest."""

_HEIGHT, _WIDTH = 240, 320
"""Pixels of a picture, at most."""

_AROUND = 1.6
"""Height or width of what is shown, by that of the segment."""

_LEAST = 1 / 8
"""Part of the photo's shorter side that is shown around the smallest segments."""

_STYLE = Style(thing_opacity=0.0, stuff_opacity=0.0, names=False, outline=1 / 130)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A segment to show."""

    label: int
    """Its class."""

    image: int
    """Place of its image among the records."""

    number: int
    """Its place in the map."""

    share: float
    """Part of the image that it covers."""

    rank: int
    """Its place among those of its class by size, 1 for the largest."""

    of: int
    """How many there are of its class."""


def chosen(statistics: Statistics) -> tuple[Example, ...]:
    """Choose segments of each class, the largest ones first, each from another image.

    Crowds are chosen where a class has nothing else.
    """
    segments = statistics.segments
    seen = np.unique(segments.labels).tolist()
    count = min(len(_WANTED), max(1, _PICTURES // max(1, len(seen))))
    return tuple(example for label in seen for example in _of_class(segments, label, count))


def drawn(
    examples: Sequence[Example],
    source: Source,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Mapping[Example, Picture], tuple[str, ...]]:
    """Draw examples: each segment bright and outlined, what is around it dark.

    Args:
        examples: What to draw; an image is read once.
        source: Data set that they are from, with photos.
        processes: How many share the work.
        on_image: Is told the numbers of images done and in total.

    Returns:
        The pictures, and a sentence about each photo that can't be shown.

    Raises:
        ValueError: If a map has been damaged since it was counted.
    """
    by_image = defaultdict(list)
    for example in examples:
        by_image[example.image].append(example)
    work = _Work(
        records=tuple(source.records[image] for image in by_image),
        examples=tuple(map(tuple, by_image.values())),
        categories=source.categories,
    )
    pictures: dict[Example, Picture] = {}
    faults = []
    for done, result in enumerate(in_order(work, len(by_image), processes), 1):
        if isinstance(result, str):
            faults.append(result)
        else:
            pictures.update(zip(work.examples[done - 1], result, strict=True))
        on_image(done, len(by_image))
    return pictures, tuple(faults)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """Draws the examples of each image, or says why it can't."""

    records: tuple[Record, ...]
    examples: tuple[tuple[Example, ...], ...]
    categories: Categories

    def __call__(self, rank: int, workers: int) -> Iterator[tuple[Picture, ...] | str]:
        for record, examples in list(zip(self.records, self.examples, strict=True))[rank::workers]:
            assert record.image is not None  # a data set without photos has no examples
            panoptic = record.read()
            try:
                photo = read_photo(record.image, panoptic.size)
            except ValueError as error:
                yield str(error)
                continue
            boxes = panoptic.boxes()
            yield tuple(
                encoded(
                    _spotlight(photo, panoptic, each.number, boxes[each.number], self.categories)
                )
                for each in examples
            )


def _of_class(segments: Segments, label: int, count: int) -> list[Example]:
    places = np.flatnonzero(segments.labels == label)
    single = places[~segments.crowds[places]]
    places = single if len(single) else places
    places = places[np.argsort(-segments.shares[places], kind="stable")]
    free = np.ones(len(places), bool)
    found = []
    for part in _WANTED[:count]:
        distance = np.abs(np.arange(len(places)) - part * (len(places) - 1))
        nearest = int(np.where(free, distance, np.inf).argmin())
        if not free[nearest]:
            break
        place = places[nearest]
        image = int(segments.images[place])
        free &= segments.images[places] != image
        found.append(
            Example(
                label=label,
                image=image,
                number=int(segments.numbers[place]),
                share=float(segments.shares[place]),
                rank=nearest + 1,
                of=len(places),
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
    rows, columns = _view(box.tolist(), panoptic.size)
    factor = min(_HEIGHT / (rows.stop - rows.start), _WIDTH / (columns.stop - columns.start))
    height, width = (max(1, round(factor * (part.stop - part.start))) for part in (rows, columns))
    inside = resized_ids(panoptic.ids[rows, columns], (height, width)) == number + 1
    canvas = resized_photo(photo[rows, columns], (height, width))
    canvas[~inside] = canvas[~inside] * 0.4 + 10
    segment = panoptic.segments[number]
    around = Segment(label=segment.label, isthing=False)
    return draw(canvas, PanopticMap(inside + np.int32(1), (around, segment)), categories, _STYLE)


def _view(box: Sequence[int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Give the rows and columns around a box that are shown, in the shape of a picture."""
    x0, y0, x1, y1 = box
    wanted = max(_AROUND * (y1 - y0), _AROUND * (x1 - x0) * _HEIGHT / _WIDTH, min(size) * _LEAST)
    return _part(y0, y1, wanted, size[0]), _part(x0, x1, wanted * _WIDTH / _HEIGHT, size[1])


def _part(low: int, high: int, wanted: float, side: int) -> slice:
    length = min(side, max(1, round(wanted)))
    start = min(max(0, (low + high - length) // 2), side - length)
    return slice(start, start + length)
