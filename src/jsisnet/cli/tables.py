"""Results as tables."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from jsisnet.categories import Categories
from jsisnet.panoptic import PanopticMap

NONE = "-"
"""What stands for a number that does not exist."""


def table(*columns: str) -> Table:
    """Give an empty table; columns whose name begins with ``>`` hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        isnumber = column.startswith(">")
        made.add_column(
            column.removeprefix(">"),
            justify="right" if isnumber else "left",
            no_wrap=isnumber,
            overflow="fold",
        )
    return made


def segments(panoptic: PanopticMap, categories: Categories) -> Table:
    """List the segments of a map."""
    made = table(">id", "class", "kind", ">score", ">area %", ">x0", ">y0", ">x1", ">y1")
    described = zip(panoptic.segments, panoptic.areas(), panoptic.boxes().tolist(), strict=True)
    for number, (segment, area, corners) in enumerate(described, 1):
        made.add_row(
            str(number),
            categories[segment.label].name,
            _kind(segment.isthing),
            NONE if segment.score is None else f"{segment.score:.2f}",
            f"{100 * area / panoptic.ids.size:.1f}",
            *map(str, corners),
        )
    return made


def quality(summary: Mapping[str, Any]) -> Table:
    """Show PQ, SQ and RQ for all classes, things and stuff, as papers do."""
    made = table("", ">PQ", ">SQ", ">RQ", ">classes")
    for name in ("all", "things", "stuff"):
        row = summary[name]
        made.add_row(name.capitalize(), *_percentages(row), str(row["n"]))
    return made


def quality_of_classes(summary: Mapping[str, Any]) -> Table:
    """Show PQ, SQ and RQ of each class, and its numbers of segments."""
    made = table("class", "kind", ">PQ", ">SQ", ">RQ", ">TP", ">FP", ">FN")
    for row in summary["classes"]:
        counts = [str(row[name]) for name in ("tp", "fp", "fn")]
        made.add_row(row["name"], _kind(row["isthing"]), *_percentages(row), *counts)
    return made


def _percentages(row: Mapping[str, Any]) -> list[str]:
    values = [row[name] for name in ("pq", "sq", "rq")]
    return [NONE if value is None else f"{value:.2f}" for value in values]


def _kind(isthing: bool) -> str:
    return "thing" if isthing else "stuff"
