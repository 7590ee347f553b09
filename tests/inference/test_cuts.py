"""Cuts between tiles, against all possible ones."""

from itertools import pairwise, product

import numpy as np
import pytest

from jsisnet.inference.cuts import Cuts, least_cut
from jsisnet.inference.tiles import TileConfig, zone


def best_of_all(differs, start):
    """Try every cut; return the fewest pixels that one passes, and its distance from the middle."""
    steps, width = differs.shape
    middle = (width + 1) // 2
    found = []
    for cut in product(range(width + 1), repeat=steps):
        line = cut if start is None else (middle + start, *cut)
        if any(abs(b - a) > 1 for a, b in pairwise(line)):
            continue
        found.append(cost(differs, [place - middle for place in cut]))
    return min(found)


def cost(differs, cut):
    """Return the pixels on either side of a cut that differ or are beyond, and its distance."""
    middle = (differs.shape[1] + 1) // 2
    passed = 0
    for row, distance in zip(differs.tolist(), cut, strict=True):
        beside = [True, *row, True]
        passed += beside[middle + distance] + beside[middle + distance + 1]
    return passed, sum(map(abs, cut))


@pytest.mark.parametrize("start", [None, 0, -2, 1])
@pytest.mark.parametrize("seed", range(12))
def test_no_cut_passes_fewer_pixels_that_differ_or_is_nearer_to_the_middle(seed, start):
    random = np.random.default_rng(seed)
    width = int(random.integers(4, 6)) if start else int(random.integers(0, 6))
    differs = random.random((int(random.integers(1, 6)), width)) < random.random()

    found = least_cut(differs, start).tolist()

    line = found if start is None else [start, *found]
    assert all(abs(b - a) <= 1 for a, b in pairwise(line))
    assert cost(differs, found) == best_of_all(differs, start)


def test_cut_is_straight_where_the_maps_agree():
    assert least_cut(np.zeros((5, 8), bool)).tolist() == [0] * 5


def test_cut_goes_around_what_differs():
    differs = np.zeros((9, 8), bool)
    differs[3:6, 1:6] = True

    cut = least_cut(differs)

    beside = np.array(
        [differs[row, 4 + place - 1 : 4 + place + 1] for row, place in enumerate(cut)]
    )
    assert not beside.any()
    assert cut[[0, -1]].tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(8))
def test_each_pixel_belongs_to_one_tile_wherever_the_cuts_run(seed):
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 60)), int(random.integers(1, 60))
    overlap = int(random.integers(0, 9))
    grid = TileConfig(size=(16, 18), overlap=min(8, overlap)).grid(size, None)
    cuts = Cuts.straight(grid)
    owners = np.zeros(size, int)

    for (i, row), (j, column) in product(enumerate(grid.rows), enumerate(grid.columns)):
        if j:
            shape = len(row.whole), len(zone(grid.columns[j - 1], column))
            cuts.cut_left(i, j, random.random(shape) < 0.5)
        if i:
            shape = len(zone(grid.rows[i - 1], row)), len(column.core)
            cuts.cut_above(i, j, random.random(shape) < 0.5)
    for (i, row), (j, column) in product(enumerate(grid.rows), enumerate(grid.columns)):
        owners[np.ix_(row.whole, column.whole)] += cuts.owned(i, j)

    assert (owners == 1).all()
    assert len(grid) == 1 or abs(np.diff(cuts.across.astype(int), axis=1)).max(initial=0) <= 1
