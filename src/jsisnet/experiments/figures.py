"""Figures 1 and 3 of the paper for any photo and model."""

from collections.abc import Iterable

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.inference.engine import Outputs
from jsisnet.inference.predictor import Predictor, semantic_labels
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.overlay import draw, side_by_side

Photo = UInt8[np.ndarray, "h w 3"]
"""An RGB photo."""


def figure1(photo: Photo, predictor: Predictor) -> UInt8[np.ndarray, "page_h page_w 3"]:
    """Draw a photo with its panoptic map and the output of each branch, in a 2x2 grid.

    Args:
        photo: The photo.
        predictor: A network with both branches.

    Raises:
        ValueError: If a branch is missing.
    """
    if not {"semantic", "instances"} <= predictor.engine.predicts:
        raise ValueError("the model has only one branch; expected both")
    outputs = predictor.outputs(photo)
    assert isinstance(outputs, Outputs)
    size = (photo.shape[0], photo.shape[1])
    labels = semantic_labels(outputs, size)
    classes = tuple(
        Segment(label=label, isthing=False) for label in range(len(predictor.categories))
    )
    semantic = PanopticMap.compact(labels + 1, classes)
    panoptic = predictor.merge(outputs, size)
    isthing = np.array([False, *(segment.isthing for segment in panoptic.segments)])
    instances = PanopticMap.compact(
        np.where(isthing[panoptic.ids], panoptic.ids, 0), panoptic.segments
    )
    maps = {"panoptic": panoptic, "semantic": semantic, "instances": instances}
    pictures = [draw(photo, each, predictor.categories) for each in maps.values()]
    return side_by_side([photo, *pictures], ["photo", *maps], columns=2)


def figure3(
    photos: Iterable[tuple[str, Photo]], predictor: Predictor
) -> UInt8[np.ndarray, "page_h page_w 3"]:
    """Draw photos side by side with their panoptic maps, one photo per row.

    Args:
        photos: Names and photos, at least one.
        predictor: A network.
    """
    pictures, captions = [], []
    for name, photo in photos:
        pictures += [photo, draw(photo, predictor.panoptic(photo), predictor.categories)]
        captions += [name, ""]
    return side_by_side(pictures, captions, columns=2)
