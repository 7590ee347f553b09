import numpy as np
import pytest

from factories import CAR, SKY, panoptic_map, segment
from jsisnet.evaluation.overlap import overlap, overlap_of_ids
from jsisnet.files import pixels

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=[True, False], ids=["compiled", "plain"], autouse=True)
def either_way(request, monkeypatch):
    """Count with the compiled loop, then without it."""
    if not request.param:
        monkeypatch.setattr(pixels, "_pixels", None)
    elif pixels._pixels is None:
        pytest.skip("installed without a C compiler")


def ids(*rows):
    return np.array(rows, np.uint32)


def test_pixels_are_counted_by_true_and_predicted_id():
    truth = panoptic_map([[0, 1, 1, 2]], segment(CAR), segment(SKY))
    prediction = panoptic_map([[1, 1, 1, 0]], segment(CAR))

    shared = overlap(truth, prediction)

    assert shared.shared.tolist() == [[2], [0]]
    assert shared.void.tolist() == [1]
    assert shared.true_areas.tolist() == [2, 1]
    assert shared.areas.tolist() == [3]
    assert shared.iou.tolist() == [[2 / (2 + 3 - 2 - 1)], [0]]


def test_ids_keep_their_order_and_unlisted_ids_come_last():
    shared = overlap_of_ids(
        [(ids([900, 7, 0, 5]), ids([3, 3, 4, 0]))], np.array([900, 7]), np.array([4, 3])
    )

    # Void, 900, 7 and the rest down; void, 4, 3 and the rest across.
    assert shared.table.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_void_that_is_a_segment_itself_is_counted_once():
    shared = overlap_of_ids([(ids([1, 1, 1]), ids([0, 0, 2]))], np.array([1]), np.array([0, 2]))

    assert shared.shared.tolist() == [[2, 1]]
    assert shared.true_areas.tolist() == [3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 9), (40, 31)])
def test_the_counts_equal_those_of_a_plain_loop(shape):
    true_ids, listed = np.array([3, 2**24 - 1, 9]), np.array([5, 6])
    truth = RANDOM.choice([0, 3, 9, 2**24 - 1, 70], shape).astype(np.uint32)
    prediction = RANDOM.choice([0, 5, 6, 8], shape).astype(np.uint32)
    # Runs of many lengths.
    truth[:, shape[1] // 3 :] = 3
    strips = [(truth[i : i + 2], prediction[i : i + 2]) for i in range(0, shape[0], 2)]

    table = overlap_of_ids(strips, true_ids, listed).table

    expected = np.zeros((5, 4), int)
    rows, columns = {0: 0, 3: 1, 2**24 - 1: 2, 9: 3}, {0: 0, 5: 1, 6: 2}
    for one, other in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        expected[rows.get(one, 4), columns.get(other, 3)] += 1
    assert table.tolist() == expected.tolist()


def test_maps_without_pixels_share_none():
    empty = np.zeros((0, 5), np.uint32)

    assert overlap_of_ids([(empty, empty)], np.array([1]), np.array([2])).table.sum() == 0
    assert overlap_of_ids([], np.zeros(0, int), np.zeros(0, int)).table.tolist() == [[0, 0], [0, 0]]
