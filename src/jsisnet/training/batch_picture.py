"""Pictures of a training batch: augmented inputs and their targets."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jsisnet.arrays import Float, Int32, Integer, UInt8
from jsisnet.categories import Categories
from jsisnet.data.sample import Example, is_void
from jsisnet.data.stream import Stream
from jsisnet.panoptic import VOID, PanopticMap, Segment
from jsisnet.visualize.frames import Corners, Frame, draw_frames
from jsisnet.visualize.overlay import Style, draw, side_by_side
from jsisnet.visualize.palette import Color, segment_colors, short_name

_SMALL = 400
"""Side length in pixels that small inputs are enlarged to, at most."""

_BRIGHTNESS = 0.55
"""Brightness of the photo outside objects."""

_SEMANTIC = Style(outline=0.0, opacity=0.65, stuff=1.0)
"""Style of the semantic target, without outlines, which would hide one-pixel structures."""

_OPACITY = 0.6
"""Opacity of the objects' colours."""

_CROWD = (255, 255, 255)
"""Colour of the boxes of crowd regions."""

_CAPTION = 1 / 84
"""Text height of the captions, relative to the width of input and targets together."""

_ASPECT = 1.4
"""Approximate aspect ratio of a page, width by height."""

_LISTED = 6
"""Most names in a list of classes that are not annotated."""


def page(
    stream: Stream,
    positions: Sequence[int],
    *,
    on_photo: Callable[[int, int], object] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw examples of a stream on one page, with captions.

    Args:
        stream: Stream of training examples.
        positions: Positions in the stream, at least one.
        on_photo: Called after each photo with the number of photos done and the total.
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
    """Draw a network input side by side with its targets.

    From left to right: the input; the semantic target, with void hatched; and the objects with
    masks, boxes and classes, where crowd regions have dashed boxes. Small inputs are enlarged by an
    integer factor.
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
    """Describe the targets of an example, and the classes that its source does not annotate."""
    names = [short_name(categories[label]) for label in categories.thing_labels]
    counts = Counter(names[channel] for channel in example.objects.channels.tolist())
    targets = [f"{number} {name}" for name, number in counts.most_common()] or ["no objects"]
    if len(example.objects.crowds):
        targets.append(f"{len(example.objects.crowds)} crowd")
    void = float(is_void(example.semantic).float().mean())
    if 0 < void < 1:
        targets.append(f"{void:.1%} void")
    known = example.labelled.tolist()
    missing = [name for name, labelled in zip(names, known, strict=True) if not labelled]
    if names and not any(known):
        missing = ["objects"]
    elif len(missing) > _LISTED:
        missing = [*missing[:_LISTED], f"{len(missing) - _LISTED} more"]
    if void == 1:
        missing.append("classes of pixels")
    return ", ".join(targets) + (f"\nnot labelled: {', '.join(missing)}" if missing else "")


def _enlarged(
    pixels: UInt8[np.ndarray, "..."] | Int32[np.ndarray, "..."], factor: int
) -> UInt8[np.ndarray, "..."] | Int32[np.ndarray, "..."]:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _map_of_labels(labels: Integer[np.ndarray, "h w"], categories: Categories) -> PanopticMap:
    """Convert labels to a map with one segment per class."""
    void = np.iinfo(labels.dtype).max
    present = [label for label in np.unique(labels).tolist() if label != void]
    numbers = np.full(void + 1, VOID, np.int32)
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
    """Scale boxes and round them outwards to integer pixels."""
    low, high = (boxes[:, :2] * factor).floor(), (boxes[:, 2:] * factor).ceil()
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in torch.cat([low, high], 1).int().tolist()]


def _color(color: UInt8[np.ndarray, " 3"]) -> Color:
    red, green, blue = color.tolist()
    return red, green, blue
