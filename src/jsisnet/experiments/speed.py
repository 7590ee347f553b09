"""The paper's claim: one network is faster and needs less memory than two.

The two are the same network with the other branch left out. All train with the same loop on the
same photos, and predict the same photo, from random weights; predictions keep every region,
however unlikely, as random weights are sure of nothing, so that masks and merge have all the work
that the settings allow.

Memory is that of a process of its own: how far its peak rises above what it needs after all imports
and before there is a network (of a GPU: all that is allocated there). For training, that of the two
is added, as when both are trained at once; one after the other they need the larger of the two. For
prediction, one process holds both.
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
from jsisnet.experiments.measuring import Memory, in_own_process, in_turn, memory_of
from jsisnet.experiments.table3 import BRANCHES, SEPARATE
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.saved_model import ModelConfig, SavedModel
from jsisnet.model.network import JSISNet
from jsisnet.training.config import RunConfig
from jsisnet.training.devices import DeviceLayout, create_fabric, peak_memory
from jsisnet.training.loop import StepReport, steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

_RATE = 1e-4
"""Learning rate that random weights survive; the time of a step does not depend on it."""

_STEPS = 10**6
"""More than anybody measures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What all networks have to do."""

    config: RunConfig
    """Settings of the joint network; the single ones have the same but for the branches."""

    categories: Categories
    batch: Batch
    """Photos of a training step, with their targets."""

    photo: UInt8[np.ndarray, "h w 3"]
    """To predict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int = 3
    """In which the networks take turns; the median counts."""

    processes: int = 1
    """In which memory is measured, one after the other, of which the median counts. The more, the
    less it depends on when the allocator gives memory back. 0 leaves memory out."""

    prediction_memory: bool = True
    """Whether the memory of a prediction is measured too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What something costs with one network and with two; ``None`` where that is not a cost."""

    name: str
    unit: str
    joint: float
    semantic: float | None = None
    instance: float | None = None
    both: float

    @property
    def ratio(self) -> float:
        """The joint network's cost relative to that of the two."""
        return self.joint / self.both


def compare(
    work: Work,
    effort: Effort = Effort(),
    *,
    on_part: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[Cost]:
    """Measure a training step and a photo, in time and memory.

    Uses as many threads as torch does here, also in the processes that measure memory.

    Args:
        work: What to do.
        effort: How much to measure.
        on_part: Is told the number of parts that are measured, and their total.

    Yields:
        Costs, as soon as they are known; those whose names begin with ``-`` are parts or variants
        of the one above.

    Raises:
        ValueError: If the settings ask for several devices.
    """
    if DeviceLayout.detect(work.config.devices).devices > 1:
        raise ValueError("speed is measured on one device; expected --devices.count 1")
    parts = [_training_time, _prediction_time]
    if effort.processes:
        parts += [_training_memory] + [_prediction_memory] * effort.prediction_memory
    for done, part in enumerate(parts):
        on_part(done, len(parts))
        yield from part(work, effort)
    on_part(len(parts), len(parts))


def training_steps(config: RunConfig, categories: Categories, batch: Batch) -> Iterator[StepReport]:
    """Train from random weights on one batch again and again, a step for each item taken."""
    fabric = create_fabric(DeviceLayout.detect(config.devices), config.train.precision)
    torch.manual_seed(config.train.seed)
    network = JSISNet(config.network, categories).to(fabric.device)
    rates = replace(config.optim, lr=_RATE)
    objective = Objective(network, config.objective)
    weight_decay = config.objective.weights.l2
    objective, moves = fabric.setup(objective, optimizer(network, rates, weight_decay))
    return steps(fabric, objective, moves, repeat([batch]), rates, first=0, length=_STEPS, seed=0)


def predictor(config: RunConfig, categories: Categories, branches: str) -> Predictor:
    """Give a network of random weights ready for photos, or the two single ones."""
    names = ("semantic", "instance") if branches == SEPARATE else (branches,)
    first, *second = [_model(_with_branches(config, name), categories) for name in names]
    device = DeviceLayout.detect(config.devices).accelerator
    return Predictor(first, instances_from=second[0] if second else None, device=device)


def _model(config: RunConfig, categories: Categories) -> SavedModel:
    keen = replace(config.network.detection, min_score=0.0)
    model = ModelConfig(
        size=config.augment.size,
        network=replace(config.network, detection=keen),
        merge=replace(config.merge, min_score=0.0),
    )
    torch.manual_seed(config.train.seed)
    return SavedModel(model, categories, JSISNet(model.network, categories).eval())


def _with_branches(config: RunConfig, branches: str) -> RunConfig:
    return replace(config, network=replace(config.network, branches=branches))  # type: ignore[arg-type]


def _training_time(work: Work, effort: Effort) -> Iterator[Cost]:
    contestants = {
        each: training_steps(
            _with_branches(work.config, each), work.categories, work.batch
        ).__next__
        for each in BRANCHES
    }
    times = _milliseconds(in_turn(effort.rounds, _wait, **contestants))
    yield Cost(name="training step", unit="ms", **times, both=_sum(times))


def _prediction_time(work: Work, effort: Effort) -> Iterator[Cost]:
    photo, size = work.photo, (work.photo.shape[0], work.photo.shape[1])
    models = {each: predictor(work.config, work.categories, each) for each in (*BRANCHES, SEPARATE)}
    outputs = models["joint"].outputs(photo)
    contestants: dict[str, Callable[[], object]] = {
        each: partial(model.outputs, photo) for each, model in models.items()
    }
    contestants["merge"] = partial(models["joint"].merged, outputs, size)
    times = _milliseconds(in_turn(effort.rounds, _wait, **contestants))
    merge, both = times.pop("merge"), times.pop(SEPARATE)
    yield Cost(name="photo to map", unit="ms", joint=times["joint"] + merge, both=both + merge)
    yield Cost(name="- without merge", unit="ms", **times, both=both)
    yield Cost(name="- merge", unit="ms", joint=merge, both=merge)


def _training_memory(work: Work, effort: Effort) -> Iterator[Cost]:
    memory = {each: _median(_memory_of_training, work, each, effort) for each in BRANCHES}
    increases: dict[str, float] = {each: one.increase for each, one in memory.items()}
    wholes: dict[str, float] = {each: one.whole for each, one in memory.items()}
    yield Cost(name="training memory", unit="MB", **increases, both=_sum(increases))
    yield Cost(name="- whole processes", unit="MB", **wholes, both=_sum(wholes))


def _prediction_memory(work: Work, effort: Effort) -> Iterator[Cost]:
    memory = {
        each: _median(_memory_of_prediction, work, each, effort) for each in (*BRANCHES, SEPARATE)
    }
    both = memory.pop(SEPARATE)
    increases = {each: one.increase for each, one in memory.items()}
    wholes = {each: one.whole for each, one in memory.items()}
    yield Cost(name="prediction memory", unit="MB", **increases, both=both.increase)
    yield Cost(name="- whole processes", unit="MB", **wholes, both=both.whole)


def _median(
    measure: Callable[[Work, str, int], Memory], work: Work, branches: str, effort: Effort
) -> Memory:
    threads = torch.get_num_threads()
    repeated = [in_own_process(measure, work, branches, threads) for _ in range(effort.processes)]
    return Memory(
        whole=statistics.median(each.whole for each in repeated),
        increase=statistics.median(each.increase for each in repeated),
    )


def _memory_of_training(work: Work, branches: str, threads: int) -> Memory:
    """Measure two steps: from the second on, the optimiser has its momentum."""
    config = _with_branches(work.config, branches)
    return _measured(
        lambda: list(islice(training_steps(config, work.categories, work.batch), 2)),
        config,
        threads,
    )


def _memory_of_prediction(work: Work, branches: str, threads: int) -> Memory:
    """Measure a photo."""
    return _measured(
        lambda: predictor(work.config, work.categories, branches)(work.photo),
        work.config,
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
    """Wait until a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _milliseconds(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: 1e3 * statistics.median(timings) for name, timings in seconds.items()}


def _sum(figures: Mapping[str, float]) -> float:
    return figures["semantic"] + figures["instance"]
