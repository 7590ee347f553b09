"""Training of a network, from its settings to a run folder."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, is_dataclass, replace
from functools import partial, reduce
from itertools import islice
from operator import add
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from jsisnet.categories import Categories
from jsisnet.data.sample import Batch
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream, StreamSampler
from jsisnet.files.atomic import lock_folder
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference import evaluator
from jsisnet.inference.model_folder import WEIGHTS, read_description
from jsisnet.inference.predictor import Predictor
from jsisnet.model import imagenet, saved_model, torchvision_weights
from jsisnet.model.engine import TorchEngine
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.model.start import TakenOver, take_over
from jsisnet.settings import from_dict, joined, plain
from jsisnet.training import resuming, run_folder
from jsisnet.training.callbacks import Callback, Pictures
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import RunConfig, read_values
from jsisnet.training.devices import (
    DeviceLayout,
    create_fabric,
    deterministic,
    gather,
    process_group,
)
from jsisnet.training.fabric import Fabric, rank_zero_only
from jsisnet.training.fitted_anchors import with_fitted_anchors
from jsisnet.training.loading import explaining_lost_workers, load
from jsisnet.training.loggers import LoggerName, logger_callbacks
from jsisnet.training.loop import Average, NonFiniteLossError, StepReport, steps
from jsisnet.training.metrics_file import METRICS
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer
from jsisnet.training.run_folder import (
    BEST,
    CHECKPOINT,
    SNAPSHOTS,
    ExportedFile,
    MetricsFile,
    PictureFiles,
)
from jsisnet.visualize import overlay

_log = logging.getLogger(__name__)

_MOST_PIXELS = 2**28
"""Most pixels of a device's batch, which take many times the memory of any GPU."""


def train(
    config: RunConfig | Path | str,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    extend: bool = False,
    track: LoggerName | Sequence[LoggerName] = (),
    callbacks: Sequence[Callback] = (),
    **settings: Any,  # noqa: ANN401 - checked by the one converter of settings
) -> Path:
    """Train a network, or resume an interrupted training.

    With several devices, each process calls this: the launcher starts the same command once per
    device. A run that is complete, with the same settings and data, is left as it is.

    Args:
        config: YAML file, the name of a built-in one such as ``"tiny.yaml"``, or settings.
        out: Run folder; must not hold an unfinished run unless it is resumed. Default: ``runs/``
            and the stem of the YAML file.
        resume: Whether to continue from the last checkpoint, or start if there is none. The
            settings and the data must be those of the run, except for the intervals of
            `TrainConfig`, the devices and the paths of the data.
        extend: Whether to continue from the last checkpoint with more steps than the run had.
        track: Logging libraries to use.
        callbacks: Callbacks of the training; only the first process calls them.
        settings: Values that override those of `config`, such as ``root="coco"`` or
            ``optim={"lr": 0.01}``; sections may be partial.

    Returns:
        The run folder, which holds the model.

    Raises:
        ValueError: If settings contradict the data, the folder, the devices or each other, a file
            can't be read, a logging library is missing, a process is lost, or the loss is no longer
            finite.
    """
    run = _run_config(config, settings)
    if out is None and isinstance(config, RunConfig):
        raise ValueError("out is missing; expected a run folder, as settings have no file name")
    folder = Path("runs", Path(str(config)).stem) if out is None else Path(out)
    layout = DeviceLayout.detect(run.devices)
    _check_even_batches(run, layout)
    _check_photos(run, layout)
    before = run_folder.check_folder(run, folder, resume=resume or extend, extend=extend)
    found = run_folder.checkpoint_state(folder)
    metrics = MetricsFile(folder / METRICS, run.train.log_every)
    loggers = logger_callbacks(track, run, folder)
    exports = [ExportedFile(folder)] if run.train.export else []
    called = [metrics, PictureFiles(folder), *callbacks, *loggers, *exports]
    fabric = create_fabric(layout, run.train.precision, called)
    with deterministic(enabled=run.train.deterministic), process_group(fabric):
        training, validation = _prepare(run, folder, layout, fabric, before)
        _tell_schedule(training, before)
        with lock_folder(folder) if fabric.is_global_zero else nullcontext():
            if fabric.is_global_zero:
                run_folder.prepare(training.config, folder, found)
            if not fabric.broadcast(run_folder.is_finished(training.config, folder)):
                training.run(metrics, validation)
    return folder


def new_network(config: RunConfig, categories: Categories, *, load_weights: bool = True) -> JSISNet:
    """Create the network of a training.

    Args:
        config: Settings of the training.
        categories: Classes of its data.
        load_weights: Whether to load the initial weights, such as those of ImageNet.

    Raises:
        ValueError: If these are missing or do not fit.
    """
    torch.manual_seed(config.train.seed)
    network = JSISNet(config.network, categories)
    trunk = config.network.trunk
    if load_weights and config.start is not None:
        try:
            taken = _started(network, categories, config.start)
        except ValueError as error:
            raise ValueError(f"start: {config.start}: {error}") from error
        _tell(f"start: {config.start}: {taken}")
    elif load_weights and trunk.weights is not None:
        network.load_imagenet(imagenet.read(trunk.name, trunk.weights))
    return network


def _started(network: JSISNet, categories: Categories, start: str) -> TakenOver:
    """Initialise a network with the weights of torchvision's, or those of a saved model."""
    if start.startswith(torchvision_weights.PREFIX):
        return torchvision_weights.take_over(network, categories, start)
    return take_over(network, categories, saved_model.read(start))


@rank_zero_only
def _tell(message: str) -> None:
    """Log a message once, whatever the number of processes."""
    _log.warning("%s", message)


def _run_config(config: RunConfig | Path | str, settings: dict[str, Any]) -> RunConfig:
    """Read the settings, and override values of them."""
    if isinstance(config, RunConfig):
        values, source = plain(config), "settings"
        assert isinstance(values, dict)
    else:
        values, source = read_values(Path(config)), str(config)
    # The converter expects what YAML can hold, such as lists in place of tuples.
    overrides = json.loads(json.dumps(settings, default=_to_json))
    return from_dict(RunConfig, joined(values, overrides), source=source)


def _to_json(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _prepare(
    config: RunConfig,
    folder: Path,
    layout: DeviceLayout,
    fabric: Fabric,
    before: RunConfig | None,
) -> tuple["_Training", PanopticDataset | None]:
    """Open the data and create the training, restored from the checkpoint if there is one."""
    samples = Sources(config.sources())
    if config.train.fit_anchors:
        config = _with_anchors(config, samples, fabric, before)
    validation = None
    if config.validation is not None:
        validation = PanopticDataset(config.validation.under(config.root), samples.categories)
    checkpoint = folder / CHECKPOINT
    config.merge.min_scores(samples.categories)  # unknown classes are refused at once
    network = new_network(config, samples.categories, load_weights=not checkpoint.exists())
    if config.train.sync_norm:
        network = _with_sync_norm(network, layout)
    training = _Training(config, folder, samples, network, fabric)
    if checkpoint.exists():
        if read_description(folder).categories != samples.categories:
            raise ValueError(f"{folder}: the run was started with other classes than the data has")
        restored = Checkpoint.load(checkpoint)
        resuming.check_data(restored.data, training.digests, folder)
        training.restore(restored)
    return training, validation


def _with_anchors(
    config: RunConfig, samples: Sources, fabric: Fabric, before: RunConfig | None
) -> RunConfig:
    """Fit the anchors in the first process, or take over those of the run that is resumed."""
    if before is not None:
        anchors = before.network.anchors
        return replace(config, network=replace(config.network, anchors=anchors))
    fitted = with_fitted_anchors(config, samples) if fabric.is_global_zero else config
    fitted = fabric.broadcast(fitted)
    anchors = fitted.network.anchors
    sizes, ratios = (" ".join(f"{v:g}" for v in each) for each in (anchors.sizes, anchors.ratios))
    _tell(f"anchors fitted to the training data: sizes {sizes}; ratios {ratios}")
    return fitted


def _tell_schedule(training: "_Training", before: RunConfig | None) -> None:
    """Log the steps that epochs stand for, and what an extension means for the learning rate."""
    config, epoch = training.config, training.stream.epoch
    pace, optim = config.train, config.optim
    if pace.epochs is not None or optim.milestone_epochs:
        milestones = ", ".join(f"{step:,}" for step in optim.milestones)
        ends = f"; milestones: {milestones}" if optim.schedule == "step" else ""
        _tell(
            f"an epoch has {epoch:,} photos, so {pace.steps * pace.batch_size / epoch:.4g} epochs "
            f"are {pace.steps:,} steps of {pace.batch_size}{ends}"
        )
    if before is not None:
        extended = resuming.extension(before, config, training.step)
        if extended is not None:
            _tell(f"{training.folder}: {extended}")


class _Training:
    """State of one training."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        samples: Sources,
        network: JSISNet,
        fabric: Fabric,
    ):
        self.folder = folder
        self.samples = samples
        self.stream = Stream(samples, config.augment, seed=config.train.seed)
        self.config = config = config.in_steps(self.stream.epoch)
        self.digests = resuming.digests(config, samples)
        self.fabric = fabric
        # Average and optimiser allocate their state on the device of the weights.
        self.network = network.to(fabric.device)
        self.objective = Objective(network, config.objective.in_numbers(samples))
        self.optimizer = optimizer(network, config.optim, config.objective.weights.l2)
        self.average = Average(network, config.optim.average) if config.optim.average else None
        self.step = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint.

        Raises:
            ValueError: If it belongs to another network, as after a change of the data's classes.
        """
        try:
            self.network.load_state_dict(checkpoint.network)
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if self.average is not None and checkpoint.average is not None:
                self.average.load(checkpoint.average)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = shorten(str(error), saved_model.MAX_REASON)
            raise ValueError(
                f"{self.folder / CHECKPOINT}: does not fit this network; expected the settings and "
                f"the classes that the run was started with ({reason})"
            ) from error
        self.fabric.strategy.precision.load_state_dict(checkpoint.scaler)
        self.step = checkpoint.step

    def run(self, metrics: MetricsFile, validation: PanopticDataset | None) -> None:
        """Train up to the last step.

        Args:
            metrics: Metrics file of the run, which tells whether an evaluation is missing.
            validation: Data to evaluate on.
        """
        finished = False
        if self.step > 0 and not (self.folder / WEIGHTS).exists():
            self._save_model(self.folder)
        try:
            with explaining_lost_workers():
                self._train(metrics, validation)
            finished = True
        finally:
            self._call("on_train_end", finished=finished)

    def _train(self, metrics: MetricsFile, validation: PanopticDataset | None) -> None:
        pace = self.config.train
        # A run may have been killed between a checkpoint and the evaluation that was due.
        is_due = self.step > 0 and self._is_due(pace.evaluate_every)
        missed = self.fabric.broadcast(is_due and not metrics.has_evaluation(self.step))
        if self.config.devices.compile:
            self._compile()
        objective, optimizer = self.fabric.setup(self.objective, self.optimizer)
        self._call("on_train_start", self.step, pace.steps)
        if validation is not None and missed:
            self._evaluate(validation, metrics)
        reports = steps(
            self.fabric,
            objective,
            optimizer,
            self._batches(),
            self.config.optim,
            first=self.step,
            length=pace.steps,
            seed=pace.seed,
        )
        for report in _with_advice(reports, self.config):
            self.step = report.step
            if self.average is not None:
                self.average.update(self.network, report.step)
            self._call("on_step_end", report)
            # Before the checkpoint, from which a resumed run makes all that is due later.
            if pace.keep.every and self.step % pace.keep.every == 0:
                self._save_model(self.folder / SNAPSHOTS / f"step_{self.step:07}")
            if self._is_due(pace.checkpoint_every):
                self._save()
            if validation is not None and self._is_due(pace.evaluate_every):
                self._evaluate(validation, metrics)

    def _call(self, hook: str, *arguments: object, **named: object) -> None:
        """Call a hook of all callbacks, in the first process alone."""
        if self.fabric.is_global_zero:
            self.fabric.call(hook, *arguments, **named)

    def _is_due(self, every: int) -> bool:
        return self.step == self.config.train.steps or (every > 0 and self.step % every == 0)

    def _compile(self) -> None:
        """Compile the modules whose input has the same shape in all steps."""
        for module in (self.network.trunk, self.network.semantic):
            if module is not None:
                module.compile()

    def _batches(self) -> Iterator[list[Batch]]:
        """Load the micro-batches of the remaining steps, those of this process."""
        pace, world = self.config.train, self.fabric.world_size
        accumulate = self.config.devices.accumulate
        batches = load(
            self.stream,
            StreamSampler(
                start=self.step * pace.batch_size, rank=self.fabric.global_rank, world=world
            ),
            batch_size=pace.batch_size // (world * accumulate),
            accumulate=accumulate,
            workers=pace.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )
        return islice(batches, pace.steps - self.step)

    def _weights(self) -> dict[str, Tensor]:
        """Return the weights of the model: the moving average if there is one."""
        return self.network.state_dict() if self.average is None else self.average.state

    def _model_config(self) -> ModelConfig:
        config = self.config
        return ModelConfig(size=config.prediction_size, network=config.network, merge=config.merge)

    def _save(self) -> None:
        """Write the model, and then the checkpoint, so that a checkpoint always has its model."""
        self._save_model(self.folder)
        if not self.fabric.is_global_zero:
            return
        Checkpoint(
            step=self.step,
            network=self.network.state_dict(),
            average=None if self.average is None else self.average.state,
            optimizer=self.optimizer.state_dict(),
            scaler=self.fabric.strategy.precision.state_dict(),
            data=self.digests,
        ).save(self.folder / CHECKPOINT)

    def _save_model(self, folder: Path) -> None:
        """Write the model, in the first process alone."""
        if self.fabric.is_global_zero:
            categories, weights = self.samples.categories, self._weights()
            saved_model.write(folder, self._model_config(), categories, weights)

    def _evaluate(self, validation: PanopticDataset, metrics: MetricsFile) -> None:
        """Evaluate the model on the images of this process, gather, and draw the first ones."""
        network = JSISNet(self.config.network, self.samples.categories)
        network.load_state_dict(self._weights())
        model = SavedModel(self._model_config(), self.samples.categories, network)
        predictor = Predictor(TorchEngine(model, device=self.fabric.device))
        share = evaluator.evaluate(
            predictor,
            validation,
            share=(self.fabric.global_rank, self.fabric.world_size),
            on_image=partial(self._call, "on_image_evaluated"),
            ap=self.config.train.ap,
        )
        result = reduce(add, gather(share, self.fabric)).summary(self.samples.categories)
        best = self.config.train.keep.best
        if best and self.fabric.is_global_zero and metrics.is_best(best, self.step, result):
            self._save_model(self.folder / BEST)
        shown = min(self.config.train.pictures, len(validation))
        if shown and self.fabric.is_global_zero:
            self._call("on_pictures", self.step, _draw_pictures(predictor, validation, shown))
        # Last, as an evaluation without its line in the metrics is repeated on resuming.
        self._call("on_evaluation_end", self.step, result)


def _draw_pictures(predictor: Predictor, validation: PanopticDataset, count: int) -> Pictures:
    """Draw the first images side by side with their predicted and their true maps."""
    pictures: Pictures = {}
    for index in range(count):
        sample = validation[index]
        image = sample.image
        predicted, truth = (
            overlay.draw(image, panoptic, predictor.categories)
            for panoptic in (predictor.panoptic(image), sample.panoptic)
        )
        name = validation.image_name(index)
        pictures[name] = overlay.side_by_side(
            [image, predicted, truth], [name, "prediction", "truth"]
        )
    return pictures


def _with_advice(reports: Iterator[StepReport], config: RunConfig) -> Iterator[StepReport]:
    """Add a likely reason and a remedy to the error about a loss that is not finite."""
    try:
        yield from reports
    except NonFiniteLossError as error:
        trunk = config.network.trunk
        batch = "synchronised" if config.train.sync_norm else "batch"
        modes = {name: mode.replace("batch", batch) for name, mode in _norms(config.network)}
        listed = ", ".join(f"{name} {mode}" for name, mode in modes.items())
        hint = " (frozen statistics need a lower rate than batch's)" if trunk.freeze_norm else ""
        raise NonFiniteLossError(
            f"{error}; normalisation: {listed}; start a new run with a lower --optim.lr or with "
            f"--optim.warmup {max(500, 2 * config.optim.warmup)}{hint}"
        ) from error


def _norms(network: NetworkConfig) -> Iterator[tuple[str, str]]:
    """Yield the parts of a network with the kinds of their normalisation."""
    trunk = network.trunk
    affine = "batch_fixed_affine" if trunk.freeze_affine else "batch"
    yield "trunk", "frozen" if trunk.freeze_norm else affine
    if trunk.neck != "none":
        yield "neck", trunk.norm
    methods = {"instance": network.semantic, "semantic": network.roi}
    for other, method in methods.items():
        if network.branches != other:
            yield from getattr(method, "norms", {}).items()


def _check_even_batches(config: RunConfig, layout: DeviceLayout) -> None:
    """Check that a batch divides evenly among devices and micro-batches, of a possible size."""
    accumulate = config.devices.accumulate
    multiple = layout.devices * accumulate
    if config.train.batch_size % multiple:
        raise ValueError(
            f"train.batch_size is {config.train.batch_size}; expected a multiple of {multiple}, "
            f"for {layout.devices} devices with {accumulate} micro-batches each"
        )
    height, width = config.augment.size
    pixels = config.train.batch_size // multiple * height * width
    if pixels > _MOST_PIXELS:
        raise ValueError(
            f"a batch of {config.train.batch_size} photos of {height}x{width} has {pixels:,} "
            f"pixels per device; expected at most {_MOST_PIXELS:,}, so choose a smaller "
            "--train.batch-size or --augment.size, or more --devices.accumulate"
        )


def _check_photos(config: RunConfig, layout: DeviceLayout) -> None:
    """Check that the semantic method can be trained with as few photos at a time."""
    check: Callable[[int], None] | None = getattr(config.network.semantic, "check_photos", None)
    if check is not None and config.network.branches != "instance":
        check(config.train.batch_size // (layout.devices * config.devices.accumulate))


def _with_sync_norm(network: JSISNet, layout: DeviceLayout) -> JSISNet:
    """Replace batch normalisation by one with the statistics of all devices.

    Raises:
        ValueError: If the network has none, or the devices do not support it.
    """
    if layout.accelerator == "cpu" and layout.devices > 1:
        raise ValueError("train.sync_norm needs GPUs; turn it off or use group normalisation")
    synchronised = convert_sync_batchnorm(network)
    if not any(isinstance(module, nn.SyncBatchNorm) for module in synchronised.modules()):
        raise ValueError("train.sync_norm is on, but no layer has batch normalisation")
    assert isinstance(synchronised, JSISNet)
    return synchronised
