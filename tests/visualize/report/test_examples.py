import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, PERSON, SKY
from jsisnet.datatools.statistics import statistics
from jsisnet.formats import coco
from jsisnet.visualize.report.examples import choose_examples, draw_examples


@pytest.fixture
def source(tiny):
    return coco.source(tiny.annotations, images=tiny.images)


def pixels(picture):
    content = b64decode(picture.uri.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).astype(int)


def test_a_class_shows_its_largest_segment_and_others_by_size(source):
    examples = [each for each in choose_examples(statistics(source)) if each.label == SKY]

    assert [each.rank for each in examples] == [1, 2, 3, 5]
    assert {each.of for each in examples} == {6}
    assert len({each.image for each in examples}) == 4
    shares = [each.share for each in examples]
    assert shares == sorted(shares, reverse=True)


def test_a_class_with_few_segments_shows_each_once(source):
    examples = [each for each in choose_examples(statistics(source)) if each.label == BUS]

    assert sorted(each.image for each in examples) == [0, 3]


def test_crowd_regions_are_shown_only_for_classes_that_have_nothing_else(source):
    found = statistics(source)
    persons = [each for each in choose_examples(found) if each.label == PERSON]
    assert {each.of for each in persons} == {6}

    found.segments.crowds[:] = found.segments.labels == BUS
    buses = [each for each in choose_examples(found) if each.label == BUS]
    assert len(buses) == 2


def test_a_segment_is_bright_and_what_is_around_it_dark(source):
    (bus,) = (
        each for each in choose_examples(statistics(source)) if (each.label, each.rank) == (BUS, 1)
    )

    pictures, faults = draw_examples([bus], source)

    picture = pixels(pictures[bus])
    assert faults == ()
    assert picture.shape[0] <= 240
    assert picture.shape[1] <= 320
    height, width, _ = picture.shape
    assert np.abs(picture[height // 2, width // 2] - [0, 60, 100]).max() < 50
    assert np.abs(picture[5, 5] - [38, 62, 82]).max() < 30


def test_small_segments_are_enlarged(tmp_path):
    data = factories.tiny_dataset(tmp_path / "large", count=1, size=(600, 900))
    source = coco.source(data.annotations, images=data.images)
    (car,) = (each for each in choose_examples(statistics(source)) if each.label == CAR)

    pictures, _ = draw_examples([car], source)

    picture = pixels(pictures[car])
    bluish = (picture[..., 0] < 60) & (picture[..., 2] > 100)
    assert bluish.mean() > 4 * car.share


@pytest.mark.parametrize("processes", [1, 2])
def test_a_photo_that_can_not_be_read_is_reported(source, tiny, processes):
    (tiny.images / "street0.jpg").write_bytes(b"no photo")
    examples = choose_examples(statistics(source))
    told = []

    pictures, faults = draw_examples(
        examples, source, processes=processes, on_image=lambda *numbers: told.append(numbers)
    )

    (fault,) = faults
    assert "street0.jpg: can't be read as an image" in fault
    assert {each.image for each in pictures} == {each.image for each in examples} - {0}
    assert told[-1] == (6, 6)


def test_no_examples_give_no_pictures(source):
    assert draw_examples((), source) == ({}, ())
