"""Trainings of an experiment: each in its own process and run folder, and evaluated once."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsisnet.categories import Categories
from jsisnet.experiments.measuring import in_own_process
from jsisnet.files.atomic import replacing
from jsisnet.files.processes import exit_with_parent
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference.model_folder import weights_digest
from jsisnet.settings import plain
from jsisnet.training import trainer
from jsisnet.training.callbacks import Callback
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.resuming import check_data
from jsisnet.training.run_folder import CHECKPOINT, is_finished

ProgressCallback = Callable[[TrainConfig], Callback]
"""Function that returns a callback to show a training; must be picklable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Mean and standard deviation of a result over seeds."""

    mean: float
    deviation: float
    """Sample standard deviation; 0 for a single value."""

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        """Compute the spread of the values that are not ``None``; ``None`` without any."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        deviation = statistics.stdev(known) if len(known) > 1 else 0.0
        return cls(mean=statistics.fmean(known), deviation=deviation)


def train_separately(
    config: RunConfig, folder: Path, progress: ProgressCallback, data: Mapping[str, str]
) -> None:
    """Train in a new process, resume a training, or do nothing if it is finished with this data.

    Args:
        config: Settings of the training.
        folder: Its run folder.
        progress: Creates the callback that shows the training.
        data: Digests of the data.

    Raises:
        ValueError: If the training fails, or the folder holds another one.
    """
    try:
        if is_finished(config, folder):
            check_data(Checkpoint.load(folder / CHECKPOINT).data, data, folder)
        else:
            in_own_process(_train, config, folder, progress)
    except ValueError as error:
        raise ValueError(f"training {folder}: {error}") from error


def _train(config: RunConfig, folder: Path, progress: ProgressCallback) -> None:
    exit_with_parent()
    resume = (folder / CHECKPOINT).exists()
    trainer.train(config, out=folder, resume=resume, callbacks=[progress(config.train)])


def kept(
    path: Path,
    config: RunConfig,
    models: Sequence[Path],
    measure: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Measure models, or read what was measured of the same models on the same validation data.

    Args:
        path: JSON file that keeps the results.
        config: Settings with the validation data.
        models: Folders of the models.
        measure: Returns plain values.
    """
    measured = {
        "validation": plain(config.validation),
        "data": validation(config).digest(),
        "models": [weights_digest(folder) for folder in models],
    }
    with suppress(OSError, ValueError, KeyError, TypeError):
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if {key: held.pop(key) for key in measured} == measured:
            return held
    values = measure()
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**measured, **values}, indent=1) + "\n", encoding="utf-8")
    return values


def validation(config: RunConfig, categories: Categories | None = None) -> PanopticDataset:
    """Open the validation data of a training.

    Args:
        config: Settings with validation data.
        categories: Classes in which it is used. Default: its own.
    """
    assert config.validation is not None
    return PanopticDataset(config.validation.under(config.root), categories)
