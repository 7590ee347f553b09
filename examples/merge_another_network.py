"""Merge the instances and the semantic logits of any network into a panoptic map.

python examples/merge_another_network.py merged.png
"""

import sys
from pathlib import Path

import numpy as np

from jsisnet import Categories, Category, draw
from jsisnet.files import write_picture
from jsisnet.inference import Instances, MergeConfig
from jsisnet.inference.merge import merge

names = {"car": True, "sky": False, "road": False}
categories = Categories(
    tuple(Category(id=i, name=name, isthing=names[name]) for i, name in enumerate(names, 1))
)
size = (120, 160)
instances = Instances(
    boxes=np.array([[20, 50, 90, 100], [70, 60, 140, 110]], np.float32),  # x0, y0, x1, y1
    labels=np.array([0, 0]),
    scores=np.array([0.9, 0.8]),
    masks=np.full((2, 28, 28), 0.9, np.float32),  # probabilities; the grid spans the box
)
logits = np.zeros((3, 30, 40), np.float32)  # one channel per class; the grid spans the image
logits[1, :15], logits[2, 15:] = 5, 5

panoptic = merge(
    instances,
    logits,
    frame=size,
    size=size,
    stuff_labels=categories.stuff_labels,
    config=MergeConfig(min_score=0.5, min_stuff_area=500.0),
)
print(panoptic, panoptic.areas().tolist())
write_picture(draw(np.full((*size, 3), 255, np.uint8), panoptic, categories), Path(sys.argv[1]))
