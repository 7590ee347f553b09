"""Records of trainings in TensorBoard, Weights & Biases and MLflow."""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import uuid4

from jsisnet.files.atomic import replacing
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.listener import Pace, Pictures, Silent
from jsisnet.training.loop import StepReport

IDS = "tracking.json"
"""Name of the file of a run folder that names its records, so that resuming continues them."""

QUALITY = "validation/all/pq"
"""Number by which runs are compared."""

PROJECT = "jsisnet"
"""Name under which services keep the runs, unless the library's own variable names another."""

_PATIENCE = 30
"""Seconds to wait for the answer of a service."""

_PARTING = 60
"""Seconds in which Weights & Biases may send what is left at the end; files keep the rest."""

_BATCH = 100
"""Settings that MLflow takes at once."""


@runtime_checkable
class Record(Protocol):
    """Where the numbers and pictures of a training go."""

    def begin(self, step: int) -> None:
        """Begin a record, or go on with it after a step."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers, all finite."""

    def pictures(self, step: int, pictures: Pictures) -> None:
        """Add pictures."""

    def end(self, *, finished: bool) -> None:
        """Add what is left of a training, which is finished or was stopped."""


class TensorBoard:
    """Files in the run folder."""

    def __init__(self, config: RunConfig, folder: Path, _: Callable[[str], None]):
        self.config = config
        self.folder = folder / "tensorboard"

    def begin(self, step: int) -> None:
        """Open a file; what earlier ones say of later steps does not count any more."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self.writer = SummaryWriter(str(self.folder), purge_step=step + 1)
        for summary in hparams(dict(leaves(asdict(self.config), ".")), {QUALITY: 0.0}):
            self.writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers, at once: what waits is lost when the training is killed."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def pictures(self, step: int, pictures: Pictures) -> None:
        """Write pictures."""
        for name, picture in pictures.items():
            self.writer.add_image(name, picture, step, dataformats="HWC")
        self.writer.flush()

    def end(self, *, finished: bool) -> None:
        """Close the file."""
        self.writer.close()


class WandB:
    """A run of Weights & Biases; without a login or a network, in files for `wandb sync`."""

    def __init__(self, config: RunConfig, folder: Path, warn: Callable[[str], None]):
        self.config = config
        self.folder = folder
        self.warn = warn

    def begin(self, step: int) -> None:
        """Begin a run, or go on with it."""
        import wandb

        quiet = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_PATIENCE,
            finish_timeout=_PARTING,
        )
        known = _known(self.folder, "wandb") if step else None
        name = known or uuid4().hex[:8]
        begin = partial(
            wandb.init,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(self.folder),
            id=name,
            name=self.folder.resolve().name,
            config=asdict(self.config),
            allow_val_change=True,
            resume="allow",
            settings=quiet,
        )
        mode = wandb.setup(quiet).settings.mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            mode = self._offline("nobody is logged in")
        try:
            self.run = begin(mode=mode)
        except wandb.errors.CommError:
            # The library's own process still holds the name of the run.
            wandb.teardown()
            self.run = begin(mode=self._offline("the service can't be reached"))
        _note(self.folder, "wandb", name)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers, but none that the run has from before it was resumed."""
        if step >= self.run.step:
            self.run.log(dict(values), step=step)

    def pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures, but none that the run has from before it was resumed."""
        import wandb

        if step >= self.run.step:
            images = {name: wandb.Image(picture) for name, picture in pictures.items()}
            self.run.log(images, step=step)

    def end(self, *, finished: bool) -> None:
        """Send what waits."""
        self.run.finish(exit_code=int(not finished))

    def _offline(self, reason: str) -> str:
        files = self.folder / "wandb"
        self.warn(f"wandb: {reason}, so the record stays in {files}; `wandb sync` sends it")
        return "offline"


class MLflow:
    """A run of MLflow: on the server that MLFLOW_TRACKING_URI names, or else in the run folder."""

    def __init__(self, config: RunConfig, folder: Path, _: Callable[[str], None]):
        self.config = config
        self.folder = folder
        self.last: dict[str, int] = {}
        """Last step of each number that the run has from before it was resumed."""

    def begin(self, step: int) -> None:
        """Begin a run, or go on with it."""
        # The defaults, retries that take some minutes, would hold up the training.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_PATIENCE))
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        local = self.folder.resolve() / "mlflow"
        server, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if not server:
            local.mkdir(parents=True, exist_ok=True)
            server, artifacts = f"sqlite:///{local / 'mlflow.db'}", (local / "artifacts").as_uri()
        self.client = MlflowClient(tracking_uri=server)
        known = _known(self.folder, "mlflow") if step else None
        if known is None:
            self.run = self._new(artifacts)
            _note(self.folder, "mlflow", self.run)
        else:
            self.run = known
            self._resume()

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers, but none that the run has from before it was resumed."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        new = [
            Metric(name, value, now, step)
            for name, value in values.items()
            if step > self.last.get(name, -1)
        ]
        self.client.log_batch(self.run, metrics=new)

    def pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures, but none of an evaluation from before the run was resumed."""
        if step <= self.last.get(QUALITY, -1):
            return
        for name, picture in pictures.items():
            self.client.log_image(self.run, picture, key=name, step=step)

    def end(self, *, finished: bool) -> None:
        """Say how the training ended."""
        self.client.set_terminated(self.run, "FINISHED" if finished else "KILLED")

    def _new(self, artifacts: str | None) -> str:
        from mlflow.entities import Param

        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(project)
        if experiment is None:
            number = self.client.create_experiment(project, artifact_location=artifacts)
        else:
            number = experiment.experiment_id
        run = self.client.create_run(number, run_name=self.folder.resolve().name).info.run_id
        params = [Param(name, str(value)) for name, value in leaves(asdict(self.config), ".")]
        for first in range(0, len(params), _BATCH):
            self.client.log_batch(run, params=params[first : first + _BATCH])
        return run

    def _resume(self) -> None:
        self.client.update_run(self.run, status="RUNNING")
        for name in self.client.get_run(self.run).data.metrics:
            history = self.client.get_metric_history(self.run, name)
            self.last[name] = max(metric.step for metric in history)


def leaves(values: Mapping[str, Any], joint: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """Give the numbers and texts of nested values by their joined names; sequences become texts."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, joint, f"{place}{name}{joint}")
        elif isinstance(value, int | float | str):
            yield f"{place}{name}", value
        elif value is not None:
            yield f"{place}{name}", str(value)


def _known(folder: Path, tracker: str) -> str | None:
    """Give the name of the record that a run has."""
    path = folder / IDS
    return json.loads(path.read_text(encoding="utf-8")).get(tracker) if path.exists() else None


def _note(folder: Path, tracker: str, name: str) -> None:
    """Keep the name of a record, beside those of other trackers."""
    path = folder / IDS
    names = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(names | {tracker: name}) + "\n", encoding="utf-8")


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
