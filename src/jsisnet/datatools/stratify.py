"""Stratified splitting: parts of given sizes in which every class has its share."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Float64, Int32, Int64

_UNASSIGNED = -1


def stratify(
    classes: Int32[np.ndarray, "u k"],
    images: Int64[np.ndarray, " u"],
    sizes: Int64[np.ndarray, " p"],
    seed: int,
) -> Int64[np.ndarray, " u"]:
    """Assign each unit, which is one image or several that stay together, to a part.

    The rarest class comes first, because it has the fewest options: each of its units goes to the
    part that still needs most of it.

    Args:
        classes: Number of images in each unit that have each class.
        images: Number of images in each unit, at least one.
        sizes: Number of images that each part should have. If all units are single images the sizes
            are exact, and no part stays empty if there are at least as many units as parts.
        seed: Seed of the random order of equally good choices.

    Returns:
        The part of each unit.

    Reference:
        Sechidis et al., "On the Stratification of Multi-Label Data", 2011, algorithm 1. Unlike it,
        a full part takes no more units while another has room, and large units go first.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    order = order[np.argsort(-images[order], kind="stable")]
    total = classes.sum(0, dtype=np.int64)
    parts = _Parts(
        wanted=np.outer(sizes / max(1, sizes.sum()), total),
        room=sizes.copy(),
        isempty=np.ones(len(sizes), bool),
        units=len(images),
        rng=rng,
    )
    chosen = np.full(len(images), _UNASSIGNED)
    left = total.copy()
    while left.any():
        rarest = int(np.where(left > 0, left, left.max() + 1).argmin())
        units = order[(chosen[order] == _UNASSIGNED) & (classes[order, rarest] > 0)]
        for unit in units.tolist():
            chosen[unit] = parts.place(classes[unit], int(images[unit]), rarest)
        left -= classes[units].sum(0)
    for unit in order[chosen[order] == _UNASSIGNED].tolist():
        chosen[unit] = parts.place(classes[unit], int(images[unit]), None)
    return chosen


@dataclass(kw_only=True)
class _Parts:
    """What each part still needs."""

    wanted: Float64[np.ndarray, "p k"]
    """Number of images with each class."""
    room: Int64[np.ndarray, " p"]
    """Number of images."""
    isempty: np.ndarray
    units: int
    """Number of units that are not assigned yet."""
    rng: np.random.Generator

    def place(self, classes: Int32[np.ndarray, " k"], images: int, rarest: int | None) -> int:
        """Assign a unit to the part that needs most of the rarest class, or most images."""
        part = max(
            self._possible(images),
            key=lambda part: (
                0.0 if rarest is None else self.wanted[part, rarest],
                self.room[part],
                self.rng.random(),
            ),
        )
        self.wanted[part] -= classes
        self.room[part] -= images
        self.isempty[part] = False
        self.units -= 1
        return part

    def _possible(self, images: int) -> list[int]:
        if self.units == self.isempty.sum():
            return np.flatnonzero(self.isempty).tolist()
        fitting = self.room >= images
        return np.flatnonzero(fitting if fitting.any() else self.room == self.room.max()).tolist()
