"""Pictures of what a training step sees: the network's input and its targets."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jsisnet.arrays import Float, Int32, UInt8
from jsisnet.categories import Categories
from jsisnet.data.sample import Example
from jsisnet.data.stream import Stream
from jsisnet.panoptic import IGNORE, VOID, PanopticMap, Segment
from jsisnet.visualize.frames import Corners, Frame, draw_frames
from jsisnet.visualize.overlay import Style, draw, side_by_side
from jsisnet.visualize.palette import Color, segment_colors, short_name

_SMALL = 400
"""Pixels along a side up to which pictures of small inputs are enlarged."""

_BRIGHTNESS = 0.55
"""Brightness of the photo between the objects."""

_SEMANTIC = Style(outline=0.0, thing_opacity=0.65, stuff_opacity=0.65)
"""Looks of the semantic target; outlines would hide what is a pixel wide."""

_OPACITY = 0.6
"""Share of an object's colour over the photo."""

_CROWD = (255, 255, 255)
"""Colour of the frames around groups of things."""

_CAPTION = 1 / 84
"""Height of the captions' letters, as a part of the width of input and targets together."""

_ASPECT = 1.4
"""Width of a page by its height, about."""

_LISTED = 6
"""Names in a list of what is not labelled."""


def page(
    stream: Stream,
    positions: Sequence[int],
    *,
    on_photo: Callable[[int, int], object] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the examples at some positions of a stream on one page, with captions.

    Args:
        stream: What a training reads.
        positions: At least one.
        on_photo: Called after each photo with the numbers of photos done and in total.
    """
    categories = stream.samples.categories
    pictures, captions = [], []
    for position in positions:
        example = stream[position]
        pictures.append(draw_targets(example, categories))
        about = caption(example, categories)
        captions.append(f"image {example.image_id}, position {position}\n{about}")
        if on_photo is not None:
            on_photo(len(pictures), len(positions))
    height, width = pictures[0].shape[:2]
    columns = round(math.sqrt(len(pictures) * _ASPECT * height / width))
    return side_by_side(
        pictures, captions, columns=min(max(1, columns), len(pictures)), text=_CAPTION
    )


def draw_targets(example: Example, categories: Categories) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a network input, and beside it the targets that the losses compare with.

    The first picture is the input. The second one has the semantic target: classes in colours,
    void hatched. On the third one each object has its mask, box and class, and regions with
    groups of things have dashed boxes. Pictures of small inputs are enlarged, pixel by pixel.
    """
    height, width = example.semantic.shape
    factor = max(1, _SMALL // max(height, width))
    image = _enlarged(example.image.permute(1, 2, 0).numpy(), factor)
    semantic = _enlarged(example.semantic.numpy(), factor)
    gap = np.full((len(image), max(4, image.shape[1] // 100), 3), 255, np.uint8)
    return np.concatenate(
        [
            image,
            gap,
            draw(image, _map_of_labels(semantic, categories), categories, _SEMANTIC),
            gap,
            _draw_objects(image, example, categories, factor),
        ],
        axis=1,
    )


def caption(example: Example, categories: Categories) -> str:
    """Count the targets of an example, and tell what its source does not label."""
    names = [short_name(categories[label]) for label in categories.thing_labels]
    counts = Counter(names[channel] for channel in example.objects.channels.tolist())
    targets = [f"{number} {name}" for name, number in counts.most_common()] or ["no objects"]
    if len(example.objects.crowds):
        targets.append(f"{len(example.objects.crowds)} crowd")
    void = float((example.semantic == IGNORE).float().mean())
    if 0 < void < 1:
        targets.append(f"{void:.1%} void")
    known = example.labelled.tolist()
    silent = [name for name, labelled in zip(names, known, strict=True) if not labelled]
    if names and not any(known):
        silent = ["objects"]
    elif len(silent) > _LISTED:
        silent = [*silent[:_LISTED], f"{len(silent) - _LISTED} more"]
    if void == 1:
        silent.append("classes of pixels")
    return ", ".join(targets) + (f"\nnot labelled: {', '.join(silent)}" if silent else "")


def _enlarged(
    pixels: UInt8[np.ndarray, "..."] | Int32[np.ndarray, "..."], factor: int
) -> UInt8[np.ndarray, "..."] | Int32[np.ndarray, "..."]:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _map_of_labels(labels: UInt8[np.ndarray, "h w"], categories: Categories) -> PanopticMap:
    """Let all pixels of a class be one segment."""
    present = [label for label in np.unique(labels).tolist() if label != IGNORE]
    numbers = np.full(IGNORE + 1, VOID, np.int32)
    numbers[present] = np.arange(1, len(present) + 1)
    return PanopticMap(
        numbers[labels],
        tuple(Segment(label=label, isthing=categories[label].isthing) for label in present),
    )


def _draw_objects(
    image: UInt8[np.ndarray, "h w 3"], example: Example, categories: Categories, factor: int
) -> UInt8[np.ndarray, "h w 3"]:
    labels = [categories.thing_labels[channel] for channel in example.objects.channels.tolist()]
    objects = PanopticMap(
        _enlarged(example.instance_ids.numpy(), factor),
        tuple(Segment(label=label, isthing=True) for label in labels),
    )
    colors = segment_colors(objects, categories)
    picture = np.repeat(_BRIGHTNESS * image.mean(axis=2, keepdims=True), 3, axis=2)
    inside = objects.ids != VOID
    paint = colors[objects.ids[inside] - 1]
    picture[inside] = (1 - _OPACITY) * image[inside] + _OPACITY * paint
    canvas = Image.fromarray(picture.astype(np.uint8))
    crowds = [
        Frame(corners=corners, color=_CROWD, name="crowd", dashed=True)
        for corners in _corners(example.objects.crowds, factor)
    ]
    frames = [
        Frame(corners=corners, color=color, name=short_name(categories[label]))
        for corners, color, label in zip(
            _corners(example.objects.boxes, factor), map(_color, colors), labels, strict=True
        )
    ]
    draw_frames(canvas, [*crowds, *frames])
    return np.array(canvas)


def _corners(boxes: Float[Tensor, "n 4"], factor: int) -> list[Corners]:
    """Round boxes outwards to whole pixels of the picture."""
    low, high = (boxes[:, :2] * factor).floor(), (boxes[:, 2:] * factor).ceil()
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in torch.cat([low, high], 1).int().tolist()]


def _color(color: UInt8[np.ndarray, " 3"]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
