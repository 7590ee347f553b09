"""Images in parts of given sizes, so that each part has its share of every class."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Float64, Int32, Int64

_NOWHERE = -1


def stratified(
    classes: Int32[np.ndarray, "u k"],
    images: Int64[np.ndarray, " u"],
    sizes: Int64[np.ndarray, " p"],
    seed: int,
) -> Int64[np.ndarray, " u"]:
    """Choose a part for each unit, which is an image or several that stay together.

    The rarest class comes first, because it has the least choice: each of its units goes to the
    part that lacks most of it.

    Args:
        classes: How many images of a unit have a class.
        images: How many images a unit has; at least one.
        sizes: How many images a part should have. Parts of units with one image have exactly as
            many, and no part stays empty if there are as many units as parts.
        seed: Of the order among equals.

    Returns:
        Numbers of parts.

    Reference:
        Sechidis et al., "On the Stratification of Multi-Label Data", 2011, algorithm 1. Deviating
        from it, a part that is full takes nothing more while there is room in another, and large
        units go first.
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
    chosen = np.full(len(images), _NOWHERE)
    left = total.copy()
    while left.any():
        rarest = int(np.where(left > 0, left, left.max() + 1).argmin())
        units = order[(chosen[order] == _NOWHERE) & (classes[order, rarest] > 0)]
        for unit in units.tolist():
            chosen[unit] = parts.place(classes[unit], int(images[unit]), rarest)
        left -= classes[units].sum(0)
    for unit in order[chosen[order] == _NOWHERE].tolist():
        chosen[unit] = parts.place(classes[unit], int(images[unit]), None)
    return chosen


@dataclass(kw_only=True)
class _Parts:
    """What the parts still lack."""

    wanted: Float64[np.ndarray, "p k"]
    """Images with a class."""
    room: Int64[np.ndarray, " p"]
    """Images."""
    isempty: np.ndarray
    units: int
    """Units without a part."""
    rng: np.random.Generator

    def place(self, classes: Int32[np.ndarray, " k"], images: int, rarest: int | None) -> int:
        """Put a unit into the part that lacks most of a class, or of everything."""
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
