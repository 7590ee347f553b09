"""Division of pictures into tiles."""

from itertools import pairwise

import pytest

from jsisnet.inference.tiles import TileConfig, spans


@pytest.mark.parametrize("length", [1, 7, 8, 9, 13, 15, 16, 17, 100, 1001])
@pytest.mark.parametrize(("tile", "overlap"), [(8, 0), (8, 2), (8, 4), (16, 5)])
def test_tiles_cover_every_pixel_and_overlap_enough(length, tile, overlap):
    found = spans(length, tile, overlap)

    assert [pixel for each in found for pixel in each.core] == list(range(length))
    assert found[0].whole.start == 0
    assert found[-1].whole.stop == length
    for each in found:
        assert len(each.whole) == min(tile, length)
        assert each.whole.start <= each.core.start <= each.core.stop <= each.whole.stop
    for first, second in pairwise(found):
        assert first.whole.stop - second.whole.start >= overlap
        middle = (second.whole.start + first.whole.stop) // 2
        assert first.core.stop == middle


def test_no_more_tiles_are_taken_than_needed():
    assert [each.whole for each in spans(14, 8, 2)] == [range(8), range(6, 14)]
    assert len(spans(15, 8, 2)) == 3


def test_tiles_are_as_large_as_the_input_of_the_network_by_default():
    grid = TileConfig().grid((1000, 2000), (352, 480))

    assert {len(each.whole) for each in grid.rows} == {352}
    assert {len(each.whole) for each in grid.columns} == {480}
    assert grid.rows[0].whole.stop - grid.rows[1].whole.start >= 44
    assert len(grid) == len(grid.rows) * len(grid.columns)
    assert len(TileConfig().grid((3000, 10), None).rows) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (0, 8)}, "size"),
        ({"overlap": -1}, "overlap"),
        ({"size": (64, 32), "overlap": 17}, "overlap by 17; expected at most half, 16"),
        ({"min_overlap": 2.0}, "min_overlap"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TileConfig(**settings)


def test_an_overlap_of_more_than_half_the_input_of_the_network_is_refused():
    with pytest.raises(ValueError, match="expected at most half, 8"):
        TileConfig(overlap=9).grid((100, 100), (16, 32))
