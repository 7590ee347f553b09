from pathlib import Path

import numpy as np
import pytest

import known_errors
from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment, tiny_map
from jsisnet.evaluation.compared_files import ComparedImage
from jsisnet.evaluation.errors import KINDS, segment_errors
from jsisnet.evaluation.matching import match
from jsisnet.formats.coco_index import ListedMap
from jsisnet.visualize.report.findings import FOUND, Fates, Finding, Findings, ScoreTally, SizeTally

NOBODY = np.zeros(0, np.int64)
LISTED = ListedMap(
    png=Path("map.png"),
    ids=NOBODY,
    labels=NOBODY,
    iscrowd=NOBODY > 0,
    areas=NOBODY,
    scores=np.zeros(0),
)
"""Is kept, and not looked at."""


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    return known_errors.compared(tmp_path_factory.mktemp("compared")).findings


def test_each_image_is_kept_for_what_is_wrong_in_it(findings):
    kept = {
        reason: [image.image_id for image in images]
        for reason, images in findings.candidates().items()
    }

    assert kept.pop("lowest")[0] == known_errors.SWAPPED
    assert kept == {
        "swapped": [known_errors.SWAPPED],
        "missed": [known_errors.MISSED],
        "split": [known_errors.SPLIT],
        "invented": [known_errors.INVENTED],
        "inexact": [known_errors.INEXACT],
    }


def test_a_finding_names_its_classes_and_its_part_of_the_image(findings):
    image = findings.candidates()["swapped"][0]

    street = tiny_map(0)
    car = 1 + [info.label for info in street.segments].index(CAR)
    area = float(np.mean(street.ids == car))
    assert image.findings == (
        Finding(kind="swapped", label=CAR, taken_for=BUS, count=1, share=area),
    )
    assert image.findings[0].labels == (CAR, BUS)


def image_with(number, missed_pixels, label=CAR, times=1):
    """Give an image of 100 pixels in which objects are missed, all of one size."""
    ids = np.full((1, 100), times + 1)
    for place in range(times):
        ids[:, place * missed_pixels : (place + 1) * missed_pixels] = 1 + place
    truth = panoptic_map(ids.tolist(), *[segment(label)] * times, segment(ROAD))
    prediction = panoptic_map((ids > times).astype(int).tolist(), segment(ROAD))
    return ComparedImage(image_id=number, truth=LISTED, matching=match(truth, prediction))


def test_the_largest_errors_of_each_class_are_kept_and_each_class_comes_before_the_second_image():
    findings = Findings(CATEGORIES)
    for number, size in enumerate((3, 30, 20, 10)):
        findings.add(image_with(number, size))
    findings.add(image_with(7, 5, PERSON))

    assert [image.image_id for image in findings.candidates()["missed"]] == [1, 7, 2]


def test_errors_of_one_kind_and_class_are_joined():
    findings = Findings(CATEGORIES)

    findings.add(image_with(0, 4, times=3))

    (image,) = findings.candidates()["missed"]
    assert image.findings[0].count == 3
    assert image.findings[0].share == pytest.approx(0.12)


def test_of_equal_images_the_first_ones_are_kept():
    findings = Findings(CATEGORIES)
    for number in range(5):
        findings.add(image_with(number, 10))

    assert [image.image_id for image in findings.candidates()["missed"]] == [0, 1]
    assert [image.image_id for image in findings.candidates()["lowest"]] == [0, 1, 2, 3, 4]


def test_no_more_images_are_kept_however_many_there_are():
    findings = Findings(CATEGORIES)
    for number in range(100):
        findings.add(image_with(number, 1 + number % 50))

    assert findings.images == 100
    assert sum(len(images) for images in findings.candidates().values()) == 16 + 2


def test_faulty_images_are_passed_over():
    findings = Findings(CATEGORIES)

    findings.add(ComparedImage(image_id=1, fault="is damaged"))

    assert findings.images == 0
    assert findings.candidates() == {}


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


def test_only_the_wanted_segments_are_counted_by_size():
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


def test_predictions_without_score_or_excused_ones_have_no_place_among_the_scores():
    truth, prediction = row("110", segment(CAR)), row("112", segment(CAR), scored(0.5))
    tally = ScoreTally()

    tally.add(match(truth, prediction))

    assert tally.count.sum() == 0
    assert tally.error == 0


def test_scores_outside_0_to_1_are_counted_apart():
    maps = row("12", segment(CAR), segment(CAR)), row("12", scored(80.0), scored(-1.0))
    tally = ScoreTally()

    tally.add(match(*maps))

    assert tally.outside == 2
    assert tally.count.sum() == 0


def test_each_segment_has_one_fate():
    matching = match(
        row("11112233", segment(CAR), segment(CAR), segment(PERSON)),
        row("11223333", *[segment(CAR)] * 3),
    )
    fates = Fates.nothing(2)

    fates.add(matching, segment_errors(matching))

    split = 1 + KINDS.index("split")
    assert fates.true[CAR, split] == 1
    assert fates.predicted[CAR, split] == 2
    assert fates.true[:, FOUND].sum() == fates.predicted[:, FOUND].sum() == 0
    assert fates.true.sum() == fates.predicted.sum() == 3
