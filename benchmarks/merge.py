"""Network outputs to a panoptic map: ours against the chains of other libraries.

The chains of torchvision, detectron2, mmdetection and transformers are re-created from their rules.
They resize all logits to the photo and paste every mask at its size, and most give pixels to the
masks by score. Ours gives them by mask probability, as the paper does, also at the size of the
photo, and needs NumPy alone. Each chain has one thread. Memory is what a call adds in a process of
its own, which has merged a small photo before. Goals are for CPU time.
"""

from functools import partial
from statistics import median

import torch
from harness import (
    Promise,
    Timings,
    added_memory,
    finish,
    in_own_process,
    options,
    row,
    timings_in_turn,
)
from peers.merges import CHAINS, MIN_MASK, MIN_STUFF_AREA, Case
from torch.nn import functional

from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import PanopticMap

THINGS = 80
"""Number of thing labels, which come first; the rest are stuff."""

INSTANCES = 100

CASES = {"640x480, 133 classes": ((480, 640), 133), "2048x1024, 100 classes": ((1024, 2048), 100)}
"""Heights and widths, and numbers of labels."""

SPEED = 6.0
"""Goal: speed relative to each other chain."""

MEMORY = 0.1
"""Goal: added memory relative to each other chain."""

SMALL = (96, 128), 133


def scene(size: tuple[int, int], labels: int) -> Case:
    """Generate random instances, and logits of large noisy regions at 1/8 of the size."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    coarse = 4 * torch.randn(1, labels, 6, 8, generator=generator)
    grid = (height // 8, width // 8)
    logits = functional.interpolate(coarse, grid, mode="bilinear")[0]
    logits += 0.5 * torch.randn(labels, *grid, generator=generator)
    sides = 16 + torch.rand(INSTANCES, 2, generator=generator) * torch.tensor([width, height]) / 4
    corners = torch.rand(INSTANCES, 2, generator=generator) * torch.tensor([width, height]) * 0.8
    masks = functional.interpolate(
        torch.randn(INSTANCES, 1, 4, 4, generator=generator) + 1, (28, 28), mode="bilinear"
    )
    return Case(
        size=size,
        things=THINGS,
        logits=logits,
        boxes=torch.cat([corners, corners + sides], dim=1),
        labels=torch.randint(THINGS, (INSTANCES,), generator=generator),
        scores=0.5 + torch.rand(INSTANCES, generator=generator) / 2,
        masks=(2 * masks[:, 0]).sigmoid(),
    )


def ours(case: Case) -> PanopticMap:
    """Merge by the rules of the paper, at the size of the photo."""
    instances = Instances(
        boxes=case.boxes.numpy(),
        labels=case.labels.numpy(),
        scores=case.scores.numpy(),
        masks=case.masks.numpy(),
    )
    config = MergeConfig(canvas="original", min_mask=MIN_MASK, min_stuff_area=MIN_STUFF_AREA)
    stuff = tuple(range(case.things, len(case.logits)))
    logits = case.logits.numpy()
    return merge(
        instances, logits, frame=case.size, size=case.size, stuff_labels=stuff, config=config
    )


CONTESTANTS = {"ours": ours} | CHAINS


@torch.inference_mode()
def memory(contestant: str, size: tuple[int, int], labels: int) -> float:
    """Return the megabytes that a chain adds, in a process of its own."""
    torch.set_num_threads(1)
    run, case = CONTESTANTS[contestant], scene(size, labels)
    run(scene(*SMALL))
    return added_memory(partial(run, case))


def main() -> None:
    """Time all chains on all cases, in turn, and measure their memory."""
    chosen = options(__doc__ or "")
    torch.set_num_threads(1)
    promises, figures = list[Promise](), dict[str, object]()
    for name, (size, labels) in CASES.items():
        case = scene(size, labels)
        runs = {contestant: partial(run, case) for contestant, run in CONTESTANTS.items()}
        timings = timings_in_turn(2 if chosen.quick else 9, runs)
        megabytes = {each: in_own_process(memory, each, size, labels) for each in CONTESTANTS}
        for contestant, seconds in timings.items():
            print(f"{row(f'{name}: {contestant}', seconds.cpu)} {megabytes[contestant]:7.0f} MB")
        promises += compare(name, timings, megabytes)
        figures[name] = {"seconds": {k: v.cpu for k, v in timings.items()}, "megabytes": megabytes}
    finish(promises, figures, chosen.json)


def compare(name: str, timings: dict[str, Timings], megabytes: dict[str, float]) -> list[Promise]:
    """Compare our time and memory with those of each other chain."""
    mine = median(timings["ours"].cpu)
    promises = []
    for peer in CHAINS:
        ratio, part = median(timings[peer].cpu) / mine, megabytes["ours"] / megabytes[peer]
        promises += [
            Promise(f"merge {name}, times as fast as {peer}", ratio, SPEED),
            Promise(f"merge {name}, memory relative to {peer}", part, MEMORY, True),
        ]
    return promises


if __name__ == "__main__":
    with torch.inference_mode():
        main()
