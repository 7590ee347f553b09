"""Joining of the maps of tiles."""

import numpy as np
import pytest

from jsisnet.inference.seams import TileMap, join
from jsisnet.inference.tiles import TileConfig
from jsisnet.panoptic import Segment

ROAD = 2


def thing(label=0, score=0.5):
    return Segment(label=label, isthing=True, score=score)


def stuff(label=ROAD):
    return Segment(label=label, isthing=False)


def joined(tiles, size, *, tile=8, overlap=4, **settings):
    """Join tiles, each a function of its window of rows and columns, or a list of maps.

    Args:
        tiles: For each tile, row by row, its ids and its segments.
        size: Height and width of the picture.
        tile: Side of a tile.
        overlap: Overlap of tiles.
        settings: See `TileConfig`.

    Returns:
        What is joined, and the ids of the picture.
    """
    config = TileConfig(size=(tile, tile), overlap=overlap, **settings)
    grid = config.grid(size, None)
    segments, maps = [], []
    for local, found in tiles:
        ids = np.array(local, np.uint32)
        maps.append(np.where(ids, ids + np.uint32(len(segments)), np.uint32(0)))
        segments += found

    def load(i, j):
        place = i * len(grid.columns) + j
        return TileMap(grid.rows[i], grid.columns[j], maps[place])

    found = join(grid, load, segments, config.min_overlap)
    ids = np.zeros(size, np.uint32)
    for i, row in enumerate(grid.rows):
        for j, column in enumerate(grid.columns):
            window = np.ix_(row.whole, column.whole)
            owned = found.cuts.owned(i, j)
            ids[window] = np.where(owned, found.ids[load(i, j).numbers], ids[window])
    return found, ids


def cut(whole, segments, *, tile=8, overlap=4):
    """Return the tiles of a map that a perfect network would give, in their own numbers."""
    grid = TileConfig(size=(tile, tile), overlap=overlap).grid(whole.shape, None)
    for row in grid.rows:
        for column in grid.columns:
            part = whole[np.ix_(row.whole, column.whole)]
            present = [number for number in np.unique(part) if number]
            local = np.zeros(len(segments) + 1, np.uint32)
            # Each tile numbers its segments in an order of its own.
            local[present[::-1]] = np.arange(1, len(present) + 1)
            yield local[part], [segments[number - 1] for number in present[::-1]]


def test_a_thing_over_four_tiles_is_one_segment():
    whole = np.zeros((12, 12), np.int64)
    whole[3:10, 2:11] = 1

    found, ids = joined(cut(whole, [thing()]), whole.shape)

    assert found.segments == (thing(),)
    assert found.areas.tolist() == [63]
    assert found.boxes.tolist() == [[2, 3, 11, 10]]
    assert np.array_equal(ids, whole)


def test_two_things_of_a_class_that_meet_at_a_seam_remain_two():
    whole = np.ones((8, 12), np.int64)
    whole[:, 6:] = 2

    found, ids = joined(cut(whole, [thing(), thing()]), whole.shape)

    assert len(found.segments) == 2
    assert found.areas.tolist() == [48, 48]
    assert len(np.unique(ids[:, :6])) == len(np.unique(ids[:, 6:])) == 1


def test_things_of_other_classes_are_never_joined():
    left = np.ones((8, 8), int), [thing(label=0)]
    right = np.ones((8, 8), int), [thing(label=1)]

    found, _ = joined([left, right], (8, 12))

    assert [each.label for each in found.segments] == [0, 1]


@pytest.mark.parametrize(("shared", "count"), [(2, 2), (3, 1)])
def test_things_are_joined_by_their_iou_where_both_tiles_see_them(shared, count):
    left, right = np.zeros((8, 8), int), np.zeros((8, 8), int)
    left[0, 4:], right[0, 4 - shared :] = 1, 1  # 4 pixels where both see, against 2 or 3 of them

    found, _ = joined([(left, [thing()]), (right, [thing()])], (8, 12))

    assert len(found.segments) == count


def test_stuff_is_joined_by_class_even_if_it_does_not_meet():
    whole = np.zeros((8, 30), np.int64)
    whole[:, :3], whole[:, 26:], whole[:, 12:15] = 1, 1, 2

    found, ids = joined(cut(whole, [stuff(2), stuff(3)]), whole.shape)

    assert found.segments == (stuff(2), stuff(3))
    assert found.areas.tolist() == [7 * 8, 3 * 8]
    assert found.boxes.tolist() == [[0, 0, 30, 8], [12, 0, 15, 8]]
    assert np.array_equal(ids, whole)


def test_the_score_of_a_thing_is_the_mean_of_its_parts_by_pixels():
    left, right = np.zeros((8, 8), int), np.zeros((8, 8), int)
    left[0, 3:], right[0, :5] = 1, 1  # columns 3 to 8; the cut is at 6

    found, _ = joined([(left, [thing(score=0.9)]), (right, [thing(score=0.3)])], (8, 12))

    assert found.areas.tolist() == [6]
    assert found.segments[0].score == pytest.approx((3 * 0.9 + 3 * 0.3) / 6)


def test_things_come_first_and_the_best_of_them_before_the_others():
    whole = np.zeros((8, 12), np.int64)
    whole[0], whole[2, :2], whole[4, :2] = 1, 2, 3

    found, _ = joined(
        cut(whole, [stuff(), thing(score=0.4), thing(label=1, score=0.8)]), whole.shape
    )

    assert [each.score for each in found.segments] == [0.8, 0.4, None]


def test_what_another_tile_decides_about_is_left_out():
    right = np.zeros((8, 8), int)
    right[:, 0] = 1  # column 4, of which the left tile decides

    found, ids = joined([(np.zeros((8, 8), int), []), (right, [thing()])], (8, 12))

    assert found.segments == ()
    assert not ids.any()


def test_more_than_65536_segments_keep_their_ids():
    count = 70_000
    whole = np.arange(1, count + 1).reshape(1, -1)
    segments = [thing()] * count

    found, ids = joined(cut(whole, segments, tile=16_384, overlap=8), whole.shape, tile=16_384)

    assert len(found.segments) == count
    assert len(np.unique(ids)) == count
    assert ids.max() == count


@pytest.mark.parametrize("seed", range(5))
def test_tiles_of_a_map_join_to_the_map(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 60, 2)
    whole = np.zeros((height, width), np.int64)
    segments = [stuff(2), stuff(3)]
    whole[:, : width // 2], whole[: height // 3] = 1, 2
    for number in range(3, 9):
        segments.append(thing(number % 2, score=number / 10))
        y, x = random.integers(0, height), random.integers(0, width)
        whole[y : y + random.integers(3, 20), x : x + random.integers(3, 20)] = number
    whole[whole == 5] = 0

    tiles = cut(whole, segments, tile=16, overlap=6)
    found, ids = joined(tiles, whole.shape, tile=16, overlap=6)

    for number, segment in enumerate(found.segments, 1):
        mask = ids == number
        (own,) = np.unique(whole[mask])
        ys, xs = np.nonzero(mask)
        assert segments[own - 1].label == segment.label
        assert found.areas[number - 1] == mask.sum()
        assert found.boxes[number - 1].tolist() == [
            xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        ]  # fmt: skip
    assert np.array_equal(ids == 0, whole == 0)


def at_random(seed, size, **settings):
    """Return tiles that see different things, and the picture that they are joined to."""
    random = np.random.default_rng(seed)
    config = TileConfig(size=(settings["tile"],) * 2, overlap=settings["overlap"])
    tiles = []
    for _ in range(len(config.grid(size, None))):
        ids = np.zeros((min(16, size[0]), min(16, size[1])), int)
        for number in range(1, 5):
            y, x, high, wide = random.integers(0, 12, 4)
            ids[y : y + high, x : x + wide] = number
        segments = [stuff(5), stuff(6), thing(score=0.5), thing(1, score=0.4)]
        tiles.append((ids, segments))
    return joined(tiles, size, **settings)


@pytest.mark.parametrize("seed", range(6))
def test_areas_and_boxes_are_those_of_the_picture_where_tiles_differ(seed):
    found, ids = at_random(seed, (39, 50), tile=16, overlap=7)

    for number, (area, box) in enumerate(zip(found.areas, found.boxes, strict=True), 1):
        ys, xs = np.nonzero(ids == number)
        assert area == len(ys)
        assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert ids.max() == len(found.segments)


def test_tiles_end_where_they_differ_least():
    left, right = np.ones((8, 8), int), np.ones((8, 8), int)
    right[2:6, 1:3] = 2  # columns 5 and 6 of the picture, of which the middle is the straight cut

    _, ids = joined([(left, [stuff(5)]), (right, [stuff(5), stuff(6)])], (8, 12))

    assert set(np.unique(ids[2:6, 5:7])) in ({1}, {2})  # all of what only one tile sees, or nothing
