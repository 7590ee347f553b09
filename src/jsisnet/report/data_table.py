"""The table of a data set's classes."""

from collections.abc import Collection

import numpy as np

from jsisnet.datatools.statistics import ClassStatistics, Statistics
from jsisnet.report.words import NONE, percent
from jsisnet.visualize.report.html import Content, Markup, tag
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
