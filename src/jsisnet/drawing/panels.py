"""Diagrams of curves over the steps of trainings: legible small, and to the colour-blind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from jsisnet.training.history import Curve

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which everybody can tell apart."""

DARK = "#303030"
"""Colour of text."""

_PALE = "#e0e0e0"

_STYLES: tuple[Literal["solid", "dashed", "dotted", "dashdot"], ...]
_STYLES = ("solid", "dashed", "dotted", "dashdot")
_MARKS = ("o", "s", "^", "D")

_SMOOTHED = 0.05
"""Part of the points whose mean a smoothed line shows, on either side of each point."""

_WIDE = 12
"""Ratio of a panel's values from which on its axis is logarithmic."""

_MANY = 2.5
"""Powers of ten from which on an axis names these alone."""

_POINTS = 1000
"""Longest line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A training to draw."""

    name: str
    """Tells it from the others."""

    curves: Mapping[str, Curve]
    """Its figures, by name; possibly none."""

    color: str
    """Tells its lines from those of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """What one diagram shows."""

    title: str
    """What stands above it."""

    names: Mapping[str, str]
    """What its legend calls the curves, by their names; at least one."""

    noisy: bool = False
    """Whether smoothed lines are drawn over pale ones."""

    percent: bool = False
    """Whether the axis begins with 0; each point has a mark, as there are few."""


def draw(axes: Axes, panel: Panel, runs: Sequence[Run], *, end: float) -> None:
    """Draw a panel. Colours tell several runs apart, and otherwise the curves of the panel.

    Args:
        axes: Empty axes.
        panel: What to draw.
        runs: At least one; one of them has one of the curves.
        end: Last step of the axis, above 0.
    """
    alone = len(runs) == 1
    handles = []
    for number, (name, label) in enumerate(panel.names.items()):
        color = COLORS[number % len(COLORS)]
        for run in runs:
            if name in run.curves:
                line = _line(number, color if alone else run.color)
                _draw_curve(axes, panel, run.curves[name], line)
        value = f" {runs[0].curves[name].values[-1]:.1f}" if alone else ""
        handles.append(_line(number, color if alone else DARK, label + value))
    axes.set_title(panel.title, loc="left", fontsize=11, color=DARK, parse_math=False)
    if len(handles) > 1 or (panel.percent and alone):
        axes.legend(
            handles=handles,
            loc="lower right",
            bbox_to_anchor=(1.02, 0.97),
            ncols=len(handles),
            frameon=False,
            fontsize=9,
            columnspacing=1.2,
        )
    axes.set_xlim(0, 1.02 * end)
    _set_scale(axes, panel, runs)
    _set_look(axes)


def smoothed(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Give the mean around each value, of at least one, to which near ones contribute more."""
    weights = np.hanning(2 * round(_SMOOTHED * len(values)) + 3)[1:-1]
    ones = np.ones_like(values)
    return np.convolve(values, weights, "same") / np.convolve(ones, weights, "same")


def _line(number: int, color: str, label: str = "") -> Line2D:
    """Give the line of a panel's curve, without points."""
    return Line2D(
        [],
        [],
        color=color,
        linestyle=_STYLES[number % len(_STYLES)],
        linewidth=1.8,
        marker=_MARKS[number % len(_MARKS)],
        markersize=4.5,
        label=label,
    )


def _draw_curve(axes: Axes, panel: Panel, curve: Curve, line: Line2D) -> None:
    curve = _thinned(curve)
    values = curve.values
    if panel.noisy and len(values) > 1:
        axes.plot(curve.steps, values, color=line.get_color(), alpha=0.25, linewidth=0.8)
        values = smoothed(values)
    if not panel.percent and len(values) > 1:
        line.set_marker("")
    line.set_data(curve.steps, values)
    line.set_clip_on(not panel.percent)
    axes.add_line(line)


def _thinned(curve: Curve) -> Curve:
    """Let neighbours become their mean, so that no more points than pixels are left."""
    starts = np.arange(0, len(curve.steps), -(-len(curve.steps) // _POINTS))
    counts = np.diff(starts, append=len(curve.steps))
    return Curve(
        np.add.reduceat(curve.steps, starts) / counts,
        np.add.reduceat(curve.values, starts) / counts,
    )


def _set_scale(axes: Axes, panel: Panel, runs: Sequence[Run]) -> None:
    curves = [run.curves[name] for run in runs for name in panel.names if name in run.curves]
    values = np.concatenate([curve.values for curve in curves])
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if panel.percent:
        axes.set_ylim(0, max(1.1 * values.max(), 1))
    elif 0 < _WIDE * values.min() <= values.max():
        axes.set_yscale("log")
        decades = np.log10(values.max() / values.min())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < _MANY else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _set_look(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("step", loc="right", fontsize=9, color=DARK, labelpad=1)
    axes.minorticks_off()
    axes.tick_params(labelsize=9, color=_PALE, labelcolor=DARK)
    axes.grid(color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
