import json

import numpy as np
import pytest

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE, panoptic_map, segment
from jsisnet.evaluation.semantic_iou import SemanticIoU, count, summary
from jsisnet.panoptic import IGNORE


def outcome(truth, prediction):
    """Compare two rows of labels."""
    rows = (np.array([row], np.int32) for row in (truth, prediction))
    return count(*rows, len(CATEGORIES))


def test_the_iou_of_a_class_is_intersection_over_union():
    result = outcome([SKY, SKY, SKY, ROAD], [SKY, SKY, ROAD, ROAD])

    assert result.iou[SKY] == pytest.approx(2 / 3)
    assert result.iou[ROAD] == pytest.approx(1 / 2)


def test_pixels_are_counted_by_true_and_predicted_label():
    result = outcome([SKY, SKY, ROAD], [SKY, TREE, ROAD])

    assert result.confusion[SKY, SKY] == result.confusion[SKY, TREE] == 1
    assert result.confusion[TREE].sum() == 0


def test_true_void_is_not_counted():
    result = outcome([SKY, IGNORE, IGNORE], [SKY, SKY, ROAD])

    assert result.iou[SKY] == 1
    assert not result.seen[ROAD]


def test_all_instances_and_crowds_of_a_class_count_as_one_region():
    truth = panoptic_map([[1, 2, 3]], segment(CAR), segment(CAR), segment(CAR, iscrowd=True))

    result = count(truth.labels(), np.full((1, 3), CAR, np.int32), len(CATEGORIES))

    assert result.iou[CAR] == 1


def test_a_class_that_is_only_predicted_counts_zero_and_one_never_seen_has_no_iou():
    result = outcome([SKY, SKY], [SKY, BUS])

    assert result.iou[BUS] == 0
    assert np.isnan(result.iou[PERSON])


def test_areas_are_added_over_images_before_they_are_divided():
    total = outcome([SKY] * 8, [SKY] * 8) + outcome([SKY] * 2, [ROAD] * 2)

    assert total.iou[SKY] == pytest.approx(0.8)


def test_the_mean_is_over_the_classes_seen():
    result = summary(outcome([SKY, SKY, CAR, CAR], [SKY, SKY, CAR, ROAD]), CATEGORIES)

    assert result["miou"] == pytest.approx((100 + 50 + 0) / 3)
    assert result["semantic"][SKY] == {"name": "sky", "iou": 100}
    assert result["semantic"][BUS] == {"name": "bus", "iou": None}


def test_no_image_gives_null_and_plain_json():
    result = summary(SemanticIoU.zero(len(CATEGORIES)), CATEGORIES)

    assert result["miou"] is None
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_an_image_that_is_all_void_adds_nothing():
    assert outcome([IGNORE], [SKY]).confusion.sum() == 0


@pytest.mark.parametrize("wrong", [-1, len(CATEGORIES)])
def test_invalid_labels_are_rejected(wrong):
    with pytest.raises(ValueError, match=r"the predicted labels are .* expected 0 to 5"):
        outcome([SKY, SKY], [SKY, wrong])
    with pytest.raises(ValueError, match=r"the true labels are .* expected 0 to 5"):
        outcome([SKY, wrong], [SKY, SKY])
