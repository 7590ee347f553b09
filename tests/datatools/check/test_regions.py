import numpy as np

from jsisnet.validation.regions import regions


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
