"""Tables of the report on predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories
from jsisnet.evaluation.errors import KINDS
from jsisnet.evaluation.score import Score
from jsisnet.visualize.report.charts import OUTCOMES
from jsisnet.visualize.report.report_data import SCORES, ReportData, ScoreTally, SizeTally
from jsisnet.visualize.report.templates import (
    MISSING,
    OUTCOME_MEANINGS,
    OUTCOME_NAMES,
    Cell,
    Table,
    percent,
    size_ranges,
)

CLASS_COLUMNS = (
    ("class", "Show the images with errors of this class"),
    ("kind", "Things are countable objects, stuff is everything else"),
    ("PQ", "Panoptic quality, %"),
    ("SQ", "Segmentation quality: mean IoU of the matches, %"),
    ("RQ", "Recognition quality: F1 score of the matching, %"),
    ("TP", "True positives: matched segments"),
    ("FP", "False positives: predicted segments without a match"),
    ("FN", "False negatives: true segments without a match"),
    *((OUTCOME_NAMES[kind], f"FP and FN: {OUTCOME_MEANINGS[kind]}") for kind in KINDS),
)
"""Headers and tooltips of the table of classes."""

_MAX_CONFUSED = 24
"""Most classes of the confusion matrix; the least confused are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One row of a table of classes."""

    label: int
    name: str
    kind: str
    """Thing or stuff."""

    cells: tuple[Cell, ...]
    """The columns after the kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfusionCell:
    """One nonempty cell of the confusion matrix."""

    count: int
    part: float
    """Share of the row, 0 to 1; in the last row, share of the column."""

    class_: str
    """CSS class."""

    tooltip: str


def quality_table(values: Mapping[str, Any]) -> Table:
    """Return PQ, SQ and RQ of all classes, things and stuff.

    Args:
        values: See `panoptic_quality.summary`.
    """
    rows = []
    for name in ("all", "things", "stuff"):
        means = (values[name][figure] for figure in ("pq", "sq", "rq"))
        shown = (MISSING if mean is None else f"{mean:.2f}" for mean in means)
        rows.append((name, *shown, values[name]["n"]))
    head = ("", "PQ", "SQ", "RQ", "classes")
    return Table(name="Quality", head=head, rows=rows, class_="quality")


def class_rows(score: Score, data: ReportData) -> list[ClassRow]:
    """Return a row for every class that occurs, lowest PQ first."""
    seen = np.flatnonzero(score.quality.seen)
    worst_first = seen[np.argsort(score.quality.pq[seen], kind="stable")]
    return [_class_row(score, data, label) for label in worst_first.tolist()]


def _class_row(score: Score, data: ReportData, label: int) -> ClassRow:
    quality, category = score.quality, score.categories[label]
    pq, sq, rq = (float(values[label]) for values in (quality.pq, quality.sq, quality.rq))
    counts = [int(values[label]) for values in (quality.tp, quality.fp, quality.fn)]
    errors = (data.outcomes.true + data.outcomes.predicted)[label, 1:].tolist()
    return ClassRow(
        label=label,
        name=category.name,
        kind="thing" if category.isthing else "stuff",
        cells=(
            Cell(text=percent(pq, 2), value=pq, part=pq),
            Cell(text=percent(sq, 2), value=sq),
            Cell(text=percent(rq, 2), value=rq),
            *(Cell(text=count) for count in counts),
            *(Cell(text=count, faint=not count) for count in errors),
        ),
    )


def outcome_table(rows: Sequence[tuple[str, Int64[np.ndarray, " outcomes"]]]) -> Table:
    """Return the numbers of segments by outcome."""
    head = ("", *(OUTCOME_NAMES[outcome] for outcome in OUTCOMES))
    body = [(name, *counts.tolist()) for name, counts in rows]
    return Table(name="Outcomes of segments", head=head, rows=body)


def size_table(tallies: Mapping[str, SizeTally]) -> Table:
    """Return the numbers of the charts over segment size."""
    rows: list[tuple[str | int, ...]] = []
    for name, tally in tallies.items():
        for index, range_ in enumerate(size_ranges()):
            tp, fp, fn = (int(values[index]) for values in (tally.tp, tally.fp, tally.fn))
            iou, under = float(tally.iou[index]), tp + (fp + fn) / 2
            means = (iou / under if under else None, iou / tp if tp else None)
            rows.append((range_, name, *map(percent, means), tp, fn, fp))
    head = ("size, % of the image", "kind", "PQ", "mean IoU", "TP", "FN", "FP")
    return Table(name="Segments by size", head=head, rows=rows)


def score_table(tally: ScoreTally) -> Table:
    """Return the numbers of the chart over scores."""
    rows: list[tuple[str | int, ...]] = []
    columns = zip(tally.count.tolist(), tally.matched.tolist(), tally.total.tolist(), strict=True)
    for index, (count, matched, total) in enumerate(columns):
        low = index / SCORES
        parts = (matched / count, total / count) if count else (None, None)
        range_ = f"{low:.1f}–{low + 1 / SCORES:.1f}"
        rows.append((range_, count, matched, *map(percent, parts)))
    head = ("score", "segments", "matches", "% that match", "mean score, %")
    return Table(name="Segments by score", head=head, rows=rows)


def confusion_rows(
    confusion: Int64[np.ndarray, "k1 k1"], categories: Categories
) -> list[tuple[str, list[ConfusionCell | None]]]:
    """Return the rows of the confusion matrix with the names of their classes.

    The most confused classes come first, and “nothing” last; the columns have the same order.
    Without any confusion between classes the list is empty.
    """
    last = len(categories)
    between = confusion[:last, :last]
    involved = between.sum(0) + between.sum(1) - 2 * between.diagonal()
    order = np.argsort(-involved, kind="stable")
    labels = [int(i) for i in order if involved[i]][:_MAX_CONFUSED]
    if not labels:
        return []
    names = {label: categories[label].name for label in labels} | {last: "nothing"}
    return [
        (name, [_confusion_cell(confusion, i, j, names) for j in names])
        for i, name in names.items()
    ]


def _confusion_cell(
    confusion: Int64[np.ndarray, "k1 k1"], i: int, j: int, names: Mapping[int, str]
) -> ConfusionCell | None:
    count, last = int(confusion[i, j]), len(confusion) - 1
    if not count:
        return None
    total = int(confusion[:, j].sum() if i == last else confusion[i].sum())
    tooltip = f"{names[i]} predicted as {names[j]}: {count} of {total}"
    if i == last:
        tooltip = f"{names[j]} predicted where no segment corresponds: {count} of {total}"
    elif j == last:
        tooltip = f"{names[i]} without a corresponding prediction: {count} of {total}"
    return ConfusionCell(
        count=count,
        part=count / total,
        class_="hit" if i == j else "nothing" if last in (i, j) else "swap",
        tooltip=tooltip,
    )
