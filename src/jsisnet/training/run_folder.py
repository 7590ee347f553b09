"""What a training leaves behind: a folder with its settings, metrics, checkpoint and model."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jsisnet.files.atomic import remove_leftovers, replacing
from jsisnet.files.photos import write_picture
from jsisnet.training import curves
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import RunConfig, read_config, to_yaml
from jsisnet.training.history import METRICS, read_entries
from jsisnet.training.listener import Pictures, Silent
from jsisnet.training.loop import StepReport
from jsisnet.visualize.overlay import side_by_side

_log = logging.getLogger(__name__)

CONFIG, CHECKPOINT = "config.yaml", "checkpoint.pt"
"""Names of files of a run folder; metrics and the model's two lie beside them."""

PLOT, PICTURES = "plot.png", "pictures"
"""Name of the picture of the metrics, and of the folder of the maps of validation photos."""

PACE = ("log_every", "checkpoint_every", "evaluate_every", "workers", "pictures")
"""Settings of `TrainConfig` that may change when a run is resumed, as may those of its devices."""


def refuse_another(config: RunConfig, folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a trained run, unless it is this one and to be resumed.

    Settings that no training has written are refused too, as they would be lost.

    Raises:
        ValueError: If it does.
    """
    path = folder / CONFIG
    if not (folder / CHECKPOINT).exists():
        if path.exists() and not _iswritten(path):
            raise ValueError(f"{path}: no training wrote it; expected another folder")
        return
    if not resume:
        raise ValueError(f"{folder} holds a run already; expected --resume or another --out")
    before = read_config(path)
    pace = {name: getattr(config.train, name) for name in PACE}
    if replace(before, train=replace(before.train, **pace), devices=config.devices) != config:
        raise ValueError(f"{path}: the run has other settings; expected those it began with")


def isdone(config: RunConfig, folder: Path) -> bool:
    """Tell whether a training has come to its end, with its last evaluation.

    Raises:
        ValueError: If the folder holds another run, or a damaged one.
    """
    refuse_another(config, folder, resume=True)
    path = folder / CHECKPOINT
    if not path.exists() or Checkpoint.load(path).step < config.train.steps:
        return False
    return config.validation is None or Metrics(folder / METRICS, 1).validated(config.train.steps)


def _iswritten(path: Path) -> bool:
    """Tell whether a file of settings is as `begin` writes it."""
    try:
        return path.read_text(encoding="utf-8") == to_yaml(read_config(path))
    except (OSError, ValueError):
        return False


def begin(config: RunConfig, folder: Path) -> None:
    """Write the settings, and delete what a run that was killed has left half-written."""
    remove_leftovers(folder)
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")


class Metrics(Silent):
    """The file of a run's figures: one JSON object a line."""

    def __init__(self, path: Path, every: int):
        """Choose the file.

        Args:
            path: The file; it may exist.
            every: Steps between lines; the last step has one, too.
        """
        self.path = path
        self.every = every
        self.steps = 0
        self.began = time.perf_counter()

    def validated(self, step: int) -> bool:
        """Tell whether the file has an evaluation of a step.

        Raises:
            ValueError: If the file is damaged.
        """
        return any(entry["step"] == step and "validation" in entry for entry in self._entries())

    def begun(self, step: int, steps: int) -> None:
        """Forget what the file says of later steps than the given one.

        Raises:
            ValueError: If the file is damaged.
        """
        self.steps, self.began = steps, time.perf_counter()
        kept = [entry for entry in self._entries() if entry["step"] <= step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def stepped(self, report: StepReport) -> None:
        """Append the terms, if it is their turn."""
        if report.step % self.every == 0 or report.step == self.steps:
            self._add(asdict(report))

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Append the quality."""
        self._add({"step": step, "validation": result})

    def _entries(self) -> list[dict[str, Any]]:
        return read_entries(self.path) if self.path.exists() else []

    def _add(self, values: dict[str, Any]) -> None:
        seconds = round(time.perf_counter() - self.began, 3)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(values | {"seconds": seconds}))


class Sketches(Silent):
    """The pictures of a run: the maps of its first validation photos, and a plot of its metrics.

    A picture that can't be written costs a warning, and the training goes on.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def evaluated(self, step: int, result: dict[str, Any]) -> None:  # noqa: ARG002 - in the file
        """Plot the metrics so far."""
        with _forgone(self.folder / PLOT) as path:
            curves.write(curves.plot([self.folder]), path)

    def pictured(self, step: int, pictures: Pictures) -> None:
        """Keep the maps as one picture, named after the step."""
        rows = list(pictures.values())
        with _forgone(self.folder / PICTURES / f"step_{step:07}.jpg") as path:
            page = side_by_side(rows, [""] * len(rows), columns=1, text=1 / 200)
            write_picture(page, path)


@contextmanager
def _forgone(path: Path) -> Iterator[Path]:
    """Do without a file if it can't be written."""
    try:
        yield path
    except (OSError, ValueError) as error:
        _log.warning("%s is left out, and the training goes on (%s)", path, error)


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"
