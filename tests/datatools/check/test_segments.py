import numpy as np
import pytest

from jsisnet.datatools.check.listing import ListedCategory
from jsisnet.datatools.check.segments import (
    SegmentCheck,
    find_regions,
    measure_regions,
    repair,
)


def test_regions_have_ids_areas_boxes_and_pieces():
    ids = np.array([[7, 7, 0, 0], [0, 0, 7, 300], [300, 0, 0, 0]], np.uint32)

    found = measure_regions(ids)

    assert found.ids.tolist() == [0, 7, 300]
    assert found.areas.tolist() == [7, 3, 2]
    assert found.boxes.tolist() == [[0, 0, 4, 3], [0, 0, 3, 2], [0, 1, 4, 3]]
    assert found.pieces.tolist() == [1, 1, 2]


def test_runs_at_the_end_of_one_row_and_the_start_of_the_next_are_not_connected():
    ids = np.array([[0, 0, 5], [5, 0, 0]], np.uint32)

    assert measure_regions(ids).pieces.tolist() == [1, 2]


def test_arms_that_join_in_a_lower_row_are_one_piece():
    ids = np.array([[5, 0, 5, 0, 5], [5, 0, 5, 0, 5], [5, 5, 5, 5, 5]], np.uint32)

    assert measure_regions(ids).pieces.tolist() == [2, 1]


CAR, SKY = 3, 92
CATEGORIES = {
    CAR: ListedCategory(entry={"name": "car"}, isthing=True),
    SKY: ListedCategory(entry={"name": "sky"}, isthing=False),
}


def repaired(ids, *infos):
    """Return the repaired map, and the id, category and area of its segments."""
    ids = np.array(ids, np.uint32)
    made = repair(SegmentCheck(infos, find_regions(ids), CATEGORIES), ids)
    rows = [[info[name] for name in ("id", "category_id", "area")] for info in made.segments_info]
    return None if made.ids is None else made.ids.tolist(), rows


def listed(number, category_id, **more):
    return {"id": number, "category_id": category_id, **more}


def test_stuff_gets_the_id_of_its_first_segment():
    ids, rows = repaired([[5, 6, 7]], listed(5, SKY), listed(6, CAR), listed(7, SKY))

    assert ids == [[5, 6, 5]]
    assert rows == [[5, SKY, 2], [6, CAR, 1]]


def test_pixels_without_a_usable_entry_become_void():
    ids, rows = repaired([[5, 6, 7]], listed(5, SKY), listed(6, 999))

    assert ids == [[5, 0, 0]]
    assert rows == [[5, SKY, 1]]


def test_a_segment_with_id_0_gets_a_free_id_if_its_area_is_all_void():
    ids, rows = repaired([[0, 1, 0]], listed(1, SKY), listed(0, CAR, area=2))

    assert ids == [[2, 1, 2]]
    assert rows == [[1, SKY, 1], [2, CAR, 2]]


def test_a_segment_with_id_0_is_dropped_if_its_area_is_not_all_void():
    ids, rows = repaired([[0, 1, 0]], listed(1, SKY), listed(0, CAR, area=1))

    assert ids is None
    assert rows == [[1, SKY, 1]]


def test_an_id_above_24_bits_becomes_its_lowest_24_bits():
    ids, rows = repaired([[9, 9, 0]], listed(9 + 2**24, CAR))

    assert ids is None
    assert rows == [[9, CAR, 2]]


@pytest.mark.parametrize("number", [-1, 8 + 2**24])
def test_an_invalid_id_without_pixels_is_dropped(number):
    assert repaired([[9, 9]], listed(9, CAR), listed(number, CAR)) == (None, [[9, CAR, 2]])


def test_the_last_of_two_entries_counts():
    assert repaired([[9]], listed(9, CAR), listed(9, SKY)) == (None, [[9, SKY, 1]])


def test_a_map_without_entries_stays_empty():
    assert repaired([[0, 0]]) == (None, [])
