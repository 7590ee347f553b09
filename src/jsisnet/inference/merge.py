"""Fusion of the two branches' predictions for one image into one panoptic map."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from jsisnet.arrays import Float, Int32
from jsisnet.inference.raster import NO_CHANNEL, Window, paste, windows
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.stuff import Semantic, large_stuff
from jsisnet.model.instances import Instances
from jsisnet.panoptic import VOID, PanopticMap, Segment, resize_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnThings:
    """Predicted things of one image as regions of a canvas, best score first."""

    segments: tuple[Segment, ...]
    """What they are, each with a score."""

    masks: Callable[[], Iterator[tuple[Window, Float[Tensor, "h w"]]]]
    """Gives, in the order of `segments`, the probability of each pixel of a window of the canvas;
    it is 0 elsewhere. May be called more than once, and draws one mask after another."""


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
    with torch.no_grad(), torch.autocast(instances.boxes.device.type, enabled=False):
        things = drawn(instances, frame=frame, canvas=canvas, config=config)
        ids = torch.full(canvas, VOID, dtype=torch.int32, device=instances.boxes.device)
        return _merged(things, semantic, ids, size, stuff_labels, config)


def drawn(
    instances: Instances,
    *,
    frame: tuple[int, int],
    canvas: tuple[int, int],
    config: MergeConfig,
) -> DrawnThings:
    """Turn the instances that take part in a merge into regions of its canvas.

    Args:
        instances: Things, with boxes in pixels of the frame.
        frame: Height and width of the network's input.
        canvas: Height and width of what is merged.
        config: Rules and thresholds.
    """
    instances = _participants(instances, frame, canvas, config)
    described = zip(instances.labels.tolist(), instances.scores.tolist(), strict=True)
    return DrawnThings(
        segments=tuple(
            Segment(label=label, isthing=True, score=score) for label, score in described
        ),
        masks=partial(_pasted, instances, canvas),
    )


def merge_drawn(
    things: DrawnThings,
    semantic: Semantic | None,
    *,
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Fuse what other networks predict for one image, at the size of its photo.

    The rules are those of `merge`. Where masks are 0 or 1, every pixel that several things claim
    is a tie, which the higher score wins; where each pixel has a single label, there is no next
    best class, and the pixels of small stuff classes become void.

    Args:
        things: Instances, all of which take part.
        semantic: Logits of all labels, the grid spanning the photo, or labels of its pixels.
        size: Height and width of the photo, and of the result.
        stuff_labels: Labels that may fill the pixels of no instance.
        config: Rules and thresholds; those of the score, the canvas and the box masks don't count.

    Returns:
        The map, as `merge` gives it.

    Raises:
        ValueError: As `merge` does.
    """
    _check_semantic(semantic, stuff_labels)
    if config.min_stuff_probability and semantic is not None and not semantic.is_floating_point():
        raise ValueError("a map of labels has no probabilities; expected no min_stuff_probability")
    with torch.no_grad():
        ids = torch.full(size, VOID, dtype=torch.int32)
        return _merged(things, semantic, ids, size, stuff_labels, config)


def _merged(
    things: DrawnThings,
    semantic: Semantic | None,
    ids: Int32[Tensor, "h w"],
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Fill a canvas and resize it to the photo."""
    unit = _canvas_pixels_per_unit((ids.shape[0], ids.shape[1]), size, config)
    _paste_things(ids, things, config)
    if config.min_instance_area or config.min_visible_fraction:
        ids = _drop_small_things(ids, things, unit, config)
    segments = list(things.segments)
    if semantic is not None and stuff_labels:
        labels = sorted(stuff_labels)
        stuff = large_stuff(ids == VOID, semantic, labels, unit, config)
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
    ):
        _check_finite(name, values)
    contested = sorted(set(instances.labels.tolist()) & set(stuff_labels))
    if contested:
        raise ValueError(f"an instance has the stuff label {contested[0]}; expected a thing label")
    _check_semantic(semantic, stuff_labels)


def _check_finite(name: str, values: Float[Tensor, "..."]) -> None:
    if values.numel() and not all(map(math.isfinite, _range(values))):
        raise ValueError(f"the {name} to merge hold NaN or infinity; expected finite values")


def _check_semantic(semantic: Semantic | None, stuff_labels: tuple[int, ...]) -> None:
    if semantic is None or not semantic.is_floating_point():
        return
    _check_finite("semantic logits", semantic)
    if stuff_labels and max(stuff_labels) >= len(semantic):
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


def _paste_things(ids: Int32[Tensor, "h w"], things: DrawnThings, config: MergeConfig) -> None:
    """Set the pixels of an empty canvas to the number of the instance that owns them, from 1."""
    best = torch.full_like(ids, float("-inf"), dtype=torch.float32)
    pasted = zip(things.segments, things.masks(), strict=True)
    for number, (segment, (window, probability)) in enumerate(pasted, 1):
        score = segment.score or 0.0
        match config.owner:
            case "probability":
                rank = probability
            case "score_times_probability":
                rank = probability * score
            case "score":
                rank = torch.full_like(probability, score)
        wins = (probability >= config.min_mask) & (rank > best[window])
        best[window] = torch.where(wins, rank, best[window])
        ids[window] = ids[window].masked_fill(wins, number)


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
    ids: Int32[Tensor, "h w"], things: DrawnThings, unit: Fraction, config: MergeConfig
) -> Int32[Tensor, "h w"]:
    """Free the pixels of instances that own too few."""
    min_area = Fraction(config.min_instance_area) * unit
    owned = torch.bincount(ids.flatten(), minlength=len(things.segments) + 1)[1:].tolist()
    claimed = [int((mask >= config.min_mask).sum()) for _, mask in things.masks()]
    dropped = [
        owns < min_area or owns < config.min_visible_fraction * claims
        for owns, claims in zip(owned, claimed, strict=True)
    ]
    return ids.masked_fill(torch.tensor([False, *dropped], device=ids.device)[ids], VOID)
