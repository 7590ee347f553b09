"""Diagrams of a data set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.visualize.report.html import Markup, line, rect, svg, text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP = 440, 150, 52, 8, 12
"""Of what a diagram shows, and the room around it."""

_FOOT = 26
"""Height of a line of words below."""

_MOST_NAMED = 24
"""Classes whose names have room below their bars."""

_NAMES = 96
"""Height of the names below the bars."""

_LETTERS = 15
"""Of a name that has room there."""

_MOST_RANGES = 24
"""Bars of a histogram, at most."""

_MOST_LABELS = 12
"""Of a histogram."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frequency:
    """How much there is of a class."""

    name: str
    """The class."""

    isthing: bool
    """Whether it is countable."""

    value: float
    """How much, above 0."""

    shown: str
    """The same in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """How many there are of a range."""

    name: str
    """The range."""

    label: str
    """What stands below it, where there is room."""

    count: int
    """How many."""


def frequency_chart(classes: Sequence[Frequency], what: str) -> Markup:
    """Draw a bar for each class, the most frequent first, on a logarithmic axis.

    Args:
        classes: At least one, in any order.
        what: What is counted.
    """
    ordered = sorted(classes, key=lambda each: -each.value)
    # Half a power of ten below the rarest one, so that its bar can be seen.
    low = math.floor(math.log10(ordered[-1].value)) - 0.5
    high = max(math.ceil(math.log10(ordered[0].value)), low + 1)
    base = _TOP + _HEIGHT
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        y = base - _HEIGHT * (power - low) / (high - low)
        parts.append(line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
        parts.append(text(_LEFT - 6, y, f"{10.0**power:,g}", anchor="end", class_="small"))
    step = (_WIDTH - _LEFT - _RIGHT) / len(ordered)
    named = len(ordered) <= _MOST_NAMED
    for place, each in enumerate(ordered):
        tall = _HEIGHT * (math.log10(each.value) - low) / (high - low)
        x, kind = _LEFT + place * step, "thing" if each.isthing else "stuff"
        parts.append(
            rect(x, base - tall, max(0.85 * step, 1), tall, kind, f"{each.name}: {each.shown}")
        )
        if named:
            name, centre = _shortened(each.name), x + 0.42 * step
            parts.append(text(centre, base + 6, name, anchor="end", class_="small", upwards=True))
    parts.append(line(_LEFT, base, _WIDTH - _RIGHT, base, "axis"))
    label = f"{what} by class, the most frequent first; the table of classes has the numbers."
    return svg(_WIDTH, base + (_NAMES if named else _FOOT / 2), label, *parts)


def bar_chart(bars: Sequence[Bar], axis: str, class_: str) -> Markup:
    """Draw how many there are of each range.

    Args:
        bars: At least one.
        axis: What the ranges are of.
        class_: Of the page's style.
    """
    most = max([1, *(bar.count for bar in bars)])
    base, step = _TOP + _HEIGHT, (_WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = [line(_LEFT, y, _WIDTH - _RIGHT, y, "grid") for y in (_TOP, _TOP + _HEIGHT / 2)]
    every = math.ceil(len(bars) / _MOST_LABELS)
    for place, bar in enumerate(bars):
        tall, x = _HEIGHT * bar.count / most, _LEFT + place * step
        parts.append(
            rect(
                x + 0.06 * step,
                base - tall,
                0.88 * step,
                tall,
                class_,
                f"{bar.name}: {bar.count:,}",
            )
        )
        if place % every == 0:
            parts.append(text(x + step / 2, base + 14, bar.label, class_="small"))
    parts += [
        text(_LEFT - 6, _TOP, f"{most:,}", anchor="end", class_="small"),
        text(_LEFT - 6, base, "0", anchor="end", class_="small"),
        line(_LEFT, base, _WIDTH - _RIGHT, base, "axis"),
        text((_LEFT + _WIDTH) / 2, base + 34, axis),
    ]
    label = f"Bars over {axis}; the table below has the numbers."
    return svg(_WIDTH, base + _FOOT + 18, label, *parts)


def histogram(values: Int64[np.ndarray, " n"]) -> tuple[Bar, ...]:
    """Part numbers of things into equal ranges, which are not many."""
    highest = int(values.max(initial=0))
    step = next(
        factor * 10**power
        for power in range(20)
        for factor in (1, 2, 5)
        if highest // (factor * 10**power) < _MOST_RANGES
    )
    counts = np.bincount(values // step, minlength=highest // step + 1).tolist()
    return tuple(
        Bar(name=_range(place * step, step), label=f"{place * step}", count=count)
        for place, count in enumerate(counts)
    )


def _range(low: int, step: int) -> str:
    return f"{low}" if step == 1 else f"{low}–{low + step - 1}"


def _shortened(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
