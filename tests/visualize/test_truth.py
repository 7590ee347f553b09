from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, SKY
from jsisnet.formats import coco
from jsisnet.formats.records import Record
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize.truth import (
    contact_sheet,
    describe_classes,
    read_photo,
    resized_ids,
    resized_photo,
)


@pytest.fixture
def records(tiny):
    return coco.source(tiny.annotations, images=tiny.images).records


def alone(panoptic):
    """Return the record of a map without a photo."""
    return Record(image_id=1, name="1.jpg", image=None, size=None, read=lambda: panoptic)


def test_the_truth_is_drawn_beside_the_photo(records):
    both = contact_sheet(records[:1], CATEGORIES)
    over = contact_sheet(records[:1], CATEGORIES, overlay=True)

    # Photos of 64x96 pixels are shown 6 times as large.
    assert over.shape[1] == 576 + 2 * 11
    assert both.shape[1] == 2 * 576 + 6 + 2 * 23
    sky, car = both[30, 40].tolist(), both[300, 100].tolist()
    assert np.abs(np.array(sky) - CATEGORIES[SKY].color).max() < 60
    assert sky != car


def test_a_page_of_many_is_about_as_wide_as_high(records):
    height, width = contact_sheet(records, CATEGORIES).shape[:2]

    assert 0.5 < width / height < 3


def test_maps_without_photos_are_drawn_alone(records, tiny):
    without = coco.source(tiny.annotations).records

    assert (
        contact_sheet(without[:1], CATEGORIES).shape
        == contact_sheet(records[:1], CATEGORIES, overlay=True).shape
    )


def test_swapped_sizes_are_told():
    told = []
    record = replace(alone(PanopticMap(np.zeros((2, 3), np.int32), ())), size=(3, 2))

    contact_sheet([record], CATEGORIES, on_warning=told.append)

    assert [text.split(",")[0] for text in told] == [
        "1 of 1 images are listed with height and width swapped"
    ]


def test_it_is_told_how_many_are_done(records):
    told = []

    contact_sheet(records[:2], CATEGORIES, on_image=lambda *numbers: told.append(numbers))

    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2000, 1000)])
def test_pictures_of_any_shape_have_a_bounded_size(size):
    panoptic = factories.panoptic_map(np.ones(size, int).tolist(), factories.segment(SKY))

    drawn = contact_sheet([alone(panoptic), *[alone(factories.tiny_map(0))] * 3], CATEGORIES)

    assert max(drawn.shape) < 3000


def test_photos_of_another_size_than_their_map_are_named(records, tiny):
    Image.new("RGB", (96, 32)).save(tiny.images / "street0.jpg")

    with pytest.raises(ValueError, match=r"street0\.jpg: 32 x 96 pixels, but .* 64 x 96"):
        contact_sheet(records[:1], CATEGORIES)


def test_a_missing_photo_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"lost\.jpg: not a file"):
        read_photo(tmp_path / "lost.jpg", (1, 1))


def test_ids_are_left_out_or_repeated_but_never_mixed():
    ids = np.array([[1, 1, 5, 5]], np.int32)

    assert resized_ids(ids, (1, 2)).tolist() == [[1, 5]]
    assert resized_ids(ids, (2, 8)).tolist() == [[1, 1, 1, 1, 5, 5, 5, 5]] * 2


def test_pixels_of_a_smaller_photo_are_means():
    photo = np.array([[[0] * 3, [100] * 3]], np.uint8)

    assert resized_photo(photo, (1, 1)).tolist() == [[[50] * 3]]


def test_a_caption_names_the_largest_classes_and_counts_their_things():
    street = factories.panoptic_map(
        [[1, 2, 2, 3, 3, 3, 3], [4, 0, 0, 0, 0, 0, 0]],
        factories.segment(CAR),
        factories.segment(CAR),
        factories.segment(SKY),
        factories.segment(PERSON, iscrowd=True),
    )

    assert describe_classes(street, CATEGORIES) == "sky, 2 car, person"
    assert describe_classes(factories.panoptic_map([[0]]), CATEGORIES) == "void only"


def test_a_caption_is_short():
    segments = [factories.segment(label) for label in range(6)]

    assert describe_classes(
        factories.panoptic_map([[1, 2, 3, 4, 5, 6]], *segments), CATEGORIES
    ).endswith("road, 1 more")
