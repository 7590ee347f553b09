"""Cuts between the maps of overlapping tiles, along which both agree as far as they can."""

from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Int64, Integer
from jsisnet.inference.tiles import Grid

_FAR = 2**62
"""Cost of a place that a cut can't reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Lines at which the tiles of a picture end, so that each pixel belongs to one tile.

    They are stored as distances from the straight lines between the cores of the tiles. The sides
    of the picture are the first and the last line.
    """

    grid: Grid

    down: tuple[Integer[np.ndarray, "_ _"], ...]
    """Lines between the columns of tiles, in the rows of each row of tiles."""

    across: Integer[np.ndarray, "_ _"]
    """Lines between the rows of tiles."""

    @classmethod
    def straight(cls, grid: Grid) -> "Cuts":
        """Return cuts in the middle of what neighbours share."""
        rows, columns = len(grid.rows) + 1, len(grid.columns) + 1
        down = (np.zeros((columns, len(row.whole)), np.int16) for row in grid.rows)
        return cls(grid, tuple(down), np.zeros((rows, grid.size[1]), np.int16))

    def cut_left(self, row: int, column: int, differs: Bool[np.ndarray, "h zone"]) -> None:
        """Move the line between a tile and the one to its left.

        Args:
            row: Row of the tile among the tiles.
            column: Its column; not the first.
            differs: Where both maps differ, in all rows of the tile.
        """
        self.down[row][column] = least_cut(differs)

    def cut_above(self, row: int, column: int, differs: Bool[np.ndarray, "zone w"]) -> None:
        """Move the line between a tile and the one above it, which continues that to the left.

        Args:
            row: Row of the tile among the tiles; not the first.
            column: Its column.
            differs: Where both maps differ, in the columns of the tile's core.
        """
        core = self.grid.columns[column].core
        start = int(self.across[row, core.start - 1]) if column else None
        self.across[row, core.start : core.stop] = least_cut(differs.T, start)

    def owned(self, row: int, column: int) -> Bool[np.ndarray, "h w"]:
        """Return which of the pixels that a tile sees belong to it."""
        down, across = self.grid.rows[row], self.grid.columns[column]
        y, x = np.array(down.whole)[:, None], np.array(across.whole)
        left, right = self.down[row][column : column + 2, :, None]
        top, bottom = self.across[row : row + 2, across.whole.start : across.whole.stop]
        owned = (x - across.core.start >= left) & (x - across.core.stop < right)
        owned &= (y - down.core.start >= top) & (y - down.core.stop < bottom)
        return owned


def least_cut(
    differs: Bool[np.ndarray, "steps zone"], start: int | None = None
) -> Integer[np.ndarray, " steps"]:
    """Find the cut that passes the fewest pixels at which two maps differ.

    A cut has a place between two pixels of each row, or at an end, and moves by one place from row
    to row at most. Of the cuts that pass as few, the one nearest to the middle is chosen, where
    both maps are best.

    Args:
        differs: Whether the maps differ at each pixel. The pixels beyond count as different.
        start: Distance from the middle at which the cut is before the first row; ``None`` for any.

    Returns:
        Distance from the middle of each row, in pixels.

    Reference:
        Efros and Freeman, "Image Quilting for Texture Synthesis and Transfer", section 2.1.
    """
    steps, places = len(differs), differs.shape[1] + 1
    away = np.arange(places) - places // 2
    if not start and not differs.any():
        return np.zeros(steps, np.int16)
    total = np.full(places + 2, _FAR)  # with a place beyond each end
    total[1:-1] = 0 if start is None else np.where(away == start, 0, _FAR)
    turns = np.zeros((steps, places), np.int8)
    worst = np.int64(steps * places)  # more than the distances of all rows
    bad = np.pad(differs, ((0, 0), (1, 1)), constant_values=True).astype(np.int8)
    for passed, turn in zip(bad[:, :-1] + bad[:, 1:], turns, strict=True):
        before, here, after = total[:-2], total[1:-1], total[2:]
        aside = np.minimum(before, after)
        np.copyto(turn, np.where(before <= after, -1, 1), where=aside < here)
        costs = worst * passed + abs(away)
        total[1:-1] = np.minimum(np.minimum(here, aside) + costs, _FAR)
    return _traced(turns, int(total[1:-1].argmin())).astype(np.int16) - np.int16(places // 2)


def _traced(turns: Integer[np.ndarray, "steps places"], place: int) -> Int64[np.ndarray, " steps"]:
    """Return the place in each row, from the last one back, by where each place is reached from."""
    found = np.zeros(len(turns), np.int64)
    for step in range(len(turns) - 1, -1, -1):
        found[step] = place
        place += int(turns[step, place])
    return found
