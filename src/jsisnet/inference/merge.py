"""Fusion of the two branches' predictions for one image into one panoptic map."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from jsisnet.data.transforms import resize_ids
from jsisnet.inference.paste import Window, paste, windows
from jsisnet.inference.upsample import NO_CHANNEL, Upsampled
from jsisnet.instances import Instances
from jsisnet.panoptic import VOID, PanopticMap, Segment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConfig:
    """Rules of `merge`; the defaults are the paper's."""

    canvas: Literal["network", "original"] = "network"
    """Whose pixels are merged: those of the network's input, with the ids resized to the photo
    afterwards, or those of the photo, which gives smoother edges and takes longer."""

    min_score: float = 0.5
    """Instances with a lower score take no part."""

    min_mask: float = 0.5
    """An instance claims the pixels where its mask has at least this probability."""

    normalize_masks: bool = False
    """Whether to divide each mask by its highest probability first."""

    owner: Literal["probability", "score_times_probability", "score"] = "probability"
    """What decides between instances that claim one pixel: the highest value owns it. The better
    score, then the lower index, wins a tie."""

    min_instance_area: float = 0.0
    """Instances that own less give it back to the stuff classes; see `area_unit`. 0 is off."""

    min_visible_fraction: float = 0.0
    """Instances that own a smaller part of what they claim give it back likewise. 0 is off."""

    min_stuff_area: float = 4096.0
    """Stuff classes that cover less are removed, and larger ones take their place."""

    area_unit: Literal["original", "canvas", "image"] = "original"
    """What areas are counted in: pixels of the photo, pixels of the canvas, or whole images, so
    that an area of 1/2048 is a 2048th of the image."""

    count_stuff: Literal["after_things", "before_things"] = "after_things"
    """Whether a stuff class covers only pixels that no instance owns, or also those below one."""

    replacement: Literal["one_pass", "greedy"] = "one_pass"
    """Whether all small stuff classes are removed at once, or the smallest is removed and the rest
    counted anew until none is small, which keeps more of them."""

    fallback: Literal["void", "keep_argmax"] = "void"
    """What the free pixels become where every stuff class is too small."""

    min_stuff_probability: float = 0.0
    """Free pixels whose best stuff class is less probable than this, among all classes, are void
    and not counted. 0 is off."""


def merge(
    instances: Instances,
    semantic: Float[Tensor, "k gh gw"] | None,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Fuse the instances and the semantic logits of one image.

    Each pixel goes to the instance with the highest mask probability there. The pixels that no
    instance claims go to the best stuff class, among those that cover enough of them.

    Args:
        instances: Things, with boxes in pixels of the frame.
        semantic: Logits of all labels; the grid spans the frame and is usually coarser. ``None``
            if there is no semantic branch: what no instance owns is void.
        frame: Height and width of the network's input.
        size: Height and width of the photo, and of the result.
        stuff_labels: Labels that may fill the pixels of no instance.
        config: Rules and thresholds.

    Returns:
        The map. Its segments are the instances that own a pixel of it, best score first, then the
        stuff classes that do, by label. Pixels of neither are `VOID`.

    Raises:
        ValueError: If a value is not finite, or a label is not what it should be.

    Reference:
        de Geus et al., arXiv 1809.02110, section 2.2. The threshold of the masks and the void of
        images without large stuff follow the authors' later code; stuff is counted in pixels of
        the photo, after the things were pasted.
    """
    _check(instances, semantic, stuff_labels)
    canvas = frame if config.canvas == "network" else size
    unit = _canvas_pixels_per_unit(canvas, size, config)
    with torch.no_grad(), torch.autocast(instances.boxes.device.type, enabled=False):
        instances = _participants(instances, frame, canvas, config)
        ids = _paste_things(instances, canvas, config)
        if config.min_instance_area or config.min_visible_fraction:
            ids = _drop_small_things(ids, instances, unit, config)
        segments = [
            Segment(label=label, isthing=True, score=score)
            for label, score in zip(
                instances.labels.tolist(), instances.scores.tolist(), strict=True
            )
        ]
        if semantic is not None and stuff_labels:
            labels = sorted(stuff_labels)
            stuff = _large_stuff(ids == VOID, semantic, labels, unit, config)
            fill = (ids == VOID) & (stuff != NO_CHANNEL)
            ids = torch.where(fill, stuff + (len(segments) + 1), ids)
            segments += [Segment(label=label, isthing=False) for label in labels]
    return PanopticMap.compact(resize_ids(ids.cpu().numpy(), size), segments)


def _check(
    instances: Instances, semantic: Float[Tensor, "k gh gw"] | None, stuff_labels: tuple[int, ...]
) -> None:
    """Refuse what would silently give a wrong map."""
    for name, values in (
        ("boxes", instances.boxes),
        ("scores", instances.scores),
        ("masks", instances.masks),
        ("semantic logits", semantic),
    ):
        if values is not None and values.numel() and not all(map(math.isfinite, _range(values))):
            raise ValueError(f"the {name} to merge hold NaN or infinity; expected finite values")
    contested = sorted(set(instances.labels.tolist()) & set(stuff_labels))
    if contested:
        raise ValueError(f"an instance has the stuff label {contested[0]}; expected a thing label")
    if semantic is not None and stuff_labels and max(stuff_labels) >= len(semantic):
        raise ValueError(
            f"the semantic logits have {len(semantic)} channels; expected more than the highest "
            f"stuff label, {max(stuff_labels)}"
        )


def _range(values: Float[Tensor, "..."]) -> list[float]:
    """Give the lowest and the highest value; both are NaN if any value is."""
    return [float(end) for end in values.aminmax()]


def _canvas_pixels_per_unit(
    canvas: tuple[int, int], size: tuple[int, int], config: MergeConfig
) -> Fraction:
    """Convert the unit of areas; a fraction, so that thresholds are exact."""
    pixels = canvas[0] * canvas[1]
    units = {"original": size[0] * size[1], "canvas": pixels, "image": 1}
    return Fraction(pixels, units[config.area_unit])


def _participants(
    instances: Instances, frame: tuple[int, int], canvas: tuple[int, int], config: MergeConfig
) -> Instances:
    """Sort the instances by score, drop the poor ones, and move the others to the canvas."""
    scores = instances.scores.float()
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= config.min_score]
    boxes, masks = instances.boxes[order].float(), instances.masks[order].float()
    if config.normalize_masks:
        masks = masks / masks.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo().tiny)
    vertical, horizontal = canvas[0] / frame[0], canvas[1] / frame[1]
    return Instances(
        boxes=boxes * boxes.new_tensor([horizontal, vertical, horizontal, vertical]),
        labels=instances.labels[order],
        scores=scores[order],
        masks=masks,
    )


def _paste_things(
    instances: Instances, canvas: tuple[int, int], config: MergeConfig
) -> Int32[Tensor, "h w"]:
    """Give each pixel of the canvas the number of the instance that owns it, from 1, or `VOID`."""
    best = torch.full(canvas, float("-inf"), device=instances.boxes.device)
    ids = torch.full_like(best, VOID, dtype=torch.int32)
    pasted = zip(instances.scores, _pasted(instances, canvas), strict=True)
    for number, (score, (window, probability)) in enumerate(pasted, 1):
        match config.owner:
            case "probability":
                rank = probability
            case "score_times_probability":
                rank = probability * score
            case "score":
                rank = score.expand_as(probability)
        wins = (probability >= config.min_mask) & (rank > best[window])
        best[window] = torch.where(wins, rank, best[window])
        ids[window] = ids[window].masked_fill(wins, number)
    return ids


def _pasted(
    instances: Instances, canvas: tuple[int, int]
) -> Iterator[tuple[Window, Float[Tensor, "h w"]]]:
    """Paste one instance after the other, each into the window that its box covers."""
    boxes = instances.boxes.tolist()
    for mask, box, window in zip(
        instances.masks, boxes, windows(instances.boxes, canvas), strict=True
    ):
        yield window, paste(mask, box, window)


def _drop_small_things(
    ids: Int32[Tensor, "h w"], instances: Instances, unit: Fraction, config: MergeConfig
) -> Int32[Tensor, "h w"]:
    """Free the pixels of instances that own too few."""
    min_area = Fraction(config.min_instance_area) * unit
    owned = torch.bincount(ids.flatten(), minlength=len(instances) + 1)[1:].tolist()
    pasted = _pasted(instances, (ids.shape[0], ids.shape[1]))
    claimed = [int((mask >= config.min_mask).sum()) for _, mask in pasted]
    dropped = [
        owns < min_area or owns < config.min_visible_fraction * claims
        for owns, claims in zip(owned, claimed, strict=True)
    ]
    return ids.masked_fill(torch.tensor([False, *dropped], device=ids.device)[ids], VOID)


def _large_stuff(
    free: Bool[Tensor, "h w"],
    semantic: Float[Tensor, "k gh gw"],
    stuff_labels: list[int],
    unit: Fraction,
    config: MergeConfig,
) -> Int32[Tensor, "h w"]:
    """Give each free pixel the best of the stuff classes that cover enough, as a stuff channel.

    One pass is a fixed point: classes that survive it can only grow, so a second one would remove
    nothing.
    """
    min_area = Fraction(config.min_stuff_area) * unit
    if min_area > free.numel():
        _warn_small_image(config)
    counted = free if config.count_stuff == "after_things" else torch.ones_like(free)
    canvas = (free.shape[0], free.shape[1])
    if config.min_stuff_probability:
        counted = Upsampled.to(canvas, semantic).exceeds(
            config.min_stuff_probability, stuff_labels, counted
        )
    logits = Upsampled.to(canvas, semantic[stuff_labels])
    first = stuff = logits.best(counted)
    areas = _areas(stuff, len(stuff_labels))
    kept = [channel for channel, area in enumerate(areas) if area]
    while small := [channel for channel in kept if areas[channel] < min_area]:
        if config.replacement == "greedy":
            small = [min(reversed(small), key=areas.__getitem__)]
        kept = [channel for channel in kept if channel not in small]
        if not kept:
            return first if config.fallback == "keep_argmax" else torch.full_like(first, NO_CHANNEL)
        removed = torch.isin(stuff, stuff.new_tensor(small))
        best = logits.channels(kept).best(removed)
        stuff = torch.where(removed, stuff.new_tensor(kept)[best], stuff)
        areas = _areas(stuff, len(stuff_labels))
    return stuff


def _areas(stuff: Int32[Tensor, "h w"], channels: int) -> list[int]:
    shifted = stuff.flatten() - NO_CHANNEL
    areas: list[int] = shifted.bincount(minlength=channels + 1)[1:].tolist()
    return areas


@cache
def _warn_small_image(config: MergeConfig) -> None:
    _log.warning(
        "an image is smaller than the smallest area of stuff, %g, so that all of its stuff is "
        "removed; for small images give the area as a part of the image",
        config.min_stuff_area,
    )
