"""Figures 1 and 3 of the paper for any photo and model."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.inference.engine import Outputs
from jsisnet.inference.evaluator import MIN_MASK
from jsisnet.inference.merge import Instances, thing_masks
from jsisnet.inference.predictor import Predictor, semantic_labels
from jsisnet.inference.raster import Window
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.visualize.frames import Frame, draw_frames
from jsisnet.visualize.overlay import draw, side_by_side
from jsisnet.visualize.palette import segment_colors, short_name

Photo = UInt8[np.ndarray, "h w 3"]
"""An RGB photo."""

_OPACITY = 0.45
"""Opacity of the masks of detections."""


def figure1(photo: Photo, predictor: Predictor) -> UInt8[np.ndarray, "page_h page_w 3"]:
    """Draw a photo with its panoptic map and the output of each branch, in a 2x2 grid.

    The fourth picture shows the detections themselves, before the merge; see `draw_detections`.

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
    assert outputs.instances is not None
    maps = {"panoptic": panoptic, "semantic": semantic}
    pictures = [draw(photo, each, predictor.categories) for each in maps.values()]
    frame = predictor.config.size or size
    pictures.append(draw_detections(photo, outputs.instances, predictor.categories, frame))
    return side_by_side([photo, *pictures], ["photo", *maps, "detections"], columns=2)


def draw_detections(
    photo: Photo, instances: Instances, categories: Categories, frame: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw all detections of an instance branch over a photo: masks, boxes, classes and scores.

    Masks are translucent, so overlaps show; the best detection is on top.

    Args:
        photo: The photo.
        instances: The detections.
        categories: Classes of their labels.
        frame: Height and width of the network's input, in whose pixels the boxes are.
    """
    size = (photo.shape[0], photo.shape[1])
    things = thing_masks(instances, frame=frame, canvas=size, config=MergeConfig(min_score=0.0))
    masks = [(window, mask >= MIN_MASK) for window, mask in things.masks()]
    ids = np.zeros(size, np.int32)
    for number, (window, mask) in reversed(list(enumerate(masks, 1))):
        ids[window][mask] = number
    colors = segment_colors(PanopticMap(ids, things.segments), categories)
    picture, frames = photo.copy(), []
    drawn = list(zip(masks, colors, things.segments, strict=True))
    for (window, mask), color, segment in reversed(drawn):
        painted = (1 - _OPACITY) * picture[window][mask] + _OPACITY * color
        picture[window][mask] = painted.round().astype(np.uint8)
        frames.append(_frame(window, color, segment, categories))
    canvas = Image.fromarray(picture)
    draw_frames(canvas, frames[::-1])
    return np.array(canvas)


def _frame(
    window: Window, color: UInt8[np.ndarray, " 3"], segment: Segment, categories: Categories
) -> Frame:
    """Return the frame of a detection, around the pixels of the photo in its box."""
    rows, columns = window
    red, green, blue = color.tolist()
    return Frame(
        corners=(columns.start, rows.start, columns.stop, rows.stop),
        color=(red, green, blue),
        name=f"{short_name(categories[segment.label])} {segment.score or 0:.0%}",
    )


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
