"""One network with both branches against two with one each: the paper's claim.

`jsisnet reproduce speed` for `lite.yaml` and `coco.yaml`, the paper's network, on made-up photos
with as many classes as COCO has. What is measured, and how: `jsisnet.experiments.speed`.
"""

from dataclasses import asdict, dataclass

import torch
from harness import CATEGORIES, Promise, finish, options, scene
from train_step import DEVICE, THREADS, photos, settings

from jsisnet.cli.console import display
from jsisnet.cli.tables import costs as table
from jsisnet.experiments.speed import Cost, Effort, Work, compare

PHOTO = (480, 640)
"""Height and width of the photo to predict."""

TRAINING_GOAL, GOAL = 0.65, 1.0
"""The most that training `lite`, and everything else, may take of what the two networks take."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How much is measured of a preset, and the most that its training may take of the two's."""

    preset: str
    batch: int
    effort: Effort
    goal: float


CASES = (
    Case(preset="lite", batch=8, effort=Effort(rounds=5, processes=3), goal=TRAINING_GOAL),
    Case(preset="paper", batch=2, effort=Effort(), goal=GOAL),
)
QUICK = Case(preset="lite", batch=2, effort=Effort(prediction_memory=False), goal=TRAINING_GOAL)


def work(case: Case) -> Work:
    """Make up what there is to do."""
    config = settings(case.preset)
    return Work(
        config=config,
        categories=CATEGORIES,
        batch=photos(case.batch, config.augment.size),
        photo=scene(0, PHOTO)[0],
    )


def promises(case: Case, costs: list[Cost]) -> list[Promise]:
    """Give what is promised of a case."""
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
        todo = work(case)
        size = "x".join(map(str, todo.config.augment.size))
        print(f"{case.preset}: {size}, {case.batch} photos in a step, on {DEVICE}", flush=True)
        costs = list(compare(todo, case.effort))
        display(table(costs))
        promised += promises(case, costs)
        figures[case.preset] = [asdict(cost) for cost in costs]
    if chosen.quick:
        print("not run: paper, prediction memory")
    finish(promised, {"device": DEVICE, **figures}, chosen.json)


if __name__ == "__main__":
    main()
