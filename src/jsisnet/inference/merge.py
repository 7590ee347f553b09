"""Fusion of the two branches' predictions for one image into one panoptic map."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from jsisnet.arrays import Bool, Float, Int, Int32, Integer, Shaped
from jsisnet.categories import Categories
from jsisnet.inference.raster import NO_CHANNEL, Window, paste, paste_in_strips, windows
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.stuff import Semantic, large_stuff
from jsisnet.panoptic import VOID, PanopticMap, Segment, row_strips

_TINY = np.finfo(np.float32).tiny

_LARGEST = 1e30
"""Largest value that is merged, which leaves room for arithmetic in single precision."""

_Mask = tuple[Window, Bool[np.ndarray, "_ _"]]
"""A window of the canvas and its pixels."""

Piece = tuple[int, Window, Float[np.ndarray, "h w"]]
"""Position of a thing, a window of the canvas, and the probability of each of its pixels."""

_STRIP = 1 << 18
"""Pixels that are assigned at a time."""

_MAX_16 = 2**15
"""Number of segments from which 16 bits do not suffice."""

_LABEL_AXES = 2
"""Axes of a map of labels; logits have one more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Instances:
    """Predicted things of one image, in any order."""

    boxes: Float[np.ndarray, "n 4"]
    """Corners x0, y0, x1, y1 in pixels of the frame, usually the network's input."""

    labels: Integer[np.ndarray, " n"]
    """Labels of the data set, not thing channels."""

    scores: Float[np.ndarray, " n"]
    """Confidences in [0, 1]."""

    masks: Float[np.ndarray, "n m m"]
    """Probability that a point of the box belongs to the object; the grid spans the box."""

    def __post_init__(self) -> None:
        count, side = len(self.labels), self.masks.shape[-1]
        shapes = {"boxes": (count, 4), "labels": (count,), "scores": (count,)}
        for name, expected in (shapes | {"masks": (count, side, side)}).items():
            shape = getattr(self, name).shape
            if shape != expected:
                raise ValueError(
                    f"{name} of {count} instances have shape {shape}; expected {expected}"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, indices: Int[np.ndarray, " c"]) -> "Instances":
        """Return some of the instances, in the order of their indices."""
        return Instances(
            boxes=self.boxes[indices],
            labels=self.labels[indices],
            scores=self.scores[indices],
            masks=self.masks[indices],
        )

    def above(self, min_scores: Sequence[float]) -> "Instances":
        """Return the instances whose scores reach the lowest score of their label.

        Args:
            min_scores: The lowest score of each label; see `MergeConfig.min_scores`.
        """
        # Compared as `thing_masks` does it. NaN is kept, for the merge to refuse it.
        islow = self.scores.astype(np.float32) < np.array(min_scores, np.float32)[self.labels]
        return self.chosen(np.flatnonzero(~islow))


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingMasks:
    """Things of one image with their masks on a canvas, best score first."""

    segments: tuple[Segment, ...]
    """The things, each with a score."""

    masks: Callable[[], Iterator[tuple[Window, Float[np.ndarray, "h w"]]]]
    """Yields, in the order of `segments`, a window of the canvas and each of its pixels'
    probability, which is 0 outside the window. Can be called again; holds one mask at a time."""

    strips: Callable[[], Iterator[Piece]] | None = None
    """Yields the same in strips of rows, so that no large mask is held whole; ``None`` if masks are
    held whole in any case."""

    def pieces(self) -> Iterator[Piece]:
        """Return the masks in strips, or whole if there are none."""
        if self.strips is not None:
            return self.strips()
        return ((position, *pasted) for position, pasted in enumerate(self.masks()))


def merge(
    instances: Instances,
    semantic: Float[np.ndarray, "k gh gw"] | None,
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
            if there is no semantic branch: pixels without an instance are then void.
        frame: Height and width of the network's input.
        size: Height and width of the image, and of the result.
        stuff_labels: Labels that may fill pixels without an instance.
        config: Rules and thresholds. For minimum scores of classes see `by_class`.

    Returns:
        The map. Its segments are the instances that own at least one pixel, best score first, then
        the stuff classes that do, by label. Pixels of neither are `VOID`.

    Raises:
        ValueError: If a value is not finite, an instance has a stuff label, or the logits have too
            few channels.

    Reference:
        de Geus et al., arXiv 1809.02110, section 2.2. The mask threshold and the void of images
        without large stuff follow the authors' later code; stuff is counted in pixels of the
        image, after the things were pasted.
    """
    canvas = frame if config.canvas == "network" else size
    check_outputs(instances, semantic, frame=frame, size=size, stuff_labels=stuff_labels)
    things = thing_masks(instances, frame=frame, canvas=canvas, config=config)
    return _merge_on_canvas(things, semantic, canvas, size, stuff_labels, config)


def by_class(
    instances: Instances, config: MergeConfig, categories: Categories
) -> tuple[Instances, MergeConfig]:
    """Apply the minimum scores of classes, which `merge` can't: it knows labels, but no names.

    Args:
        instances: Things of one image.
        config: Rules and thresholds.
        categories: Classes of the labels.

    Returns:
        The instances that take part, and rules by which all of them do.

    Raises:
        ValueError: If a minimum is for a class that is not one of the things.
    """
    if not config.class_min_scores:
        return instances, config
    chosen = instances.above(config.min_scores(categories))
    return chosen, replace(config, min_score=0.0, class_min_scores=())


def check_outputs(
    instances: Instances,
    semantic: Float[np.ndarray, "k gh gw"] | None,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
) -> None:
    """Check the outputs of a network for one image before they are merged.

    Raises:
        ValueError: If a value is not finite, a size is 0, an instance has a stuff label, or the
            logits have too few channels.
    """
    if min(*frame, *size) < 1:
        raise ValueError(f"an image of {size} in a frame of {frame} has no pixels to merge")
    if semantic is not None and semantic.ndim == _LABEL_AXES:
        raise ValueError("the semantic branch has labels; expected logits, labels x height x width")
    _check_instances(instances, stuff_labels)
    _check_semantic(semantic, frame, stuff_labels)


def thing_masks(
    instances: Instances,
    *,
    frame: tuple[int, int],
    canvas: tuple[int, int],
    config: MergeConfig,
) -> ThingMasks:
    """Sort instances by score, drop those below the minimum, and move the rest to a canvas.

    Args:
        instances: Things, with boxes in pixels of the frame.
        frame: Height and width of the network's input.
        canvas: Height and width of the canvas.
        config: Rules and thresholds.
    """
    if config.class_min_scores:
        raise ValueError(
            "class_min_scores needs the names of the classes; apply it with `by_class`"
        )
    scores = instances.scores.astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= config.min_score]
    masks = instances.masks[order].astype(np.float32)
    if config.normalize_masks and len(masks):
        masks /= np.maximum(masks.max(axis=(1, 2), keepdims=True), _TINY)
    vertical, horizontal = canvas[0] / frame[0], canvas[1] / frame[1]
    stretch = np.array([horizontal, vertical, horizontal, vertical], np.float32)
    boxes = instances.boxes[order].astype(np.float32) * stretch
    return ThingMasks(
        segments=tuple(
            Segment(label=int(instances.labels[i]), isthing=True, score=float(scores[i]))
            for i in order
        ),
        masks=partial(_paste_each, masks, boxes, canvas),
        strips=partial(_paste_in_strips, masks, boxes, canvas),
    )


def without_overlapping(things: ThingMasks, config: MergeConfig) -> ThingMasks:
    """Drop the things that overlap a better one too much: non-maximum suppression of masks.

    The masks that are kept are held in memory, one byte for each pixel of their windows.

    Args:
        things: Things of any class, best score first.
        config: `max_mask_overlap` and `min_mask`.

    Reference:
        de Geus et al., arXiv 1809.02110, section 2.2.1, which rejects it.
    """
    kept: dict[int, _Mask] = {}
    for number, (window, probability) in enumerate(things.masks()):
        mask = (window, probability >= config.min_mask)
        if all(_mask_iou(mask, other) <= config.max_mask_overlap for other in kept.values()):
            kept[number] = mask

    def masks() -> Iterator[tuple[Window, Float[np.ndarray, "h w"]]]:
        return (pasted for number, pasted in enumerate(things.masks()) if number in kept)

    return ThingMasks(segments=tuple(things.segments[number] for number in kept), masks=masks)


def _mask_iou(mask: _Mask, other: _Mask) -> float:
    """Return the IoU of two masks; 0 if they share no pixel."""
    (rows, columns), (other_rows, other_columns) = mask[0], other[0]
    common = (_common(rows, other_rows), _common(columns, other_columns))
    if any(axis.stop <= axis.start for axis in common):
        return 0.0
    shared = np.count_nonzero(_part(mask, common) & _part(other, common))
    union = np.count_nonzero(mask[1]) + np.count_nonzero(other[1]) - shared
    return shared / union if shared else 0.0


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _part(mask: _Mask, window: Window) -> Bool[np.ndarray, "rows columns"]:
    """Return the pixels of a mask in a window inside its own."""
    rows, columns = (
        slice(axis.start - own.start, axis.stop - own.start)
        for axis, own in zip(window, mask[0], strict=True)
    )
    part: Bool[np.ndarray, "rows columns"] = mask[1][rows, columns]
    return part


def merge_masks(
    things: ThingMasks,
    semantic: Semantic | None,
    *,
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Fuse things and semantic predictions of any networks, at the size of the image.

    The rules are those of `merge`. With binary masks, every pixel that several things claim is a
    tie, which the higher score wins. With hard labels there is no second-best class, so the pixels
    of small stuff classes become void.

    Args:
        things: Instances, all of which take part.
        semantic: Logits of all labels on a grid that spans the image, or the label of each pixel.
        size: Height and width of the image, and of the result.
        stuff_labels: Labels that may fill pixels without an instance.
        config: Rules and thresholds. Minimum scores, `canvas` and `normalize_masks` are not used.

    Returns:
        The map. See `merge`.

    Raises:
        ValueError: If a logit is not finite, there are too few channels, or hard labels are to be
            filtered by probability.
    """
    _check_semantic(semantic, size, stuff_labels)
    hard = semantic is not None and semantic.ndim == _LABEL_AXES
    if config.min_stuff_probability and hard:
        raise ValueError("a map of labels has no probabilities; remove min_stuff_probability")
    return _merge_on_canvas(things, semantic, size, size, stuff_labels, config)


def _merge_on_canvas(
    things: ThingMasks,
    semantic: Semantic | None,
    canvas: tuple[int, int],
    size: tuple[int, int],
    stuff_labels: tuple[int, ...],
    config: MergeConfig,
) -> PanopticMap:
    """Merge at the size of the canvas, and resize the ids to the image."""
    unit = canvas_pixels_per_unit(canvas, size, config)
    if config.max_mask_overlap < 1:
        things = without_overlapping(things, config)
    count = len(things.segments) + len(stuff_labels)
    ids = np.full(canvas, VOID, np.int16 if count < _MAX_16 else np.int32)
    _assign_owners(ids, things, config)
    if config.min_instance_area or config.min_visible_fraction:
        _drop_small_things(ids, things, unit, config)
    segments = list(things.segments)
    if semantic is not None and stuff_labels:
        labels = sorted(stuff_labels)
        free = ids == VOID
        stuff = large_stuff(free, semantic, labels, unit, config)
        for rows in row_strips(canvas, _STRIP):
            wins = free[rows] & (stuff[rows] != NO_CHANNEL)
            number = stuff[rows] + ids.dtype.type(len(segments) + 1)
            np.copyto(ids[rows], number, where=wins, casting="same_kind")
        del free, stuff
        segments += [Segment(label=label, isthing=False) for label in labels]
    return PanopticMap.compact(ids, segments).resized(size)


def canvas_pixels_per_unit(
    canvas: tuple[int, int], size: tuple[int, int], config: MergeConfig
) -> Fraction:
    """Convert the unit of areas; a fraction, so that thresholds are exact."""
    pixels = canvas[0] * canvas[1]
    units = {"original": size[0] * size[1], "canvas": pixels, "image": 1}
    return Fraction(pixels, units[config.area_unit])


def _assign_owners(ids: Int[np.ndarray, "h w"], things: ThingMasks, config: MergeConfig) -> None:
    """Write the number, from 1, of the instance that owns each pixel, where one does."""
    best = np.full(ids.shape, -np.inf, np.float32)
    for position, window, probability in things.pieces():
        score = np.float32(things.segments[position].score or 0.0)
        match config.owner:
            case "probability":
                rank = probability
            case "score_times_probability":
                rank = probability * score
            case "score":
                rank = np.full_like(probability, score)
        wins = (probability >= config.min_mask) & (rank > best[window])
        np.copyto(best[window], rank, where=wins)
        ids[window][wins] = position + 1


def _paste_each(
    masks: Float[np.ndarray, "n m m"], boxes: Float[np.ndarray, "n 4"], canvas: tuple[int, int]
) -> Iterator[tuple[Window, Float[np.ndarray, "h w"]]]:
    """Paste one mask after the other, each into the window that its box covers."""
    for mask, box, window in zip(masks, boxes.tolist(), windows(boxes, canvas), strict=True):
        yield window, paste(mask, box, window)


def _paste_in_strips(
    masks: Float[np.ndarray, "n m m"], boxes: Float[np.ndarray, "n 4"], canvas: tuple[int, int]
) -> Iterator[Piece]:
    """Paste one mask after the other, each in strips of rows."""
    numbered = enumerate(zip(masks, boxes.tolist(), windows(boxes, canvas), strict=True))
    for position, (mask, box, window) in numbered:
        for strip, probability in paste_in_strips(mask, box, window):
            yield position, strip, probability


def _drop_small_things(
    ids: Int[np.ndarray, "h w"], things: ThingMasks, unit: Fraction, config: MergeConfig
) -> None:
    """Set the pixels of instances that own too few of them to `VOID`."""
    min_area = Fraction(config.min_instance_area) * unit
    strips = [ids[rows] for rows in row_strips(ids.shape, _STRIP)]
    owned = np.zeros(len(things.segments) + 1, np.int64)
    for strip in strips:
        owned += np.bincount(strip.ravel(), minlength=len(owned))
    claimed = [0] * len(things.segments)
    for position, _, mask in things.pieces():
        claimed[position] += int(np.count_nonzero(mask >= config.min_mask))
    dropped = [
        owns < min_area or owns < config.min_visible_fraction * claims
        for owns, claims in zip(owned[1:].tolist(), claimed, strict=True)
    ]
    isdropped = np.array([False, *dropped])
    for strip in strips:
        strip[isdropped[strip]] = VOID


def _check_instances(instances: Instances, stuff_labels: tuple[int, ...]) -> None:
    for name in ("boxes", "scores", "masks"):
        _check_finite(name, getattr(instances, name))
    contested = sorted(set(instances.labels.tolist()) & set(stuff_labels))
    if contested:
        raise ValueError(f"an instance has the stuff label {contested[0]}; expected a thing label")


def _check_semantic(
    semantic: Semantic | None, canvas: tuple[int, int], stuff_labels: tuple[int, ...]
) -> None:
    if semantic is None:
        return
    if semantic.ndim == _LABEL_AXES:
        _check_labels(semantic, canvas)
        return
    if not semantic.size or semantic.ndim != _LABEL_AXES + 1:
        raise ValueError(
            f"the semantic logits have shape {semantic.shape}; expected labels x height x width"
        )
    _check_finite("semantic logits", semantic)
    if stuff_labels and max(stuff_labels) >= len(semantic):
        raise ValueError(
            f"the semantic logits have {len(semantic)} channels; expected more than the highest "
            f"stuff label, {max(stuff_labels)}"
        )


def _check_labels(labels: Int32[np.ndarray, "h w"], canvas: tuple[int, int]) -> None:
    if labels.shape != canvas or labels.dtype.kind not in "iu" or int(labels.min()) < 0:
        lowest = f", from {labels.min()}" if labels.size else ""
        raise ValueError(
            f"the semantic labels are {labels.dtype} of shape {labels.shape}{lowest}; expected "
            f"integers of shape {canvas}, from 0"
        )


def _check_finite(name: str, values: Shaped[np.ndarray, "..."]) -> None:
    # Both are NaN if any value is, and no array of the same size is needed.
    extremes = np.array([values.min(), values.max()], np.float64) if values.size else np.zeros(2)
    if not np.isfinite(extremes).all():
        raise ValueError(f"the {name} to merge contain NaN or infinity")
    largest = float(np.abs(extremes).max())
    if largest > _LARGEST:
        raise ValueError(f"the {name} to merge reach {largest:g}; expected at most {_LARGEST:g}")
