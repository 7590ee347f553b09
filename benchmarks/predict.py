"""Image to panoptic map: our built-in model against the two networks that it replaces.

The alternative is torchvision's Mask R-CNN and DeepLabV3, both with ResNet-50 and random weights,
at the same input size. Merging is included in our time but not in theirs.
"""

import statistics

import numpy as np
import torch
from harness import Promise, finish, options, row, time_in_turn
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.segmentation import deeplabv3_resnet50

from jsisnet import Predictor

GOAL = 5.0
"""Goal: speed relative to the two networks."""


def main() -> None:
    """Time both on an image of 640x480."""
    chosen = options(__doc__)
    torch.set_num_threads(2)
    predictor = Predictor.load("coco")
    size = predictor.config.size
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    pixels = torch.rand(1, 3, *size)
    detector = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=min(size), max_size=max(size)
    ).eval()
    segmenter = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=133).eval()
    seconds = time_in_turn(
        3 if chosen.quick else 9,
        ours=lambda: predictor.panoptic(image),
        two=lambda: (detector(pixels), segmenter(pixels)),
    )
    for name, timings in seconds.items():
        print(row(name, timings))
    ratio = statistics.median(seconds["two"]) / statistics.median(seconds["ours"])
    finish(
        [Promise("photo to map, times faster than two networks", ratio, GOAL)], seconds, chosen.json
    )


if __name__ == "__main__":
    with torch.inference_mode():
        main()
