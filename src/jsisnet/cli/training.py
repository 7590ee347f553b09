"""A training as the user sees it: a bar on a terminal, lines in a file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from jsisnet.cli import signals
from jsisnet.cli.console import display, live_console, out
from jsisnet.config import TrainConfig
from jsisnet.trainer import Listener
from jsisnet.training.loop import StepReport


@contextmanager
def listening(config: TrainConfig) -> Iterator[Listener]:
    """Give a listener that shows a training as long as the ``with`` block lasts."""
    if not out.is_terminal:
        yield Lines(config)
        return
    bar = Bar(config)
    with Live(bar.picture, console=live_console(), refresh_per_second=4):
        yield bar


class Bar:
    """Shows a training in place."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.progress = Progress(
            TextColumn("step", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=live_console(),
        )
        self.task = self.progress.add_task("step", total=config.steps, pace="")
        self.loss, self.quality = Text(), Text()
        self.picture = Group(self.progress, self.loss, self.quality)

    def begun(self, step: int, steps: int) -> None:
        """Begin to measure the time."""
        self.progress.reset(self.task, completed=step, total=steps)

    def stepped(self, report: StepReport) -> None:
        """Show a step."""
        signals.insist()
        self.progress.update(self.task, completed=report.step)
        speed = self.progress.tasks[self.task].speed
        if speed is not None:
            pace = f"{speed * self.config.batch_size:.1f} photos/s"
            self.progress.update(self.task, pace=pace)
        self.loss.plain = losses(report)

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Show the quality."""
        self.quality.plain = quality(step, result)


class Lines:
    """Shows every so many steps in a line of its own."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.begin = self.line = (0, time.monotonic())
        self.steps = 0

    def begun(self, step: int, steps: int) -> None:
        """Begin to measure the time."""
        self.begin = self.line = (step, time.monotonic())
        self.steps = steps

    def stepped(self, report: StepReport) -> None:
        """Show a step if it is its turn."""
        signals.insist()
        if report.step % self.config.log_every and report.step != self.steps:
            return
        now = (report.step, time.monotonic())
        left = timedelta(seconds=round((self.steps - report.step) / _speed(self.begin, now)))
        pace = f"{self.config.batch_size * _speed(self.line, now):.1f} photos/s"
        self.line = now
        display(f"step {report.step}/{self.steps}  {left} left  {pace}  {losses(report)}")

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Show the quality."""
        display(quality(step, result))


def losses(report: StepReport) -> str:
    """Give the total loss and its terms."""
    terms = "  ".join(f"{name} {value:.4f}" for name, value in report.terms.items())
    return f"loss {report.total:.4f} = {terms}"


def quality(step: int, result: dict[str, Any]) -> str:
    """Give the panoptic quality after a step."""
    parts = [
        f"{name} -" if result[name]["pq"] is None else f"{name} {result[name]['pq']:.2f}"
        for name in ("all", "things", "stuff")
    ]
    return f"PQ after step {step}: {', '.join(parts)}"


def _speed(since: tuple[int, float], now: tuple[int, float]) -> float:
    """Give the steps in a second between two moments, of which the steps and times are known."""
    return (now[0] - since[0]) / (now[1] - since[1])
