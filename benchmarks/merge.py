"""Network outputs to a panoptic map: ours against the usual chain of torchvision's functions.

The usual chain resizes all logits to the photo, pastes every mask at the photo's size
(`paste_masks_in_image`), and gives pixels to the masks by score, then to stuff classes that cover
enough. Ours gives them by mask probability, as the paper does, also at the size of the photo, and
needs NumPy alone.
"""

import statistics

import numpy as np
import torch
from harness import Promise, finish, options, row, time_in_turn
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection.roi_heads import paste_masks_in_image

from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.rules import MergeConfig

MIN_MASK, MIN_STUFF_AREA = 0.5, 4096
"""Thresholds of both chains."""

THINGS = 80
"""Number of thing labels, which come first; the rest are stuff."""

CASES = {"640x480, 133 classes": ((480, 640), 133), "2048x1024, 100 classes": ((1024, 2048), 100)}
GOALS = {"640x480, 133 classes": 5.0, "2048x1024, 100 classes": 5.0}
"""Goals: speed relative to the usual chain."""


def scene(size: tuple[int, int], labels: int, instances: int = 100) -> tuple[Instances, np.ndarray]:
    """Generate random instances, and logits of large noisy regions at 1/8 of the size."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    coarse = 4 * torch.randn(1, labels, 6, 8, generator=generator)
    grid = (height // 8, width // 8)
    logits = functional.interpolate(coarse, grid, mode="bilinear")[0]
    logits += 0.5 * torch.randn(labels, *grid, generator=generator)
    sides = 16 + torch.rand(instances, 2, generator=generator) * torch.tensor([width, height]) / 4
    corners = torch.rand(instances, 2, generator=generator) * torch.tensor([width, height]) * 0.8
    masks = functional.interpolate(
        torch.randn(instances, 1, 4, 4, generator=generator) + 1, (28, 28), mode="bilinear"
    )
    things = Instances(
        boxes=torch.cat([corners, corners + sides], dim=1).numpy(),
        labels=torch.randint(THINGS, (instances,), generator=generator).numpy(),
        scores=(0.5 + torch.rand(instances, generator=generator) / 2).numpy(),
        masks=(2 * masks[:, 0]).sigmoid().numpy(),
    )
    return things, logits.numpy()


def usual(instances: Instances, logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Merge with full-size tensors."""
    boxes, masks, scores = (
        torch.from_numpy(values) for values in (instances.boxes, instances.masks, instances.scores)
    )
    best = functional.interpolate(logits[None], size, mode="bilinear")[0].argmax(0)
    pasted = paste_masks_in_image(masks[:, None], boxes, size)[:, 0] >= MIN_MASK
    ids = torch.zeros(size, dtype=torch.int64)
    for number, index in enumerate(scores.argsort(descending=True).tolist(), 1):
        free = pasted[index] & (ids == 0)
        if 2 * free.sum() >= pasted[index].sum():
            ids[free] = number
    for label in range(THINGS, len(logits)):
        region = (best == label) & (ids == 0)
        if region.sum() >= MIN_STUFF_AREA:
            ids[region] = len(instances) + label
    return ids


def compare(size: tuple[int, int], labels: int, runs: int) -> dict[str, list[float]]:
    """Time both chains on one case, in turn."""
    instances, logits = scene(size, labels)
    tensor = torch.from_numpy(logits)
    stuff = tuple(range(THINGS, labels))
    config = MergeConfig(canvas="original", min_mask=MIN_MASK, min_stuff_area=MIN_STUFF_AREA)
    return time_in_turn(
        runs,
        ours=lambda: merge(
            instances, logits, frame=size, size=size, stuff_labels=stuff, config=config
        ),
        usual=lambda: usual(instances, tensor, size),
    )


def main() -> None:
    """Time both chains on all cases."""
    chosen = options(__doc__)
    torch.set_num_threads(2)
    promises, figures = [], {}
    for name, (size, labels) in CASES.items():
        seconds = compare(size, labels, 3 if chosen.quick else 9)
        for contestant, timings in seconds.items():
            print(row(f"{name}: {contestant}", timings))
        ratio = statistics.median(seconds["usual"]) / statistics.median(seconds["ours"])
        promises.append(Promise(f"merge {name}, times faster", ratio, GOALS[name]))
        figures[name] = seconds
    finish(promises, figures, chosen.json)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
