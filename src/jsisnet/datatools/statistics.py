"""What a data set holds: its photos' sizes, its void, and the segments of each class."""

from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import Categories
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import MEDIUM, SMALL


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MapContents:
    """What one map holds; segments without pixels are left out."""

    size: tuple[int, int]
    """Height and width in pixels."""

    numbers: Int64[np.ndarray, " n"]
    """Places of the segments in the map, ascending."""

    labels: Int64[np.ndarray, " n"]
    """Their classes."""

    areas: Int64[np.ndarray, " n"]
    """Their pixels."""

    crowds: Bool[np.ndarray, " n"]
    """Whether they are crowds."""


def contents(
    records: Sequence[Record], *, processes: int = 1
) -> Generator[MapContents, None, None]:
    """Read maps one after the other and tell what each holds.

    Args:
        records: Images whose maps are read.
        processes: How many share the work.

    Returns:
        The contents in order; whoever needs no more closes it.

    Raises:
        ValueError: If a map breaks a rule; the message names its file.
    """
    yield from in_order(_Work(records=tuple(records)), len(records), processes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """Reads maps."""

    records: tuple[Record, ...]

    def __call__(self, rank: int, workers: int) -> Iterator[MapContents]:
        for record in self.records[rank::workers]:
            yield _contents(record)


def _contents(record: Record) -> MapContents:
    panoptic = record.read()
    areas = panoptic.areas()
    present = np.flatnonzero(areas)
    segments = [panoptic.segments[i] for i in present.tolist()]
    return MapContents(
        size=panoptic.size,
        numbers=present,
        labels=np.array([segment.label for segment in segments], np.int64),
        areas=areas[present],
        crowds=np.array([segment.iscrowd for segment in segments], bool),
    )


SIZES = ("small", "medium", "large")
"""Names of the sizes of things, which COCO's areas of 32² and 96² pixels part."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Segments:
    """All segments with pixels of a data set, in the order of its images."""

    images: Int64[np.ndarray, " n"]
    """Places of their images among the records."""

    numbers: Int64[np.ndarray, " n"]
    """Their places in the maps."""

    labels: Int64[np.ndarray, " n"]
    """Their classes."""

    areas: Int64[np.ndarray, " n"]
    """Their pixels."""

    crowds: Bool[np.ndarray, " n"]
    """Whether they are crowds."""

    shares: Float64[np.ndarray, " n"]
    """Parts of their images that they cover, above 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassStatistics:
    """What there is of a class. Crowds are counted apart: they are no segments here."""

    label: int
    """The class."""

    images: int
    """Images that have a segment or a crowd of it."""

    segments: int
    """Things, or areas of stuff."""

    crowds: int
    """Groups of things that nobody took apart."""

    pixels: int
    """Of segments and crowds."""

    sizes: tuple[int, int, int]
    """Segments of each of the `SIZES`."""

    median_area: float | None
    """Of the segments, in pixels; ``None`` if there are none."""

    median_share: float | None
    """Of the segments, as a part of their images, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Statistics:
    """Numbers of a whole data set; they take some 40 bytes a segment, whatever its pixels."""

    categories: Categories
    """Classes of the data set."""

    heights: Int64[np.ndarray, " i"]
    """Of the images, in their order."""

    widths: Int64[np.ndarray, " i"]
    """Likewise."""

    segments: Segments
    """Of all images."""

    @property
    def pixels(self) -> int:
        """Count the pixels of all images."""
        return int((self.heights * self.widths).sum())

    @property
    def void(self) -> float | None:
        """Give the part of all pixels that has no class, 0 to 1; ``None`` without images."""
        owned = int(self.segments.areas.sum())
        return 1 - owned / self.pixels if self.pixels else None

    @property
    def isthing(self) -> Bool[np.ndarray, " n"]:
        """Tell for each segment whether it is of a countable class, crowd or not."""
        kinds = np.array([category.isthing for category in self.categories], bool)
        return kinds[self.segments.labels]

    @property
    def things(self) -> Bool[np.ndarray, " n"]:
        """Tell for each segment whether it is a thing, and no crowd."""
        return self.isthing & ~self.segments.crowds

    def per_image(self, wanted: Bool[np.ndarray, " n"]) -> Int64[np.ndarray, " i"]:
        """Count some of the segments in each image."""
        return np.bincount(self.segments.images[wanted], minlength=len(self.heights))

    def classes(self) -> tuple[ClassStatistics, ...]:
        """Count what there is of each class, in the order of the labels."""
        labels = self.segments.labels
        order = np.argsort(labels, kind="stable")
        ends = np.searchsorted(labels[order], np.arange(len(self.categories) + 1))
        return tuple(
            self._class(label, order[ends[label] : ends[label + 1]])
            for label in range(len(self.categories))
        )

    def _class(self, label: int, places: Int64[np.ndarray, " m"]) -> ClassStatistics:
        segments = self.segments
        single = places[~segments.crowds[places]]
        areas = segments.areas[single]
        sizes = np.bincount(np.searchsorted((SMALL, MEDIUM), areas, side="right"), minlength=3)
        small, medium, large = sizes.tolist()
        return ClassStatistics(
            label=label,
            images=len(np.unique(segments.images[places])),
            segments=len(single),
            crowds=len(places) - len(single),
            pixels=int(segments.areas[places].sum()),
            sizes=(small, medium, large),
            median_area=float(np.median(areas)) if len(areas) else None,
            median_share=float(np.median(segments.shares[single])) if len(areas) else None,
        )

    def summary(self) -> dict[str, Any]:
        """Give everything as JSON would; a number that does not exist is null."""
        segments, things, classes = self.segments, self.things, self.classes()
        sizes = [sum(c.sizes[i] for c in classes if self._isthing(c)) for i in range(len(SIZES))]
        return {
            "images": len(self.heights),
            "height": _spread(self.heights),
            "width": _spread(self.widths),
            "pixels": self.pixels,
            "void": self.void,
            "segments": int((~segments.crowds).sum()),
            "things": int(things.sum()),
            "crowds": int(segments.crowds.sum()),
            "segments_per_image": _spread(self.per_image(~segments.crowds)),
            "things_per_image": _spread(self.per_image(things)),
            "images_without_things": int((self.per_image(self.isthing) == 0).sum()),
            "thing_sizes": dict(zip(SIZES, sizes, strict=True)),
            "classes": [self._described(each) for each in classes],
            "never_seen": [self.categories[c.label].name for c in classes if not c.images],
        }

    def _isthing(self, of: ClassStatistics) -> bool:
        return self.categories[of.label].isthing

    def _described(self, of: ClassStatistics) -> dict[str, Any]:
        category = self.categories[of.label]
        return {
            "id": category.id,
            "name": category.name,
            "isthing": category.isthing,
            "images": of.images,
            "segments": of.segments,
            "crowds": of.crowds,
            "pixels": of.pixels,
            "share": of.pixels / self.pixels if self.pixels else None,
            **dict(zip(SIZES, of.sizes, strict=True)),
            "median_area": of.median_area,
            "median_share": of.median_share,
        }


def statistics(
    source: Source,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> Statistics:
    """Read all maps of a data set and count what they hold.

    Args:
        source: The data set; photos are not read.
        processes: How many share the work.
        on_image: Is told the numbers of images done and in total.

    Raises:
        ValueError: If a map breaks a rule; the message names its file.
    """
    # Compact arrays: a large data set has millions of segments.
    sides = array("q"), array("q")
    columns = [array("q") for _ in range(4)]
    crowds = array("b")
    total = len(source.records)
    for image, found in enumerate(contents(source.records, processes=processes)):
        for side, length in zip(sides, found.size, strict=True):
            side.append(length)
        places = np.full(len(found.labels), image, np.int64)
        values = (places, found.numbers, found.labels, found.areas)
        for column, value in zip(columns, values, strict=True):
            column.frombytes(value.tobytes())
        crowds.frombytes(found.crowds.tobytes())
        on_image(image + 1, total)
    heights, widths = (np.array(side, np.int64) for side in sides)
    images, numbers, labels, areas = (np.array(column, np.int64) for column in columns)
    return Statistics(
        categories=source.categories,
        heights=heights,
        widths=widths,
        segments=Segments(
            images=images,
            numbers=numbers,
            labels=labels,
            areas=areas,
            crowds=np.array(crowds, bool),
            shares=areas / (heights * widths)[images],
        ),
    )


def _spread(values: Int64[np.ndarray, " n"]) -> dict[str, int | float | None]:
    if not len(values):
        return dict.fromkeys(("lowest", "median", "mean", "highest"))
    return {
        "lowest": int(values.min()),
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "highest": int(values.max()),
    }
