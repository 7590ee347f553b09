"""The rules of the official script, one by one, on maps of one row."""

import json
import math

import numpy as np
import pytest

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE, panoptic_map, quality, segment
from jsisnet.categories import Categories, Category
from jsisnet.evaluation.panoptic_quality import (
    ImageQuality,
    PanopticQuality,
    class_means,
    count_matches,
    summary,
)
from jsisnet.panoptic import Segment


def row(text, *segments):
    """Return a map of one row: a digit is a segment, a dot is void."""
    return panoptic_map([[0 if sign == "." else int(sign) for sign in text]], *segments)


def outcome(truth, prediction, label=CAR, **options):
    """Count one image, and return IoU, TP, FP and FN of one label."""
    quality = count_matches(truth, prediction, len(CATEGORIES), **options)
    return tuple(
        values[label].item() for values in (quality.iou, quality.tp, quality.fp, quality.fn)
    )


ONE_CAR = segment(CAR)
CROWD = segment(CAR, iscrowd=True)


def test_a_map_matches_itself():
    truth = row("11223.", segment(CAR), segment(CAR), segment(SKY))

    assert outcome(truth, truth) == (2.0, 2, 0, 0)
    assert outcome(truth, truth, SKY) == (1.0, 1, 0, 0)


def test_a_label_beyond_the_last_one_is_rejected():
    with pytest.raises(ValueError, match="a segment has label 99; expected one of 6 labels"):
        outcome(row("11", ONE_CAR), row("11", Segment(label=99, isthing=True)))


def test_only_segments_of_one_class_match():
    assert outcome(row("1111", ONE_CAR), row("1111", segment(BUS))) == (0, 0, 0, 1)
    assert outcome(row("1111", ONE_CAR), row("1111", segment(BUS)), BUS) == (0, 0, 1, 0)


def test_things_and_stuff_are_matched_alike():
    truth = row("1122", segment(SKY), segment(SKY))

    assert outcome(truth, truth, SKY) == (2.0, 2, 0, 0)


def test_true_void_is_left_out_of_the_union():
    assert outcome(row("11..", ONE_CAR), row("1111", ONE_CAR)) == (1.0, 1, 0, 0)


def test_predicted_void_stays_in_the_union():
    assert outcome(row("1111", ONE_CAR), row("111.", ONE_CAR)) == (0.75, 1, 0, 0)


def test_crowd_pixels_stay_in_the_union():
    truth = row("11222", ONE_CAR, CROWD)

    assert outcome(truth, row("111..", ONE_CAR))[0] == pytest.approx(2 / 3)


def test_an_iou_of_one_half_is_no_match():
    assert outcome(row("1111", ONE_CAR), row("11..", ONE_CAR)) == (0, 0, 1, 1)


def test_an_iou_just_above_one_half_is_a_match():
    iou, *counts = outcome(row("11111", ONE_CAR), row("111..", ONE_CAR))

    assert iou == pytest.approx(0.6)
    assert counts == [1, 0, 0]


def test_a_true_segment_that_is_predicted_void_is_a_false_negative():
    assert outcome(row("1122", ONE_CAR, ONE_CAR), row("11..", ONE_CAR)) == (1.0, 1, 0, 1)


def test_a_true_segment_without_pixels_is_a_false_negative():
    assert outcome(row("....", ONE_CAR), row("....")) == (0, 0, 0, 1)


def test_a_crowd_is_neither_matched_nor_a_false_negative():
    assert outcome(row("1111", CROWD), row("....")) == (0, 0, 0, 0)
    assert outcome(row("1111", CROWD), row("1111", ONE_CAR)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("truth", "fp"),
    [("....", 0), ("...2", 0), ("..22", 1), ("1112", 0), ("1122", 1), ("1..2", 0), ("1.22", 1)],
)
def test_a_prediction_mostly_on_void_and_crowd_is_ignored(truth, fp):
    truth = row(truth, CROWD, segment(SKY))

    assert outcome(truth, row("1111", ONE_CAR)) == (0, 0, fp, 0)


def test_predictions_on_a_crowd_of_another_class_are_not_ignored():
    truth = row("1111", segment(PERSON, iscrowd=True))

    assert outcome(truth, row("1111", ONE_CAR)) == (0, 0, 1, 0)


def test_only_the_last_of_several_crowds_of_a_class_counts():
    truth = row("111222", CROWD, CROWD)

    assert outcome(truth, row("1112..", ONE_CAR, ONE_CAR)) == (0, 0, 1, 0)
    assert outcome(truth, row("..1222", ONE_CAR, ONE_CAR)) == (0, 0, 1, 0)


def test_the_last_crowd_counts_even_without_pixels():
    assert outcome(row("1111", CROWD, CROWD), row("1111", ONE_CAR)) == (0, 0, 1, 0)


def test_all_crowds_of_a_class_can_count():
    truth = row("1123", CROWD, CROWD, segment(SKY))
    prediction = row("1111", ONE_CAR)

    assert outcome(truth, prediction) == (0, 0, 1, 0)
    assert outcome(truth, prediction, all_crowds=True) == (0, 0, 0, 0)


def test_segments_of_one_stuff_class_are_matched_separately():
    truth = row("11111", segment(SKY))
    prediction = row("11123", segment(SKY), segment(SKY), segment(SKY))

    iou, *counts = outcome(truth, prediction, SKY)

    assert iou == pytest.approx(0.6)
    assert counts == [1, 2, 0]


def test_empty_maps_count_nothing():
    quality = count_matches(row("...."), row("...."), len(CATEGORIES))

    assert not quality.seen.any()


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (4, 3), (1, 1)])
def test_maps_of_different_sizes_are_rejected(shape):
    truth = panoptic_map(np.zeros((3, 4), int).tolist())
    prediction = panoptic_map(np.zeros(shape, int).tolist())

    with pytest.raises(ValueError, match=r"the predicted map is \dx\d pixels; expected 3x4"):
        count_matches(truth, prediction, len(CATEGORIES))


def test_the_order_of_the_images_changes_no_sum():
    random = np.random.default_rng(0)
    qualities = []
    for _ in range(50):
        ids = random.integers(0, 3, (2, 9, 11)).cumsum(1).clip(0, 3)
        maps = [panoptic_map(half.tolist(), ONE_CAR, ONE_CAR, ONE_CAR) for half in ids]
        qualities.append(count_matches(*maps, len(CATEGORIES)))
    zero = PanopticQuality.zero(len(CATEGORIES))

    forward, backward = sum(qualities, zero), sum(reversed(qualities), zero)

    assert forward.iou[CAR] > 0
    assert forward.iou.tolist() == backward.iou.tolist()


def quality_of(*sums):
    """Return sums from (iou, tp, fp, fn) of each label."""
    iou, tp, fp, fn = zip(*sums, strict=True)
    return PanopticQuality(np.array(iou, float), np.array(tp), np.array(fp), np.array(fn))


NOTHING = (0.0, 0, 0, 0)


def test_class_values_follow_the_formulas():
    quality = quality_of((1.5, 2, 1, 3))

    assert quality.pq.tolist() == [1.5 / 4]
    assert quality.sq.tolist() == [0.75]
    assert quality.rq.tolist() == [0.5]


def test_a_class_without_a_match_has_quality_zero_and_one_never_seen_has_none():
    quality = quality_of((0.0, 0, 1, 0), NOTHING)

    assert quality.pq[0] == quality.sq[0] == quality.rq[0] == 0
    assert np.isnan([quality.pq[1], quality.sq[1], quality.rq[1]]).all()


def test_sums_are_added_over_images_before_they_are_divided():
    quality = quality_of((1.0, 1, 0, 0)) + quality_of((0.0, 0, 0, 2))

    assert quality.pq.tolist() == [0.5]


def test_averages_are_over_the_classes_seen():
    sums = {PERSON: (0.9, 1, 0, 0), BUS: (0.0, 0, 1, 0), SKY: (0.7, 1, 1, 1)}
    result = summary(quality_of(*(sums.get(label, NOTHING) for label in range(6))), CATEGORIES)

    assert result["things"] == pytest.approx({"pq": 45, "sq": 45, "rq": 50, "n": 2})
    assert result["stuff"] == pytest.approx({"pq": 35, "sq": 70, "rq": 50, "n": 1})
    assert result["all"] == pytest.approx({"pq": 125 / 3, "sq": 160 / 3, "rq": 50, "n": 3})


def test_each_class_is_listed():
    sums = {TREE: (0.9, 1, 0, 0)}
    result = summary(quality_of(*(sums.get(label, NOTHING) for label in range(6))), CATEGORIES)

    counts = {"tp": 0, "fp": 0, "fn": 0}
    assert result["classes"][ROAD] == counts | {
        "name": "road",
        "isthing": False,
        "pq": None,
        "sq": None,
        "rq": None,
    }
    assert result["classes"][TREE] == counts | {
        "name": "tree",
        "isthing": False,
        "pq": 90,
        "sq": 90,
        "rq": 100,
        "tp": 1,
    }


def test_without_classes_the_summary_is_null_and_plain_json():
    result = summary(PanopticQuality.zero(len(CATEGORIES)), CATEGORIES)

    nothing = {"pq": None, "sq": None, "rq": None, "n": 0}
    assert result["all"] == result["things"] == result["stuff"] == nothing
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    ("things", "stuff", "pq_things", "pq_stuff", "pq"),
    [(80, 53, 29.3, 23.3, 26.9), (80, 53, 29.6, 23.4, 27.1), (37, 28, 10.0, 27.5, 17.5)],
)
def test_the_paper_averages_over_its_classes(things, stuff, pq_things, pq_stuff, pq):
    categories = Categories(
        tuple(Category(id=i, name=str(i), isthing=i < things) for i in range(things + stuff))
    )
    values = [pq_things if category.isthing else pq_stuff for category in categories]
    quality = quality_of(*((value / 100, 1, 0, 0) for value in values))

    result = summary(quality, categories)

    assert math.isclose(result["things"]["pq"], pq_things)
    assert math.isclose(result["stuff"]["pq"], pq_stuff)
    assert round(result["all"]["pq"], 1) == pq


def test_segmentation_quality_counts_classes_without_a_match():
    """Matches alone have an IoU above 50; Table 1 of the paper has 47.6."""
    quality = quality_of((0.6, 1, 0, 0), (0.0, 0, 1, 1), *[NOTHING] * 4)

    assert summary(quality, CATEGORIES)["things"]["sq"] == pytest.approx(30)


TRUTH = panoptic_map([[1, 1, 1, 1, 2, 2]], segment(CAR), segment(SKY))
PREDICTION = panoptic_map([[1, 1, 1, 0, 2, 2]], segment(CAR), segment(BUS))


def test_the_quality_of_an_image_is_that_of_a_data_set_of_this_image():
    quality = count_matches(TRUTH, PREDICTION, len(CATEGORIES))

    image = ImageQuality.of("a", quality)

    expected = summary(quality, CATEGORIES)["all"]
    assert image.labels.tolist() == [CAR, BUS, SKY]
    assert image.mean.in_percent() | {"n": image.mean.classes} == pytest.approx(expected)
    assert image.pq == image.mean.pq


def test_the_sums_of_an_image_are_described_by_class():
    image = ImageQuality.of(7, count_matches(TRUTH, PREDICTION, len(CATEGORIES)))

    assert image.described(CATEGORIES) == {
        "image_id": 7,
        "pq": pytest.approx(25),
        "sq": pytest.approx(25),
        "rq": pytest.approx(100 / 3),
        "tp": 1,
        "fp": 1,
        "fn": 1,
        "classes": [
            {"name": "car", "iou": 0.75, "tp": 1, "fp": 0, "fn": 0},
            {"name": "bus", "iou": 0.0, "tp": 0, "fp": 1, "fn": 0},
            {"name": "sky", "iou": 0.0, "tp": 0, "fp": 0, "fn": 1},
        ],
    }


def test_an_image_without_a_class_has_no_quality():
    image = ImageQuality.of(0, PanopticQuality.zero(len(CATEGORIES)))

    assert image.pq is None
    assert image.mean.in_percent() == {"pq": None, "sq": None, "rq": None}
    assert image.described(CATEGORIES)["classes"] == []


def test_class_means_are_over_the_classes_seen():
    sums = np.array([[1.5, 0, 0], [2, 0, 0], [2, 1, 0], [0, 0, 0]])
    groups = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], bool)

    pq, sq, rq = class_means(sums, groups)

    assert pq == pytest.approx([0.25, 0.5, np.nan], nan_ok=True)
    assert sq == pytest.approx([0.375, 0.75, np.nan], nan_ok=True)
    assert rq == pytest.approx([1 / 3, 2 / 3, np.nan], nan_ok=True)


def test_class_means_equal_those_of_the_summary():
    sums = quality(person=(0.75, 1, 2, 0), bus=(0.0, 0, 0, 3), sky=(2.5, 3, 0, 1))
    things = np.array([category.isthing for category in CATEGORIES])
    groups = np.stack([np.ones_like(things), things, ~things])

    means = class_means(np.stack([sums.iou, sums.tp, sums.fp, sums.fn]), groups)

    expected = summary(sums, CATEGORIES)
    for name, values in zip(("all", "things", "stuff"), 100 * means.T, strict=True):
        assert values.tolist() == pytest.approx([expected[name][key] for key in ("pq", "sq", "rq")])


def test_class_means_are_computed_for_many_sums_at_once():
    sums = np.random.default_rng(0).integers(0, 3, (5, 2, 4, 3)).astype(float)
    groups = np.array([[1, 1, 0], [0, 0, 1]], bool)

    means = class_means(sums, groups)

    assert means.shape == (5, 2, 3, 2)
    np.testing.assert_array_equal(means[3, 1], class_means(sums[3, 1], groups))
