from pathlib import Path

import numpy as np
import pytest

import known_errors
from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment, tiny_map
from jsisnet.evaluation.compared_files import ComparedImage
from jsisnet.evaluation.errors import KINDS, segment_errors
from jsisnet.evaluation.matching import match
from jsisnet.formats.coco_index import ListedMap
from jsisnet.visualize.report.report_data import (
    MATCHED,
    ErrorGroup,
    Outcomes,
    ReportData,
    ScoreTally,
    SizeTally,
)

NONE = np.zeros(0, np.int64)
LISTED = ListedMap(
    png=Path("map.png"),
    ids=NONE,
    labels=NONE,
    iscrowd=NONE > 0,
    areas=NONE,
    scores=np.zeros(0),
)
"""Stands for the lists of maps, which are kept unread."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return known_errors.compared(tmp_path_factory.mktemp("compared")).data


def test_each_image_is_a_candidate_for_its_kind_of_error(data):
    kept = {
        reason: [image.image_id for image in images] for reason, images in data.candidates().items()
    }

    assert kept.pop("lowest")[0] == known_errors.MISCLASSIFIED
    assert kept == {
        "misclassified": [known_errors.MISCLASSIFIED],
        "missed": [known_errors.MISSED],
        "split": [known_errors.SPLIT],
        "spurious": [known_errors.SPURIOUS],
        "inexact": [known_errors.INEXACT],
    }


def test_an_error_group_has_its_classes_and_its_share_of_the_image(data):
    image = data.candidates()["misclassified"][0]

    street = tiny_map(0)
    car = 1 + [info.label for info in street.segments].index(CAR)
    area = float(np.mean(street.ids == car))
    assert image.errors == (
        ErrorGroup(kind="misclassified", label=CAR, predicted_label=BUS, count=1, share=area),
    )
    assert image.errors[0].labels == (CAR, BUS)


def image_with(number, missed_pixels, label=CAR, times=1):
    """Return an image of 100 pixels with missed objects of one size."""
    ids = np.full((1, 100), times + 1)
    for place in range(times):
        ids[:, place * missed_pixels : (place + 1) * missed_pixels] = 1 + place
    truth = panoptic_map(ids.tolist(), *[segment(label)] * times, segment(ROAD))
    prediction = panoptic_map((ids > times).astype(int).tolist(), segment(ROAD))
    return ComparedImage(image_id=number, truth=LISTED, matching=match(truth, prediction))


def test_the_worst_image_of_each_class_precedes_the_second_worst_of_any():
    data = ReportData(CATEGORIES)
    for number, size in enumerate((3, 30, 20, 10)):
        data.add(image_with(number, size))
    data.add(image_with(7, 5, PERSON))

    assert [image.image_id for image in data.candidates()["missed"]] == [1, 7, 2]


def test_errors_of_one_kind_and_class_are_grouped():
    data = ReportData(CATEGORIES)

    data.add(image_with(0, 4, times=3))

    (image,) = data.candidates()["missed"]
    assert image.errors[0].count == 3
    assert image.errors[0].share == pytest.approx(0.12)


def test_the_first_of_equal_images_are_kept():
    data = ReportData(CATEGORIES)
    for number in range(5):
        data.add(image_with(number, 10))

    assert [image.image_id for image in data.candidates()["missed"]] == [0, 1]
    assert [image.image_id for image in data.candidates()["lowest"]] == [0, 1, 2, 3, 4]


def test_the_number_of_candidates_is_bounded():
    data = ReportData(CATEGORIES)
    for number in range(100):
        data.add(image_with(number, 1 + number % 50))

    assert data.images == 100
    assert sum(len(images) for images in data.candidates().values()) == 16 + 2


def test_images_that_could_not_be_compared_are_skipped():
    data = ReportData(CATEGORIES)

    data.add(ComparedImage(image_id=1, error="is damaged"))

    assert data.images == 0
    assert data.candidates() == {}


def row(pixels, *segments):
    return panoptic_map([[int(pixel) for pixel in pixels]], *segments)


def scored(score):
    return segment(CAR, score=score)


def test_segments_are_counted_by_their_share_of_the_image():
    truth = row("1" * 50 + "2" * 4 + "3" * 46, *[segment(CAR)] * 3)
    prediction = row("1" * 50 + "0" * 4 + "2" * 20 + "0" * 26, *[segment(CAR)] * 2)
    tally = SizeTally()

    tally.add(match(truth, prediction), np.ones(3, bool), np.ones(2, bool))

    assert tally.tp.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert tally.iou.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert tally.fn.tolist() == [0, 0, 0, 0, 1, 0, 1]
    assert tally.fp.tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_only_the_selected_segments_are_counted_by_size():
    maps = row("12", segment(CAR), segment(PERSON)), row("10", segment(CAR))
    tally = SizeTally()

    tally.add(match(*maps), np.array([True, False]), np.array([False]))

    assert tally.tp.sum() == tally.fp.sum() == tally.fn.sum() == 0


def test_scores_are_counted_with_their_matches():
    truth = row("112233", segment(CAR), segment(CAR), segment(PERSON))
    prediction = row("112233", scored(0.25), scored(1.0), scored(0.29))
    tally = ScoreTally()

    tally.add(match(truth, prediction))

    assert tally.count.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert tally.matched.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert tally.error == pytest.approx((1 - 0.25 - 0.29 + 0) / 3)


def test_predictions_that_are_ignored_or_have_no_score_are_not_counted_by_score():
    truth, prediction = row("110", segment(CAR)), row("112", segment(CAR), scored(0.5))
    tally = ScoreTally()

    tally.add(match(truth, prediction))

    assert tally.count.sum() == 0
    assert tally.error == 0


def test_scores_outside_0_to_1_are_counted_separately():
    maps = row("12", segment(CAR), segment(CAR)), row("12", scored(80.0), scored(-1.0))
    tally = ScoreTally()

    tally.add(match(*maps))

    assert tally.outside == 2
    assert tally.count.sum() == 0


def test_each_segment_has_one_outcome():
    matching = match(
        row("11112233", segment(CAR), segment(CAR), segment(PERSON)),
        row("11223333", *[segment(CAR)] * 3),
    )
    outcomes = Outcomes.zeros(2)

    outcomes.add(matching, segment_errors(matching))

    split = 1 + KINDS.index("split")
    assert outcomes.true[CAR, split] == 1
    assert outcomes.predicted[CAR, split] == 2
    assert outcomes.true[:, MATCHED].sum() == outcomes.predicted[:, MATCHED].sum() == 0
    assert outcomes.true.sum() == outcomes.predicted.sum() == 3
