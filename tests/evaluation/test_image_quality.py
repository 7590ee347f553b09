import pytest

from factories import BUS, CAR, CATEGORIES, SKY, panoptic_map, segment
from jsisnet.evaluation.image_quality import ImageQuality
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count, summary

TRUTH = panoptic_map([[1, 1, 1, 1, 2, 2]], segment(CAR), segment(SKY))
PREDICTION = panoptic_map([[1, 1, 1, 0, 2, 2]], segment(CAR), segment(BUS))


def test_an_image_is_a_data_set_of_its_own():
    quality = count(TRUTH, PREDICTION, len(CATEGORIES))

    image = ImageQuality.of("a", quality)

    expected = summary(quality, CATEGORIES)["all"]
    assert image.labels.tolist() == [CAR, BUS, SKY]
    assert (100 * image.pq, 100 * image.sq, 100 * image.rq) == pytest.approx(
        (expected["pq"], expected["sq"], expected["rq"])
    )


def test_its_sums_are_described_by_class():
    image = ImageQuality.of(7, count(TRUTH, PREDICTION, len(CATEGORIES)))

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

    assert (image.pq, image.sq, image.rq) == (None, None, None)
    assert image.described(CATEGORIES)["classes"] == []
