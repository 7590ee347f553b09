"""Plots of one or several trainings: losses, quality and pace over the steps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from jsisnet.arrays import Float64
from jsisnet.files.atomic import replacing
from jsisnet.training.metrics_file import METRICS, Curve, curves, read_entries

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colour-blind safe palette of Okabe and Ito."""

DARK = "#303030"
"""Text colour."""

_PALE = "#e0e0e0"

_STYLES: tuple[Literal["solid", "dashed", "dotted", "dashdot"], ...]
_STYLES = ("solid", "dashed", "dotted", "dashdot")
_MARKS = ("o", "s", "^", "D")

_SMOOTHED = 0.05
"""Half the width of the smoothing window, as a fraction of the number of points."""

_LOG_RATIO = 12
"""Ratio of highest to lowest value from which an axis is logarithmic."""

_LOG_DECADES = 2.5
"""Powers of ten from which a logarithmic axis has no ticks between them."""

_MAX_POINTS = 1000
"""Most points of a line."""

_TITLES = {
    "rpn_objectness": "RPN objectness",
    "rpn_boxes": "RPN boxes",
    "l2": "L2",
    "gradient": "norm of the gradient",
    "memory": "memory, MB",
    "miou": "mIoU",
}
"""Titles of metrics whose name with spaces for underscores would not read well."""

_SHARED_PANELS = {
    "SQ and RQ": {"validation.all.sq": "SQ", "validation.all.rq": "RQ"},
    "mask AP": {"validation.mask_ap": "AP", "validation.mask_ap50": "AP50"},
    "box AP": {"validation.box_ap": "AP", "validation.box_ap50": "AP50"},
    "RPN recall": {
        f"validation.rpn_recall.{group}.own": group for group in ("all", "small", "medium", "large")
    },
}
"""Panels with several metrics: title, and legend labels by metric name."""

_COLUMNS = 4
"""Number of small panels in a row."""

_WIDTH, _LARGE, _SMALL, _LINE = 16.0, 3.6, 2.4, 0.28
"""Sizes in inches: figure width, height of large and small panels, and of a legend line."""

_LEFT, _RIGHT, _ABOVE, _BELOW = 0.62, 0.2, 0.42, 0.5
"""Margins of a panel in inches, for tick labels and title."""

_DPI = 100

_BESIDE_TITLE = 3
"""Most metrics of a panel whose legend has room beside the title."""

_LONGEST = 60
"""Longest displayed run name, in characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run to plot."""

    name: str
    """Unique name."""

    curves: Mapping[str, Curve]
    """Curves by metric name; possibly none."""

    color: str
    """Unique line colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One diagram with one or several metrics."""

    title: str
    """Title above the diagram."""

    names: Mapping[str, str]
    """Legend labels by metric name, at least one."""

    noisy: bool = False
    """Whether to draw a smoothed line over the pale original."""

    percent: bool = False
    """Whether the axis starts at 0 and each point has a marker, for sparse percentages."""


def plot(runs: Sequence[Path]) -> Figure:
    """Plot the metrics of runs over their steps, all runs in the same panels.

    Args:
        runs: Run folders, at least one. Trainings may still be running in them.

    Raises:
        ValueError: If a metrics file is missing or invalid, or all are empty.
    """
    histories = [_history(run) for run in runs]
    names = list(dict.fromkeys(name for history in histories for name in history))
    if not names:
        raise ValueError(
            f"{', '.join(map(str, runs))}: no metrics yet; a training writes them after some steps"
        )
    known = [
        Run(name=name, curves=history, color=color)
        for name, history, color in zip(_names(runs), histories, _colors(len(runs)), strict=True)
    ]
    end = max(curve.steps[-1] for history in histories for curve in history.values())
    large, small = _large_panels(names), _small_panels(names)
    figure = Figure(dpi=_DPI)
    axes_in_order = _create_axes(figure, lines=len(known), large=len(large), small=len(small))
    for panel, axes in zip([*large, *small], axes_in_order, strict=True):
        draw(axes, panel, known, end=max(float(end), 1.0))
    _write_legend(figure, known)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, atomically.

    Raises:
        ValueError: If the file name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: expected a name that ends in .png")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def draw(axes: Axes, panel: Panel, runs: Sequence[Run], *, end: float) -> None:
    """Draw a panel. Colours distinguish runs if there are several, or else metrics.

    Args:
        axes: Empty axes.
        panel: Panel to draw.
        runs: Runs, at least one of which has a curve of the panel.
        end: Last step of the axis, above 0.
    """
    single = len(runs) == 1
    handles = []
    for number, (name, label) in enumerate(panel.names.items()):
        color = COLORS[number % len(COLORS)]
        for run in runs:
            if name in run.curves:
                line = _line(number, color if single else run.color)
                _draw_curve(axes, panel, run.curves[name], line)
        value = f" {runs[0].curves[name].values[-1]:.1f}" if single else ""
        handles.append(_line(number, color if single else DARK, label + value))
    axes.set_title(panel.title, loc="left", fontsize=11, color=DARK, parse_math=False)
    if len(handles) > _BESIDE_TITLE:
        axes.legend(handles=handles, loc="best", ncols=2, fontsize=8, framealpha=0.8)
    elif len(handles) > 1 or (panel.percent and single):
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
    _set_style(axes)


def smoothed(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Smooth one or more values with a moving Hann window."""
    weights = np.hanning(2 * round(_SMOOTHED * len(values)) + 3)[1:-1]
    ones = np.ones_like(values)
    return np.convolve(values, weights, "same") / np.convolve(ones, weights, "same")


def _history(run: Path) -> dict[str, Curve]:
    """Read the curves of a run, without the loss terms of a branch that its network lacks."""
    found = curves(read_entries(run / METRICS))
    history = {
        name: curve
        for name, curve in found.items()
        if curve.values.any() or not name.startswith("terms.")
    }
    if "seconds" in history:
        history |= _pace(history["seconds"])
    return history


def _pace(seconds: Curve) -> dict[str, Curve]:
    """Compute the seconds per step, without evaluations and interruptions."""
    steps, passed = np.diff(seconds.steps), np.diff(seconds.values)
    known = (steps > 0) & (passed > 0)
    pace = Curve(seconds.steps[1:][known], passed[known] / steps[known])
    return {"pace": pace} if known.any() else {}


def _large_panels(names: Sequence[str]) -> list[Panel]:
    parts = {f"validation.{part}.pq": part for part in ("all", "things", "stuff")}
    panels = [
        Panel(title="loss", names=_present({"total": ""}, names), noisy=True),
        Panel(title="PQ on the validation data, %", names=_present(parts, names), percent=True),
    ]
    return [panel for panel in panels if panel.names]


def _small_panels(names: Sequence[str]) -> list[Panel]:
    joint = [
        Panel(title=f"{title}, %", names=_present(texts, names), percent=True)
        for title, texts in _SHARED_PANELS.items()
    ]
    special = {"total", "seconds", "lr", "pace"}.union(*(panel.names for panel in joint))
    alone = [name for name in names if name not in special]
    measures = [name for name in alone if name.startswith("validation.") and name.count(".") == 1]
    panels = [
        *(
            Panel(title=_title(name), names={name: ""}, noisy=True)
            for name in alone
            if not name.startswith("validation.")
        ),
        Panel(title="learning rate", names=_present({"lr": ""}, names)),
        Panel(title="seconds per step", names=_present({"pace": ""}, names), noisy=True),
        *joint,
        *(Panel(title=f"{_title(name)}, %", names={name: ""}, percent=True) for name in measures),
    ]
    return [panel for panel in panels if panel.names]


def _present(texts: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name in names}


def _title(name: str) -> str:
    last = name.rpartition(".")[2]
    return _TITLES.get(last, last.replace("_", " "))


def _names(runs: Sequence[Path]) -> list[str]:
    """Name runs by the shortest path suffixes that are unique."""
    parts = [run.resolve().parts for run in runs]
    depth = next(
        depth for depth in count(1) if len({part[-depth:] for part in parts}) == len(set(parts))
    )
    names = ["/".join(part[-depth:]) for part in parts]
    return [name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}" for name in names]


def _colors(number: int) -> list[str]:
    if number <= len(COLORS):
        return list(COLORS[:number])
    return [to_hex(color) for color in colormaps["viridis"](np.linspace(0, 0.95, number))]


def _create_axes(figure: Figure, *, lines: int, large: int, small: int) -> Iterator[Axes]:
    """Set the size of the figure and yield its axes: large ones, then rows of small ones."""
    rows = [(_LARGE, large, large)] if large else []
    rows += [(_SMALL, min(_COLUMNS, small - done), _COLUMNS) for done in range(0, small, _COLUMNS)]
    top = (lines + 0.5) * _LINE
    height = top + sum(high for high, _, _ in rows)
    figure.set_size_inches(_WIDTH, height)
    for high, number, columns in rows:
        wide = _WIDTH / columns
        for column in range(number):
            left, bottom = column * wide + _LEFT, height - top - high + _BELOW
            across, up = wide - _LEFT - _RIGHT, high - _ABOVE - _BELOW
            box = (left / _WIDTH, bottom / height, across / _WIDTH, up / height)
            yield figure.add_axes(box)
        top += high


def _write_legend(figure: Figure, runs: Sequence[Run]) -> None:
    """Write the name and the progress of each run at the top."""
    width, height = figure.get_size_inches()
    for number, run in enumerate(runs):
        up = 1 - (number + 0.8) * _LINE / height
        ends = (_LEFT / width, (_LEFT + 0.4) / width)
        figure.add_artist(Line2D(ends, (up, up), color=run.color, linewidth=4))
        figure.text(
            (_LEFT + 0.55) / width,
            up,
            f"{run.name}: {_facts(run.curves)}",
            verticalalignment="center",
            fontsize=11,
            color=DARK,
            parse_math=False,
        )


def _facts(history: Mapping[str, Curve]) -> str:
    """Describe the progress and the quality of a training."""
    if not history:
        return "no metrics yet"
    facts = [f"step {max(curve.steps[-1] for curve in history.values()):,.0f}"]
    if "seconds" in history:
        facts.append(f"after {timedelta(seconds=round(_duration(history['seconds'])))}")
    if "total" in history:
        facts.append(f"loss {smoothed(history['total'].values)[-1]:.3f}")
    if "validation.all.pq" in history:
        quality = history["validation.all.pq"]
        best = int(quality.values.argmax())
        facts.append(f"PQ {quality.values[-1]:.2f}")
        if quality.values[best] > quality.values[-1]:
            facts.append(f"best {quality.values[best]:.2f} at step {quality.steps[best]:,.0f}")
    return ", ".join(facts)


def _duration(seconds: Curve) -> float:
    """Return the total duration. The logged seconds restart at 0 when a training is resumed."""
    passed = np.diff(seconds.values, prepend=0.0)
    return float(np.where(passed < 0, seconds.values, passed).sum())


def _line(number: int, color: str, label: str = "") -> Line2D:
    """Create the line of a panel's curve, without data."""
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
    """Average neighbouring points until no more than `_MAX_POINTS` are left."""
    starts = np.arange(0, len(curve.steps), -(-len(curve.steps) // _MAX_POINTS))
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
    elif 0 < _LOG_RATIO * values.min() <= values.max():
        axes.set_yscale("log")
        decades = np.log10(values.max() / values.min())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < _LOG_DECADES else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _set_style(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlabel("step", loc="right", fontsize=9, color=DARK, labelpad=1)
    axes.minorticks_off()
    axes.tick_params(labelsize=9, color=_PALE, labelcolor=DARK)
    axes.grid(color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
