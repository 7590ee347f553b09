"""Callbacks of a training, and the pace that those report."""

import math
import time
from collections import deque
from typing import Any

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.training.config import TrainConfig
from jsisnet.training.loop import StepReport

Pictures = dict[str, UInt8[np.ndarray, "_ _ 3"]]
"""Drawings by image name."""


class Callback:
    """Base class of callbacks. Every hook does nothing until a subclass overrides it.

    Fabric calls the hooks. In a distributed training only the process with rank 0 calls them.
    """

    def on_train_start(self, step: int, steps: int) -> None:
        """Start of a training of `steps` steps, of which `step` are already done."""

    def on_step_end(self, report: StepReport) -> None:
        """End of a training step."""

    def on_image_evaluated(self, done: int, total: int) -> None:
        """End of one image of an evaluation, with `done` of `total` images evaluated."""

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        """End of the evaluation after `step`; `result` is the summary of an `Evaluation`."""

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        """Pictures of the first validation images: image, prediction and ground truth."""

    def on_train_end(self, *, finished: bool) -> None:
        """End of the training: `finished`, or stopped by an error or a signal."""


_WINDOW = 100
"""Number of recent steps that the pace is averaged over."""


class Pace:
    """Speed of the training steps, evaluations excluded, and the time that is left.

    The first step of a process is not timed, as it waits for the data loader to start.
    """

    def __init__(self, config: TrainConfig):
        self.config = config
        self.step = self.steps = 0
        self._durations: deque[float] = deque(maxlen=_WINDOW)
        self._evaluation = self._ended = 0.0
        self._since: float | None = None

    def start(self, step: int, steps: int) -> None:
        """Start the clock of a training of `steps` steps, of which `step` are done."""
        self.step, self.steps = step, steps
        self._durations.clear()
        self._ended, self._since = time.monotonic(), None

    def step_ended(self, step: int) -> None:
        """Record the duration of a step."""
        now = time.monotonic()
        if self._since is not None:
            self._durations.append(now - self._since)
        self.step = step
        self._ended = self._since = now

    def pause_ended(self) -> None:
        """Record the time since the last step as that of an evaluation."""
        now = time.monotonic()
        self._evaluation = now - self._ended
        if self._since is not None:
            self._since = now

    @property
    def photos_per_second(self) -> float | None:
        """Photos per second over the recent steps; ``None`` while unknown."""
        seconds = self._step_seconds()
        return self.config.batch_size / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Remaining time, including the evaluations to come; ``None`` while unknown."""
        seconds = self._step_seconds()
        if seconds is None:
            return None
        every = self.config.evaluate_every or self.steps
        evaluations = math.ceil(self.steps / every) - (self.step - 1) // every
        return (self.steps - self.step) * seconds + evaluations * self._evaluation

    def _step_seconds(self) -> float | None:
        return sum(self._durations) / len(self._durations) if self._durations else None
