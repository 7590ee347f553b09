"""Who hears how a training goes on."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from jsisnet.training.loop import StepReport

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
