"""SVG charts of the reports; the stylesheet of the page colours them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from jsisnet.arrays import Float64, Int64
from jsisnet.evaluation.errors import KINDS
from jsisnet.visualize.report.report_data import SCORES, ScoreTally, SizeTally
from jsisnet.visualize.report.templates import OUTCOME_NAMES, percent, size_ranges

Length = float | int
"""Length or coordinate in SVG user units."""

OUTCOMES = ("found", *KINDS)
"""CSS classes of the outcomes of segments, in the order of the columns of `Outcomes`."""

_WIDTH, _LEFT, _RIGHT, _TOP = 440, 52, 8, 12
"""Width of a chart, and margins around its plot area."""

_HEIGHT = 150
"""Height of a bar chart's plot area."""

_CURVE, _BARS, _GAP = 130, 100, 22
"""Heights of the two plot areas of a chart over sizes, and the space between them."""

_FOOT = 44
"""Height of the tick labels and the axis title."""

_NAMES = 96
"""Height of class names below the bars."""

_MIN_LABELLED = 40
"""Width of the narrowest part of a stacked bar that shows its percentage."""

_MAX_NAMED = 24
"""Most classes whose names fit below their bars."""

_MAX_LETTERS = 15
"""Longest class name that fits there."""

_MAX_BINS, _MAX_TICKS = 24, 12
"""Most bins of a histogram, and most of its tick labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassBar:
    """One bar of `frequency_chart`."""

    name: str
    """Name of the class."""

    isthing: bool
    value: float
    """Frequency, above 0."""

    formatted: str
    """The frequency as the tooltip shows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """One bar of a histogram."""

    name: str
    """Range of values, as the tooltip shows it."""

    tick: str
    """Label below the bar."""

    count: int


def outcome_bars(rows: Sequence[tuple[str, Int64[np.ndarray, " outcomes"]]]) -> Markup:
    """Draw a stacked bar for each row of counts, in the order of `OUTCOMES`."""
    step, head, height = 58, 20, 26
    parts: list[Markup] = []
    for index, (name, counts) in enumerate(rows):
        y, x, total = index * step + head, 0.0, int(counts.sum())
        parts.append(_text(0, y - head / 2, f"{name}: {total}", anchor="start"))
        for outcome, count in zip(OUTCOMES, counts.tolist(), strict=True):
            if count:
                width, formatted = _WIDTH * count / total, f"{percent(count / total, 0)} %"
                what = f"{name}: {count} {OUTCOME_NAMES[outcome]}, {percent(count / total)} %"
                parts.append(_rect(x, y, (width, height), outcome, what))
                if width >= _MIN_LABELLED:
                    middle = x + width / 2, y + height / 2
                    parts.append(_text(*middle, formatted, class_=f"on-{outcome}"))
                x += width
    label = "Stacked bars of the outcomes of segments; the table below has the numbers."
    return _svg(step * len(rows), label, parts)


def size_chart(tally: SizeTally, name: str) -> Markup:
    """Draw PQ and mean IoU by segment size, above the numbers of segments.

    Args:
        tally: Segments by size.
        name: What the segments are: things or stuff.
    """
    names, under = size_ranges(), tally.tp + (tally.fp + tally.fn) / 2
    axis, base = _Axis(len(names)), _TOP + _CURVE + _GAP + _BARS
    parts = [
        *_percent_grid(_CURVE),
        *_curve(_ratio(tally.iou, tally.tp.astype(np.float64)), axis, "second"),
        *_curve(_ratio(tally.iou, under), axis, "first"),
    ]
    most = max(int(np.maximum(tally.tp + tally.fn, tally.fp).max()), 1)
    for index, range_ in enumerate(names):
        tp, fp, fn = (int(values[index]) for values in (tally.tp, tally.fp, tally.fn))
        x, width = axis.start(index) + 0.12 * axis.step, 0.36 * axis.step
        up, top, side = _BARS * tp / most, _BARS * (tp + fn) / most, _BARS * fp / most
        where = f"{name} of {range_} % of the image"
        parts += [
            _rect(x, base - up, (width, up), "found", f"{where}: {tp} true positives"),
            _rect(x, base - top, (width, top - up), "missed", f"{where}: {fn} false negatives"),
            _rect(
                x + 0.4 * axis.step,
                base - side,
                (width, side),
                "spurious",
                f"{where}: {fp} false positives",
            ),
            _text(axis.centre(index), base + 14, range_, class_="small"),
        ]
    parts += _count_axis(base, _BARS, most)
    parts.append(_axis_title(base, "size, % of the image"))
    label = f"PQ, mean IoU and number of {name} by size; the table below has the numbers."
    return _svg(base + _FOOT, label, parts)


def score_chart(tally: ScoreTally) -> Markup:
    """Draw a reliability diagram: precision and mean score of the predictions by score."""
    axis, most = _Axis(SCORES), max(int(tally.count.max()), 1)
    height, bars = _CURVE + _BARS / 2, _BARS / 2
    base = _TOP + height
    end = base + _GAP + bars
    parts = _percent_grid(height)
    columns = zip(tally.count.tolist(), tally.matched.tolist(), tally.total.tolist(), strict=True)
    for index, (count, matched, total) in enumerate(columns):
        low, x, width = index / SCORES, axis.start(index) + 2, axis.step - 4
        tall = bars * count / most
        where = f"scores {low:.1f}–{low + 1 / SCORES:.1f}"
        parts.append(_rect(x, end - tall, (width, tall), "count", f"{where}: {count} segments"))
        if count:
            part, level = matched / count, base - height * total / count
            what = f"{where}: {matched} of {count} match, {percent(part)} %"
            parts.append(_rect(x, base - height * part, (width, height * part), "found", what))
            parts.append(_line((x, level), (x + width, level), "promised"))
        parts.append(_text(axis.start(index), end + 14, f"{low:.1f}", class_="small"))
    parts += [
        _baseline(base),
        _baseline(end),
        _text(_LEFT - 6, end - bars + 4, f"{most}", anchor="end", class_="small"),
        _text(axis.start(SCORES) - 6, end + 14, "1.0", class_="small"),
        _axis_title(end, "score"),
    ]
    return _svg(end + _FOOT, "Precision by score; the table below has the numbers.", parts)


def frequency_chart(classes: Sequence[ClassBar], what: str) -> Markup:
    """Draw the frequency of each class on a logarithmic axis, the most frequent first.

    Args:
        classes: One bar or more, in any order.
        what: What is counted.
    """
    ordered = sorted(classes, key=lambda each: -each.value)
    # Half a power of ten below the rarest class, so that its bar is visible.
    low = math.floor(math.log10(ordered[-1].value)) - 0.5
    high = max(math.ceil(math.log10(ordered[0].value)), low + 1)
    axis, base, unit = _Axis(len(ordered)), _TOP + _HEIGHT, _HEIGHT / (high - low)
    named = len(ordered) <= _MAX_NAMED
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts += _grid_line(base - unit * (power - low), f"{10.0**power:,g}")
    for index, each in enumerate(ordered):
        tall, x = unit * (math.log10(each.value) - low), axis.start(index)
        size, kind = (max(0.85 * axis.step, 1), tall), "thing" if each.isthing else "stuff"
        parts.append(_rect(x, base - tall, size, kind, f"{each.name}: {each.formatted}"))
        if named:
            parts.append(_upright(x + 0.42 * axis.step, base + 6, _shortened(each.name)))
    parts.append(_baseline(base))
    label = f"{what} by class, the most frequent first; the table of classes has the numbers."
    return _svg(base + (_NAMES if named else _TOP), label, parts)


def bar_chart(bins: Sequence[Bin], title: str, class_: str) -> Markup:
    """Draw a histogram.

    Args:
        bins: One or more.
        title: Title of the horizontal axis.
        class_: CSS class of the bars.
    """
    most = max([1, *(each.count for each in bins)])
    axis, base = _Axis(len(bins)), _TOP + _HEIGHT
    parts = [_grid(_TOP), _grid(_TOP + _HEIGHT / 2)]
    every = math.ceil(len(bins) / _MAX_TICKS)
    for index, each in enumerate(bins):
        size = 0.88 * axis.step, _HEIGHT * each.count / most
        left = axis.start(index) + 0.06 * axis.step
        parts.append(_rect(left, base - size[1], size, class_, f"{each.name}: {each.count:,}"))
        if index % every == 0:
            parts.append(_text(axis.centre(index), base + 14, each.tick, class_="small"))
    parts += _count_axis(base, _HEIGHT, most)
    parts.append(_axis_title(base, title))
    return _svg(base + _FOOT, f"Histogram of {title}; the table below has the numbers.", parts)


def histogram(values: Int64[np.ndarray, " n"]) -> tuple[Bin, ...]:
    """Count values from 0 up in bins of equal, round widths."""
    highest = int(values.max(initial=0))
    width = next(
        factor * 10**power
        for power in range(20)
        for factor in (1, 2, 5)
        if highest // (factor * 10**power) < _MAX_BINS
    )
    counts = np.bincount(values // width, minlength=highest // width + 1).tolist()
    lows = range(0, highest + 1, width)
    return tuple(
        Bin(name=f"{low}" if width == 1 else f"{low}–{low + width - 1}", tick=f"{low}", count=count)
        for low, count in zip(lows, counts, strict=True)
    )


class _Axis:
    """Horizontal axis that is divided into equal steps."""

    def __init__(self, count: int):
        self.step = (_WIDTH - _LEFT - _RIGHT) / count

    def start(self, index: int) -> float:
        return _LEFT + index * self.step

    def centre(self, index: int) -> float:
        return self.start(index) + self.step / 2


def _count_axis(base: Length, height: Length, most: int) -> list[Markup]:
    return [
        _text(_LEFT - 6, base - height, f"{most:,}", anchor="end", class_="small"),
        _text(_LEFT - 6, base, "0", anchor="end", class_="small"),
        _baseline(base),
    ]


def _axis_title(base: Length, title: str) -> Markup:
    return _text((_LEFT + _WIDTH) / 2, base + 34, title)


def _baseline(y: Length) -> Markup:
    return _line((_LEFT, y), (_WIDTH - _RIGHT, y), "axis")


def _grid(y: Length) -> Markup:
    return _line((_LEFT, y), (_WIDTH - _RIGHT, y), "grid")


def _grid_line(y: Length, label: str) -> list[Markup]:
    return [_grid(y), _text(_LEFT - 6, y, label, anchor="end", class_="small")]


def _percent_grid(height: Length) -> list[Markup]:
    lines = (
        _grid_line(_TOP + height * (1 - value / 100), f"{value}") for value in (0, 25, 50, 75, 100)
    )
    return [part for line in lines for part in line]


def _curve(values: Float64[np.ndarray, " n"], axis: _Axis, class_: str) -> list[Markup]:
    points = [
        (axis.centre(index), _TOP + _CURVE * (1 - value), value)
        for index, value in enumerate(values.tolist())
        if not np.isnan(value)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    line = Markup('<polyline points="{}" class="curve {}"></polyline>').format(path, class_)
    mark = Markup('<circle cx="{:.6g}" cy="{:.6g}" r="4" class="{}"><title>{} %</title></circle>')
    return [line, *(mark.format(x, y, class_, percent(value)) for x, y, value in points)]


def _ratio(
    over: Float64[np.ndarray, " n"], under: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else f"{name[: _MAX_LETTERS - 1]}…"


def _svg(height: Length, label: str, parts: Sequence[Markup]) -> Markup:
    svg = Markup('<svg viewBox="0 0 {} {:g}" role="img" aria-label="{}">{}</svg>')
    return svg.format(_WIDTH, height, label, Markup().join(parts))


def _rect(x: Length, y: Length, size: tuple[Length, Length], class_: str, tooltip: str) -> Markup:
    return Markup(
        '<rect x="{:.6g}" y="{:.6g}" width="{:.6g}" height="{:.6g}" class="{}">'
        "<title>{}</title></rect>"
    ).format(x, y, *size, class_, tooltip)


def _line(start: tuple[Length, Length], end: tuple[Length, Length], class_: str) -> Markup:
    line = Markup('<line x1="{:.6g}" y1="{:.6g}" x2="{:.6g}" y2="{:.6g}" class="{}"></line>')
    return line.format(*start, *end, class_)


def _text(x: Length, y: Length, words: str, *, anchor: str = "middle", class_: str = "") -> Markup:
    return Markup(
        '<text x="{:.6g}" y="{:.6g}" text-anchor="{}" dominant-baseline="middle" class="{}">'
        "{}</text>"
    ).format(x, y, anchor, class_, words)


def _upright(x: Length, y: Length, words: str) -> Markup:
    """Write from the bottom up; the text ends at `y`."""
    return Markup(
        '<text x="{0:.6g}" y="{1:.6g}" text-anchor="end" dominant-baseline="middle" class="small" '
        'transform="rotate(-90 {0:g} {1:g})">{2}</text>'
    ).format(x, y, words)
