"""Diagrams as SVG, whose colours are those of the page."""

from collections.abc import Sequence

import numpy as np

from jsisnet.arrays import Float64, Int64
from jsisnet.evaluation.errors import KINDS
from jsisnet.visualize.report.findings import SCORES, ScoreTally, SizeTally
from jsisnet.visualize.report.html import (
    NAMES,
    Length,
    Markup,
    line,
    percent,
    rect,
    size_ranges,
    svg,
    tag,
    text,
)

FATES = ("found", *KINDS)
"""Classes of the page's style for what becomes of segments."""

_WIDTH, _LEFT, _RIGHT, _TOP = 440, 44, 8, 8
"""Of a diagram, and the room around what it shows."""

_CURVE, _BARS, _GAP, _FOOT = 130, 100, 22, 44
"""Heights of the parts of a diagram."""

_MIN_TEXT = 40
"""Width of a part of a bar that has room for its percentage."""


def fate_bars(rows: Sequence[tuple[str, Int64[np.ndarray, " fates"]]]) -> Markup:
    """Draw for each row how its segments are parted among the `FATES`."""
    step, head, height = 58, 20, 26
    parts: list[Markup] = []
    for place, (name, counts) in enumerate(rows):
        y, x, total = place * step + head, 0.0, int(counts.sum())
        parts.append(text(0, y - head / 2, f"{name}: {total}", anchor="start"))
        for fate, count in zip(FATES, counts.tolist(), strict=True):
            if count:
                width, shown = _WIDTH * count / total, f"{percent(count / total, 0)} %"
                what = f"{name}: {count} {NAMES[fate]}, {percent(count / total)} %"
                parts.append(rect(x, y, width, height, fate, what))
                if width >= _MIN_TEXT:
                    parts.append(text(x + width / 2, y + height / 2, shown, class_=f"on-{fate}"))
                x += width
    label = "What became of the segments, as parts of bars; the table below has the numbers."
    return svg(_WIDTH, step * len(rows), label, *parts)


def size_chart(tally: SizeTally, name: str) -> Markup:
    """Draw PQ and mean IoU over the sizes of segments, and below how many there are."""
    names, under = size_ranges(), tally.tp + (tally.fp + tally.fn) / 2
    pq = _ratio(tally.iou, under)
    sq = _ratio(tally.iou, tally.tp.astype(np.float64))
    axis = _Axis(len(names))
    most = max(int(np.maximum(tally.tp + tally.fn, tally.fp).max()), 1)
    base = _TOP + _CURVE + _GAP + _BARS
    parts = [*_percent_grid(), *_curve(sq, axis, "second"), *_curve(pq, axis, "first")]
    for place, range_ in enumerate(names):
        tp, fp, fn = (int(values[place]) for values in (tally.tp, tally.fp, tally.fn))
        x, width = axis.start(place) + 0.12 * axis.step, 0.36 * axis.step
        up, top = _BARS * tp / most, _BARS * (tp + fn) / most
        where = f"{name} of {range_} % of the image"
        parts.append(rect(x, base - up, width, up, "found", f"{where}: {tp} found"))
        parts.append(rect(x, base - top, width, top - up, "missed", f"{where}: {fn} not found"))
        side, tall = x + 0.4 * axis.step, _BARS * fp / most
        parts.append(rect(side, base - tall, width, tall, "invented", f"{where}: {fp} false"))
        parts.append(text(axis.centre(place), base + 14, range_, class_="small"))
    parts += [
        text(_LEFT - 6, base - _BARS + 4, f"{most}", anchor="end", class_="small"),
        text(_LEFT - 6, base, "0", anchor="end", class_="small"),
        line(_LEFT, base, _WIDTH - _RIGHT, base, "axis"),
        text((_LEFT + _WIDTH) / 2, base + 34, "size, % of the image"),
    ]
    label = f"PQ, mean IoU and number of {name} by size; the table below has the numbers."
    return svg(_WIDTH, base + _FOOT, label, *parts)


def score_chart(tally: ScoreTally) -> Markup:
    """Draw how many predictions of each score match, beside what their scores promise."""
    axis, most = _Axis(SCORES), max(int(tally.count.max()), 1)
    base, bars = _TOP + _CURVE + _BARS / 2, _BARS / 2
    end = base + _GAP + bars
    height = base - _TOP
    parts = _percent_grid(height)
    columns = zip(tally.count.tolist(), tally.matched.tolist(), tally.total.tolist(), strict=True)
    for place, (count, matched, total) in enumerate(columns):
        low, x, width = place / SCORES, axis.start(place) + 2, axis.step - 4
        tall = bars * count / most
        where = f"scores {low:.1f}–{low + 1 / SCORES:.1f}"
        parts.append(rect(x, end - tall, width, tall, "count", f"{where}: {count} segments"))
        if count:
            part, mean = matched / count, total / count
            what = f"{where}: {matched} of {count} match, {percent(part)} %"
            parts.append(rect(x, base - height * part, width, height * part, "found", what))
            level = base - height * mean
            parts.append(line(x, level, x + width, level, "promised"))
        parts.append(text(axis.start(place), end + 14, f"{low:.1f}", class_="small"))
    parts += [
        line(_LEFT, base, _WIDTH - _RIGHT, base, "axis"),
        line(_LEFT, end, _WIDTH - _RIGHT, end, "axis"),
        text(_LEFT - 6, end - bars + 4, f"{most}", anchor="end", class_="small"),
        text(axis.start(SCORES) - 6, end + 14, "1.0", class_="small"),
        text((_LEFT + _WIDTH) / 2, end + 34, "score"),
    ]
    label = "Share of matches by score; the table below has the numbers."
    return svg(_WIDTH, end + _FOOT, label, *parts)


class _Axis:
    """Equal ranges side by side."""

    def __init__(self, count: int):
        self.step = (_WIDTH - _LEFT - _RIGHT) / count

    def start(self, place: int) -> float:
        return _LEFT + place * self.step

    def centre(self, place: int) -> float:
        return self.start(place) + self.step / 2


def _percent_grid(height: Length = _CURVE) -> list[Markup]:
    parts = []
    for value in (0, 25, 50, 75, 100):
        y = _TOP + height * (1 - value / 100)
        parts.append(line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
        parts.append(text(_LEFT - 6, y, f"{value}", anchor="end", class_="small"))
    return parts


def _curve(values: Float64[np.ndarray, " n"], axis: _Axis, class_: str) -> list[Markup]:
    points = [
        (axis.centre(place), _TOP + _CURVE * (1 - value), value)
        for place, value in enumerate(values.tolist())
        if not np.isnan(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    marks = [
        tag("circle", tag("title", f"{percent(value)} %"), cx=x, cy=y, r=4, class_=class_)
        for x, y, value in points
    ]
    return [tag("polyline", points=path, class_=f"curve {class_}"), *marks]


def _ratio(
    over: Float64[np.ndarray, " n"], under: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)
