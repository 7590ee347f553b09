"""A training, from its settings to a run folder."""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import reduce
from itertools import islice
from operator import add
from pathlib import Path
from textwrap import shorten

import torch
from lightning.fabric import Fabric
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jsisnet.categories import Categories
from jsisnet.data.dataset import PanopticDataset, Sources
from jsisnet.data.sample import Batch, collate
from jsisnet.data.stream import Stream, StreamSampler
from jsisnet.files.atomic import lock_folder
from jsisnet.inference import evaluator, saved_model
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.saved_model import ModelConfig, SavedModel
from jsisnet.model import imagenet
from jsisnet.model.network import JSISNet
from jsisnet.training import run_folder
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import RunConfig
from jsisnet.training.devices import Layout, end_with_parent, fabric, gathered, launched
from jsisnet.training.history import METRICS
from jsisnet.training.listener import Listener, Pictures, Silent, Together
from jsisnet.training.loop import Average, NonFiniteLossError, StepReport, steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer
from jsisnet.training.run_folder import CHECKPOINT, Metrics, Sketches
from jsisnet.visualize import overlay


def train(config: RunConfig, folder: Path, listener: Listener, *, resume: bool = False) -> None:
    """Train a network, or go on with a training that was stopped.

    With several devices, each process calls this; what begins the others runs the same command
    again for each.

    Args:
        config: All settings. To resume, they must be those of the run, but for its pace and its
            devices.
        folder: Run folder; must not hold a run unless it is resumed.
        listener: Is told of each step and evaluation.
        resume: Whether to go on from the last checkpoint, or from nothing if there is none yet.

    Raises:
        ValueError: If settings contradict the data, the folder, the devices or each other, a file
            can't be read, or the loss is not finite any more.
    """
    layout = Layout.of(config.devices)
    _refuse_uneven_batches(config, layout)
    _refuse_lone_samples(config, layout)
    run_folder.refuse_another(config, folder, resume=resume)
    company = fabric(layout, config.train.precision)
    with launched(company):
        run, validation = _prepared(config, folder, layout, company)
        with lock_folder(folder) if company.is_global_zero else nullcontext():
            if company.is_global_zero:
                run_folder.begin(config, folder)
            run.go(listener if company.is_global_zero else Silent(), validation)


def _prepared(
    config: RunConfig, folder: Path, layout: Layout, company: Fabric
) -> tuple["_Run", PanopticDataset | None]:
    """Open the data and make the run, at the step where it begins."""
    samples = Sources(config.sources())
    validation = None
    if config.validation is not None:
        validation = PanopticDataset(config.validation.under(config.root), samples.categories)
    checkpoint = folder / CHECKPOINT
    network = new_network(config, samples.categories, begins=not checkpoint.exists())
    if config.train.sync_norm:
        network = _shared_norm(network, layout)
    run = _Run(config, folder, samples, network, company)
    if checkpoint.exists():
        if saved_model.read_categories(folder) != samples.categories:
            raise ValueError(f"{folder}: the classes of the data are not those the run began with")
        run.restore(Checkpoint.load(checkpoint))
    return run, validation


def new_network(config: RunConfig, categories: Categories, *, begins: bool = True) -> JSISNet:
    """Make the network of a training.

    Args:
        config: Settings of the training.
        categories: Classes of its data.
        begins: Whether to load the weights that a new training begins with.

    Raises:
        ValueError: If these are missing or don't fit.
    """
    torch.manual_seed(config.train.seed)
    network = JSISNet(config.network, categories)
    trunk = config.network.trunk
    if begins and config.start is not None:
        try:
            network.load_fitting(saved_model.read(config.start).network.state_dict())
        except ValueError as error:
            raise ValueError(f"start: {config.start}: {error}") from error
    elif begins and trunk.weights is not None:
        network.load_imagenet(imagenet.read(trunk.name, trunk.weights))
    return network


class _Run:
    """The moving parts of one training."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        samples: Sources,
        network: JSISNet,
        fabric: Fabric,
    ):
        self.config = config
        self.folder = folder
        self.samples = samples
        self.stream = Stream(samples, config.augment, seed=config.train.seed)
        self.fabric = fabric
        # The states of average and optimiser are made where the weights are, so these move first.
        self.network = network.to(fabric.device)
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
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = shorten(str(error), saved_model.MAX_REASON)
            raise ValueError(
                f"{self.folder / CHECKPOINT}: not of this network; expected the settings and the "
                f"classes that the run began with ({reason})"
            ) from error
        self.fabric.strategy.precision.load_state_dict(checkpoint.scaler)
        self.step = checkpoint.step

    def go(self, listener: Listener, validation: PanopticDataset | None) -> None:
        """Train to the last step."""
        pace = self.config.train
        metrics = Metrics(self.folder / METRICS, pace.log_every)
        if self.fabric.is_global_zero:
            listener = Together([metrics, Sketches(self.folder), listener])
        # A run may have been killed between its checkpoint and the evaluation that was due.
        isdue = self.step > 0 and self._is_due(pace.evaluate_every)
        missed = self.fabric.broadcast(isdue and not metrics.validated(self.step))
        if self.config.devices.compile:
            self._compile()
        objective, optimizer = self.fabric.setup(self.objective, self.optimizer)
        listener.begun(self.step, pace.steps)
        if validation is not None and missed:
            self._evaluate(validation, listener)
        stream = steps(
            self.fabric,
            objective,
            optimizer,
            self._batches(),
            self.config.optim,
            first=self.step,
            length=pace.steps,
            seed=pace.seed,
        )
        for report in _advised(stream, self.config):
            self.step = report.step
            if self.average is not None:
                self.average.update(self.network, report.step)
            listener.stepped(report)
            if self._is_due(pace.checkpoint_every):
                self._save()
            if validation is not None and self._is_due(pace.evaluate_every):
                self._evaluate(validation, listener)

    def _is_due(self, every: int) -> bool:
        return self.step == self.config.train.steps or (every > 0 and self.step % every == 0)

    def _compile(self) -> None:
        """Compile what has one shape in all steps."""
        for part in (self.network.trunk, self.network.semantic):
            if part is not None:
                part.compile()

    def _batches(self) -> Iterator[list[Batch]]:
        """Load the parts of the steps that are left, those of this process."""
        pace, world = self.config.train, self.fabric.world_size
        parts = self.config.devices.accumulate
        loader = DataLoader(
            self.stream,
            batch_size=pace.batch_size // (world * parts),
            sampler=StreamSampler(
                start=self.step * pace.batch_size, rank=self.fabric.global_rank, world=world
            ),
            num_workers=pace.workers,
            collate_fn=collate,
            pin_memory=self.fabric.device.type == "cuda",
            worker_init_fn=end_with_parent,
        )
        try:
            batches = iter(loader)
            for _ in range(pace.steps - self.step):
                yield list(islice(batches, parts))
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
        if not self.fabric.is_global_zero:
            return
        saved_model.write(self.folder, self._model_config(), self.samples.categories, self._state())
        Checkpoint(
            step=self.step,
            network=self.network.state_dict(),
            average=None if self.average is None else self.average.state,
            optimizer=self.optimizer.state_dict(),
            scaler=self.fabric.strategy.precision.state_dict(),
        ).save(self.folder / CHECKPOINT)

    def _evaluate(self, validation: PanopticDataset, listener: Listener) -> None:
        """Measure the model, each process a share of the photos, and draw the first ones."""
        network = JSISNet(self.config.network, self.samples.categories)
        network.load_state_dict(self._state())
        model = SavedModel(self._model_config(), self.samples.categories, network)
        predictor = Predictor(model, device=self.fabric.device)
        share = evaluator.evaluate(
            predictor,
            validation,
            share=(self.fabric.global_rank, self.fabric.world_size),
            on_image=listener.evaluating,
        )
        result = reduce(add, gathered(share, self.fabric)).summary(self.samples.categories)
        listener.evaluated(self.step, result)
        shown = min(self.config.train.pictures, len(validation))
        if shown and self.fabric.is_global_zero:
            listener.pictured(self.step, _pictures(predictor, validation, shown))


def _pictures(predictor: Predictor, validation: PanopticDataset, count: int) -> Pictures:
    """Draw the first photos, each beside its predicted map and its true one."""
    pictures: Pictures = {}
    for index in range(count):
        sample = validation[index]
        image = sample.image.permute(1, 2, 0).numpy()
        predicted, truth = (
            overlay.draw(image, panoptic, predictor.categories)
            for panoptic in (predictor(image), sample.panoptic)
        )
        name = validation.image_name(index)
        pictures[name] = overlay.side_by_side(
            [image, predicted, truth], [name, "prediction", "truth"]
        )
    return pictures


def _advised(stream: Iterator[StepReport], config: RunConfig) -> Iterator[StepReport]:
    """Add to the error of a loss that is not finite what may be the reason and what to try."""
    try:
        yield from stream
    except NonFiniteLossError as error:
        trunk, semantic, roi = config.network.trunk, config.network.semantic, config.network.roi
        statistics = "synchronised" if config.train.sync_norm else "batch"
        stages = "frozen" if trunk.freeze_norm else "batch"
        modes = {"trunk": stages, "neck": trunk.norm, "semantic": semantic.norm, "region": roi.norm}
        modes = {part: statistics if mode == "batch" else mode for part, mode in modes.items()}
        listed = ", ".join(f"{part} {mode}" for part, mode in modes.items())
        hint = (
            " (frozen statistics want a lower rate than the batch's)" if trunk.freeze_norm else ""
        )
        raise NonFiniteLossError(
            f"{error}; normalisation: {listed}; begin a new run with a lower --optim.lr or with "
            f"--optim.warmup {max(500, 2 * config.optim.warmup)}{hint}"
        ) from error


def _refuse_uneven_batches(config: RunConfig, layout: Layout) -> None:
    """Refuse a batch whose photos can't be shared out evenly."""
    parts = layout.devices * config.devices.accumulate
    if config.train.batch_size % parts:
        raise ValueError(
            f"train.batch_size is {config.train.batch_size}; expected a multiple of {parts}, for "
            f"{layout.devices} devices with {config.devices.accumulate} parts each"
        )


def _refuse_lone_samples(config: RunConfig, layout: Layout) -> None:
    """Refuse what batch normalisation can't do: statistics of a single value."""
    alone = config.train.batch_size == layout.devices * config.devices.accumulate
    pools_to_one = 1 in config.network.semantic.bins and config.network.branches != "instance"
    if alone and pools_to_one and config.network.semantic.norm == "batch":
        raise ValueError(
            "a batch of one photo has no statistics for the 1x1 bin of pyramid pooling; expected "
            "--train.batch-size 2 or more for each part of each device, or "
            "--network.semantic.norm group"
        )


def _shared_norm(network: JSISNet, layout: Layout) -> JSISNet:
    """Let batch normalisation use the statistics of all devices.

    Raises:
        ValueError: If there is none, or it can't.
    """
    if layout.accelerator == "cpu" and layout.devices > 1:
        raise ValueError("train.sync_norm needs GPUs; expected it off, or group normalisation")
    shared = convert_sync_batchnorm(network)
    if not any(isinstance(module, nn.SyncBatchNorm) for module in shared.modules()):
        raise ValueError("train.sync_norm is on, but no layer has batch normalisation")
    assert isinstance(shared, JSISNet)
    return shared
