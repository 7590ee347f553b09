"""A training as the user sees it: a picture on a terminal, lines in a file."""

import math
import time
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from jsisnet.cli import errors
from jsisnet.cli.console import display, live_console, out
from jsisnet.training.callbacks import Callback, Pace, Pictures
from jsisnet.training.config import TrainConfig
from jsisnet.training.loop import StepReport

_DAY = 24 * 60 * 60
"""Seconds."""

_LINE_INTERVAL = 60
"""Seconds between lines about a long evaluation."""


def progress_callback(config: TrainConfig) -> Callback:
    """Return the callback that shows a training: a live display on a terminal, or else lines."""
    return Bar(config) if out.is_terminal else Lines(config)


class Bar(Callback):
    """Shows a training in place, from its beginning."""

    def __init__(self, config: TrainConfig):
        self.pace = Pace(config)
        left = TextColumn("{task.fields[left]} left", markup=False)
        self.training, self.evaluation = _bar(left), _bar(TimeRemainingColumn())
        self.step = self.training.add_task("step", left=duration(None))
        self.photo = self.evaluation.add_task("evaluating", visible=False)
        self.figures = Columns(padding=(0, 2))
        self.quality = Text()
        picture = Group(self.training, self.evaluation, self.figures, self.quality)
        self.live = Live(picture, console=live_console(), refresh_per_second=4)

    def on_train_start(self, step: int, steps: int) -> None:
        """Show how far the training is."""
        self.pace.start(step, steps)
        self.training.update(self.step, completed=step, total=steps)
        self.live.start()

    def on_step_end(self, report: StepReport) -> None:
        """Show a step."""
        errors.raise_received()
        self.pace.step_ended(report.step)
        left = duration(self.pace.seconds_left)
        self.training.update(self.step, completed=report.step, left=left)
        self.figures.renderables = [
            Text(f"{name} {value}", no_wrap=True)
            for name, value in figures(report, self.pace).items()
        ]

    def on_image_evaluated(self, done: int, total: int) -> None:
        """Show how far an evaluation is."""
        errors.raise_received()
        if done == 1:
            self.evaluation.reset(self.photo)
        self.evaluation.update(self.photo, completed=done, total=total, visible=done < total)

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        """Show the quality."""
        self.pace.pause_ended()
        self.quality.plain = quality(step, result)

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        """Leave the drawing out of the pace."""
        self.pace.pause_ended()

    def on_train_end(self, *, finished: bool) -> None:
        """Leave the last state of the display on the terminal."""
        self.live.stop()


class Lines(Callback):
    """Prints a line at intervals of steps."""

    def __init__(self, config: TrainConfig):
        self.pace = Pace(config)
        self.every = config.log_every
        self.began = self.said = 0.0

    def on_train_start(self, step: int, steps: int) -> None:
        """Begin to measure the time."""
        self.pace.start(step, steps)

    def on_step_end(self, report: StepReport) -> None:
        """Show a step if it is its turn."""
        errors.raise_received()
        self.pace.step_ended(report.step)
        if report.step % self.every and report.step != self.pace.steps:
            return
        left = duration(self.pace.seconds_left)
        shown = "  ".join(f"{name} {value}" for name, value in figures(report, self.pace).items())
        display(f"step {report.step}/{self.pace.steps}  {left} left  {shown}")

    def on_image_evaluated(self, done: int, total: int) -> None:
        """Show how far a long evaluation is."""
        errors.raise_received()
        now = time.monotonic()
        if done == 1:
            self.began = self.said = now
        if now - self.said >= _LINE_INTERVAL and done < total:
            left = (now - self.began) / (done - 1) * (total - done)
            display(f"evaluating: {done} of {total} photos  {duration(left)} left")
            self.said = now

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        """Show the quality."""
        self.pace.pause_ended()
        display(quality(step, result))

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        """Leave the drawing out of the pace."""
        self.pace.pause_ended()


def figures(report: StepReport, pace: Pace) -> dict[str, str]:
    """Return the figures of a step by name, formatted."""
    photos = pace.photos_per_second
    return {
        "photos/s": "-" if photos is None else f"{photos:.1f}",
        "loss": f"{report.total:.4f}",
        **{name: f"{value:.4f}" for name, value in report.terms.items()},
        "gradient": f"{report.gradient:.3g}",
        "lr": f"{report.lr:.3g}",
        "memory": f"{report.memory:.0f} MB",
    }


def quality(step: int, result: dict[str, Any]) -> str:
    """Return a line with the panoptic quality after a step."""
    parts = [f"{name} {_percent(result[name]['pq'])}" for name in ("all", "things", "stuff")]
    return f"PQ after step {step}: {', '.join(parts)}"


def duration(seconds: float | None) -> str:
    """Format a duration as hours, minutes and seconds, or as days and hours."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < _DAY:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


def _bar(left: TextColumn | TimeRemainingColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        left,
        console=live_console(),
        expand=True,
    )


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"
