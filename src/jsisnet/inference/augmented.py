"""Test-time augmentation: a photo is segmented in several views, whose outputs are pooled.

The views are the photo, its mirror image, and its four corners enlarged. Things of all views are
pooled; the semantic branch uses the photo and its mirror image, as enlarged stuff lacks context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jsisnet.arrays import Bool, Float32, Int64, UInt8
from jsisnet.categories import Categories
from jsisnet.inference.engine import Engine, Extras, Outputs, resize
from jsisnet.inference.merge import Instances
from jsisnet.inference.raster import softmax
from jsisnet.inference.thresholds import DetectionConfig

_CORNER = 0.7
"""Sides of the corners, as parts of those of the photo."""

_LOWEST = 0.1
"""Score from which on the detections of a view count."""

_EDGE = 3
"""Pixels of the network's input: a thing as near to where a view cuts the photo is cut, too."""

_SAME = 0.5
"""IoU from which on detections of one class in two views are one thing."""

_TINY = 1e-6

_FEWEST = 1e-7
"""Least probability, whose logarithm is finite."""


def check_engine(engine: Engine) -> None:
    """Check that the outputs of an engine can be pooled.

    Raises:
        ValueError: If it predicts panoptic maps at once.
    """
    if "panoptic" in engine.predicts:
        raise ValueError(
            f"the engine {engine.name} predicts panoptic maps at once, which can't be pooled; "
            "leave tta out"
        )


def outputs_of_views(
    engine: Engine, image: UInt8[np.ndarray, "h w 3"], extras: Extras | None = None
) -> Outputs:
    """Run a network on the views of a photo, and pool its outputs.

    The score of a thing is the mean over the views that show it whole, 0 where it is not found; its
    mask is the mean over those that find it.

    Args:
        engine: The network.
        image: Photo of any size.
        extras: What an evaluation needs beyond the predictions. Proposals are those of the photo.

    Returns:
        Outputs for the photo, as of the network itself.
    """
    size = engine.config.size or (image.shape[0], image.shape[1])
    views = _views(image.shape[0], image.shape[1])
    detection = engine.config.network.detection
    low = replace(detection, min_score=min(_LOWEST, detection.min_score))
    proposals = None if extras is None else extras.proposals
    found = list(_run(engine, image, views, size, Extras(detection=low, proposals=proposals)))
    whole = found[0]
    pooled = ranked = None
    if whole.instances is not None:
        things = [each.instances if each.ranked is None else each.ranked for each in found]
        pooled = _pool(things, views, size, detection, engine.categories)
    if extras is not None and extras.detection is not None and pooled is not None:
        again = _run(engine, image, views, size, Extras(detection=extras.detection))
        things = [each.ranked for each in again]
        if things[0] is not None:
            ranked = _pool(things, views, size, extras.detection, engine.categories)
    semantic = _mean_logits(found[0], found[1], engine.categories)
    return replace(whole, semantic=semantic, instances=pooled, ranked=ranked)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """A part of a photo."""

    rows: slice
    columns: slice
    flipped: bool = False
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Corners of the part in units of the photo's sides."""

    def of(
        self, image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Cut the view out of a photo, and resize it."""
        part = image[self.rows, self.columns]
        pixels = resize(np.ascontiguousarray(part), size)
        return np.ascontiguousarray(pixels[:, ::-1]) if self.flipped else pixels

    def whole(
        self, boxes: Float32[np.ndarray, "n 4"], size: tuple[int, int]
    ) -> Bool[np.ndarray, " n"]:
        """Tell which boxes, in pixels of the view, the borders of the view do not cut."""
        height, width = size
        x0, y0, x1, y1 = self.box
        cut = ((boxes[:, 0] < _EDGE) & (x0 > 0)) | ((boxes[:, 2] > width - _EDGE) & (x1 < 1))
        cut |= ((boxes[:, 1] < _EDGE) & (y0 > 0)) | ((boxes[:, 3] > height - _EDGE) & (y1 < 1))
        return ~cut

    def shows(
        self, boxes: Float32[np.ndarray, "n 4"], size: tuple[int, int]
    ) -> Bool[np.ndarray, " n"]:
        """Tell which boxes, in pixels of the photo's frame, lie in the view."""
        sides = np.array([size[1], size[0]], np.float32)
        low, high = (np.array(each, np.float32) * sides for each in (self.box[:2], self.box[2:]))
        inside = (boxes[:, :2] >= low - _EDGE) & (boxes[:, 2:] <= high + _EDGE)
        return np.asarray(inside.all(axis=1))


def _views(height: int, width: int) -> list[_View]:
    """Return the photo, its mirror image, and its corners."""
    photo = _View(rows=slice(0, height), columns=slice(0, width))
    views = [photo, replace(photo, flipped=True)]
    rows, columns = (max(1, round(_CORNER * side)) for side in (height, width))
    for top in (0, height - rows):
        for left in (0, width - columns):
            box = (left / width, top / height, (left + columns) / width, (top + rows) / height)
            part = (slice(top, top + rows), slice(left, left + columns))
            views.append(_View(rows=part[0], columns=part[1], box=box))
    return views


def _run(
    engine: Engine,
    image: UInt8[np.ndarray, "h w 3"],
    views: Sequence[_View],
    size: tuple[int, int],
    extras: Extras,
) -> Iterator[Outputs]:
    """Run a network on views, in batches that suit it."""
    for first in range(0, len(views), engine.batch_size):
        batch = [view.of(image, size) for view in views[first : first + engine.batch_size]]
        for outputs in engine(np.stack(batch), extras):
            assert isinstance(outputs, Outputs)  # as `check_engine` has found
            yield outputs


def _mean_logits(
    photo: Outputs, mirrored: Outputs, categories: Categories
) -> Float32[np.ndarray, "k gh gw"] | None:
    """Average the probabilities for a photo and its mirror image."""
    if photo.semantic is None or mirrored.semantic is None:
        return None
    other = softmax(mirrored.semantic, axis=0)[list(categories.mirrored), :, ::-1]
    mean = (softmax(photo.semantic, axis=0) + other) / 2
    return np.log(np.maximum(mean, np.float32(_FEWEST)))


def _pool(
    found: Sequence[Instances | None],
    views: Sequence[_View],
    size: tuple[int, int],
    config: DetectionConfig,
    categories: Categories,
) -> Instances:
    """Pool the detections of all views, and suppress those of one thing."""
    placed = [
        _in_photo(instances, view, size, categories)
        for instances, view in zip(found, views, strict=True)
        if instances is not None
    ]
    view_of = np.repeat(np.arange(len(placed)), [len(each) for each in placed])
    pool = _joined(placed)
    order = np.argsort(-pool.scores, kind="stable")
    pool, view_of = pool.chosen(order), view_of[order]
    overlaps = _ious(pool.boxes)
    shown = np.sum([view.shows(pool.boxes, size) for view in views], axis=0)
    alive = np.ones(len(pool), bool)
    kept, scores, masks = [], [], []
    for i in range(len(pool)):
        if not alive[i]:
            continue
        group = _group(i, alive & (overlaps[i] >= _SAME) & (pool.labels == pool.labels[i]), view_of)
        rivals = overlaps[i] > config.max_overlap
        if not config.one_class_per_region:
            rivals &= pool.labels == pool.labels[i]
        alive[rivals] = False
        kept.append(i)
        scores.append(pool.scores[group].sum() / max(len(group), shown[i]))
        masks.append(_mean_mask(pool, i, group))
    best = pool.chosen(np.array(kept, np.int64))
    if kept:
        best = replace(best, scores=np.array(scores, np.float32), masks=np.stack(masks))
    order = np.argsort(-best.scores, kind="stable")
    order = order[best.scores[order] >= config.min_score][: config.max_detections]
    return best.chosen(order)


def _group(
    number: int, same: Bool[np.ndarray, " n"], view_of: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " g"]:
    """Return a detection and the best one of each other view that is the same thing."""
    others = np.flatnonzero(same & (view_of != view_of[number]))
    _, first = np.unique(view_of[others], return_index=True)
    return np.array([number, *others[first]], np.int64)


def _in_photo(
    instances: Instances, view: _View, size: tuple[int, int], categories: Categories
) -> Instances:
    """Move the detections of a view to the photo, without those that the view cuts."""
    boxes, masks, labels = instances.boxes.astype(np.float32), instances.masks, instances.labels
    kept = np.flatnonzero(view.whole(boxes, size))
    if view.flipped:
        boxes = boxes[:, [2, 1, 0, 3]]
        boxes[:, [0, 2]] = size[1] - boxes[:, [0, 2]]
        masks, labels = masks[..., ::-1], np.array(categories.mirrored, np.int64)[labels]
    x0, y0, x1, y1 = view.box
    scale = np.array([x1 - x0, y1 - y0] * 2, np.float32)
    shift = np.array([x0 * size[1], y0 * size[0]] * 2, np.float32)
    moved = replace(instances, boxes=boxes * scale + shift, masks=masks, labels=labels)
    return moved.chosen(kept)


def _joined(parts: Sequence[Instances]) -> Instances:
    return Instances(
        boxes=np.concatenate([part.boxes for part in parts]).astype(np.float32),
        labels=np.concatenate([part.labels for part in parts]).astype(np.int64),
        scores=np.concatenate([part.scores for part in parts]).astype(np.float32),
        masks=np.concatenate([part.masks for part in parts]).astype(np.float32),
    )


def _ious(boxes: Float32[np.ndarray, "n 4"]) -> Float32[np.ndarray, "n n"]:
    """Return the IoU of each pair of boxes."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    union = areas[:, None] + areas[None] - common
    return np.asarray(common / np.maximum(union, np.float32(_TINY)))


def _mean_mask(
    pool: Instances, number: int, group: Int64[np.ndarray, " g"]
) -> Float32[np.ndarray, "m m"]:
    """Average the masks of a group of detections on the grid of the first one's box."""
    side = pool.masks.shape[-1]
    centres = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / side
    x0, y0, x1, y1 = pool.boxes[number].tolist()
    columns, rows = x0 + centres * (x1 - x0), y0 + centres * (y1 - y0)
    total = np.zeros((side, side), np.float32)
    for other in group.tolist():
        left, top, right, bottom = pool.boxes[other].tolist()
        down = _weights((rows - top) / max(bottom - top, _TINY), side)
        across = _weights((columns - left) / max(right - left, _TINY), side)
        total += down @ pool.masks[other] @ across.T
    mean: Float32[np.ndarray, "m m"] = total / np.float32(len(group))
    return mean


def _weights(places: Float32[np.ndarray, " m"], cells: int) -> Float32[np.ndarray, "m c"]:
    """Return the share of each cell at places of a grid, 0 to 1; none outside the grid."""
    positions = (places * cells - 0.5).clip(0, cells - 1)
    distances = np.abs(positions[:, None] - np.arange(cells))
    shares = np.maximum(1 - distances, 0) * ((places >= 0) & (places <= 1))[:, None]
    return shares.astype(np.float32)
