import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hotcoco import mask as run_lengths

from factories import BUS, CAR, CATEGORIES, PERSON, SKY, panoptic_map, segment
from jsisnet.evaluation.average_precision import (
    CollectedInstances,
    ImageInstances,
    Things,
    average_precision,
    encode,
    summary,
    true_things,
)

SIZE = (10, 20)


def things(*found):
    """Return upright rectangles as (label, x0, y0, x1, y1)."""
    masks = []
    for _, x0, y0, x1, y1 in found:
        masks.append(encode(np.ones((y1 - y0, x1 - x0), bool), np.s_[y0:y1, x0:x1], SIZE))
    return Things(
        labels=np.array([label for label, *_ in found], np.int64),
        boxes=np.array([box for _, *box in found], float).reshape(-1, 4),
        masks=tuple(masks),
    )


def photo(true, found, scores, *, crowds=(), number=0):
    iscrowd = np.isin(np.arange(len(true)), crowds)
    return ImageInstances(
        number=number,
        size=SIZE,
        truth=things(*true),
        iscrowd=iscrowd,
        prediction=things(*found),
        scores=np.array(scores, float),
    )


def ap50(*photos, label=CAR, kind="mask"):
    precision = average_precision(CollectedInstances(photos), len(CATEGORIES), kind)
    return precision.ap50[label]


LEFT, RIGHT = (CAR, 0, 0, 10, 10), (CAR, 10, 0, 20, 10)


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_exact_predictions_have_an_ap_of_one(kind):
    photos = (photo([LEFT, RIGHT], [LEFT, RIGHT], [0.9, 0.1]),)

    precision = average_precision(CollectedInstances(photos), len(CATEGORIES), kind)

    assert [precision.ap[CAR], precision.ap50[CAR]] == pytest.approx([1, 1])
    assert np.isnan(precision.ap[[PERSON, BUS, SKY]]).all()


def test_partial_overlap_counts_at_the_lower_thresholds_only():
    precision = average_precision(
        CollectedInstances((photo([LEFT], [(CAR, 0, 0, 8, 8)], [0.9]),)), len(CATEGORIES), "mask"
    )

    assert precision.ap50[CAR] == pytest.approx(1)
    assert precision.ap[CAR] == pytest.approx(3 / 10)  # an IoU of 0.64 exceeds 0.5, 0.55 and 0.6


def test_a_false_negative_lowers_the_precision_at_higher_recalls():
    assert ap50(photo([LEFT, RIGHT], [LEFT], [0.9])) == pytest.approx(51 / 101)


def test_only_false_positives_with_higher_scores_lower_the_ap():
    nowhere = (CAR, 0, 0, 1, 1)

    assert ap50(photo([LEFT], [LEFT, nowhere], [0.9, 0.8])) == pytest.approx(1)
    assert ap50(photo([LEFT], [LEFT, nowhere], [0.8, 0.9])) == pytest.approx(0.5)


def test_a_second_detection_of_an_instance_is_a_false_positive():
    assert ap50(photo([LEFT, RIGHT], [LEFT, LEFT, RIGHT], [0.9, 0.8, 0.7])) == pytest.approx(
        (51 + 50 * 2 / 3) / 101
    )


def test_instances_are_ranked_over_all_images():
    wrong = photo([LEFT], [(CAR, 15, 0, 20, 10)], [0.9], number=1)

    assert ap50(photo([LEFT], [LEFT], [0.8]), wrong) == pytest.approx(51 / 101 / 2)


def test_predictions_on_a_crowd_region_are_ignored():
    assert ap50(photo([LEFT, RIGHT], [LEFT], [0.5], crowds=[1])) == pytest.approx(1)
    assert ap50(photo([LEFT, RIGHT], [RIGHT, LEFT], [0.9, 0.5], crowds=[1])) == pytest.approx(1)
    assert np.isnan(ap50(photo([LEFT], [LEFT], [0.9], crowds=[0])))


def test_instances_of_another_class_do_not_match():
    assert ap50(photo([LEFT], [(BUS, *LEFT[1:])], [0.9])) == 0


def test_masks_and_boxes_are_compared_separately():
    hollow = np.ones((10, 10), bool)
    hollow[2:, 2:] = False
    seen = photo([LEFT], [LEFT], [0.9])
    seen = replace(
        seen, prediction=replace(seen.prediction, masks=(encode(hollow, np.s_[0:10, 0:10], SIZE),))
    )

    assert ap50(seen, kind="mask") == 0
    assert ap50(seen, kind="box") == pytest.approx(1)


def test_the_order_of_the_images_does_not_matter():
    right = photo([LEFT], [LEFT], [0.5], number=0)
    wrong = photo([LEFT], [RIGHT], [0.5], number=1)

    forward = CollectedInstances((right,)) + CollectedInstances((wrong,))
    backward = CollectedInstances((wrong,)) + CollectedInstances((right,))

    assert len(forward.images) == 2
    assert summary(forward, CATEGORIES) == summary(backward, CATEGORIES)
    assert summary(forward, CATEGORIES)["mask_ap50"] == pytest.approx(100 * 51 / 101)


def test_means_are_over_the_classes_with_a_true_instance():
    bus = (BUS, 0, 0, 10, 10)
    result = summary(CollectedInstances((photo([LEFT, bus], [LEFT], [0.9]),)), CATEGORIES)

    names = ("mask_ap", "mask_ap50", "box_ap", "box_ap50")
    assert [result[name] for name in names] == pytest.approx([50, 50, 50, 50])
    assert [row["name"] for row in result["instances"]] == ["person", "car", "bus"]
    assert [row["box_ap50"] for row in result["instances"]] == [None, pytest.approx(100), 0]


@pytest.mark.parametrize("photos", [(), (photo([], [], []),), (photo([], [LEFT], [0.9]),)])
def test_without_true_instances_the_summary_is_null_and_plain_json(photos):
    result = summary(CollectedInstances(photos), CATEGORIES)

    assert result["mask_ap"] is result["box_ap50"] is None
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_collected_instances_can_be_pickled():
    collected = CollectedInstances((photo([LEFT], [LEFT], [0.9]),))

    again = pickle.loads(pickle.dumps(collected))

    assert summary(again, CATEGORIES) == summary(collected, CATEGORIES)


def test_pickled_instances_are_small():
    collected = CollectedInstances((photo([LEFT] * 50, [RIGHT] * 50, [0.5] * 50),))

    assert len(pickle.dumps(collected)) < 100 * 100


def test_the_true_things_of_a_map_are_its_thing_segments():
    panoptic = panoptic_map(
        [[1, 2, 2], [1, 2, 3]], segment(SKY), segment(CAR), segment(PERSON, iscrowd=True)
    )

    true, iscrowd = true_things(panoptic)

    assert true.labels.tolist() == [CAR, PERSON]
    assert true.boxes.tolist() == [[1, 0, 3, 2], [2, 1, 3, 2]]
    assert iscrowd.tolist() == [False, True]
    masks = [run_lengths.decode({"size": [2, 3], "counts": mask}) for mask in true.masks]
    assert [mask.tolist() for mask in masks] == [[[0, 1, 1], [0, 1, 0]], [[0, 0, 0], [0, 0, 1]]]


def test_a_true_thing_without_pixels_can_be_a_false_negative():
    panoptic = panoptic_map([[0, 0]], segment(CAR))

    true, _ = true_things(panoptic)

    assert len(true.masks) == 1
    assert true.boxes.tolist() == [[0, 0, 0, 0]]


def test_a_map_without_things_has_none():
    true, iscrowd = true_things(panoptic_map([[1]], segment(SKY)))

    assert true.boxes.shape == (0, 4)
    assert iscrowd.shape == (0,)


def test_collecting_needs_no_torch():
    code = "import sys, jsisnet.evaluation.average_precision; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
