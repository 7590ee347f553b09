"""An engine that segments by colour: each colour is a segment, whatever the photo's size."""

import os

import numpy as np

import factories
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.panoptic import PanopticMap, Segment

VOID_COLOR = 0


class Colors:
    """A network for which a thing is what has one colour.

    The red byte says the class: 0 is void, and odd ones are things; green and blue number them.
    """

    name, device, batch_size = "colors", "cpu", 2
    predicts = frozenset(["panoptic"])
    categories = factories.CATEGORIES
    config = PredictionConfig(size=None)

    def __call__(self, images, extras=None):  # noqa: ARG002 - it has nothing else to say
        return [segment(image) for image in images]

    def fingerprint(self):
        return f"colors {os.environ.get('COLORS', '')}"


def segment(image):
    """Return the map of an image of colours."""
    codes = image.astype(np.int64) @ np.array([2**16, 2**8, 1])
    found, ids = np.unique(codes, return_inverse=True)
    segments = []
    numbers = np.zeros(len(found), np.int64)
    for place, code in enumerate(found.tolist()):
        if code:
            segments.append(described(code))
            numbers[place] = len(segments)
    return PanopticMap.compact(numbers[ids].reshape(codes.shape), segments)


def described(code):
    """Return the segment that a colour stands for."""
    things, stuff = factories.CATEGORIES.thing_labels, factories.CATEGORIES.stuff_labels
    red = code >> 16
    if red % 2:
        return Segment(label=things[red // 2 % len(things)], isthing=True, score=0.75)
    return Segment(label=stuff[(red // 2 - 1) % len(stuff)], isthing=False)
