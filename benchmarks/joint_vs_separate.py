"""Cost of one joint network relative to that of two separate ones: the paper's claim.

Runs `jsisnet reproduce speed` for `lite.yaml` and for `coco.yaml`, the paper's network, on
generated photos with as many classes as COCO. See `jsisnet.experiments.speed` for the method.
"""

from dataclasses import asdict, dataclass

import torch
from harness import CATEGORIES, Promise, finish, options, scene
from train_step import DEVICE, THREADS, photos, settings

from jsisnet.cli.console import display
from jsisnet.cli.tables import costs as table
from jsisnet.experiments.speed import Cost, Repetitions, Workload, compare

PHOTO = (480, 640)
"""Height and width of the predicted photo."""

TRAINING_GOAL, GOAL = 0.65, 1.0
"""Highest cost relative to the two networks: of training `lite`, and of everything else."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Preset to measure, and the highest relative cost of its training."""

    preset: str
    batch: int
    repetitions: Repetitions
    goal: float


CASES = (
    Case(
        preset="lite", batch=8, repetitions=Repetitions(rounds=5, processes=3), goal=TRAINING_GOAL
    ),
    Case(preset="paper", batch=2, repetitions=Repetitions(), goal=GOAL),
)
QUICK = Case(
    preset="lite", batch=2, repetitions=Repetitions(prediction_memory=False), goal=TRAINING_GOAL
)


def workload(case: Case) -> Workload:
    """Generate the inputs."""
    config = settings(case.preset)
    return Workload(
        config=config,
        categories=CATEGORIES,
        batch=photos(case.batch, config.augment.size),
        photo=scene(0, PHOTO)[0],
    )


def promises(case: Case, costs: list[Cost]) -> list[Promise]:
    """Return the checked figures of a case."""
    return [
        Promise(
            f"{case.preset}, {cost.name}, joint / both",
            cost.ratio,
            case.goal if cost.name.startswith("training") else GOAL,
            lower_is_better=True,
        )
        for cost in costs
        if not cost.name.startswith("-")
    ]


def main() -> None:
    """Measure each preset."""
    chosen = options(__doc__)
    torch.set_num_threads(THREADS)
    promised, figures = [], {}
    for case in (QUICK,) if chosen.quick else CASES:
        load = workload(case)
        size = "x".join(map(str, load.config.augment.size))
        print(f"{case.preset}: {size}, {case.batch} photos in a step, on {DEVICE}", flush=True)
        costs = list(compare(load, case.repetitions))
        display(table(costs))
        promised += promises(case, costs)
        figures[case.preset] = [asdict(cost) for cost in costs]
    if chosen.quick:
        print("not run: paper, prediction memory")
    finish(promised, {"device": DEVICE, **figures}, chosen.json)


if __name__ == "__main__":
    main()
