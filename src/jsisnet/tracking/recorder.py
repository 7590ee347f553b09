"""A training put on record."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from jsisnet.tracking.pace import Pace
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.listener import Pictures, Silent
from jsisnet.training.loop import StepReport
from jsisnet.training.tracking import MLflow, Record, TensorBoard, WandB, leaves

Tracker = Literal["tensorboard", "wandb", "mlflow"]
"""Name of a library that keeps records, and of the extra that installs it."""

_RECORDS: dict[Tracker, Callable[[RunConfig, Path, Callable[[str], None]], Record]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}

_MAX_REASON = 200
"""Characters of the reason why a record failed."""


@contextmanager
def recording(
    trackers: Sequence[Tracker], config: RunConfig, folder: Path, warn: Callable[[str], None]
) -> Iterator[tuple["Recorder", ...]]:
    """Give a listener for each tracker; the records end with the ``with`` block.

    Args:
        trackers: Names of the libraries.
        config: Settings of the run, which the records hold, too.
        folder: Run folder, in which a library keeps its files.
        warn: Is told when a record fails, without which the training goes on, or stays offline.

    Raises:
        ValueError: If a library is not installed.
    """
    names = tuple(dict.fromkeys(trackers))
    for name in names:
        _refuse_missing(name)
    recorders = tuple(
        Recorder(name, _RECORDS[name](config, folder, warn), config.train, warn) for name in names
    )
    finished = False
    try:
        yield recorders
        finished = True
    finally:
        for recorder in recorders:
            recorder.end(finished=finished)


class Recorder(Silent):
    """Tells a record what it hears; if that fails, the training goes on without the record."""

    def __init__(self, name: str, record: Record, config: TrainConfig, warn: Callable[[str], None]):
        self.name = name
        self.record: Record | None = record
        self.every = config.log_every
        self.warn = warn
        self.pace = Pace(config)
        self.isopen = False

    def begun(self, step: int, steps: int) -> None:
        """Begin the record, or go on with it."""
        self.isopen = True
        self._tell(lambda record: record.begin(step))
        self.pace.begun(step, steps)

    def stepped(self, report: StepReport) -> None:
        """Record a step if it is its turn."""
        self.pace.stepped(report.step)
        if report.step % self.every and report.step != self.pace.steps:
            return
        train = {
            "gradient": report.gradient,
            "lr": report.lr,
            "memory": report.memory,
            "photos_per_second": self.pace.photos_per_second,
        }
        loss = {"total": report.total, **report.terms}
        self._add(report.step, {"loss": loss, "train": train})

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Record the quality; lists, such as that of the classes, are left out."""
        self._add(step, {"validation": result})
        self.pace.paused()

    def pictured(self, step: int, pictures: Pictures) -> None:
        """Record the pictures, by names that every library takes."""
        named = {
            f"photos/{number} {re.sub('[^a-zA-Z0-9_.-]', '_', name)}": picture
            for number, (name, picture) in enumerate(pictures.items(), 1)
        }
        self._tell(lambda record: record.pictures(step, named))
        self.pace.paused()

    def end(self, *, finished: bool) -> None:
        """End the record, if it was begun, of a training that is finished or was stopped."""
        if self.isopen:
            self._tell(lambda record: record.end(finished=finished))

    def _add(self, step: int, values: Mapping[str, Any]) -> None:
        numbers = {
            name: float(value)
            for name, value in leaves(values, "/")
            if isinstance(value, int | float) and math.isfinite(value)
        }
        self._tell(lambda record: record.numbers(step, numbers))

    def _tell(self, action: Callable[[Record], None]) -> None:
        if self.record is None:
            return
        try:
            action(self.record)
        except Exception as error:
            reason = shorten(str(error), _MAX_REASON) or type(error).__name__
            self.warn(
                f"{self.name}: recording failed, and the training goes on without it ({reason})"
            )
            record, self.record = self.record, None
            with suppress(Exception):
                record.end(finished=False)


def _refuse_missing(tracker: str) -> None:
    # A folder of that name where the command runs counts as a package, but has no origin.
    found = find_spec(tracker)
    if found is None or found.origin is None:
        raise ValueError(
            f"--track {tracker} needs a library that is not installed: "
            f"pip install 'jsisnet[{tracker}]'"
        )
