"""A training run: a folder that holds its settings, its metrics, its checkpoint and its model."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from torch import Tensor
from torch.utils.data import DataLoader

from jsisnet import evaluator, saved_model
from jsisnet.config import Precision, RunConfig, read_config, to_yaml
from jsisnet.data.dataset import PanopticDataset
from jsisnet.data.sample import Batch, collate
from jsisnet.data.sampler import Stream, StreamSampler
from jsisnet.evaluation.panoptic_quality import summary
from jsisnet.formats.files import remove_leftovers, replacing
from jsisnet.model import imagenet
from jsisnet.model.network import JSISNet
from jsisnet.predictor import Predictor
from jsisnet.saved_model import ModelConfig, SavedModel
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.loop import Average, StepReport, steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.jsonl", "checkpoint.pt"
"""Names of the files of a run folder; the model's two lie beside them."""

Data = TypeVar("Data")

PACE = ("log_every", "checkpoint_every", "evaluate_every", "workers")
"""Settings of `TrainConfig` that may change when a run is resumed."""


@runtime_checkable
class Listener(Protocol):
    """Who wants to know how a training goes on."""

    def begun(self, step: int, steps: int) -> None:
        """Hear that `step` of `steps` are done and the next begins."""

    def stepped(self, report: StepReport) -> None:
        """Hear that a step is done."""

    def evaluated(self, step: int, result: dict[str, Any]) -> None:
        """Hear how good the model is after `step`; `result` is a `summary`."""


def train(config: RunConfig, folder: Path, listener: Listener, *, resume: bool = False) -> None:
    """Train a network, or go on with a training that was stopped.

    Args:
        config: All settings. To resume, they must be those of the run, but for its `PACE`.
        folder: Run folder; must not hold a run unless it is resumed.
        listener: Is told of each step and evaluation.
        resume: Whether to go on from the last checkpoint, or from nothing if there is none yet.

    Raises:
        ValueError: If settings contradict the data, the folder or each other, a file can't be read,
            or the loss is not finite any more.
    """
    _refuse_lone_samples(config)
    _refuse_another_run(config, folder, resume=resume)
    samples = PanopticDataset(config.data.under(config.root))
    validation = None
    if config.validation is not None:
        validation = PanopticDataset(config.validation.under(config.root), samples.categories)
    torch.manual_seed(config.train.seed)
    network = JSISNet(config.network, samples.categories)
    checkpoint, trunk = folder / CHECKPOINT, config.network.trunk
    if not checkpoint.exists() and trunk.weights is not None:
        network.load_imagenet(imagenet.read(trunk.name, trunk.weights))
    remove_leftovers(folder)
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")
    run = _Run(config, folder, samples, network)
    if checkpoint.exists():
        if saved_model.read_categories(folder) != samples.categories:
            raise ValueError(f"{folder}: the classes of the data are not those the run began with")
        run.restore(Checkpoint.load(checkpoint))
    run.go(listener, validation)


class _Run:
    """The moving parts of one training."""

    def __init__(self, config: RunConfig, folder: Path, samples: PanopticDataset, network: JSISNet):
        self.config = config
        self.folder = folder
        self.samples = samples
        self.fabric = _fabric(config.train.precision)
        # The states of average and optimiser are made where the weights are, so these move first.
        self.network = network.to(self.fabric.device)
        self.objective = Objective(network, config.objective)
        self.optimizer = optimizer(network, config.optim, config.objective.weights.l2)
        self.average = Average(network, config.optim.average) if config.optim.average else None
        self.step = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to the state of a checkpoint.

        Raises:
            ValueError: If it is that of another network, as after a change of the data's classes.
        """
        try:
            self.network.load_state_dict(checkpoint.network)
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if self.average is not None and checkpoint.average is not None:
                self.average.load(checkpoint.average)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = shorten(str(error), saved_model.MAX_REASON)
            raise ValueError(
                f"{self.folder / CHECKPOINT}: not of this network; expected the settings and the "
                f"classes that the run began with ({reason})"
            ) from error
        self.step = checkpoint.step

    def go(self, listener: Listener, validation: PanopticDataset | None) -> None:
        """Train to the last step."""
        pace, fabric = self.config.train, self.fabric
        objective, optimizer = fabric.setup(self.objective, self.optimizer)
        listener.begun(self.step, pace.steps)
        metrics = Metrics(self.folder / METRICS, self.step)
        # A run may have been killed between its checkpoint and the evaluation that was due.
        missed = self.step > 0 and not metrics.validated and self._is_due(pace.evaluate_every)
        if validation is not None and missed:
            self._evaluate(validation, metrics, listener)
        stream = steps(
            fabric,
            objective,
            optimizer,
            self._batches(),
            self.config.optim,
            first=self.step,
            seed=pace.seed,
        )
        for report in stream:
            self.step = report.step
            if self.average is not None:
                self.average.update(self.network, report.step)
            listener.stepped(report)
            if self._is_due(pace.log_every):
                metrics.add(asdict(report))
            if self._is_due(pace.checkpoint_every):
                self._save()
            if validation is not None and self._is_due(pace.evaluate_every):
                self._evaluate(validation, metrics, listener)

    def _is_due(self, every: int) -> bool:
        return self.step == self.config.train.steps or (every > 0 and self.step % every == 0)

    def _batches(self) -> Iterator[Batch]:
        """Load the batches of the steps that are left."""
        pace, device = self.config.train, self.fabric.device
        loader = DataLoader(
            Stream(self.samples, self.config.augment, seed=pace.seed),
            batch_size=pace.batch_size,
            sampler=StreamSampler(start=self.step * pace.batch_size),
            num_workers=pace.workers,
            collate_fn=collate,
            pin_memory=device.type == "cuda",
        )
        try:
            for batch in islice(loader, pace.steps - self.step):
                yield batch.to(device)
        except ValueError as error:
            # A worker's error holds its whole traceback, of which the last line is the message.
            raise ValueError(str(error).rpartition("\nValueError: ")[2].strip()) from error

    def _state(self) -> dict[str, Tensor]:
        """Give the weights that make the model: the moving average, if there is one."""
        return self.network.state_dict() if self.average is None else self.average.state

    def _model_config(self) -> ModelConfig:
        config = self.config
        return ModelConfig(size=config.augment.size, network=config.network, merge=config.merge)

    def _save(self) -> None:
        """Write model and checkpoint; the checkpoint last, as it vouches for the rest."""
        saved_model.write(self.folder, self._model_config(), self.samples.categories, self._state())
        Checkpoint(
            step=self.step,
            network=self.network.state_dict(),
            average=None if self.average is None else self.average.state,
            optimizer=self.optimizer.state_dict(),
        ).save(self.folder / CHECKPOINT)

    def _evaluate(
        self, validation: PanopticDataset, metrics: "Metrics", listener: Listener
    ) -> None:
        network = JSISNet(self.config.network, self.samples.categories)
        network.load_state_dict(self._state())
        model = SavedModel(self._model_config(), self.samples.categories, network)
        quality = evaluator.evaluate(Predictor(model, device=self.fabric.device), validation)
        result = summary(quality, self.samples.categories)
        metrics.add({"step": self.step, "validation": result})
        listener.evaluated(self.step, result)


class Metrics:
    """The file of a run's figures: one JSON object a line."""

    def __init__(self, path: Path, step: int):
        """Open the file, and forget what it says of later steps than the given one."""
        self.path = path
        self.began = time.perf_counter()
        self.validated = False
        """Whether the file has an evaluation of the given step."""
        if path.exists():
            # A line without its end was being written when the run was killed.
            *lines, _ = path.read_bytes().split(b"\n")
            try:
                kept = [entry for entry in map(json.loads, lines) if entry["step"] <= step]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: not the metrics of a training ({error})") from error
            self.validated = any(entry["step"] == step and "validation" in entry for entry in kept)
            with replacing(path) as temporary:
                temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def add(self, values: dict[str, Any]) -> None:
        """Append a line; `seconds` since the training began or was resumed is added."""
        seconds = round(time.perf_counter() - self.began, 1)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(values | {"seconds": seconds}))


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"


class _MixedPrecision(MixedPrecision):
    """Fabric's, but the batch stays as it is: half a precision would move boxes by whole pixels."""

    def convert_input(self, data: Data) -> Data:
        return data

    def convert_output(self, data: Data) -> Data:
        return data


def _fabric(precision: Precision) -> Fabric:
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "32-true":
        return Fabric(accelerator=accelerator, devices=1)
    plugin = _MixedPrecision(precision, accelerator)
    return Fabric(accelerator=accelerator, devices=1, plugins=[plugin])


def _refuse_lone_samples(config: RunConfig) -> None:
    """Refuse what batch normalisation can't do: statistics of a single value."""
    pools_to_one = 1 in config.network.semantic.bins and config.network.branches != "instance"
    if config.train.batch_size == 1 and pools_to_one and config.network.semantic.norm == "batch":
        raise ValueError(
            "a batch of one photo has no statistics for the 1x1 bin of pyramid pooling; expected "
            "--train.batch-size 2 or more, or --network.semantic.norm group"
        )


def _refuse_another_run(config: RunConfig, folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a trained run, unless it is this one and to be resumed."""
    path = folder / CONFIG
    if not (path.exists() and (folder / CHECKPOINT).exists()):
        return
    if not resume:
        raise ValueError(f"{folder} holds a run already; expected --resume or another --out")
    before = read_config(path)
    pace = {name: getattr(config.train, name) for name in PACE}
    if replace(before, train=replace(before.train, **pace)) != config:
        raise ValueError(f"{path}: the run has other settings; expected those it began with")
