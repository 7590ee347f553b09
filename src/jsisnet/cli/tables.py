"""Tables of results, for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from jsisnet.categories import Categories
from jsisnet.panoptic import PanopticMap

if TYPE_CHECKING:
    from jsisnet.experiments.speed import Cost
    from jsisnet.experiments.table2 import Term
    from jsisnet.experiments.trainings import Spread

NONE = "-"
"""Cell of an undefined number."""

_CLASS_FIGURES = {">IoU": ("semantic", "iou"), ">mask AP": ("instances", "mask_ap")}
"""Further figures per class, by heading: section of the summary and key in its rows."""

BRANCHES = {
    "miou": "mIoU",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "box_ap": "box AP",
    "box_ap50": "box AP50",
}
"""Figures of the branches, by key of the summary, and their titles."""

_MAX_CONFUSIONS = 5
"""Rows of the confusion table."""

_EXPERIMENT_FIGURES = {
    "miou": "mIoU",
    "mask_ap50": "mask AP50",
    "pq": "PQ",
    "gain": "gain",
    "pq_things": "things",
    "pq_stuff": "stuff",
    "recall": "recall",
    "training_seconds": "training, s",
    "training_megabytes": "memory, MB",
    "prediction_milliseconds": "image to map, ms",
}
"""Figures of an experiment, by key, and their titles."""


def table(*columns: str) -> Table:
    """Return an empty table; columns whose name begins with ``>`` hold numbers."""
    rich_table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        isnumber = column.startswith(">")
        rich_table.add_column(
            column.removeprefix(">"),
            justify="right" if isnumber else "left",
            no_wrap=isnumber,
            overflow="fold",
        )
    return rich_table


def segments(panoptic: PanopticMap, categories: Categories) -> Table:
    """Return a table of the segments of a map."""
    rich_table = table(">id", "class", "kind", ">score", ">area %", ">x0", ">y0", ">x1", ">y1")
    described = zip(panoptic.segments, panoptic.areas(), panoptic.boxes().tolist(), strict=True)
    for number, (segment, area, corners) in enumerate(described, 1):
        rich_table.add_row(
            str(number),
            categories[segment.label].name,
            _kind(segment.isthing),
            NONE if segment.score is None else f"{segment.score:.2f}",
            f"{100 * area / panoptic.ids.size:.1f}",
            *map(str, corners),
        )
    return rich_table


def quality(summary: Mapping[str, Any], title: str = "") -> Table:
    """Return a table of PQ, SQ and RQ for all classes, things and stuff."""
    rich_table = table(title, ">PQ", ">SQ", ">RQ", ">classes")
    for name in ("all", "things", "stuff"):
        row = summary[name]
        rich_table.add_row(name.capitalize(), *_percentages(row), str(row.get("n", "")))
    return rich_table


def ablation(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table of the PQ of variants and their differences from the first one."""
    rich_table = table("", ">PQ", ">difference", ">things", ">stuff")
    first = next(iter(results.values()))["all"]["pq"]
    for name, result in results.items():
        whole, things, stuff = (result[group]["pq"] for group in ("all", "things", "stuff"))
        difference = NONE if None in (whole, first) else f"{whole - first:+.2f}"
        rich_table.add_row(
            name, _percentage(whole), difference, _percentage(things), _percentage(stuff)
        )
    return rich_table


def loss_terms(terms: "Sequence[Term]", published: Mapping[str, float]) -> Table:
    """Return a table of loss terms: weights, published weights and weighted values."""
    rich_table = table("term", ">weight", ">paper's weight", ">weighted term")
    for term in terms:
        weights = (f"{term.weight:g}", f"{published[term.name]:g}")
        rich_table.add_row(term.name, *weights, f"{term.value:.4f}")
    rich_table.add_row("total", "", "", f"{sum(term.value for term in terms):.4f}")
    return rich_table


def quality_of_classes(summary: Mapping[str, Any]) -> Table:
    """Return a table of each class's PQ, SQ, RQ, matches and further figures."""
    more = {
        heading: {row["name"]: row[figure] for row in summary[part]}
        for heading, (part, figure) in _CLASS_FIGURES.items()
        if part in summary
    }
    rich_table = table("class", "kind", ">PQ", ">SQ", ">RQ", ">TP", ">FP", ">FN", *more)
    for row in summary["classes"]:
        counts = [str(row[name]) for name in ("tp", "fp", "fn")]
        values = [_percentage(figures.get(row["name"])) for figures in more.values()]
        rich_table.add_row(row["name"], _kind(row["isthing"]), *_percentages(row), *counts, *values)
    return rich_table


def confusion(pairs: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the most frequent confusions, most frequent first."""
    swapped = [pair for pair in pairs if None not in (pair["truth"], pair["prediction"])]
    rich_table = table("class", "predicted as", ">segments")
    for pair in swapped[:_MAX_CONFUSIONS]:
        rich_table.add_row(pair["truth"], pair["prediction"], str(pair["count"]))
    return rich_table


def branches(summary: Mapping[str, Any]) -> Table:
    """Return a table of the figures of the semantic and the instance branch."""
    rich_table = table("", ">%")
    for name, title in BRANCHES.items():
        if name in summary:
            rich_table.add_row(title, _percentage(summary[name]))
    return rich_table


def proposal_recall(summary: Mapping[str, Any]) -> Table:
    """Return a table of the mean recall of proposals, by their number, object size and shape."""
    recall = summary["rpn_recall"]
    sets = list(recall["proposals"])
    rich_table = table("RPN mean recall, %", *(f">{name}" for name in sets), ">images")
    for group in [name for name in recall if name != "proposals"]:
        row = recall[group]
        rich_table.add_row(group, *(_percentage(row[name]) for name in sets), str(row["images"]))
    numbers = [recall["proposals"][name] for name in sets]
    given = [NONE if number is None else f"{number:.1f}" for number in numbers]
    rich_table.add_row("proposals per image", *given, "")
    return rich_table


def _percentages(row: Mapping[str, Any]) -> list[str]:
    return [_percentage(row[name]) for name in ("pq", "sq", "rq")]


def _percentage(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _kind(isthing: bool) -> str:
    return "thing" if isthing else "stuff"


def experiment_table(rows: Mapping[str, Mapping[str, "Spread | None"]]) -> Table:
    """Return a table of figures over seeds, as mean and standard deviation."""
    figures = list(next(iter(rows.values())))
    rich_table = table("", *(f">{_EXPERIMENT_FIGURES[figure]}" for figure in figures))
    for name, row in rows.items():
        rich_table.add_row(name, *(_spread(row[figure]) for figure in figures))
    return rich_table


def published_experiment(rows: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Return a table of published figures of one run."""
    figures = list(next(iter(rows.values())))
    rich_table = table("", *(f">{_EXPERIMENT_FIGURES[figure]}" for figure in figures))
    for name, row in rows.items():
        rich_table.add_row(name, *(NONE if row[f] is None else f"{row[f]:.1f}" for f in figures))
    return rich_table


def costs(rows: Iterable["Cost"]) -> Table:
    """Return a table of the costs of one network, of two, and their ratio."""
    rich_table = table("", ">joint", ">semantic", ">instance", ">both", ">joint / both")
    for cost in rows:
        each = (cost.joint, cost.semantic, cost.instance, cost.both)
        figures = ["" if value is None else f"{value:.1f}" for value in each]
        rich_table.add_row(f"{cost.name}, {cost.unit}", *figures, f"{cost.ratio:.2f}")
    return rich_table


def _spread(spread: "Spread | None") -> str:
    return NONE if spread is None else f"{spread.mean:.1f} ± {spread.deviation:.1f}"
