import numpy as np
import pytest

from jsisnet.visualize.borders import lines, without_fragments


def parts_by_flooding(ids):
    """Connected parts of segments as sets of pixels, found one pixel at a time."""
    left, parts = {*np.ndindex(ids.shape)}, []
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            part.add((row, column))
            for pixel in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if pixel in left and ids[pixel] == ids[row, column]:
                    left.remove(pixel)
                    edge.append(pixel)
        parts.append(part)
    return parts


@pytest.mark.parametrize("seed", range(20))
def test_small_parts_and_only_they_are_filled_with_a_segment_of_their_row(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, rng.integers(1, 12, 2), dtype=np.int32)

    filled = without_fragments(ids, 4)

    parts = parts_by_flooding(ids)
    large = {pixel for part in parts if len(part) >= 4 for pixel in part}
    for row, column in np.ndindex(ids.shape):
        if (row, column) in large or not large:
            assert filled[row, column] == ids[row, column]
        elif values := {ids[pixel] for pixel in large if pixel[0] == row}:
            assert filled[row, column] in values


def test_a_spiral_is_one_part():
    ids = np.ones((9, 9), np.int32)
    ids[1:8, 1:8] = [
        [2, 2, 2, 2, 2, 2, 2],
        [1, 1, 1, 1, 1, 1, 2],
        [2, 2, 2, 2, 2, 1, 2],
        [2, 1, 1, 1, 2, 1, 2],
        [2, 1, 2, 2, 2, 1, 2],
        [2, 1, 1, 1, 1, 1, 2],
        [2, 2, 2, 2, 2, 2, 2],
    ]
    count = int((ids == 2).sum())

    assert (without_fragments(ids, count) == ids).all()
    assert (without_fragments(ids, count + 1) == 1).all()


@pytest.mark.parametrize(("width", "expected"), [(1.0, [0, 128, 128, 0]), (2.0, [0, 255, 255, 0])])
def test_thin_lines_cover_the_pixels_beside_a_border(width, expected):
    ids = np.repeat(np.array([[1, 1, 1, 2, 2, 2]], np.int32), 5, axis=0)

    cover = lines(ids, width, 1)

    assert abs(cover[2, 1:5].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("width", [2.5, 3.0, 4.0, 5.6])
def test_wide_lines_cover_their_width(width):
    ids = np.ones((40, 40), np.int32)
    ids[:, 20:] = 2

    cover = lines(ids, width, 1)

    assert cover[20].sum() / 255 == pytest.approx(width, abs=0.15)
    assert (cover[:, 19:21] > 250).all()


def test_a_map_of_one_segment_has_no_lines():
    assert not lines(np.ones((5, 6), np.int32), 1.5, 3).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_maps_of_any_size_have_lines(size):
    ids = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)

    assert lines(ids, 3.0, 1).shape == size
