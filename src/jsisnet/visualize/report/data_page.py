"""The page on a data set: one self-contained HTML file."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.arrays import Bool
from jsisnet.categories import Categories
from jsisnet.datatools.statistics import ClassStatistics, Statistics
from jsisnet.formats.records import Source
from jsisnet.visualize.palette import short_name
from jsisnet.visualize.report import charts
from jsisnet.visualize.report.charts import Bin, ClassBar
from jsisnet.visualize.report.examples import Example, choose_examples, draw_examples
from jsisnet.visualize.report.report_data import SIZES
from jsisnet.visualize.report.tables import ClassRow
from jsisnet.visualize.report.templates import (
    MISSING,
    Cell,
    Figure,
    Picture,
    Table,
    percent,
    share,
    size_ranges,
    write_page,
)

_COLUMNS = (
    ("class", "Show its examples"),
    ("kind", "Things are countable objects, stuff is everything else"),
    ("images", "Images that contain the class"),
    ("segments", "Segments, without crowd regions"),
    ("crowds", "Crowd regions: groups of things annotated as one"),
    ("pixels, %", "Share of all pixels"),
    ("small", "Segments below 32² pixels"),
    ("medium", "Segments from 32² to below 96² pixels"),
    ("large", "Segments of 96² pixels or more"),
    ("median area", "Median area of a segment, in pixels"),
    ("median, %", "Median share of the image that a segment covers"),
)
"""Headers and tooltips of the table of classes."""

_STYLE = """
.cards { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
nav { margin-top: 0.8rem; }
.cards .pictures img { aspect-ratio: 4 / 3; object-fit: contain; }
.cards .pictures { grid-template-columns: repeat(auto-fill, minmax(min(46%, 7.5rem), 1fr)); }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleCard:
    """The examples of one class."""

    name: str
    """Name of the class."""

    about: str
    """Its kind and counts."""

    figures: tuple[Figure, ...]


def write(
    path: Path,
    statistics: Statistics,
    source: Source,
    *,
    title: str,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> tuple[str, ...]:
    """Write the page on a data set; missing parent folders are created.

    Args:
        path: HTML file, written atomically.
        statistics: Statistics of the data set.
        source: The data set; examples are drawn if it has photos.
        title: Name of the data set.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total while examples are drawn.

    Returns:
        A message about each photo that can't be read.

    Raises:
        ValueError: If a map has been damaged since the statistics were computed.
    """
    classes = statistics.classes()
    photos = any(record.image is not None for record in source.records)
    chosen = choose_examples(statistics) if photos else ()
    pictures, unreadable = draw_examples(chosen, source, processes=processes, on_image=on_image)
    unseen = [statistics.categories[each.label].name for each in classes if not each.images]
    context = {
        "title": title,
        "style": _STYLE,
        **_summary(statistics),
        "notes": (("Classes that never occur", unseen), ("Photos that can't be read", unreadable)),
        "frequencies": _frequencies(classes, statistics),
        **_things(statistics),
        **_sizes(statistics),
        "class_columns": _COLUMNS,
        "class_rows": _class_rows(classes, statistics),
        "examples": _cards(pictures, source, classes),
    }
    write_page(path, "data.html", context)
    return unreadable


def _summary(statistics: Statistics) -> dict[str, Any]:
    summary = statistics.summary()
    height, width = summary["height"], summary["width"]
    facts = [
        ("images", f"{summary['images']:,}"),
        ("segments", f"{summary['segments']:,}"),
        ("things", f"{summary['things']:,}"),
        ("crowds", f"{summary['crowds']:,}"),
        ("void pixels, %", percent(summary["void"])),
        ("images without things", f"{summary['images_without_things']:,}"),
        ("median height × width", f"{_short(height['median'])} × {_short(width['median'])}"),
        ("megapixels", f"{summary['pixels'] / 1e6:,.1f}"),
    ]
    rows = [
        (name, *(_short(summary[key][each]) for each in ("lowest", "median", "mean", "highest")))
        for key, name in (
            ("height", "height"),
            ("width", "width"),
            ("segments_per_image", "segments"),
            ("things_per_image", "things"),
        )
    ]
    head = ("per image", "lowest", "median", "mean", "highest")
    return {"images": Table(name="Images", head=head, rows=rows), "facts": facts}


def _frequencies(
    classes: Sequence[ClassStatistics], statistics: Statistics
) -> list[tuple[str, str | None]]:
    """Return the charts of class frequencies by title; none if there are no segments."""
    seen = [each for each in classes if each.images]
    pixels = max(1, statistics.pixels)
    values: dict[str, Callable[[ClassStatistics], float]] = {
        "Images": lambda each: each.images,
        "Segments": lambda each: each.segments,
        "Pixels, %": lambda each: 100 * each.pixels / pixels,
    }
    return [
        (name, _frequency_chart(name, seen, statistics.categories, value))
        for name, value in values.items()
        if seen
    ]


def _frequency_chart(
    what: str,
    classes: Sequence[ClassStatistics],
    categories: Categories,
    value: Callable[[ClassStatistics], float],
) -> str | None:
    bars = [
        ClassBar(
            name=short_name(categories[each.label]),
            isthing=categories[each.label].isthing,
            value=float(value(each)),
            formatted=f"{value(each):,.4g}" if what.endswith("%") else f"{value(each):,}",
        )
        for each in classes
        if value(each)
    ]
    return charts.frequency_chart(bars, what) if bars else None


def _things(statistics: Statistics) -> dict[str, Any]:
    bins = charts.histogram(statistics.per_image(statistics.things))
    return {
        "thing_chart": charts.bar_chart(bins, "things per image", "thing"),
        "thing_table": Table(
            name="Images by number of things",
            head=("things", "images"),
            rows=[(each.name, f"{each.count:,}") for each in bins],
        ),
    }


def _sizes(statistics: Statistics) -> dict[str, Any]:
    things = _size_bins(statistics, statistics.things)
    stuff = _size_bins(statistics, ~statistics.segments.crowds & ~statistics.isthing)
    title = "size, % of the image"
    rows = [
        (each.name, f"{each.count:,}", f"{other.count:,}")
        for each, other in zip(things, stuff, strict=True)
    ]
    return {
        "size_charts": [
            ("Things", charts.bar_chart(things, title, "thing")),
            ("Stuff", charts.bar_chart(stuff, title, "stuff")),
        ],
        "size_table": Table(name="Segments by size", head=(title, "things", "stuff"), rows=rows),
    }


def _size_bins(statistics: Statistics, wanted: Bool[np.ndarray, " n"]) -> tuple[Bin, ...]:
    bins = np.searchsorted(SIZES, statistics.segments.shares[wanted], side="right")
    counts = np.bincount(bins, minlength=len(SIZES) + 1).tolist()
    return tuple(
        Bin(name=name, tick=name, count=count)
        for name, count in zip(size_ranges(), counts, strict=True)
    )


def _class_rows(classes: Sequence[ClassStatistics], statistics: Statistics) -> list[ClassRow]:
    """Return a row for every class, the one with the most pixels first."""
    most = max([1, *(each.pixels for each in classes)])
    order = np.argsort([-each.pixels for each in classes], kind="stable").tolist()
    return [_class_row(classes[label], statistics, most) for label in order]


def _class_row(of: ClassStatistics, statistics: Statistics, most: int) -> ClassRow:
    category, part = statistics.categories[of.label], of.pixels / max(1, statistics.pixels)
    area = MISSING if of.median_area is None else f"{of.median_area:,.0f}"
    return ClassRow(
        label=of.label,
        name=category.name,
        kind="thing" if category.isthing else "stuff",
        cells=(
            *map(_count, (of.images, of.segments, of.crowds)),
            Cell(text=percent(part, 2), value=part, part=of.pixels / most),
            *map(_count, of.sizes),
            Cell(text=area, value=-1 if of.median_area is None else of.median_area),
            Cell(
                text=percent(of.median_share, 2),
                value=-1 if of.median_share is None else of.median_share,
            ),
        ),
    )


def _count(count: int) -> Cell:
    return Cell(text=f"{count:,}", value=count, faint=not count)


def _cards(
    pictures: Mapping[Example, Picture], source: Source, classes: Sequence[ClassStatistics]
) -> dict[int, ExampleCard]:
    """Return the cards of all classes with examples, by label."""
    by_label: dict[int, list[Example]] = defaultdict(list)
    for example in pictures:
        by_label[example.label].append(example)
    cards = {}
    for label in sorted(by_label):
        of, category = classes[label], source.categories[label]
        count = f"{of.segments:,} in {of.images:,} images" if of.segments else f"{of.crowds} crowds"
        examples = sorted(by_label[label], key=lambda each: each.rank)
        cards[label] = ExampleCard(
            name=category.name,
            about=f"{'thing' if category.isthing else 'stuff'}, {count}",
            figures=tuple(_figure(each, pictures[each], source) for each in examples),
        )
    return cards


def _figure(example: Example, picture: Picture, source: Source) -> Figure:
    image = source.records[example.image].image_id
    rank = "largest" if example.rank == 1 else f"no. {example.rank}"
    about = f"{rank} of {example.of}, {share(example.share)}"
    name = short_name(source.categories[example.label])
    return Figure(
        picture=picture,
        caption=(about, f"image {image}"),
        alt=f"{name}, {about} of image {image}",
    )


def _short(value: float | int | None) -> str:
    return MISSING if value is None else f"{value:,.1f}".removesuffix(".0")
