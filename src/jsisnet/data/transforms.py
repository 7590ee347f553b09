"""From a photo of any size to a network input, with and without augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from jsisnet.arrays import UInt8
from jsisnet.data.sample import Sample
from jsisnet.panoptic import VOID, PanopticMap, resize_ids

PADDING = 128
"""Grey of the network input where no photo is; near the mean of photos."""

_HIGHEST = {
    "hflip": 1,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "hue": 0.5,
    "grayscale": 1,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformConfig:
    """Size of the network input, and how training photos are varied.

    The defaults are the paper's: the whole photo is resized to the input, whatever its aspect.

    Raises:
        ValueError: If a value lies outside its range.
    """

    size: tuple[int, int] = (400, 400)
    """Height and width of the network input."""

    hflip: float = 0.5
    """Probability that the photo is mirrored; 0 for classes that tell left from right, unless their
    names do so too: partners such as ``Arrow (Left)`` and ``Arrow (Right)`` are exchanged."""

    min_scale: float = 1.0
    """Smallest size of the resized photo relative to the input. Below 1 the rest is void."""

    max_scale: float = 1.0
    """Largest size of the resized photo relative to the input. Above 1 a random part is used.
    Halving is as likely as doubling: the logarithm of the scale is uniform."""

    keep_aspect: bool = False
    """Whether scale 1 means the largest photo of true aspect that fits into the input, instead of
    one that fills it."""

    brightness: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    contrast: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    saturation: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    hue: float = 0.0
    """Shifts are drawn between plus and minus this part of the colour circle, up to 0.5."""

    grayscale: float = 0.0
    """Probability that the photo loses its colours."""

    min_box: int = 1
    """Objects whose box has a side of fewer pixels in the network input are no targets."""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size is {self.size}; expected a positive height and width")
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(
                f"scales from {self.min_scale} to {self.max_scale}; "
                "expected a positive min_scale, not above max_scale"
            )
        for name, highest in _HIGHEST.items():
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to {highest}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """How one axis of a photo lies on the same axis of the network input."""

    source: slice
    target: slice


def resize(image: UInt8[Tensor, "3 h w"], size: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
    """Resize a photo to a height and width, smoothly."""
    return functional.resize(image, list(size), antialias=True)


def transform(
    sample: Sample,
    config: TransformConfig,
    generator: torch.Generator,
    mirrored: Sequence[int] | None = None,
) -> Sample:
    """Make a varied network input of a photo.

    The randomness is the generator's alone, and each setting has its own draw: changing one
    leaves the others' effect on the same photo as it was.

    Args:
        sample: The photo.
        config: How it is varied.
        generator: Where the randomness comes from.
        mirrored: The label that each class has in a mirror; default: its own.

    Returns:
        Image and map of `config.size`, without the segments that own no pixel there.
    """
    flip, scale, y, x, *colours = torch.rand(9, generator=generator).tolist()
    height, width = _scaled_size(sample.panoptic.size, config, scale)
    rows = _span(sample.image.shape[1], config.size[0], height, y)
    columns = _span(sample.image.shape[2], config.size[1], width, x)
    covered = (_length(rows.target), _length(columns.target))

    part = resize(sample.image[:, rows.source, columns.source], covered)
    part = _vary_colours(part, config, colours)
    image = part
    ids = resize_ids(sample.panoptic.ids[rows.source, columns.source], covered)
    if covered != config.size:
        image = torch.full((3, *config.size), PADDING, dtype=torch.uint8)
        image[:, rows.target, columns.target] = part
        canvas = np.full(config.size, VOID, np.int32)
        canvas[rows.target, columns.target] = ids
        ids = canvas
    if flip < config.hflip:
        image = image.flip(-1)
        ids = ids[:, ::-1]
        if mirrored is not None:
            sample = _in_a_mirror(sample, mirrored)
    return replace(sample, image=image, panoptic=PanopticMap.compact(ids, sample.panoptic.segments))


def _in_a_mirror(sample: Sample, mirrored: Sequence[int]) -> Sample:
    """Exchange the classes of left and right, but no pixels."""
    segments = tuple(replace(s, label=mirrored[s.label]) for s in sample.panoptic.segments)
    return replace(
        sample,
        panoptic=PanopticMap(sample.panoptic.ids, segments),
        unlabelled=frozenset(mirrored[label] for label in sample.unlabelled),
    )


def _scaled_size(
    size: tuple[int, int], config: TransformConfig, draw: float
) -> tuple[float, float]:
    scale = config.min_scale * (config.max_scale / config.min_scale) ** draw
    if not config.keep_aspect:
        return config.size[0] * scale, config.size[1] * scale
    scale *= min(config.size[0] / size[0], config.size[1] / size[1])
    return size[0] * scale, size[1] * scale


def _span(length: int, canvas: int, scaled: float, draw: float) -> _Span:
    """Place `length` pixels that would be resized to `scaled` on an axis of `canvas` pixels.

    What sticks out is cut off before the resizing, at whole pixels of the photo, so that image
    and map stay aligned.
    """
    taken = min(length, max(1, round(length * canvas / scaled)))
    covered = min(canvas, max(1, round(scaled)))
    start = int(draw * (length - taken + 1))
    offset = int(draw * (canvas - covered + 1))
    return _Span(source=slice(start, start + taken), target=slice(offset, offset + covered))


def _length(part: slice) -> int:
    return part.stop - part.start


def _vary_colours(
    image: UInt8[Tensor, "3 h w"], config: TransformConfig, draws: list[float]
) -> UInt8[Tensor, "3 h w"]:
    brightness, contrast, saturation, hue, grey = draws
    if config.brightness:
        image = functional.adjust_brightness(image, _factor(brightness, config.brightness))
    if config.contrast:
        image = functional.adjust_contrast(image, _factor(contrast, config.contrast))
    if config.saturation:
        image = functional.adjust_saturation(image, _factor(saturation, config.saturation))
    if config.hue:
        image = functional.adjust_hue(image, _factor(hue, config.hue) - 1)
    if grey < config.grayscale:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    return image


def _factor(draw: float, spread: float) -> float:
    """Map a draw from [0, 1) to 1 - spread up to 1 + spread."""
    return 1 + spread * (2 * draw - 1)
