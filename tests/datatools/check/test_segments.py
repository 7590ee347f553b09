import numpy as np
import pytest

from jsisnet.datatools.check.listing import ListedCategory
from jsisnet.datatools.check.segments import Segments, by_id, regions, repaired


def test_regions_have_ids_areas_boxes_and_pieces():
    ids = np.array([[7, 7, 0, 0], [0, 0, 7, 300], [300, 0, 0, 0]], np.uint32)

    found = regions(ids)

    assert found.ids.tolist() == [0, 7, 300]
    assert found.areas.tolist() == [7, 3, 2]
    assert found.boxes.tolist() == [[0, 0, 4, 3], [0, 0, 3, 2], [0, 1, 4, 3]]
    assert found.pieces.tolist() == [1, 1, 2]


def test_what_meets_at_the_ends_of_rows_is_not_in_one_piece():
    ids = np.array([[0, 0, 5], [5, 0, 0]], np.uint32)

    assert regions(ids).pieces.tolist() == [1, 2]


def test_arms_that_join_further_down_are_one_piece():
    ids = np.array([[5, 0, 5, 0, 5], [5, 0, 5, 0, 5], [5, 5, 5, 5, 5]], np.uint32)

    assert regions(ids).pieces.tolist() == [2, 1]


CAR, SKY = 3, 92
CATEGORIES = {
    CAR: ListedCategory(entry={"name": "car"}, isthing=True),
    SKY: ListedCategory(entry={"name": "sky"}, isthing=False),
}


def repair(ids, *infos):
    """Give the repaired map, and id, category, area and bbox of its segments."""
    drawn = np.array(ids, np.uint32)
    made = repaired(Segments(infos, by_id(regions(drawn)), CATEGORIES), drawn)
    rows = [[info[name] for name in ("id", "category_id", "area")] for info in made.segments_info]
    return None if made.ids is None else made.ids.tolist(), rows


def listed(number, category_id, **more):
    return {"id": number, "category_id": category_id, **more}


def test_stuff_gets_the_id_of_its_first_segment():
    ids, rows = repair([[5, 6, 7]], listed(5, SKY), listed(6, CAR), listed(7, SKY))

    assert ids == [[5, 6, 5]]
    assert rows == [[5, SKY, 2], [6, CAR, 1]]


def test_pixels_of_nobody_become_void():
    ids, rows = repair([[5, 6, 7]], listed(5, SKY), listed(6, 999))

    assert ids == [[5, 0, 0]]
    assert rows == [[5, SKY, 1]]


def test_a_segment_0_gets_a_free_id_if_all_void_is_its():
    ids, rows = repair([[0, 1, 0]], listed(1, SKY), listed(0, CAR, area=2))

    assert ids == [[2, 1, 2]]
    assert rows == [[1, SKY, 1], [2, CAR, 2]]


def test_a_segment_0_is_dropped_if_some_void_may_be_void():
    ids, rows = repair([[0, 1, 0]], listed(1, SKY), listed(0, CAR, area=1))

    assert ids is None
    assert rows == [[1, SKY, 1]]


def test_an_id_that_is_too_large_becomes_that_of_its_colors():
    ids, rows = repair([[9, 9, 0]], listed(9 + 2**24, CAR))

    assert ids is None
    assert rows == [[9, CAR, 2]]


@pytest.mark.parametrize("number", [-1, 8 + 2**24])
def test_an_impossible_id_without_pixels_is_dropped(number):
    assert repair([[9, 9]], listed(9, CAR), listed(number, CAR)) == (None, [[9, CAR, 2]])


def test_the_last_of_two_entries_counts():
    assert repair([[9]], listed(9, CAR), listed(9, SKY)) == (None, [[9, SKY, 1]])


def test_nothing_listed_is_repaired_to_nothing():
    assert repair([[0, 0]]) == (None, [])
