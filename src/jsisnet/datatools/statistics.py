"""Statistics of a data set: image sizes, void, and the segments of each class."""

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64
from jsisnet.categories import Categories
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Record, Source
from jsisnet.panoptic import MEDIUM, SMALL

SIZES = ("small", "medium", "large")
"""Size classes of things, divided at COCO's areas of 32² and 96² pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MapContents:
    """The segments of one map, without those that have no pixels."""

    size: tuple[int, int]
    """Height and width in pixels."""

    indices: Int64[np.ndarray, " n"]
    """Indices of the segments in the map, ascending."""

    labels: Int64[np.ndarray, " n"]
    """Class of each segment."""

    areas: Int64[np.ndarray, " n"]
    """Area of each segment in pixels."""

    crowds: Bool[np.ndarray, " n"]
    """Whether each segment is a crowd region."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentTable:
    """All segments of a data set that have pixels, in the order of its images."""

    images: Int64[np.ndarray, " n"]
    """Index of each segment's image among the records."""

    indices: Int64[np.ndarray, " n"]
    """Index of each segment in its map."""

    labels: Int64[np.ndarray, " n"]
    """Class of each segment."""

    areas: Int64[np.ndarray, " n"]
    """Area of each segment in pixels."""

    crowds: Bool[np.ndarray, " n"]
    """Whether each segment is a crowd region."""

    shares: Float64[np.ndarray, " n"]
    """Fraction of its image that each segment covers, above 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassStatistics:
    """Statistics of one class. Crowd regions are counted separately, not as segments."""

    label: int
    """The class."""

    images: int
    """Number of images with a segment or crowd region of the class."""

    segments: int
    """Number of things, or of stuff segments."""

    crowds: int
    """Number of crowd regions."""

    pixels: int
    """Pixels of segments and crowd regions."""

    sizes: tuple[int, int, int]
    """Number of segments in each of the `SIZES`."""

    median_area: float | None
    """Median area of the segments in pixels; ``None`` if there are none."""

    median_share: float | None
    """Median fraction of its image that a segment covers; ``None`` if there are none."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Statistics:
    """Statistics of a data set, which take about 40 bytes of memory per segment."""

    categories: Categories
    """Classes of the data set."""

    heights: Int64[np.ndarray, " i"]
    """Height of each image in pixels."""

    widths: Int64[np.ndarray, " i"]
    """Width of each image in pixels."""

    segments: SegmentTable
    """Segments of all images."""

    @property
    def pixels(self) -> int:
        """Number of pixels of all images."""
        return int((self.heights * self.widths).sum())

    @property
    def void(self) -> float | None:
        """Fraction of all pixels that is void, 0 to 1; ``None`` without images."""
        owned = int(self.segments.areas.sum())
        return 1 - owned / self.pixels if self.pixels else None

    @property
    def isthing(self) -> Bool[np.ndarray, " n"]:
        """Whether the class of each segment is a thing; crowd regions included."""
        kinds = np.array([category.isthing for category in self.categories], bool)
        return kinds[self.segments.labels]

    @property
    def things(self) -> Bool[np.ndarray, " n"]:
        """Whether each segment is a thing, without crowd regions."""
        return self.isthing & ~self.segments.crowds

    def per_image(self, selected: Bool[np.ndarray, " n"]) -> Int64[np.ndarray, " i"]:
        """Count the selected segments in each image."""
        return np.bincount(self.segments.images[selected], minlength=len(self.heights))

    def classes(self) -> tuple[ClassStatistics, ...]:
        """Compute the statistics of each class, in the order of the labels."""
        labels = self.segments.labels
        order = np.argsort(labels, kind="stable")
        ends = np.searchsorted(labels[order], np.arange(len(self.categories) + 1))
        return tuple(
            self._class(label, order[ends[label] : ends[label + 1]])
            for label in range(len(self.categories))
        )

    def _class(self, label: int, indices: Int64[np.ndarray, " m"]) -> ClassStatistics:
        segments = self.segments
        single = indices[~segments.crowds[indices]]
        areas = segments.areas[single]
        sizes = np.bincount(np.searchsorted((SMALL, MEDIUM), areas, side="right"), minlength=3)
        small, medium, large = sizes.tolist()
        return ClassStatistics(
            label=label,
            images=len(np.unique(segments.images[indices])),
            segments=len(single),
            crowds=len(indices) - len(single),
            pixels=int(segments.areas[indices].sum()),
            sizes=(small, medium, large),
            median_area=float(np.median(areas)) if len(areas) else None,
            median_share=float(np.median(segments.shares[single])) if len(areas) else None,
        )

    def summary(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values; ``None`` where a number is undefined."""
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
            "classes": [self._class_summary(each) for each in classes],
            "never_seen": [self.categories[c.label].name for c in classes if not c.images],
        }

    def _isthing(self, found: ClassStatistics) -> bool:
        return self.categories[found.label].isthing

    def _class_summary(self, found: ClassStatistics) -> dict[str, Any]:
        category = self.categories[found.label]
        return {
            "id": category.id,
            "name": category.name,
            "isthing": category.isthing,
            "images": found.images,
            "segments": found.segments,
            "crowds": found.crowds,
            "pixels": found.pixels,
            "share": found.pixels / self.pixels if self.pixels else None,
            **dict(zip(SIZES, found.sizes, strict=True)),
            "median_area": found.median_area,
            "median_share": found.median_share,
        }


def statistics(
    source: Source,
    *,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
    on_error: Callable[[Record, ValueError], None] | None = None,
) -> Statistics:
    """Read all maps of a data set and compute its statistics.

    Args:
        source: The data set; photos are not read.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.
        on_error: Called with each image whose map is damaged or invalid, which is left out: the
            images of the statistics are the other ones, in their order. By default it is an error.

    Raises:
        ValueError: If a map is damaged or invalid; the message names its file.
    """
    # Compact arrays, as a large data set has millions of segments.
    sides = array("q"), array("q")
    columns = [array("q") for _ in range(4)]
    crowds = array("b")
    total = len(source.records)
    outcomes = map_outcomes(source.records, processes=processes)
    for done, (record, found) in enumerate(zip(source.records, outcomes, strict=True), 1):
        on_image(done, total)
        if isinstance(found, str):
            if on_error is None:
                raise ValueError(found)
            on_error(record, ValueError(found))
            continue
        image = len(sides[0])
        for side, length in zip(sides, found.size, strict=True):
            side.append(length)
        image_column = np.full(len(found.labels), image, np.int64)
        values = (image_column, found.indices, found.labels, found.areas)
        for column, value in zip(columns, values, strict=True):
            column.frombytes(value.tobytes())
        crowds.frombytes(found.crowds.tobytes())
    heights, widths = (np.array(side, np.int64) for side in sides)
    images, indices, labels, areas = (np.array(column, np.int64) for column in columns)
    return Statistics(
        categories=source.categories,
        heights=heights,
        widths=widths,
        segments=SegmentTable(
            images=images,
            indices=indices,
            labels=labels,
            areas=areas,
            crowds=np.array(crowds, bool),
            shares=areas / (heights * widths)[images],
        ),
    )


def read_map_contents(
    records: Sequence[Record], *, processes: int = 1
) -> Generator[MapContents, None, None]:
    """Read maps and yield their segments.

    Args:
        records: Images whose maps are read.
        processes: Number of worker processes.

    Yields:
        The contents of the maps in order. Close the generator to stop early.

    Raises:
        ValueError: If a map is damaged or invalid; the message names its file.
    """
    with closing(map_outcomes(records, processes=processes)) as outcomes:
        for found in outcomes:
            if isinstance(found, str):
                raise ValueError(found)
            yield found


def map_outcomes(
    records: Sequence[Record], *, processes: int
) -> Generator[MapContents | str, None, None]:
    """Read maps, and yield their contents, or a message about one that can't be read, in order."""
    yield from in_order(_MapReader(records=tuple(records)), len(records), processes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _MapReader:
    """Reads some of the maps in a worker process."""

    records: tuple[Record, ...]

    def __call__(self, numbers: Iterable[int]) -> Iterator[MapContents | str]:
        for number in numbers:
            try:
                yield _read_map(self.records[number])
            except ValueError as error:
                yield f"{error}"


def _read_map(record: Record) -> MapContents:
    panoptic = record.read()
    areas = panoptic.areas()
    present = np.flatnonzero(areas)
    segments = [panoptic.segments[i] for i in present.tolist()]
    return MapContents(
        size=panoptic.size,
        indices=present,
        labels=np.array([segment.label for segment in segments], np.int64),
        areas=areas[present],
        crowds=np.array([segment.iscrowd for segment in segments], bool),
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
