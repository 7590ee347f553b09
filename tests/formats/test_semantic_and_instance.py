import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment
from jsisnet.formats import image_list, semantic_and_instance

ROAD_ID, CAR_ID = 100, 3
CLASSES = np.array([[ROAD_ID, ROAD_ID, CAR_ID, CAR_ID, CAR_ID, 255]], np.uint8)


@pytest.fixture
def listing(tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"categories": factories.category_entries()}))
    return image_list.read_listing(path)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "classes", tmp_path / "things"


def write(folders, classes, things, name="a.png"):
    for folder, values in zip(folders, (classes, things), strict=True):
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.array(values)).save(folder / name)


def read(folders, listing):
    panoptic = semantic_and_instance.source(*folders, listing).records[0].read()
    return sorted(
        (s.label, s.iscrowd, int(area))
        for s, area in zip(panoptic.segments, panoptic.areas(), strict=True)
    )


@pytest.mark.parametrize(
    "things",
    [
        np.array([[0, 5, 1, 40_000, 40_000, 3]], np.uint16),
        np.array([[[0] * 3, [5] * 3, [1] * 3, [0, 0, 255], [0, 0, 255], [0] * 3]], np.uint8),
    ],
)
def test_a_thing_is_a_value_within_a_class(things, folders, listing):
    write(folders, CLASSES, things)

    assert read(folders, listing) == [(CAR, False, 1), (CAR, False, 2), (ROAD, False, 2)]


def test_one_instance_in_two_classes_is_two_things(folders, listing):
    write(folders, np.array([[3, 1, 3]], np.uint8), np.array([[9, 9, 9]], np.uint8))

    assert read(folders, listing) == [(PERSON, False, 1), (CAR, False, 2)]


def test_things_without_instance_are_a_crowd(folders, listing):
    write(folders, CLASSES, np.array([[0, 0, 0, 2, 0, 0]], np.uint8))

    assert read(folders, listing) == [(CAR, False, 1), (CAR, True, 2), (ROAD, False, 2)]


def test_classes_may_be_colors(folders, listing):
    road, car, black = (128, 64, 128), (0, 0, 142), (0, 0, 0)
    write(
        folders, np.array([[road, car, car, black]], np.uint8), np.array([[0, 1, 2, 3]], np.uint8)
    )

    assert read(folders, listing) == [(CAR, False, 1), (CAR, False, 1), (ROAD, False, 1)]


def test_a_missing_partner_is_named(folders, listing):
    write(folders, CLASSES, CLASSES)
    (folders[1] / "a.png").rename(folders[1] / "b.png")

    with pytest.raises(ValueError, match=r"has [ab]\.png, but .* has no such file"):
        semantic_and_instance.source(*folders, listing)


@pytest.mark.parametrize(
    ("classes", "things", "message"),
    [
        (CLASSES, CLASSES[:, 1:], r"things/a\.png: is 1x5 pixels, but .*classes/a\.png is 1x6"),
        (np.zeros((1, 6, 2), np.uint8), CLASSES, "classes/a.png: has 2 channels, expected one, or"),
        (CLASSES, np.zeros((1, 6, 4), np.uint8), "has 4 channels, expected one or three channels"),
        (CLASSES + 1, CLASSES, r"classes/a\.png: class 4 is none of the 6 categories"),
    ],
)
def test_maps_that_contradict_each_other_or_the_list_are_refused(
    classes, things, message, folders, listing
):
    write(folders, classes, things)

    with pytest.raises(ValueError, match=message):
        read(folders, listing)


def test_folders_without_maps_are_refused(folders, listing):
    for folder in folders:
        folder.mkdir()

    with pytest.raises(ValueError, match="classes: holds no PNGs"):
        semantic_and_instance.source(*folders, listing)


def test_what_is_written_is_read_again_with_crowds(tmp_path, listing):
    kinds = (segment(ROAD), segment(CAR), segment(CAR), segment(CAR, iscrowd=True))
    panoptic = panoptic_map([[0, 1, 2, 3, 4]], *kinds)

    written = semantic_and_instance.target(tmp_path, CATEGORIES).write(panoptic, "a")

    assert not any(written.lost.values())
    assert read((tmp_path / "semantic", tmp_path / "instances"), listing) == [
        (CAR, False, 1),
        (CAR, False, 1),
        (CAR, True, 1),
        (ROAD, False, 1),
    ]
