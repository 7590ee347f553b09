import io
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import factories
import known_errors
from factories import CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment
from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.matching import match
from jsisnet.visualize.report.gallery import COLORS, draw_pictures, pixel_outcomes


def opened(picture):
    head, code = picture.uri.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(b64decode(code)))


@pytest.fixture
def swapped(tmp_path):
    found = known_errors.compared(tmp_path)
    return found.truth, found.data.candidates()["misclassified"][0]


def outcomes_of(truth, prediction):
    names = list(COLORS)
    return [
        names[outcome]
        for outcome in pixel_outcomes(truth, prediction, match(truth, prediction).match)[0]
    ]


def test_pixels_are_right_where_their_segments_match():
    truth = panoptic_map([[1, 1, 1, 2]], segment(CAR), segment(ROAD))
    prediction = panoptic_map([[1, 1, 2, 2]], segment(CAR), segment(ROAD))

    assert outcomes_of(truth, prediction) == ["right", "right", "missed", "unmatched"]


def test_pixels_of_things_on_stuff_are_missed_or_invented_and_others_wrong():
    truth = panoptic_map([[1, 1, 2, 2, 3]], segment(CAR), segment(ROAD), segment(SKY))
    prediction = panoptic_map([[1, 2, 2, 1, 2]], segment(PERSON), segment(ROAD))

    assert outcomes_of(truth, prediction) == ["wrong", "missed", "unmatched", "spurious", "wrong"]


def test_pixels_without_prediction_are_missed():
    truth = panoptic_map([[1, 2]], segment(CAR), segment(ROAD))

    assert outcomes_of(truth, panoptic_map([[0, 0]])) == ["missed", "missed"]


def test_void_and_crowd_regions_are_ignored():
    truth = panoptic_map([[0, 1]], segment(CAR, iscrowd=True))
    prediction = panoptic_map([[1, 1]], segment(CAR))

    assert outcomes_of(truth, prediction) == ["uncounted", "uncounted"]


def test_an_image_is_drawn_four_times_in_one_size(swapped):
    truth, image = swapped

    drawn = draw_pictures(image, truth.images / "street0.jpg", CATEGORIES)

    shown = [drawn.photo, drawn.truth, drawn.prediction, drawn.errors]
    assert [picture.size for picture in shown] == [(64, 96)] * 4
    assert [opened(picture).size for picture in shown] == [(96, 64)] * 4
    assert drawn.bytes == sum(len(picture.uri) for picture in shown)


def test_the_pictures_show_where_the_classes_differ(swapped):
    truth, image = swapped

    drawn = draw_pictures(image, truth.images / "street0.jpg", CATEGORIES)

    street = factories.tiny_map(0)
    car = 1 + [info.label for info in street.segments].index(CAR)
    errors = np.asarray(opened(drawn.errors)).astype(float)
    inside, outside = errors[street.ids == car].mean(0), errors[street.ids != car].mean(0)
    wrong, right = (np.array(COLORS[name]) for name in ("wrong", "right"))
    assert np.abs(inside - wrong).sum() < np.abs(inside - right).sum()
    assert np.abs(outside - right).sum() < np.abs(outside - wrong).sum()


def test_without_a_photo_only_the_maps_are_drawn(swapped):
    _, image = swapped

    drawn = draw_pictures(image, None, CATEGORIES)

    assert drawn.photo is None
    assert opened(drawn.truth).size == (96, 64)


def test_large_pictures_are_scaled_down(tmp_path):
    found = known_errors.compared(tmp_path, size=(500, 1000))
    (image,) = found.data.candidates()["missed"]

    drawn = draw_pictures(image, found.truth.images / "street1.png", CATEGORIES)

    height, width = drawn.photo.size
    assert 0.95 * 360 * 270 < height * width <= 1.05 * 360 * 270
    assert width / height == pytest.approx(2, rel=0.02)


def test_segments_of_unknown_classes_are_drawn_as_void(swapped):
    _, image = swapped
    unknown = replace(image.truth, labels=np.full_like(image.truth.labels, UNKNOWN))

    drawn = draw_pictures(replace(image, truth=unknown), None, CATEGORIES)

    pixels = np.asarray(opened(drawn.errors)).reshape(-1, 3)
    assert np.ptp(pixels.mean(0)) < 3
