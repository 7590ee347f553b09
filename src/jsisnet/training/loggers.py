"""Experiment loggers: TensorBoard, Weights & Biases and MLflow.

Lightning's loggers wrap the same libraries, but do not continue a resumed run without duplicate
points, log pictures, or fall back to local files when a service can't be reached.
"""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, Protocol, get_args, runtime_checkable
from uuid import uuid4

from jsisnet.checks import check_choice
from jsisnet.files.atomic import replacing
from jsisnet.training.callbacks import Callback, Pace, Pictures
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.loop import StepReport

_log = logging.getLogger(__name__)

LoggerName = Literal["tensorboard", "wandb", "mlflow"]
"""Name of a logging library, and of the extra that installs it."""

IDS = "tracking.json"
"""File of a run folder with the run's id in each service, so that resuming continues the same."""

QUALITY = "validation/all/pq"
"""Metric that runs are compared by."""

PROJECT = "jsisnet"
"""Name of the project or experiment, unless the library's environment variable sets another."""

_TIMEOUT = 30
"""Seconds to wait for a response of a service."""

_FINISH_TIMEOUT = 60
"""Seconds that Weights & Biases may upload at the end; the rest stays in local files."""

_BATCH = 100
"""Most parameters that MLflow accepts in one request."""

_MAX_REASON = 200
"""Longest excerpt of an error message in a warning, in characters."""


@runtime_checkable
class Logger(Protocol):
    """Destination of the metrics and pictures of one run."""

    def start(self, step: int) -> None:
        """Create a run, or continue the one in the folder if `step` is above 0."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log finite numbers."""

    def log_pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures."""

    def finish(self, *, finished: bool) -> None:
        """Flush and close, with the status finished or stopped."""


def logger_callbacks(
    names: LoggerName | Sequence[LoggerName], config: RunConfig, folder: Path
) -> list["LoggerCallback"]:
    """Return a callback for each logging library, duplicates removed.

    Args:
        names: Name or names of the libraries.
        config: Settings, logged as hyperparameters.
        folder: Run folder, in which the libraries keep local files.

    Raises:
        ValueError: If a library is not installed.
    """
    unique: tuple[LoggerName, ...] = tuple(
        dict.fromkeys([names] if isinstance(names, str) else names)
    )
    for name in unique:
        check_choice("track", name, get_args(LoggerName))
        _check_installed(name)
    return [LoggerCallback(name, _LOGGERS[name](config, folder), config.train) for name in unique]


class LoggerCallback(Callback):
    """Callback that forwards steps, evaluations and pictures to a logger.

    If the logger raises, it is dropped with a warning and the training continues.
    """

    def __init__(self, name: str, logger: Logger, config: TrainConfig):
        self.name = name
        self.logger: Logger | None = logger
        self.every = config.log_every
        self.pace = Pace(config)
        self.started = False

    def on_train_start(self, step: int, steps: int) -> None:
        """Start or continue the run."""
        self.started = True
        self._call(lambda logger: logger.start(step))
        self.pace.start(step, steps)

    def on_step_end(self, report: StepReport) -> None:
        """Log every `log_every` steps, and the last one."""
        self.pace.step_ended(report.step)
        if report.step % self.every and report.step != self.pace.steps:
            return
        train = {
            "gradient": report.gradient,
            "lr": report.lr,
            "memory": report.memory,
            "photos_per_second": self.pace.photos_per_second,
        }
        loss = {"total": report.total, **report.terms}
        self._log_metrics(report.step, {"loss": loss, "train": train})

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        """Log the numbers of a result; lists, such as those of the classes, are skipped."""
        self._log_metrics(step, {"validation": result})
        self.pace.pause_ended()

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures, with names restricted to the characters that all libraries accept."""
        named = {
            f"photos/{number} {re.sub('[^a-zA-Z0-9_.-]', '_', name)}": picture
            for number, (name, picture) in enumerate(pictures.items(), 1)
        }
        self._call(lambda logger: logger.log_pictures(step, named))
        self.pace.pause_ended()

    def on_train_end(self, *, finished: bool) -> None:
        """Close the run if it was started."""
        if self.started:
            self._call(lambda logger: logger.finish(finished=finished))

    def _log_metrics(self, step: int, values: Mapping[str, Any]) -> None:
        numbers = {
            name: float(value)
            for name, value in flatten(values, "/")
            if isinstance(value, int | float) and math.isfinite(value)
        }
        self._call(lambda logger: logger.log_metrics(step, numbers))

    def _call(self, action: Callable[[Logger], None]) -> None:
        if self.logger is None:
            return
        try:
            action(self.logger)
        except Exception as error:
            reason = shorten(str(error), _MAX_REASON) or type(error).__name__
            _log.warning(
                "%s: logging failed; the training continues without it (%s)", self.name, reason
            )
            logger, self.logger = self.logger, None
            with suppress(Exception):
                logger.finish(finished=False)


class TensorBoard:
    """Event files in the run folder."""

    def __init__(self, config: RunConfig, folder: Path):
        self.config = config
        self.folder = folder / "tensorboard"

    def start(self, step: int) -> None:
        """Open an event file, which hides the later steps of earlier files."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self.writer = SummaryWriter(str(self.folder), purge_step=step + 1)
        for summary in hparams(dict(flatten(asdict(self.config), ".")), {QUALITY: 0.0}):
            self.writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write metrics and flush, so that none is lost when the training is killed."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_pictures(self, step: int, pictures: Pictures) -> None:
        """Write pictures and flush."""
        for name, picture in pictures.items():
            self.writer.add_image(name, picture, step, dataformats="HWC")
        self.writer.flush()

    def finish(self, *, finished: bool) -> None:
        """Close the file."""
        self.writer.close()


class WandB:
    """Run of Weights & Biases; without a login or a connection, local files for `wandb sync`."""

    def __init__(self, config: RunConfig, folder: Path):
        self.config = config
        self.folder = folder

    def start(self, step: int) -> None:
        """Create a run or continue it."""
        import wandb

        quiet = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=_TIMEOUT,
            finish_timeout=_FINISH_TIMEOUT,
        )
        run_id = (_read_id(self.folder, "wandb") if step else None) or uuid4().hex[:8]
        init = partial(
            wandb.init,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(self.folder),
            id=run_id,
            name=self.folder.resolve().name,
            config=asdict(self.config),
            allow_val_change=True,
            resume="allow",
            settings=quiet,
        )
        mode: Any = wandb.setup(quiet).settings.mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            mode = self._offline("not logged in")
        try:
            self.run = init(mode=mode)
        except wandb.errors.CommError:
            # The library's service process still holds the run's id.
            wandb.teardown()
            self.run = init(mode=self._offline("can't reach the service"))
        _write_id(self.folder, "wandb", run_id)

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics, except for steps that a resumed run already has."""
        if step >= self.run.step:
            self.run.log(dict(values), step=step)

    def log_pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures, except for steps that a resumed run already has."""
        import wandb

        if step >= self.run.step:
            images = {name: wandb.Image(picture) for name, picture in pictures.items()}
            self.run.log(images, step=step)

    def finish(self, *, finished: bool) -> None:
        """Upload the rest and close the run."""
        self.run.finish(exit_code=int(not finished))

    def _offline(self, reason: str) -> Literal["offline"]:
        files = self.folder / "wandb"
        _log.warning("wandb: %s; logging to %s (upload it with `wandb sync`)", reason, files)
        return "offline"


class MLflow:
    """Run of MLflow, on the server in MLFLOW_TRACKING_URI or else in the run folder."""

    def __init__(self, config: RunConfig, folder: Path):
        self.config = config
        self.folder = folder
        self.last: dict[str, int] = {}
        """Last step of each metric that a resumed run already has."""

    def start(self, step: int) -> None:
        """Create a run or continue it."""
        # By default the client retries for minutes, which would block the training.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_TIMEOUT))
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        local = self.folder.resolve() / "mlflow"
        server, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if not server:
            local.mkdir(parents=True, exist_ok=True)
            server, artifacts = f"sqlite:///{local / 'mlflow.db'}", (local / "artifacts").as_uri()
        self.client = MlflowClient(tracking_uri=server)
        known = _read_id(self.folder, "mlflow") if step else None
        if known is None:
            self.run = self._create(artifacts)
            _write_id(self.folder, "mlflow", self.run)
        else:
            self.run = known
            self._resume()

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics, except for steps that a resumed run already has."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        new = [
            Metric(name, value, now, step)
            for name, value in values.items()
            if step > self.last.get(name, -1)
        ]
        self.client.log_batch(self.run, metrics=new)

    def log_pictures(self, step: int, pictures: Pictures) -> None:
        """Log pictures, except for evaluations that a resumed run already has."""
        if step <= self.last.get(QUALITY, -1):
            return
        for name, picture in pictures.items():
            self.client.log_image(self.run, picture, key=name, step=step)

    def finish(self, *, finished: bool) -> None:
        """Set the status of the run."""
        self.client.set_terminated(self.run, "FINISHED" if finished else "KILLED")

    def _create(self, artifacts: str | None) -> str:
        from mlflow.entities import Param

        project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(project)
        if experiment is None:
            number = self.client.create_experiment(project, artifact_location=artifacts)
        else:
            number = experiment.experiment_id
        run = self.client.create_run(number, run_name=self.folder.resolve().name).info.run_id
        params = [Param(name, str(value)) for name, value in flatten(asdict(self.config), ".")]
        for first in range(0, len(params), _BATCH):
            self.client.log_batch(run, params=params[first : first + _BATCH])
        return run

    def _resume(self) -> None:
        self.client.update_run(self.run, status="RUNNING")
        for name in self.client.get_run(self.run).data.metrics:
            history = self.client.get_metric_history(self.run, name)
            self.last[name] = max(metric.step for metric in history)


_LOGGERS: dict[LoggerName, Callable[[RunConfig, Path], Logger]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}


def flatten(
    values: Mapping[str, Any], separator: str, prefix: str = ""
) -> Iterator[tuple[str, int | float | str]]:
    """Yield the values of nested mappings by joined name; sequences are converted to strings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, separator, f"{prefix}{name}{separator}")
        elif isinstance(value, int | float | str):
            yield f"{prefix}{name}", value
        elif value is not None:
            yield f"{prefix}{name}", str(value)


def _read_id(folder: Path, name: LoggerName) -> str | None:
    """Read the id that a run has in a service."""
    path = folder / IDS
    return json.loads(path.read_text(encoding="utf-8")).get(name) if path.exists() else None


def _write_id(folder: Path, name: LoggerName, run_id: str) -> None:
    """Write the id that a run has in a service, and keep those of other services."""
    path = folder / IDS
    ids = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(ids | {name: run_id}) + "\n", encoding="utf-8")


def _check_installed(name: LoggerName) -> None:
    # A folder of that name in the working directory is a package, too, but has no origin.
    found = find_spec(name)
    if found is None or found.origin is None:
        raise ValueError(
            f"--track {name} needs a package that is not installed: pip install 'jsisnet[{name}]'"
        )
