import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment
from jsisnet.categories import Categories, Category
from jsisnet.files.png import read_values
from jsisnet.formats import categories_json, map_index, semantic_instance
from jsisnet.panoptic import PanopticMap, Segment

ROAD_ID, CAR_ID = 100, 3
CLASSES = np.array([[ROAD_ID, ROAD_ID, CAR_ID, CAR_ID, CAR_ID, 255]], np.uint8)


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"categories": factories.category_entries()}))
    return map_index.read_index(path)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "classes", tmp_path / "things"


def write(folders, classes, things, name="a.png"):
    for folder, values in zip(folders, (classes, things), strict=True):
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.array(values)).save(folder / name)


def read(folders, index):
    panoptic = semantic_instance.source(*folders, index).records[0].read()
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
def test_a_thing_is_a_value_within_a_class(things, folders, index):
    write(folders, CLASSES, things)

    assert read(folders, index) == [(CAR, False, 1), (CAR, False, 2), (ROAD, False, 2)]


def test_one_instance_in_two_classes_is_two_things(folders, index):
    write(folders, np.array([[3, 1, 3]], np.uint8), np.array([[9, 9, 9]], np.uint8))

    assert read(folders, index) == [(PERSON, False, 1), (CAR, False, 2)]


def test_things_without_instance_are_a_crowd(folders, index):
    write(folders, CLASSES, np.array([[0, 0, 0, 2, 0, 0]], np.uint8))

    assert read(folders, index) == [(CAR, False, 1), (CAR, True, 2), (ROAD, False, 2)]


def test_classes_may_be_colors(folders, index):
    road, car, black = (128, 64, 128), (0, 0, 142), (0, 0, 0)
    write(
        folders, np.array([[road, car, car, black]], np.uint8), np.array([[0, 1, 2, 3]], np.uint8)
    )

    assert read(folders, index) == [(CAR, False, 1), (CAR, False, 1), (ROAD, False, 1)]


def test_a_missing_partner_is_named(folders, index):
    write(folders, CLASSES, CLASSES)
    (folders[1] / "a.png").rename(folders[1] / "b.png")

    with pytest.raises(ValueError, match=r"found [ab]\.png, but .* has no such file"):
        semantic_instance.source(*folders, index)


@pytest.mark.parametrize(
    ("classes", "things", "message"),
    [
        (CLASSES, CLASSES[:, 1:], r"things/a\.png: 1x5 pixels, but .*classes/a\.png is 1x6"),
        (np.zeros((1, 6, 2), np.uint8), CLASSES, "classes/a.png: 2 channels; expected one"),
        (CLASSES, np.zeros((1, 6, 4), np.uint8), "4 channels; expected one or three"),
        (CLASSES + 1, CLASSES, r"classes/a\.png: value 4 is not the id of one of the 6 categories"),
    ],
)
def test_maps_that_contradict_each_other_or_the_list_are_refused(
    classes, things, message, folders, index
):
    write(folders, classes, things)

    with pytest.raises(ValueError, match=message):
        read(folders, index)


def test_folders_without_maps_are_refused(folders, index):
    for folder in folders:
        folder.mkdir()

    with pytest.raises(ValueError, match=r"classes: no files \*\.png"):
        semantic_instance.source(*folders, index)


def test_what_is_written_is_read_again_with_crowds(tmp_path, index):
    kinds = (segment(ROAD), segment(CAR), segment(CAR), segment(CAR, iscrowd=True))
    panoptic = panoptic_map([[0, 1, 2, 3, 4]], *kinds)

    written = semantic_instance.target(tmp_path, CATEGORIES).write(panoptic, "a")

    assert not any(written.lost.values())
    assert read((tmp_path / "semantic", tmp_path / "instances"), index) == [
        (CAR, False, 1),
        (CAR, False, 1),
        (CAR, True, 1),
        (ROAD, False, 1),
    ]


def many_classes(number):
    """Return things and stuff in turn, with ids from 1."""
    return Categories(
        tuple(Category(id=i, name=f"c{i}", isthing=i % 2 == 1) for i in range(1, number + 1))
    )


@pytest.mark.parametrize(("number", "kind"), [(254, np.uint8), (255, np.uint16), (700, np.uint16)])
def test_more_classes_than_8_bits_hold_are_written_in_16_bits(tmp_path, number, kind):
    categories = many_classes(number)
    labels = [0, number - 1, number - 2, min(254, number - 1)]
    segments = [Segment(label=label, isthing=categories[label].isthing) for label in labels]
    panoptic = PanopticMap(np.array([[1, 2, 3, 4]], np.int32), tuple(segments))

    target = semantic_instance.target(tmp_path, categories)
    target.write(panoptic, "a")

    values = read_values(tmp_path / "semantic" / "a.png")
    assert values.dtype == kind
    assert values.tolist() == [[label + 1 for label in labels]]
    (tmp_path / "index.json").write_text(
        json.dumps({"categories": categories_json.entries(target.categories)})
    )
    index = map_index.read_index(tmp_path / "index.json")
    maps = semantic_instance.source(tmp_path / "semantic", tmp_path / "instances", index)
    back = maps.records[0].read()
    assert back.labels(65535).tolist() == [labels]
