"""Table 3 of the paper: one joint network compared with one network per branch."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch

from jsisnet.data.sources import Sources
from jsisnet.experiments.trainings import (
    ProgressCallback,
    Spread,
    kept,
    train_separately,
    validation,
)
from jsisnet.files.atomic import lock_folder
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference import evaluator
from jsisnet.inference.engine import EngineOptions
from jsisnet.inference.predictor import Predictor
from jsisnet.model.engine import open_engine
from jsisnet.training.config import RunConfig
from jsisnet.training.devices import DeviceLayout
from jsisnet.training.metrics_file import METRICS, read_entries
from jsisnet.training.resuming import digests

Branches = Literal["joint", "semantic", "instance"]
BRANCHES: tuple[Branches, ...] = ("joint", "semantic", "instance")

SEPARATE = "semantic + instance"
"""Name of the row of the two separate networks, whose outputs are merged."""

ROWS = (*BRANCHES, SEPARATE)
"""Rows of the table from top to bottom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Results of one network, or of the two separate ones, with one seed."""

    miou: float | None
    """Mean IoU of the semantic branch in percent; ``None`` without it."""

    mask_ap50: float | None
    """Mask AP of the instance branch at IoU 0.5 in percent; ``None`` without it."""

    pq: float | None
    """Panoptic quality in percent; ``None`` for a single branch."""

    training_seconds: float
    """Median step time multiplied by the number of steps; for two networks the sum."""

    training_megabytes: float
    """Peak memory of the training process; for two networks the larger one."""

    prediction_milliseconds: float
    """Median time from photo to panoptic map."""


def reproduce(
    config: RunConfig, out: Path, seeds: Sequence[int], progress: ProgressCallback
) -> Iterator[tuple[int, dict[str, Row]]]:
    """Train and evaluate the networks of Table 3, one seed after the other.

    Each training runs in its own process, so that its memory can be measured, and in its own run
    folder, so that another call resumes it.

    Args:
        config: Settings of the joint network; those of the others differ in `network.branches`.
        out: Parent of the run folders.
        seeds: Seeds of the trainings.
        progress: Creates the callback that shows a training.

    Yields:
        Each seed with its rows by name.

    Raises:
        ValueError: If there is no validation data, several devices are configured, too few steps
            are logged to compute the time per step, the folder holds something else, another
            process is writing to it, or a training fails.
    """
    if config.validation is None:
        raise ValueError("validation is missing; Table 3 is evaluated on it")
    if DeviceLayout.detect(config.devices).devices > 1:
        raise ValueError("Table 3 is measured on one device; expected --devices.count 1")
    if config.train.epochs is not None:
        raise ValueError("Table 3 is measured in steps; expected --train.steps, not train.epochs")
    if config.train.steps <= config.train.log_every:
        raise ValueError(
            f"train.log_every is {config.train.log_every}, which logs only one of "
            f"{config.train.steps} steps; choose a smaller one, to measure the time per step"
        )
    data = digests(config, Sources(config.sources()))
    with lock_folder(out):
        for seed in seeds:
            folders = {name: out / f"seed_{seed}_{name}" for name in BRANCHES}
            for name, folder in folders.items():
                variant = replace(
                    config,
                    validation=None,
                    network=replace(config.network, branches=name),
                    train=replace(config.train, seed=seed, export=False),
                )
                train_separately(variant, folder, progress, data)
            yield seed, {name: _cached_row(name, folders, config) for name in ROWS}


def over_seeds(seeds: Sequence[dict[str, Row]]) -> dict[str, dict[str, Spread | None]]:
    """Return the spread of each result of each row."""
    table: dict[str, dict[str, Spread | None]] = {}
    for name in ROWS:
        rows = [asdict(rows[name]) for rows in seeds]
        table[name] = {figure: Spread.of([row[figure] for row in rows]) for figure in rows[0]}
    return table


def _cached_row(name: str, folders: dict[Branches, Path], config: RunConfig) -> Row:
    """Evaluate a row, or read its results if they exist for the same models and validation data."""
    path = folders["joint"].parent / f"{folders['joint'].name}.{name.replace(' + ', '_')}.json"
    models = list(folders.values())
    return Row(**kept(path, config, models, lambda: asdict(_row(name, folders, config))))


def _row(name: str, folders: dict[Branches, Path], config: RunConfig) -> Row:
    parts: tuple[Branches, ...] = ("semantic", "instance") if name == SEPARATE else (name,)  # type: ignore[assignment]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first, *second = [open_engine(folders[part], EngineOptions(device=device)) for part in parts]
    predictor = Predictor(first, instances_from=second[0] if second else None)
    photos = validation(config, predictor.categories)
    result = evaluator.evaluate(predictor, photos, ap=True).summary(predictor.categories)
    costs = [_cost(folders[part], config.train.steps) for part in parts]
    iswhole = name in ("joint", SEPARATE)
    return Row(
        miou=result.get("miou"),
        mask_ap50=result.get("mask_ap50"),
        pq=result["all"]["pq"] if iswhole else None,
        training_seconds=sum(seconds for seconds, _ in costs),
        training_megabytes=max(memory for _, memory in costs),
        prediction_milliseconds=_prediction_time(predictor, photos),
    )


def _cost(folder: Path, steps: int) -> tuple[float, float]:
    """Return the seconds and the megabytes of a training."""
    entries = [entry for entry in read_entries(folder / METRICS) if "terms" in entry]
    paces = [
        (later["seconds"] - entry["seconds"]) / (later["step"] - entry["step"])
        for entry, later in pairwise(entries)
        if later["seconds"] > entry["seconds"]
    ]
    if not paces:
        raise ValueError(f"{folder / METRICS}: too few lines; choose a smaller train.log_every")
    return statistics.median(paces) * steps, max(entry["memory"] for entry in entries)


def _prediction_time(predictor: Predictor, photos: PanopticDataset, count: int = 20) -> float:
    """Measure the median milliseconds from photo to panoptic map."""
    seconds = []
    for index in range(min(count, len(photos))):
        image = photos[index].image
        began = time.perf_counter()
        predictor.panoptic(image)
        seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds)
