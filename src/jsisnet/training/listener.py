"""Who hears how a training goes on."""

import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.training.config import TrainConfig
from jsisnet.training.loop import StepReport

_WINDOW = 100
"""Steps over which the pace is measured."""


class Pace:
    """How fast the steps are, without the evaluations between them, and how long the rest takes."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.step = self.steps = 0
        self._durations: deque[float] = deque(maxlen=_WINDOW)
        self._evaluation = self._ended = 0.0
        self._since: float | None = None

    def begun(self, step: int, steps: int) -> None:
        """Begin to measure; the first step is left out, as it waits for the first photos."""
        self.step, self.steps = step, steps
        self._durations.clear()
        self._ended, self._since = time.monotonic(), None

    def stepped(self, step: int) -> None:
        """Measure a step."""
        now = time.monotonic()
        if self._since is not None:
            self._durations.append(now - self._since)
        self.step = step
        self._ended = self._since = now

    def paused(self) -> None:
        """Measure what is no step: an evaluation, and the checkpoint before it."""
        now = time.monotonic()
        self._evaluation = now - self._ended
        if self._since is not None:
            self._since = now

    @property
    def photos_per_second(self) -> float | None:
        """Photos of the last steps in a second; ``None`` as long as it is not known."""
        seconds = self._step_seconds()
        return self.config.batch_size / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Time to the end, evaluations included; ``None`` as long as it is not known."""
        seconds = self._step_seconds()
        if seconds is None:
            return None
        every = self.config.evaluate_every or self.steps
        evaluations = math.ceil(self.steps / every) - (self.step - 1) // every
        return (self.steps - self.step) * seconds + evaluations * self._evaluation

    def _step_seconds(self) -> float | None:
        return sum(self._durations) / len(self._durations) if self._durations else None


Pictures = dict[str, UInt8[np.ndarray, "_ _ 3"]]
"""Drawings by the name of the photo."""


@runtime_checkable
class Listener(Protocol):
    """Wants to know how a training goes on; of several processes, only the first tells."""

    def begun(self, step: int, steps: int) -> None:
        """Hear that `step` of `steps` are done and the next begins."""

    def stepped(self, report: StepReport) -> None:
        """Hear that a step is done."""

    def evaluating(self, done: int, total: int) -> None:
        """Hear how many photos of an evaluation are done."""

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Hear how good the model is after `step`; `result` is an `Evaluation.summary`."""

    def pictured(self, step: int, pictures: Pictures) -> None:
        """See the first validation photos with their maps, predicted and true, after `step`."""


class Silent:
    """Hears everything and does nothing; listeners inherit what does not concern them."""

    def begun(self, step: int, steps: int) -> None:
        """Do nothing."""

    def stepped(self, report: StepReport) -> None:
        """Do nothing."""

    def evaluating(self, done: int, total: int) -> None:
        """Do nothing."""

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Do nothing."""

    def pictured(self, step: int, pictures: Pictures) -> None:
        """Do nothing."""


class Together:
    """Passes on what it hears, to one listener after the other."""

    def __init__(self, listeners: Sequence[Listener]):
        self.listeners = listeners

    def begun(self, step: int, steps: int) -> None:
        """Tell all that the training begins."""
        for listener in self.listeners:
            listener.begun(step, steps)

    def stepped(self, report: StepReport) -> None:
        """Tell all of a step."""
        for listener in self.listeners:
            listener.stepped(report)

    def evaluating(self, done: int, total: int) -> None:
        """Tell all how far an evaluation is."""
        for listener in self.listeners:
            listener.evaluating(done, total)

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Tell all of an evaluation."""
        for listener in self.listeners:
            listener.evaluated(step, result)

    def pictured(self, step: int, pictures: Pictures) -> None:
        """Show all the pictures."""
        for listener in self.listeners:
            listener.pictured(step, pictures)
