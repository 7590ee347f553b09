"""Stable ids: which segments of the frames of a clip are the same object."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jsisnet.arrays import Bool, Int32, Int64
from jsisnet.checks import check_fractions
from jsisnet.panoptic import VOID, PanopticMap

_MOST_KEPT = 100_000
"""Most frames for which a track may be kept."""

_MOST_REACH = 10.0
"""Largest reach, in sizes of the object."""

_WHOLE = 0.9
"""Part of an object's usual area from which it is taken to be seen as a whole."""

_SHRINKING = 0.97
"""Part of its usual area that an object keeps at least from one frame to the next."""

_INERTIA = 0.5
"""Weight of the earlier displacement of an object in the mean with its newest one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityConfig:
    """Settings of what counts as the same object in the next frame."""

    min_iou: float = 0.3
    """Lowest IoU, 0 to 1, of a thing with the mask where its track is expected."""

    reach: float = 1.0
    """Largest distance between the centres of a thing and of a track where their IoU is lower,
    relative to the square root of the object's usual area, 0 to 10; 0 asks for the IoU always."""

    keep: int = 15
    """Frames, 0 to 100,000, for which a track waits for its object to be seen again."""

    def __post_init__(self) -> None:
        check_fractions(self, "min_iou")
        if not 0 <= self.reach <= _MOST_REACH:
            raise ValueError(
                f"reach is {self.reach:g}; expected a number from 0 to {_MOST_REACH:g}"
            )
        if not 0 <= self.keep <= _MOST_KEPT:
            raise ValueError(f"keep is {self.keep}; expected 0 to {_MOST_KEPT:,} frames")


class _Vector(NamedTuple):
    """A position or a displacement in pixels, downwards and to the right."""

    down: float
    right: float


_STILL = _Vector(0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """The mask of a thing inside its box."""

    mask: Bool[np.ndarray, "h w"]
    top: int
    left: int
    area: int
    centre: _Vector

    def overlaps(
        self, ids: Int32[np.ndarray, "h w"], moved: _Vector, count: int
    ) -> tuple[int, Int64[np.ndarray, " n"]]:
        """Count the pixels that the moved mask has inside a map, and shares with each segment."""
        top, left = self.top + round(moved.down), self.left + round(moved.right)
        (height, width), (rows, columns) = self.mask.shape, ids.shape
        y0, x0 = max(0, top), max(0, left)
        y1, x1 = min(rows, top + height), min(columns, left + width)
        if y0 >= y1 or x0 >= x1:
            return 0, np.zeros(count + 1, np.int64)
        found = ids[y0:y1, x0:x1][self.mask[y0 - top : y1 - top, x0 - left : x1 - left]]
        return len(found), np.bincount(found, minlength=count + 1)


@dataclass(slots=True, eq=False)
class _Track:
    """An object that was seen in some frame."""

    id: int
    label: int
    shape: _Shape
    whole: _Vector
    """Its centre when it was last seen as a whole."""
    usual: float
    """Its area, without what is hidden."""
    displacement: _Vector = _STILL
    """Mean motion from one frame to the next."""
    age: int = 0
    """Frames since it was last seen as a whole."""
    missed: int = 0
    """Frames since it was last seen."""
    moves: bool = False
    """Whether its displacement was measured."""

    @property
    def moved(self) -> _Vector:
        """How far it is expected to have moved since it was last seen, in the next frame."""
        steps = self.missed + 1
        return _Vector(steps * self.displacement.down, steps * self.displacement.right)

    def distance(self, centre: _Vector) -> float:
        """Return the distance of a centre from the nearest of those that are expected.

        These are the last one, the same moved on, and that of the whole object moved on.
        """
        seen, whole, moved, steps = self.shape.centre, self.whole, self.moved, self.age + 1
        expected = (
            seen,
            _Vector(seen.down + moved.down, seen.right + moved.right),
            _Vector(
                whole.down + steps * self.displacement.down,
                whole.right + steps * self.displacement.right,
            ),
        )
        return min(math.hypot(centre.down - y, centre.right - x) for y, x in expected)

    def follow(self, shape: _Shape) -> None:
        """Note that the object was seen."""
        self.usual = max(float(shape.area), _SHRINKING * self.usual)
        if shape.area >= _WHOLE * self.usual:
            steps, kept = self.age + 1, _INERTIA if self.moves else 0.0
            down = (shape.centre.down - self.whole.down) / steps
            right = (shape.centre.right - self.whole.right) / steps
            self.displacement = _Vector(
                kept * self.displacement.down + (1 - kept) * down,
                kept * self.displacement.right + (1 - kept) * right,
            )
            # The frame is counted at its end.
            self.whole, self.age, self.moves = shape.centre, -1, True
        self.shape, self.missed = shape, 0


class Identities:
    """Gives the segments of the maps of a clip ids that stay with their objects.

    An id is a positive integer, counted from 1 in the order in which objects appear, and never used
    again for another one.

    - All pixels of a stuff class have one id in the whole clip.
    - A track is a thing that was seen in some frame. In the next frame its mask is expected where
      it was last seen, moved by its displacement: the mean of how far its centre moved from frame
      to frame, the newest motion counting half. While less than 0.9 of its usual area is seen, as
      behind another object, its displacement stays as it was. The usual area is the newest one, but
      at least 0.97 of what it was in the frame before.
    - Things and tracks of one class are paired one to one. A pair fits if the IoU of the thing with
      the expected mask is at least `min_iou`; or else if the centre of the thing is less than
      `reach` sizes of the object away from where the track was last seen or is expected. The best
      pairs come first: by IoU, and then by distance.
    - A thing without a track starts one. A track without a thing waits `keep` frames, in which it
      keeps moving.
    """

    def __init__(self, config: IdentityConfig | None = None) -> None:
        """Begin a clip."""
        self.config = config or IdentityConfig()
        self._tracks: list[_Track] = []
        self._stuff: dict[tuple[int, int], int] = {}
        self._count = 0

    def update(self, panoptic: PanopticMap) -> tuple[int, ...]:
        """Return the ids of the segments of the next frame, in their order."""
        shapes = _shapes(panoptic)
        paired = self._pairs(panoptic, shapes)
        ids = []
        occurrences: dict[int, int] = {}
        for number, segment in enumerate(panoptic.segments, 1):
            if segment.isthing and number in shapes:
                ids.append(self._followed(paired.get(number), segment.label, shapes[number]))
            else:
                turn = occurrences[segment.label] = occurrences.get(segment.label, 0) + 1
                ids.append(self._stuff_id(segment.label, turn))
        self._forget({*ids})
        return tuple(ids)

    def displacement(self, track: int) -> tuple[float, float]:
        """Return how many pixels an object moves down and right per frame; 0 for stuff."""
        found = (each.displacement for each in self._tracks if each.id == track)
        down, right = next(found, _Vector(0.0, 0.0))
        return down, right

    def _followed(self, track: _Track | None, label: int, shape: _Shape) -> int:
        if track is None:
            track = _Track(self._new(), label, shape, shape.centre, float(shape.area))
            track.age = -1
            self._tracks.append(track)
        else:
            track.follow(shape)
        return track.id

    def _stuff_id(self, label: int, turn: int) -> int:
        """Return the id of a class; the further segments that an odd map has of it get others."""
        if (label, turn) not in self._stuff:
            self._stuff[label, turn] = self._new()
        return self._stuff[label, turn]

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _forget(self, seen: set[int]) -> None:
        """Count the frames that tracks were missed in, and drop those that were for too long."""
        for track in self._tracks:
            track.missed += track.id not in seen
            track.age += 1
        self._tracks = [track for track in self._tracks if track.missed <= self.config.keep]

    def _pairs(self, panoptic: PanopticMap, shapes: dict[int, _Shape]) -> dict[int, _Track]:
        """Pair things with tracks one to one, best pairs first."""
        candidates = [
            (fit, -track.id, number, track)
            for track in self._tracks
            for number, fit in self._fits(track, panoptic, shapes).items()
        ]
        paired: dict[int, _Track] = {}
        taken = set[int]()
        for _, _, number, track in sorted(candidates, key=lambda each: each[:3], reverse=True):
            if number not in paired and track.id not in taken:
                paired[number] = track
                taken.add(track.id)
        return paired

    def _fits(
        self, track: _Track, panoptic: PanopticMap, shapes: dict[int, _Shape]
    ) -> dict[int, float]:
        """Return how well a track fits to things by number: their IoU, or below 0 the distance."""
        inside, shared = track.shape.overlaps(panoptic.ids, track.moved, len(panoptic.segments))
        reach = self.config.reach * math.sqrt(track.usual)
        fits = {}
        for number, shape in shapes.items():
            if panoptic.segments[number - 1].label != track.label:
                continue
            common = int(shared[number])
            iou = common / (inside + shape.area - common)
            if common and iou >= self.config.min_iou:
                fits[number] = iou
            elif (distance := track.distance(shape.centre)) < reach:
                fits[number] = -distance / reach
        return fits


def _shapes(panoptic: PanopticMap) -> dict[int, _Shape]:
    """Return the masks of the things that have pixels, by number."""
    shapes = {}
    for number, (x0, y0, x1, y1) in enumerate(panoptic.boxes().tolist(), 1):
        if not panoptic.segments[number - 1].isthing or x1 == x0:
            continue
        mask = panoptic.ids[y0:y1, x0:x1] == number
        rows, columns = mask.sum(axis=1), mask.sum(axis=0)
        area = int(rows.sum())
        centre = _Vector(
            y0 + float(rows @ np.arange(y1 - y0)) / area,
            x0 + float(columns @ np.arange(x1 - x0)) / area,
        )
        shapes[number] = _Shape(mask, y0, x0, area, centre)
    return shapes


def carried(
    panoptic: PanopticMap, displacements: Sequence[tuple[float, float]], frames: float
) -> tuple[PanopticMap, list[int]]:
    """Predict the map of a later frame: things move on, stuff stays and fills what they leave.

    Args:
        panoptic: Map of an earlier frame.
        displacements: How far each segment moves down and right per frame.
        frames: Number of frames to move on.

    Returns:
        The map without the segments that have left the frame, and the indices of those that remain.
    """
    isthing = np.array([False, *(segment.isthing for segment in panoptic.segments)])
    ids = _filled(panoptic.ids, isthing)
    shapes = _shapes(panoptic)
    # Small things are likely to be in front.
    for number in sorted(shapes, key=lambda each: -shapes[each].area):
        shape, (down, right) = shapes[number], displacements[number - 1]
        top, left = shape.top + round(frames * down), shape.left + round(frames * right)
        (height, width), (rows, columns) = shape.mask.shape, ids.shape
        y0, x0 = min(rows, max(0, top)), min(columns, max(0, left))
        y1, x1 = max(y0, min(rows, top + height)), max(x0, min(columns, left + width))
        ids[y0:y1, x0:x1][shape.mask[y0 - top : y1 - top, x0 - left : x1 - left]] = number
    present = np.bincount(ids.ravel(), minlength=len(panoptic.segments) + 1)[1:]
    return PanopticMap.compact(ids, panoptic.segments), np.flatnonzero(present).tolist()


def _filled(
    ids: Int32[np.ndarray, "h w"], isthing: Bool[np.ndarray, " n"]
) -> Int32[np.ndarray, "h w"]:
    """Replace things by the stuff or void to their left, or else to their right."""
    behind = ~isthing.take(ids)
    columns = np.arange(ids.shape[1])
    before = np.maximum.accumulate(np.where(behind, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(behind, columns, ids.shape[1])[:, ::-1], axis=1)[:, ::-1]
    source = np.where(before >= 0, before, after)
    whole = source >= ids.shape[1]
    filled = np.take_along_axis(ids, np.where(whole, 0, source), axis=1)
    filled[whole] = VOID
    return filled
