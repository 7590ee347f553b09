"""The paper's claim: one network is faster and needs less memory than two.

The two separate networks are the joint one with one branch removed. All have random weights, train
with the same loop on the same batch and predict the same photo. Predictions keep all detections at
any score, as random weights never reach a threshold, so that masks and merge do all the work that
the settings allow.

Memory is measured in a new process: the rise of its peak above the memory after all imports (on a
GPU: all that is allocated). For training, the memory of the two networks is added, as if both were
trained at once; trained in turn they need the larger of the two. For prediction, one process holds
both.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat

import numpy as np
import torch

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.data.sample import Batch
from jsisnet.experiments.measuring import Memory, in_own_process, memory_of, time_in_turn
from jsisnet.experiments.table3 import BRANCHES, SEPARATE
from jsisnet.inference.predictor import Predictor
from jsisnet.model.engine import TorchEngine
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.training.config import RunConfig
from jsisnet.training.devices import DeviceLayout, create_fabric, peak_memory
from jsisnet.training.loop import StepReport, steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

_RATE = 1e-4
"""Learning rate at which random weights do not diverge; the time of a step is unaffected."""

_STEPS = 10**6
"""Length of the schedule, more than is ever measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Inputs and settings that all networks are measured with."""

    config: RunConfig
    """Settings of the joint network; those of the others differ in `network.branches`."""

    categories: Categories
    batch: Batch
    """Batch of a training step."""

    photo: UInt8[np.ndarray, "h w 3"]
    """Photo to predict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetitions:
    """Number of repetitions of the measurements."""

    rounds: int = 3
    """Rounds of timing in which the networks take turns; the median is reported."""

    processes: int = 1
    """Processes per memory measurement, one after the other; the median is reported. More of them
    average over the allocator's behaviour. 0 skips memory."""

    prediction_memory: bool = True
    """Whether to measure the memory of a prediction, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Time or memory of the joint and the separate networks; ``None`` where not measured."""

    name: str
    unit: str
    joint: float
    semantic: float | None = None
    instance: float | None = None
    both: float

    @property
    def ratio(self) -> float:
        """Cost of the joint network relative to that of the two separate ones."""
        return self.joint / self.both


def compare(
    workload: Workload,
    repetitions: Repetitions = Repetitions(),
    *,
    on_part: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[Cost]:
    """Measure time and memory of a training step and of a prediction.

    The processes that measure memory use as many threads as torch does here.

    Args:
        workload: Inputs and settings.
        repetitions: Number of repetitions.
        on_part: Called before each measurement and at the end, with the number of measurements done
            and their total.

    Yields:
        Costs as soon as they are measured. A name that starts with ``-`` marks a part or variant of
        the cost before.

    Raises:
        ValueError: If the settings ask for several devices.
    """
    if DeviceLayout.detect(workload.config.devices).devices > 1:
        raise ValueError("speed is measured on one device; expected --devices.count 1")
    parts = [_training_time, _prediction_time]
    if repetitions.processes:
        parts += [_training_memory] + [_prediction_memory] * repetitions.prediction_memory
    for done, part in enumerate(parts):
        on_part(done, len(parts))
        yield from part(workload, repetitions)
    on_part(len(parts), len(parts))


def training_steps(config: RunConfig, categories: Categories, batch: Batch) -> Iterator[StepReport]:
    """Train lazily from random weights, repeating one batch."""
    fabric = create_fabric(DeviceLayout.detect(config.devices), config.train.precision)
    torch.manual_seed(config.train.seed)
    network = JSISNet(config.network, categories).to(fabric.device)
    rates = replace(config.optim, lr=_RATE)
    objective = Objective(network, replace(config.objective, semantic_weights=()))
    weight_decay = config.objective.weights.l2
    objective, sgd = fabric.setup(objective, optimizer(network, rates, weight_decay))
    return steps(fabric, objective, sgd, repeat([batch]), rates, first=0, length=_STEPS, seed=0)


def predictor(config: RunConfig, categories: Categories, branches: str) -> Predictor:
    """Return a predictor with random weights, of one network or of the two separate ones."""
    names = ("semantic", "instance") if branches == SEPARATE else (branches,)
    device = DeviceLayout.detect(config.devices).accelerator
    first, *second = [
        TorchEngine(_model(_with_branches(config, name), categories), device=device)
        for name in names
    ]
    return Predictor(first, instances_from=second[0] if second else None)


def _model(config: RunConfig, categories: Categories) -> SavedModel:
    detection = replace(config.network.detection, min_score=0.0)
    model = ModelConfig(
        size=config.prediction_size,
        network=replace(config.network, detection=detection),
        merge=replace(config.merge, min_score=0.0),
    )
    torch.manual_seed(config.train.seed)
    return SavedModel(model, categories, JSISNet(model.network, categories).eval())


def _with_branches(config: RunConfig, branches: str) -> RunConfig:
    return replace(config, network=replace(config.network, branches=branches))  # type: ignore[arg-type]


def _training_time(workload: Workload, repetitions: Repetitions) -> Iterator[Cost]:
    contestants = {
        each: training_steps(
            _with_branches(workload.config, each), workload.categories, workload.batch
        ).__next__
        for each in BRANCHES
    }
    times = _milliseconds(time_in_turn(repetitions.rounds, _wait, **contestants))
    yield Cost(name="training step", unit="ms", **times, both=_sum(times))


def _prediction_time(workload: Workload, repetitions: Repetitions) -> Iterator[Cost]:
    photo, size = workload.photo, (workload.photo.shape[0], workload.photo.shape[1])
    models = {
        each: predictor(workload.config, workload.categories, each)
        for each in (*BRANCHES, SEPARATE)
    }
    outputs = models["joint"].outputs(photo)
    contestants: dict[str, Callable[[], object]] = {
        each: partial(model.outputs, photo) for each, model in models.items()
    }
    contestants["merge"] = partial(models["joint"].merge, outputs, size)
    times = _milliseconds(time_in_turn(repetitions.rounds, _wait, **contestants))
    merge, both = times.pop("merge"), times.pop(SEPARATE)
    yield Cost(name="photo to map", unit="ms", joint=times["joint"] + merge, both=both + merge)
    yield Cost(name="- without merge", unit="ms", **times, both=both)
    yield Cost(name="- merge", unit="ms", joint=merge, both=merge)


def _training_memory(workload: Workload, repetitions: Repetitions) -> Iterator[Cost]:
    memory = {each: _median(_memory_of_training, workload, each, repetitions) for each in BRANCHES}
    increases: dict[str, float] = {each: one.increase for each, one in memory.items()}
    wholes: dict[str, float] = {each: one.whole for each, one in memory.items()}
    yield Cost(name="training memory", unit="MB", **increases, both=_sum(increases))
    yield Cost(name="- whole processes", unit="MB", **wholes, both=_sum(wholes))


def _prediction_memory(workload: Workload, repetitions: Repetitions) -> Iterator[Cost]:
    memory = {
        each: _median(_memory_of_prediction, workload, each, repetitions)
        for each in (*BRANCHES, SEPARATE)
    }
    both = memory.pop(SEPARATE)
    increases = {each: one.increase for each, one in memory.items()}
    wholes = {each: one.whole for each, one in memory.items()}
    yield Cost(name="prediction memory", unit="MB", **increases, both=both.increase)
    yield Cost(name="- whole processes", unit="MB", **wholes, both=both.whole)


def _median(
    measure: Callable[[Workload, str, int], Memory],
    workload: Workload,
    branches: str,
    repetitions: Repetitions,
) -> Memory:
    threads = torch.get_num_threads()
    repeated = [
        in_own_process(measure, workload, branches, threads) for _ in range(repetitions.processes)
    ]
    return Memory(
        whole=statistics.median(each.whole for each in repeated),
        increase=statistics.median(each.increase for each in repeated),
    )


def _memory_of_training(workload: Workload, branches: str, threads: int) -> Memory:
    """Measure two steps; the second one includes the optimiser's momentum."""
    config = _with_branches(workload.config, branches)
    return _measured(
        lambda: list(islice(training_steps(config, workload.categories, workload.batch), 2)),
        config,
        threads,
    )


def _memory_of_prediction(workload: Workload, branches: str, threads: int) -> Memory:
    """Measure the prediction of one photo."""
    return _measured(
        lambda: predictor(workload.config, workload.categories, branches)(workload.photo),
        workload.config,
        threads,
    )


def _measured(run: Callable[[], object], config: RunConfig, threads: int) -> Memory:
    torch.set_num_threads(threads)
    memory = memory_of(run)
    if DeviceLayout.detect(config.devices).accelerator == "cuda":
        allocated = peak_memory(torch.device("cuda"))
        return Memory(whole=allocated, increase=allocated)
    return memory


def _wait() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _milliseconds(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: 1e3 * statistics.median(timings) for name, timings in seconds.items()}


def _sum(figures: Mapping[str, float]) -> float:
    return figures["semantic"] + figures["instance"]
