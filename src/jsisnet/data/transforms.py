"""Resizing and augmentation: from a photo of any size to a network input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from jsisnet.arrays import UInt8
from jsisnet.checks import check_size
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import VOID, PanopticMap, resize_ids

PADDING = 128
"""Grey value of the padding; close to the mean of photos."""

_LEAST_SCALE = 0.01
"""Smallest scale of a photo; its inverse is the largest."""

_HIGHEST = {
    "hflip": 1,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "hue": 0.5,
    "grayscale": 1,
    "copy_paste": 1,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformConfig:
    """Size of the network input, and augmentation of the training photos.

    By default, as in the paper, the whole photo is resized to the input, whatever its aspect ratio.

    Raises:
        ValueError: If a value is out of range.
    """

    size: tuple[int, int] = (400, 400)
    """Height and width of the network input."""

    hflip: float = 0.5
    """Probability of a horizontal flip. Classes whose names differ only in left and right, such as
    ``Arrow (Left)`` and ``Arrow (Right)``, are exchanged; use 0 if other classes have a side."""

    min_scale: float = 1.0
    """Smallest size of the resized photo relative to the input. Below 1 the rest is padding."""

    max_scale: float = 1.0
    """Largest size of the resized photo relative to the input. Above 1 a random crop is used. The
    logarithm of the scale is uniform, so halving is as likely as doubling."""

    keep_aspect: bool = False
    """Keep the aspect ratio: at scale 1 the photo is as large as fits into the input, instead of
    being stretched to fill it."""

    brightness: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    contrast: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    saturation: float = 0.0
    """Factors are drawn between 1 - this and 1 + this."""

    hue: float = 0.0
    """Shifts are drawn between minus and plus this fraction of the colour circle, up to 0.5."""

    grayscale: float = 0.0
    """Probability of a conversion to greyscale."""

    copy_paste: float = 0.0
    """Probability that things of another photo, which is augmented by itself, are pasted over the
    photo. Photos whose ground truth does not label all thing classes take no part."""

    min_box: int = 1
    """Objects whose box has a shorter side, in pixels of the network input, are not targets."""

    def __post_init__(self) -> None:
        check_size(self.size)
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(
                f"scales from {self.min_scale} to {self.max_scale}; "
                "expected a positive min_scale, not above max_scale"
            )
        if not (self.min_scale >= _LEAST_SCALE and self.max_scale <= 1 / _LEAST_SCALE):
            raise ValueError(
                f"scales from {self.min_scale} to {self.max_scale}; "
                f"expected {_LEAST_SCALE} to {1 / _LEAST_SCALE:g}"
            )
        for name, highest in _HIGHEST.items():
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to {highest}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Part of one axis of a photo, and where it is placed on that axis of the network input."""

    source: slice
    target: slice


def resize(image: UInt8[Tensor, "3 h w"], size: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
    """Resize a photo to a height and width, with antialiasing."""
    return functional.resize(image, list(size), antialias=True)


def transform(
    sample: Sample,
    config: TransformConfig,
    generator: torch.Generator,
    mirrored: Sequence[int] | None = None,
) -> Sample:
    """Convert a photo to a randomly augmented network input.

    All randomness comes from the generator, and each setting has its own random number, so changing
    one setting does not change the effect of the others on the same photo.

    Args:
        sample: The photo.
        config: Size and augmentation.
        generator: Source of randomness.
        mirrored: The label of each class after a flip; default: its own.

    Returns:
        Image and map of size `config.size`, without segments that have no pixel left.
    """
    flip, scale, y, x, *colours = torch.rand(9, generator=generator).tolist()
    height, width = _scaled_size(sample.panoptic.size, config, scale)
    photo = torch.as_tensor(sample.image).permute(2, 0, 1)
    rows = _span(photo.shape[1], config.size[0], height, y)
    columns = _span(photo.shape[2], config.size[1], width, x)
    covered = (_length(rows.target), _length(columns.target))

    part = resize(photo[:, rows.source, columns.source], covered)
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
            sample = _swap_sides(sample, mirrored)
    panoptic = PanopticMap.compact(ids, sample.panoptic.segments)
    return replace(sample, image=image.permute(1, 2, 0).numpy(), panoptic=panoptic)


def _swap_sides(sample: Sample, mirrored: Sequence[int]) -> Sample:
    """Exchange left and right classes; the pixels stay."""
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
    """Place `length` pixels, to be resized to `scaled` pixels, on an axis of `canvas` pixels.

    The crop is made before the resizing, at whole pixels of the photo, so that image and map stay
    aligned.
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
