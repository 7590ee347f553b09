"""How fast a training is."""

import math
import time
from collections import deque

from jsisnet.training.config import TrainConfig

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
