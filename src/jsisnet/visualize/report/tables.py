"""Tables of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories
from jsisnet.evaluation.errors import KINDS
from jsisnet.evaluation.score import Score
from jsisnet.visualize.report.charts import FATES
from jsisnet.visualize.report.findings import SCORES, Findings, ScoreTally, SizeTally
from jsisnet.visualize.report.html import (
    MEANINGS,
    NAMES,
    NONE,
    Content,
    Markup,
    joined,
    percent,
    size_ranges,
    tag,
)

_MOST_CLASSES = 24
"""Of the picture of confusion; those that are mistaken more rarely are left out."""


def table(
    name: str, head: Sequence[Content], rows: Sequence[Sequence[Content]], class_: str | None = None
) -> Markup:
    """Make a table whose first column names the rows.

    Args:
        name: What it shows, for those who don't see it.
        head: Names of the columns.
        rows: Cells of each row.
        class_: Class of the page's style.
    """
    return scrolling(
        name,
        tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))),
        tag("tbody", *(_row(cells) for cells in rows)),
        class_=class_,
    )


def scrolling(name: str, *parts: Markup, **attributes: str | None) -> Markup:
    """Make a table that is moved sideways, by keys too, where the page is too narrow for it."""
    made = tag("table", *parts, **attributes)
    return tag("div", made, class_="wide", tabindex=0, role="region", aria_label=name)


def quality_table(values: Mapping[str, Any]) -> Markup:
    """Show PQ, SQ and RQ of all classes, things and stuff, from a summary of them."""
    rows = []
    for name in ("all", "things", "stuff"):
        means = (values[name][figure] for figure in ("pq", "sq", "rq"))
        shown = (NONE if mean is None else f"{mean:.2f}" for mean in means)
        rows.append((name, *shown, values[name]["n"]))
    return table("Quality", ("", "PQ", "SQ", "RQ", "classes"), rows, "quality")


def class_table(score: Score, findings: Findings) -> Markup:
    """Show every class that occurs, worst first; the page's script sorts and filters them."""
    columns = [
        ("class", "Show the images with errors of this class"),
        ("kind", "Thing: countable; stuff: the rest"),
        ("PQ", "Panoptic quality, %"),
        ("SQ", "Segmentation quality: mean IoU of the matches, %"),
        ("RQ", "Recognition quality: F1 score of the matching, %"),
        ("TP", "Matches"),
        ("FP", "Predicted segments without a match"),
        ("FN", "True segments without a match"),
        *((NAMES[kind], f"FP and FN: {MEANINGS[kind]}") for kind in KINDS),
    ]
    head = []
    for name, meaning in columns:
        button = tag("button", name, type="button", title=meaning)
        order = "ascending" if name == "PQ" else "none"
        head.append(tag("th", button, scope="col", aria_sort=order))
    seen = np.flatnonzero(score.quality.seen)
    worst_first = seen[np.argsort(score.quality.pq[seen], kind="stable")]
    rows = [_class_row(score, findings, label) for label in worst_first.tolist()]
    parts = tag("thead", tag("tr", *head)), tag("tbody", *rows)
    return scrolling("Classes", *parts, id_="classes-table")


def fate_table(rows: Sequence[tuple[str, Int64[np.ndarray, " fates"]]]) -> Markup:
    """Show what became of segments."""
    head = [NAMES[fate] for fate in FATES]
    body = [(name, *counts.tolist()) for name, counts in rows]
    return table("What became of the segments", ("", *head), body)


def size_table(tallies: Mapping[str, SizeTally]) -> Markup:
    """Show the numbers of the diagrams over the sizes."""
    head = ("size, % of the image", "kind", "PQ", "mean IoU", "found", "not found", "false")
    rows: list[tuple[Content, ...]] = []
    for name, tally in tallies.items():
        for place, range_ in enumerate(size_ranges()):
            tp, fp, fn = (int(values[place]) for values in (tally.tp, tally.fp, tally.fn))
            iou, under = float(tally.iou[place]), tp + (fp + fn) / 2
            means = (iou / under if under else None, iou / tp if tp else None)
            rows.append((range_, name, *map(percent, means), tp, fn, fp))
    return table("Segments by size", head, rows)


def score_table(tally: ScoreTally) -> Markup:
    """Show the numbers of the diagram over the scores."""
    rows: list[tuple[Content, ...]] = []
    columns = zip(tally.count.tolist(), tally.matched.tolist(), tally.total.tolist(), strict=True)
    for place, (count, matched, total) in enumerate(columns):
        low = place / SCORES
        parts = (matched / count, total / count) if count else (None, None)
        range_ = f"{low:.1f}–{low + 1 / SCORES:.1f}"
        rows.append((range_, count, matched, *map(percent, parts)))
    head = ("score", "segments", "matches", "% that match", "mean score, %")
    return table("Segments by score", head, rows)


def confusion_table(confusion: Int64[np.ndarray, "k1 k1"], categories: Categories) -> Markup | None:
    """Colour how often each class is taken for another one, or for nothing, if any is.

    Classes that are mistaken for another one most often come first.
    """
    last = len(categories)
    wrong = confusion * ~np.eye(last + 1, dtype=bool)
    between = wrong[:last, :last]
    involved = between.sum(0) + between.sum(1)
    order = np.argsort(-involved, kind="stable")
    labels = [int(i) for i in order if involved[i]][:_MOST_CLASSES]
    if not labels:
        return None
    names = {label: categories[label].name for label in labels} | {last: "nothing"}
    head = [tag("th", tag("span", name), scope="col") for name in names.values()]
    rows = [
        tag("tr", tag("th", name, scope="row"), *(_cell(confusion, i, j, names) for j in names))
        for i, name in names.items()
    ]
    corner = tag("th", "true ↓ predicted →", scope="col", class_="corner")
    parts = tag("thead", tag("tr", corner, *head)), tag("tbody", *rows)
    return scrolling("Confusion of the classes", *parts, class_="confusion")


def _cell(
    confusion: Int64[np.ndarray, "k1 k1"], i: int, j: int, names: Mapping[int, str]
) -> Markup:
    count, last = int(confusion[i, j]), len(confusion) - 1
    if not count:
        return tag("td")
    total = int(confusion[:, j].sum() if i == last else confusion[i].sum())
    what = f"{names[i]} predicted as {names[j]}: {count} of {total}"
    if i == last:
        what = f"{names[j]} predicted where nothing alike is: {count} of {total} predictions"
    class_ = "hit" if i == j else "nothing" if last in (i, j) else "swap"
    return tag("td", count, class_=class_, title=what, style=f"--part:{count / total:.3f}")


def _class_row(score: Score, findings: Findings, label: int) -> Markup:
    quality, category = score.quality, score.categories[label]
    pq, sq, rq = (float(values[label]) for values in (quality.pq, quality.sq, quality.rq))
    counts = [int(values[label]) for values in (quality.tp, quality.fp, quality.fn)]
    errors = (findings.fates.true + findings.fates.predicted)[label, 1:].tolist()
    name = tag("button", category.name, type="button", data_label=label, class_="to-images")
    return tag(
        "tr",
        tag("th", name, scope="row", data_value=category.name),
        tag("td", "thing" if category.isthing else "stuff"),
        tag("td", percent(pq, 2), data_value=pq, class_="bar", style=f"--part:{pq:.4f}"),
        tag("td", percent(sq, 2), data_value=sq),
        tag("td", percent(rq, 2), data_value=rq),
        *(tag("td", count, data_value=count) for count in counts),
        *(tag("td", count, data_value=count, class_=None if count else "zero") for count in errors),
    )


def _row(cells: Sequence[Content]) -> Markup:
    first, *others = cells
    return tag("tr", tag("th", first, scope="row"), joined(*(tag("td", cell) for cell in others)))
