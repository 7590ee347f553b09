"""The page about a data set: one HTML file that needs nothing else."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jsisnet.arrays import Bool
from jsisnet.categories import Categories
from jsisnet.datatools.statistics import ClassStatistics, Statistics
from jsisnet.formats.records import Source
from jsisnet.visualize.palette import short_name
from jsisnet.visualize.report import html, tables
from jsisnet.visualize.report.data_charts import (
    Bar,
    Frequency,
    bar_chart,
    frequency_chart,
    histogram,
)
from jsisnet.visualize.report.examples import Example, Picture, chosen, drawn
from jsisnet.visualize.report.findings import SIZES
from jsisnet.visualize.report.html import (
    NONE,
    Content,
    Markup,
    joined,
    percent,
    share,
    size_ranges,
    tag,
)
from jsisnet.visualize.report.tables import scrolling

_COLUMNS = (
    ("class", "Show its examples, if it has any"),
    ("kind", "Thing: countable; stuff: the rest"),
    ("images", "Images that have it"),
    ("segments", "Things or areas of stuff, without crowds"),
    ("crowds", "Groups of things that nobody took apart"),
    ("pixels, %", "Part of all pixels"),
    ("small", "Segments of less than 32² pixels"),
    ("medium", "Segments of less than 96² pixels"),
    ("large", "Segments of 96² pixels or more"),
    ("median area", "Of its segments, in pixels"),
    ("median, %", "Of its segments, as a part of their image"),
)


def class_table(statistics: Statistics, shown: Collection[int]) -> Markup:
    """Show every class, that with the most pixels first; the page's script sorts and filters them.

    Args:
        statistics: What was counted.
        shown: Classes that have examples on the page.
    """
    head = [
        tag(
            "th",
            tag("button", name, type="button", title=meaning),
            scope="col",
            aria_sort="descending" if name == "pixels, %" else "none",
        )
        for name, meaning in _COLUMNS
    ]
    classes = statistics.classes()
    most = max([1, *(each.pixels for each in classes)])
    order = np.argsort([-each.pixels for each in classes], kind="stable").tolist()
    rows = [_row(statistics, classes[label], most, link=label in shown) for label in order]
    parts = tag("thead", tag("tr", *head)), tag("tbody", *rows)
    return scrolling("Classes", *parts, id_="classes-table")


def _row(statistics: Statistics, of: ClassStatistics, most: int, *, link: bool) -> Markup:
    category = statistics.categories[of.label]
    part = of.pixels / max(1, statistics.pixels)
    name: Content = category.name
    if link:
        name = tag("a", category.name, href=f"#class-{of.label}")
    counts = {"images": of.images, "segments": of.segments, "crowds": of.crowds}
    return tag(
        "tr",
        tag("th", name, scope="row", data_value=category.name),
        tag("td", "thing" if category.isthing else "stuff"),
        *map(_count, counts.values()),
        tag(
            "td",
            percent(part, 2),
            data_value=part,
            class_="bar",
            style=f"--part:{of.pixels / most:.4f}",
        ),
        *map(_count, of.sizes),
        _value(of.median_area, "" if of.median_area is None else f"{of.median_area:,.0f}"),
        _value(of.median_share, percent(of.median_share, 2)),
    )


def _count(count: int) -> Markup:
    return tag("td", f"{count:,}", data_value=count, class_=None if count else "zero")


def _value(value: float | None, words: str) -> Markup:
    return tag("td", NONE, data_value=-1) if value is None else tag("td", words, data_value=value)


_KINDS = {"thing": "things", "stuff": "stuff"}
"""Classes of the page's style for kinds of classes, and what they are called."""

_STYLE = """
.cards { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
nav { margin-top: 0.8rem; }
.cards .pictures img { aspect-ratio: 4 / 3; object-fit: contain; }
.cards .pictures { grid-template-columns: repeat(auto-fill, minmax(min(46%, 7.5rem), 1fr)); }
"""


def write(
    path: Path,
    statistics: Statistics,
    source: Source,
    *,
    title: str,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> tuple[str, ...]:
    """Write the page of a data set; its folder is made if it is missing.

    Args:
        path: The page, which appears complete or not at all.
        statistics: What was counted.
        source: The data set; if it has photos, some are read.
        title: Its name.
        processes: How many share the work.
        on_image: Is told the numbers of images done and in total while examples are drawn.

    Returns:
        A sentence about each photo that can't be shown.

    Raises:
        ValueError: If a map has been damaged since it was counted.
    """
    categories, classes = statistics.categories, statistics.classes()
    photos = any(record.image is not None for record in source.records)
    pictures, faults = drawn(
        chosen(statistics) if photos else (), source, processes=processes, on_image=on_image
    )
    cards = _cards(pictures, source, classes)
    unseen = [categories[each.label].name for each in classes if not each.images]
    contents: dict[str, Content] = {
        "title": title,
        "summary": _summary(statistics),
        "notes": html.notes(
            (("classes are never seen", unseen), ("photos can't be shown", faults))
        ),
        "frequencies": _frequencies(classes, statistics),
        "things": _things(statistics),
        "sizes": _sizes(statistics),
        "classes": class_table(statistics, {example.label for example in pictures}),
        "cards": cards or tag("li", "There are no photos to show.", class_="card"),
    }
    html.write_page(path, "data.html", ("table.js", "enlarge.js"), _STYLE, contents)
    return faults


def _summary(statistics: Statistics) -> Markup:
    summary = statistics.summary()
    height, width = summary["height"], summary["width"]
    facts: list[tuple[str, Content]] = [
        ("images", f"{summary['images']:,}"),
        ("segments", f"{summary['segments']:,}"),
        ("things", f"{summary['things']:,}"),
        ("crowds", f"{summary['crowds']:,}"),
        ("void, % of the pixels", percent(summary["void"])),
        ("images without things", f"{summary['images_without_things']:,}"),
        ("median height × width", f"{_short(height['median'])} × {_short(width['median'])}"),
        ("pixels, millions", f"{summary['pixels'] / 1e6:,.1f}"),
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
    head = ("of an image", "lowest", "median", "mean", "highest")
    return joined(tables.table("Images", head, rows), html.facts(facts))


def _frequencies(classes: Sequence[ClassStatistics], statistics: Statistics) -> Markup:
    seen = [each for each in classes if each.images]
    if not seen:
        return tag("p", "There is no segment.")
    pixels = max(1, statistics.pixels)
    panels = [
        _frequency("Images", seen, statistics.categories, lambda each: each.images),
        _frequency("Segments", seen, statistics.categories, lambda each: each.segments),
        _frequency(
            "Pixels, %", seen, statistics.categories, lambda each: 100 * each.pixels / pixels
        ),
    ]
    return joined(tag("div", *panels, class_="charts"), html.legend(_KINDS))


def _frequency(
    what: str,
    classes: Sequence[ClassStatistics],
    categories: Categories,
    value: Callable[[ClassStatistics], float],
) -> Markup:
    bars = [
        Frequency(
            name=short_name(categories[each.label]),
            isthing=categories[each.label].isthing,
            value=float(value(each)),
            shown=f"{value(each):,.4g}" if what.endswith("%") else f"{value(each):,}",
        )
        for each in classes
        if value(each)
    ]
    if not bars:
        return tag("figure", tag("figcaption", what), tag("p", "None."))
    return tag("figure", tag("figcaption", what), frequency_chart(bars, what))


def _things(statistics: Statistics) -> Markup:
    bars = histogram(statistics.per_image(statistics.things))
    chart = tag("figure", bar_chart(bars, "things in an image", "thing"))
    numbers = tables.table(
        "Images by number of things",
        ("things", "images"),
        [(bar.name, f"{bar.count:,}") for bar in bars],
    )
    return joined(tag("div", chart, class_="charts"), html.numbers(numbers))


def _sizes(statistics: Statistics) -> Markup:
    single = ~statistics.segments.crowds
    kinds = {
        "thing": ("Things", statistics.things),
        "stuff": ("Stuff", single & ~statistics.isthing),
    }
    bars = {kind: _size_bars(statistics, wanted) for kind, (_, wanted) in kinds.items()}
    panels = [
        tag(
            "figure",
            tag("figcaption", kinds[kind][0]),
            bar_chart(each, "size, % of the image", kind),
        )
        for kind, each in bars.items()
    ]
    rows = [
        (thing.name, f"{thing.count:,}", f"{stuff.count:,}")
        for thing, stuff in zip(*bars.values(), strict=True)
    ]
    table = tables.table("Segments by size", ("size, % of the image", "things", "stuff"), rows)
    return joined(tag("div", *panels, class_="charts"), html.numbers(table))


def _size_bars(statistics: Statistics, wanted: Bool[np.ndarray, " n"]) -> tuple[Bar, ...]:
    places = np.searchsorted(SIZES, statistics.segments.shares[wanted], side="right")
    counts = np.bincount(places, minlength=len(SIZES) + 1).tolist()
    return tuple(
        Bar(name=name, label=name, count=count)
        for name, count in zip(size_ranges(), counts, strict=True)
    )


def _cards(
    pictures: Mapping[Example, Picture], source: Source, classes: Sequence[ClassStatistics]
) -> Markup:
    by_label = defaultdict(list)
    for example in pictures:
        by_label[example.label].append(example)
    return joined(
        *(
            _card(source, classes[label], {e: pictures[e] for e in by_label[label]})
            for label in sorted(by_label)
        )
    )


def _card(source: Source, of: ClassStatistics, pictures: Mapping[Example, Picture]) -> Markup:
    category = source.categories[of.label]
    name = short_name(category)
    counts = f"{of.segments:,} in {of.images:,} images" if of.segments else f"{of.crowds:,} crowds"
    figures = []
    for example in sorted(pictures, key=lambda each: each.rank):
        image = str(source.records[example.image].image_id)
        rank = "largest" if example.rank == 1 else f"no. {example.rank}"
        about = f"{rank} of {example.of}, {share(example.share)}"
        alt = f"{name}, {about} of image {image}"
        height, width = pictures[example].size
        shown = tag("img", src=pictures[example].uri, alt=alt, width=width, height=height)
        button = tag("button", shown, type="button", class_="enlarge")
        figures.append(tag("figure", button, tag("figcaption", about, tag("br"), f"image {image}")))
    kind = "thing" if category.isthing else "stuff"
    head = tag("h3", tag("span", category.name), " ", tag("small", f"{kind}, {counts}"))
    return tag(
        "li", head, tag("div", *figures, class_="pictures"), class_="card", id=f"class-{of.label}"
    )


def _short(value: Any) -> str:  # noqa: ANN401 - a number or nothing, as in a summary
    return NONE if value is None else f"{value:,.1f}".removesuffix(".0")
