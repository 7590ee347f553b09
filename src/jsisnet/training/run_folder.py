"""The run folder of a training: settings, metrics, pictures, checkpoint and model."""

import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Any

from jsisnet.files.atomic import replacing
from jsisnet.files.photos import write_picture
from jsisnet.inference.model_folder import DESCRIPTION, EXPORTED, WEIGHTS, weights_digest
from jsisnet.model import saved_model
from jsisnet.training import curves
from jsisnet.training.callbacks import Callback, Pictures
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import RunConfig, read_config, to_yaml
from jsisnet.training.loop import StepReport
from jsisnet.training.metrics_file import METRICS, read_entries
from jsisnet.training.resuming import check_settings
from jsisnet.visualize.overlay import side_by_side

_log = logging.getLogger(__name__)

CONFIG, CHECKPOINT = "config.yaml", "checkpoint.pt"
"""Names of files in a run folder, beside the metrics and the model's two files."""

PLOT, PICTURES = "plot.png", "pictures"
"""Names of the plot of the metrics, and of the folder with pictures of validation images."""

BEST, SNAPSHOTS = "best", "snapshots"
"""Names of the folders with models that are kept."""

_METRICS = {
    "pq": ("all", "pq"),
    "pq_things": ("things", "pq"),
    "pq_stuff": ("stuff", "pq"),
}
"""Where the metrics of `KeepConfig` stand in the summary of an evaluation, if not at its top."""


def check_folder(
    config: RunConfig, folder: Path, *, resume: bool, extend: bool = False
) -> RunConfig | None:
    """Check that a training may write to a folder.

    A folder with a checkpoint may only be resumed, with the settings of its run. A `config.yaml`
    that no training wrote is never overwritten.

    Args:
        config: Settings of the training.
        folder: The run folder.
        resume: Whether to resume a run.
        extend: Whether it may have more steps than before.

    Returns:
        The settings of the run that is resumed; ``None`` for a new one.

    Raises:
        ValueError: If the training may not.
    """
    path = folder / CONFIG
    if not (folder / CHECKPOINT).exists():
        if path.exists() and not _is_generated(path):
            raise ValueError(
                f"{path} was not written by a training and would be overwritten; choose another "
                "folder"
            )
        return None
    if not (resume or is_finished(config, folder)):
        raise ValueError(
            f"{folder} already holds a run; resume it (--resume) or choose another folder (--out)"
        )
    before = read_config(path)
    check_settings(before, config, folder, extend=extend)
    return before


def is_finished(config: RunConfig, folder: Path) -> bool:
    """Return whether a folder holds all results of a training; the data isn't compared.

    Args:
        config: Settings of the training.
        folder: The run folder.

    Raises:
        ValueError: If the checkpoint or the metrics file is damaged.
    """
    try:
        before = read_config(folder / CONFIG)
        check_settings(before, config, folder, extend=False)
    except ValueError:
        return False
    # The settings of a run have the steps that its epochs stand for.
    steps, path = before.train.steps, folder / CHECKPOINT
    if not path.exists() or Checkpoint.load(path).step < steps:
        return False
    files = [WEIGHTS, DESCRIPTION] + [EXPORTED] * config.train.export
    if not all((folder / name).is_file() for name in files):
        return False
    if config.validation is None:
        return True
    plot, metrics = folder / PLOT, MetricsFile(folder / METRICS, every=1)
    # A run may have been killed between the line of an evaluation and its plot.
    isplotted = plot.exists() and plot.stat().st_mtime_ns >= metrics.path.stat().st_mtime_ns
    return metrics.has_evaluation(steps) and isplotted


def checkpoint_state(folder: Path) -> tuple[int, int] | None:
    """Return time and size of the checkpoint of a run, to see whether it is replaced."""
    try:
        found = (folder / CHECKPOINT).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def prepare(config: RunConfig, folder: Path, found: tuple[int, int] | None) -> None:
    """Write the settings.

    Args:
        config: Settings of the training.
        folder: The run folder, locked by this process.
        found: State of the checkpoint that the training begins with.

    Raises:
        ValueError: If another training has replaced that checkpoint before the folder was locked.
    """
    if checkpoint_state(folder) != found:
        raise ValueError(f"{folder}: another command has just written to it; run yours again")
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")


def _is_generated(path: Path) -> bool:
    """Return whether a settings file is exactly as `prepare` writes it."""
    try:
        config = read_config(path)
        return path.read_text(encoding="utf-8") == to_yaml(config)
    except (OSError, ValueError):
        return False


class MetricsFile(Callback):
    """Callback that appends steps and evaluations to a metrics file, and reads them back."""

    def __init__(self, path: Path, every: int):
        """Choose the file without opening it.

        Args:
            path: File to write; may exist when a run is resumed.
            every: Steps between lines. The last step is always written.
        """
        self.path = path
        self.every = every
        self.steps = 0
        self.began = time.perf_counter()

    def has_evaluation(self, step: int) -> bool:
        """Return whether the file holds the evaluation after a step.

        Raises:
            ValueError: If the file is damaged.
        """
        return any(entry["step"] == step and "validation" in entry for entry in self._entries())

    def is_best(self, metric: str, step: int, result: dict[str, Any]) -> bool:
        """Return whether an evaluation is better than all those of earlier steps.

        Args:
            metric: Metric of `KeepConfig`.
            step: Its step.
            result: Its summary; without the metric it is not the best.

        Raises:
            ValueError: If the file is damaged.
        """
        before = (
            _value(entry["validation"], metric)
            for entry in self._entries()
            if "validation" in entry and entry["step"] < step
        )
        value = _value(result, metric)
        return value > max(before, default=-math.inf)

    def on_train_start(self, step: int, steps: int) -> None:
        """Remove the lines of steps after `step`, which the training will repeat.

        Raises:
            ValueError: If the file is damaged.
        """
        self.steps, self.began = steps, time.perf_counter()
        kept = [entry for entry in self._entries() if entry["step"] <= step]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def on_step_end(self, report: StepReport) -> None:
        """Append the step if it is a multiple of `every` or the last one."""
        if report.step % self.every == 0 or report.step == self.steps:
            self._append(asdict(report))

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        """Append the result."""
        self._append({"step": step, "validation": result})

    def _entries(self) -> list[dict[str, Any]]:
        return read_entries(self.path) if self.path.exists() else []

    def _append(self, values: dict[str, Any]) -> None:
        seconds = round(time.perf_counter() - self.began, 3)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(values | {"seconds": seconds}))


class PictureFiles(Callback):
    """Callback that writes a plot of the metrics and pictures of the first validation images.

    If a file can't be written, it logs a warning and the training continues.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def on_train_start(self, step: int, steps: int) -> None:  # noqa: ARG002 - read from the file
        """Plot the metrics of a resumed run, as the plot may be older than they are."""
        path = self.folder / METRICS
        if path.exists() and any("validation" in entry for entry in read_entries(path)):
            self._plot()

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:  # noqa: ARG002 - in the file
        """Plot the metrics so far."""
        self._plot()

    def _plot(self) -> None:
        with _skipping(self.folder / PLOT) as path:
            curves.write(curves.plot([self.folder]), path)

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        """Write the pictures as one page named after the step."""
        rows = list(pictures.values())
        with _skipping(self.folder / PICTURES / f"step_{step:07}.jpg") as path:
            page = side_by_side(rows, [""] * len(rows), columns=1, text=1 / 200)
            write_picture(page, path)


class ExportedFile(Callback):
    """Callback that exports the model at the end of a training.

    If that fails, as without the packages for it, it logs a warning: the training has its model.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def on_train_end(self, *, finished: bool) -> None:
        """Export the model of a finished training."""
        if not finished:
            return
        try:
            from jsisnet.model.export import export  # noqa: PLC0415 - onnx may be missing

            model = saved_model.read(self.folder)
            export(model, self.folder / EXPORTED, weights=weights_digest(self.folder))
        except Exception as error:  # torch's exporter raises errors of many libraries
            reason = shorten(" ".join(str(error).split()), saved_model.MAX_REASON)
            _log.warning(
                "the model was not exported (%s); try again with `jsisnet export %s`",
                reason,
                self.folder,
            )


@contextmanager
def _skipping(path: Path) -> Iterator[Path]:
    """Log a warning instead of raising if a file can't be written."""
    try:
        yield path
    except (OSError, ValueError) as error:
        _log.warning("can't write %s; the training continues without it (%s)", path, error)


def _value(result: dict[str, Any], metric: str) -> float:
    """Return a metric of an evaluation, or minus infinity if it has no value."""
    found: Any = result
    for key in _METRICS.get(metric, (metric,)):
        found = found.get(key) if isinstance(found, dict) else None
    isvalue = isinstance(found, int | float) and math.isfinite(found)
    return float(found) if isvalue else -math.inf


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"
