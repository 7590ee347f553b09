import json
import operator
from functools import reduce
from itertools import permutations

import numpy as np
import pytest

from factories import CAR, PERSON, SKY, panoptic_map, segment
from jsisnet.evaluation.proposal_recall import (
    LIMITS,
    ProposalRecall,
    count,
    summary,
    true_boxes,
)

ALL, SMALL, MEDIUM, LARGE, COMPACT, LONG, THIN = range(7)
OWN = len(LIMITS)
FAR = [9000, 9000, 9010, 9010]
"""A proposal that covers nothing."""


def outcome(objects, ranked=(), own=()):
    """Measure the recall of lists of boxes."""
    return count(*(np.array(boxes, np.float64).reshape(-1, 4) for boxes in (objects, ranked, own)))


def test_recall_is_the_share_of_the_objects_that_a_proposal_covers():
    objects = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]

    result = outcome(objects, [[0, 0, 10, 9], [21, 0, 30, 10], [40, 0, 50, 10]])

    assert result.mean[:, ALL].tolist() == [0.75, 0.75, 0.75, 0]


@pytest.mark.parametrize(("right", "recall"), [(5, 1), (4.999, 0), (20, 1), (20.001, 0)])
def test_an_iou_of_one_half_covers_an_object(right, recall):
    assert outcome([[0, 0, 10, 10]], [[0, 0, right, 10]]).mean[0, ALL] == recall


def test_one_proposal_may_cover_two_objects():
    assert outcome([[0, 0, 10, 10], [0, 0, 10, 9]], [[0, 0, 10, 10]]).mean[0, ALL] == 1


@pytest.mark.parametrize(
    ("rank", "recalls"),
    [(99, [1, 1, 1]), (100, [0, 1, 1]), (300, [0, 0, 1]), (999, [0, 0, 1]), (1000, [0, 0, 0])],
)
def test_only_the_best_proposals_count(rank, recalls):
    ranked = [FAR] * rank + [[0, 0, 10, 10]]

    assert outcome([[0, 0, 10, 10]], ranked).mean[:OWN, ALL].tolist() == recalls


def test_the_networks_own_proposals_are_measured_separately():
    objects = [[0, 0, 10, 10], [20, 0, 30, 10]]

    result = outcome(objects, [objects[0]] * 5, own=[FAR, *objects])

    assert result.mean[:, ALL].tolist() == [0.5, 0.5, 0.5, 1]


def test_there_may_be_fewer_proposals_than_the_limit_and_their_number_is_counted():
    result = outcome([[0, 0, 10, 10]], [FAR] * 250, own=[FAR] * 7)

    assert result.proposals.tolist() == [100, 250, 250, 7]


def test_without_proposals_the_recall_is_zero():
    assert outcome([[0, 0, 10, 10]]).mean[:, ALL].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (32, 31, SMALL),
        (32, 32, MEDIUM),
        (4, 300, MEDIUM),
        (96, 95, MEDIUM),
        (96, 96, LARGE),
    ],
)
def test_sizes_are_those_of_cocos_limits_by_the_area_of_the_box(width, height, size):
    result = outcome([[0, 0, width, height]])

    assert np.flatnonzero(result.images[:COMPACT]).tolist() == [ALL, size]


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (30, 30, COMPACT),
        (59, 30, COMPACT),
        (60, 30, LONG),
        (30, 119, LONG),
        (30, 120, THIN),
        (200, 1, THIN),
    ],
)
def test_shapes_are_told_by_the_ratio_of_the_longer_to_the_shorter_side(width, height, shape):
    result = outcome([[5, 5, 5 + width, 5 + height]])

    assert np.flatnonzero(result.images[COMPACT:]).tolist() == [shape - COMPACT]


def test_recall_by_shape_is_over_the_objects_of_this_shape():
    square, pole, other_pole = [0, 0, 20, 20], [100, 0, 110, 90], [200, 0, 210, 90]

    result = outcome([square, pole, other_pole], [square, pole])

    assert result.mean[0, COMPACT] == 1
    assert np.isnan(result.mean[0, LONG])
    assert result.mean[0, THIN] == 0.5


def test_recall_by_size_is_over_the_objects_of_this_size():
    small, medium, large = [0, 0, 20, 20], [100, 0, 150, 50], [0, 100, 200, 300]

    result = outcome([small, [30, 0, 50, 20], medium, large], [large, small])

    assert result.mean[0, :COMPACT].tolist() == [0.5, 0.5, 0, 1]


def test_the_mean_is_over_images_regardless_of_their_number_of_objects():
    one = outcome([[0, 0, 10, 10]], [[0, 0, 10, 10]])
    three = outcome([[0, 0, 10, 10]] * 3)

    assert (one + three).mean[0, ALL] == 0.5


def test_images_without_objects_are_in_no_mean():
    seen = outcome([[0, 0, 10, 10]], [[0, 0, 10, 10]])

    total = seen + outcome([], [FAR] * 4)

    assert total.mean[0, ALL] == 1
    assert total.images[:COMPACT].tolist() == [1, 1, 0, 0]
    assert total.proposals.tolist() == seen.proposals.tolist()


def test_a_size_is_averaged_over_the_images_that_have_it():
    small, large = [0, 0, 10, 10], [0, 0, 200, 200]

    total = outcome([small, large], [small]) + outcome([large], [large])

    assert total.mean[0].tolist()[:2] == [0.75, 1]
    assert total.mean[0, LARGE] == 0.5
    assert total.images[:COMPACT].tolist() == [2, 1, 0, 2]


def test_the_order_of_images_changes_no_sum():
    objects = [[20 * i, 0, 20 * i + 10, 10] for i in range(7)]
    images = [outcome(objects[:number], objects[:1]) for number in (3, 5, 6, 7)]

    sums = {reduce(operator.add, order).recall[0, ALL] for order in permutations(images)}

    assert len(sums) == 1
    assert sums.pop() == pytest.approx(1 / 3 + 1 / 5 + 1 / 6 + 1 / 7, abs=1e-10)


def test_true_boxes_are_those_of_things_with_pixels_that_are_no_crowd():
    truth = panoptic_map(
        [[0, 1, 2, 2], [3, 1, 2, 2]],
        segment(SKY),
        segment(CAR),
        segment(PERSON),
        segment(PERSON, iscrowd=True),
        segment(CAR),
    )

    assert true_boxes(truth).tolist() == [[2, 0, 4, 2], [0, 1, 1, 2]]


def test_a_map_without_segments_has_no_true_boxes():
    assert true_boxes(panoptic_map([[0, 0]])).shape == (0, 4)


def test_a_summary_holds_percentages_and_numbers_as_plain_json():
    small = [0, 0, 10, 10]

    result = summary(outcome([small], [FAR] * 200 + [small], own=[small]) + outcome([small]))

    recall = {"100": 0.0, "300": 50.0, "1000": 50.0, "own": 50.0, "images": 2}
    nothing = {"100": None, "300": None, "1000": None, "own": None, "images": 0}
    assert result["rpn_recall"] == {
        "all": recall,
        "small": recall,
        "medium": nothing,
        "large": nothing,
        "compact": recall,
        "long": nothing,
        "thin": nothing,
        "proposals": {"100": 50.0, "300": 100.5, "1000": 100.5, "own": 0.5},
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_no_image_gives_null():
    result = summary(ProposalRecall.zero())["rpn_recall"]

    assert result["all"] == {"100": None, "300": None, "1000": None, "own": None, "images": 0}
    assert set(result["proposals"].values()) == {None}
