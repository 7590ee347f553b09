"""The training form of the ground truth."""

import numpy as np
import torch

from jsisnet.categories import Categories
from jsisnet.data.sample import Example, Objects, Sample
from jsisnet.panoptic import IGNORE


def example(sample: Sample, categories: Categories, *, min_box: int = 1, seed: int = 0) -> Example:
    """Derive the targets of one network input from its panoptic map.

    Where the sample's ground truth is silent, so are the targets: without classes of pixels all of
    them are void, and without any labelled thing there are no objects.

    Args:
        sample: Image and map at the size of the network input.
        categories: Classes that the labels of the map belong to.
        min_box: Objects whose box has a side below this many pixels are left out: their pixels
            keep the class, but belong to no object.
        seed: Seed of what the training draws for this image.
    """
    panoptic = sample.panoptic
    boxes = panoptic.boxes()
    visible = (boxes[:, 2:] - boxes[:, :2] >= max(min_box, 1)).all(axis=1)
    isthing = np.array([segment.isthing for segment in panoptic.segments], bool)
    iscrowd = np.array([segment.iscrowd for segment in panoptic.segments], bool)
    labelled = [label not in sample.unlabelled for label in categories.thing_labels]
    visible &= isthing & any(labelled)
    kept = np.flatnonzero(visible & ~iscrowd)
    crowds = np.flatnonzero(visible & iscrowd)

    numbers = np.zeros(len(panoptic.segments) + 1, np.int32)
    numbers[kept + 1] = np.arange(1, len(kept) + 1)
    channel = {label: number for number, label in enumerate(categories.thing_labels)}
    channels = [channel[panoptic.segments[i].label] for i in kept]
    semantic = panoptic.labels().astype(np.uint8)
    if not sample.semantic:
        semantic[:] = IGNORE
    return Example(
        image=sample.image,
        semantic=torch.from_numpy(semantic),
        instance_ids=torch.from_numpy(numbers[panoptic.ids]),
        objects=Objects(
            boxes=torch.from_numpy(boxes[kept].astype(np.float32)),
            channels=torch.tensor(channels, dtype=torch.int64),
            crowds=torch.from_numpy(boxes[crowds].astype(np.float32)),
        ),
        labelled=torch.tensor(labelled, dtype=torch.bool),
        seed=seed,
        image_id=sample.image_id,
    )
