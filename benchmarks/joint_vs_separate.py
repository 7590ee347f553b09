"""One network with both branches against two with one each: the paper's claim.

Joint training and prediction are said to be faster and to need less memory than with two networks.
Here the two are the same network with the other branch left out, trained by the same loop on the
same photos, from random weights. `lite` and `paper` are `configs/lite.yaml` and
`configs/coco.yaml`.

Memory is that of a process of its own: how far its peak rises above what it needs after all imports
and before there is a network (of a GPU: all that is allocated there). For training, the two are
added, as when both are trained at once; one after the other they need the larger of the two. For
prediction, one process holds both. Predictions keep every region, however unlikely, since random
weights are sure of nothing: so masks and merge have all the work that the settings allow.
"""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice

import torch
from harness import (
    CATEGORIES,
    Memory,
    Promise,
    finish,
    in_own_process,
    in_turn,
    memory_of,
    options,
    scene,
)
from train_step import DEVICE, THREADS, photos, settings, training, wait

from jsisnet.model.network import JSISNet
from jsisnet.predictor import Predictor
from jsisnet.saved_model import ModelConfig, SavedModel

BRANCHES = ("joint", "semantic", "instance")
PHOTO = (480, 640)
"""Height and width of the photo to predict."""

TRAINING_GOAL, GOAL = 0.65, 1.0
"""The most that training `lite`, and everything else, may take of what the two networks take."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How much is measured of a preset, and the most that its training may take of the two's."""

    preset: str
    batch: int
    runs: int
    processes: int
    """The more, the less the figures of memory depend on when the allocator gives memory back."""
    goal: float


CASES = (
    Case(preset="lite", batch=8, runs=5, processes=3, goal=TRAINING_GOAL),
    Case(preset="paper", batch=2, runs=3, processes=1, goal=GOAL),
)
QUICK = Case(preset="lite", batch=2, runs=3, processes=1, goal=TRAINING_GOAL)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the table, and the highest ratio that is promised."""

    name: str
    unit: str
    joint: float
    semantic: float | None = None
    instance: float | None = None
    both: float
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """The joint network's figure relative to that of the two."""
        return self.joint / self.both

    def __str__(self) -> str:
        values = (self.joint, self.semantic, self.instance, self.both)
        cells = ["" if value is None else f"{value:.1f}" for value in values] + [
            f"{self.ratio:.3f}"
        ]
        return f"{self.name}, {self.unit}".ljust(36) + "".join(cell.rjust(11) for cell in cells)


def predictor(preset: str, branches: str) -> Predictor:
    """Give a network of random weights, or two separate ones, ready for photos."""
    names = ("semantic", "instance") if branches == "separate" else (branches,)
    first, *second = [_model(preset, name) for name in names]
    return Predictor(first, instances_from=second[0] if second else None, device=DEVICE)


def _model(preset: str, branches: str) -> SavedModel:
    config = settings(
        preset,
        f"--network.branches={branches}",
        "--network.detection.min-score=0",
        "--merge.min-score=0",
    )
    model = ModelConfig(size=config.augment.size, network=config.network, merge=config.merge)
    torch.manual_seed(0)
    return SavedModel(model, CATEGORIES, JSISNet(model.network, CATEGORIES).eval())


def measured(run: Callable[[], object]) -> Memory:
    """Tell what something needs, in a process that has done little but imports before."""
    torch.set_num_threads(THREADS)
    memory = memory_of(run)
    if DEVICE == "cuda":
        allocated = torch.cuda.max_memory_allocated() / 2**20
        return Memory(whole=allocated, increase=allocated)
    return memory


def memory_of_training(preset: str, branches: str, batch_size: int) -> Memory:
    """Measure two steps: from the second on, the optimiser has its momentum."""
    config = settings(preset, f"--network.branches={branches}")
    batch = photos(batch_size, config.augment.size)
    return measured(lambda: list(islice(training(config, batch), 2)))


def memory_of_prediction(preset: str, branches: str) -> Memory:
    """Measure a photo."""
    image, _ = scene(0, PHOTO)
    return measured(lambda: predictor(preset, branches)(image))


def training_lines(case: Case) -> list[Line]:
    """Measure steps: memory in processes of their own, then time in turn."""
    memory = {
        each: _median(case, memory_of_training, case.preset, each, case.batch) for each in BRANCHES
    }
    configs = {each: settings(case.preset, f"--network.branches={each}") for each in BRANCHES}
    batch = photos(case.batch, configs["joint"].augment.size)
    contestants = {each: training(config, batch).__next__ for each, config in configs.items()}
    times = _milliseconds(in_turn(case.runs, wait, **contestants))
    increases = {each: memory[each].increase for each in BRANCHES}
    wholes = {each: memory[each].whole for each in BRANCHES}
    return [
        Line(name="training step", unit="ms", **times, both=_sum(times), goal=case.goal),
        Line(name="training memory", unit="MB", **increases, both=_sum(increases), goal=case.goal),
        Line(name="- whole processes", unit="MB", **wholes, both=_sum(wholes)),
    ]


def prediction_lines(case: Case) -> list[Line]:
    """Measure a photo's time."""
    image, _ = scene(0, PHOTO)
    models = {each: predictor(case.preset, each) for each in (*BRANCHES, "separate")}
    outputs = models["joint"].outputs(image)
    contestants: dict[str, Callable[[], object]] = {
        each: partial(model.outputs, image) for each, model in models.items()
    }
    contestants["merge"] = partial(models["joint"].merged, outputs, PHOTO)
    times = _milliseconds(in_turn(case.runs, wait, **contestants))
    merge, both = times.pop("merge"), times.pop("separate")
    return [
        Line(
            name="photo to map",
            unit="ms",
            joint=times["joint"] + merge,
            both=both + merge,
            goal=GOAL,
        ),
        Line(name="- without merge", unit="ms", **times, both=both),
        Line(name="- merge", unit="ms", joint=merge, both=merge),
    ]


def prediction_memory_lines(case: Case) -> list[Line]:
    """Measure a photo's memory."""
    memory = {
        each: _median(case, memory_of_prediction, case.preset, each)
        for each in (*BRANCHES, "separate")
    }
    both = memory.pop("separate")
    increases = {each: one.increase for each, one in memory.items()}
    wholes = {each: one.whole for each, one in memory.items()}
    return [
        Line(name="prediction memory", unit="MB", **increases, both=both.increase, goal=GOAL),
        Line(name="- whole processes", unit="MB", **wholes, both=both.whole),
    ]


def _median(case: Case, measure: Callable[..., Memory], *arguments: object) -> Memory:
    """Repeat a measurement in as many processes as the case says."""
    repeated = [in_own_process(measure, *arguments) for _ in range(case.processes)]
    return Memory(
        whole=statistics.median(each.whole for each in repeated),
        increase=statistics.median(each.increase for each in repeated),
    )


def _milliseconds(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {name: 1e3 * statistics.median(timings) for name, timings in seconds.items()}


def _sum(figures: dict[str, float]) -> float:
    return figures["semantic"] + figures["instance"]


def main() -> None:
    """Measure each preset."""
    chosen = options(__doc__)
    torch.set_num_threads(THREADS)
    promises, figures = [], {}
    for case in (QUICK,) if chosen.quick else CASES:
        size = "x".join(map(str, settings(case.preset).augment.size))
        print(f"{case.preset}: {size}, {case.batch} photos in a step, on {DEVICE}")
        print(" " * 36 + "".join(f"{name:>11}" for name in (*BRANCHES, "both", "joint/both")))
        lines = training_lines(case) + prediction_lines(case)
        lines += [] if chosen.quick else prediction_memory_lines(case)
        print(*lines, sep="\n", flush=True)
        promises += [
            Promise(
                f"{case.preset}, {line.name}, joint / both",
                line.ratio,
                line.goal,
                lower_is_better=True,
            )
            for line in lines
            if line.goal is not None
        ]
        figures[case.preset] = [asdict(line) for line in lines]
    if chosen.quick:
        print("not run: paper, prediction memory")
    finish(promises, {"device": DEVICE, **figures}, chosen.json)


if __name__ == "__main__":
    main()
