import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment
from jsisnet.formats import map_index, two_channel

ROAD_ID, CAR_ID = 100, 3


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"categories": factories.category_entries()}))
    return map_index.read_index(path)


def write(folder, values, name="a.png"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values)).save(folder / name)
    return folder


def described(panoptic):
    return sorted(
        (s.label, int(area)) for s, area in zip(panoptic.segments, panoptic.areas(), strict=True)
    )


def read(folder, index, **options):
    return described(two_channel.source(folder, index, **options).records[0].read())


RGB = np.array(
    [
        [
            [ROAD_ID, 0, 0],
            [ROAD_ID, 9, 0],
            [CAR_ID, 1, 0],
            [CAR_ID, 1, 1],
            [CAR_ID, 0, 255],
            [0, 1, 1],
        ]
    ],
    np.uint8,
)
"""One stuff segment whatever its instances, three cars with instances up to 65280, and void."""


def test_instances_beyond_255_use_the_third_channel(tmp_path, index):
    found = read(write(tmp_path / "maps", RGB), index)

    assert found == [(CAR, 1), (CAR, 1), (CAR, 1), (ROAD, 2)]


def test_two_channels_are_grey_with_alpha(tmp_path, index):
    found = read(write(tmp_path / "maps", RGB[..., :2]), index)

    assert found == [(CAR, 1), (CAR, 2), (ROAD, 2)]


def test_16_bit_grey_is_256_times_the_class_plus_the_instance(tmp_path, index):
    values = np.array([[256 * 150 + 3, 256 * 3, 256 * 3 + 255, 0]], np.uint16)

    found = read(write(tmp_path / "maps", values), index)

    assert found == [(CAR, 1), (CAR, 1), (factories.TREE, 1)]


def test_0_and_255_are_void_unless_the_option_names_others(tmp_path, index):
    values = np.array([[[0, 0, 0], [255, 0, 0], [CAR_ID, 0, 0]]], np.uint8)
    maps = write(tmp_path / "maps", values)

    assert read(maps, index) == [(CAR, 1)]
    with pytest.raises(
        ValueError,
        match=r"a\.png: value 0 is not the id of .*\(void values: 255",
    ):
        read(maps, index, void=[255])
    with pytest.raises(ValueError, match="3 cannot mean void: it is the id of a category"):
        read(maps, index, void=[3])


def test_images_have_the_names_and_ids_of_the_list_or_of_the_maps(tmp_path):
    write(tmp_path / "maps", RGB, "b/listed.png")
    write(tmp_path / "maps", RGB, "other.png")
    index = tmp_path / "index.json"
    images = [{"id": 7, "file_name": "b/listed.jpeg"}, {"id": 8, "file_name": "elsewhere.jpg"}]
    index.write_text(json.dumps({"images": images, "categories": factories.category_entries()}))

    source = two_channel.source(tmp_path / "maps", map_index.read_index(index))

    assert [(r.image_id, r.name) for r in source.records] == [
        (7, "b/listed.jpeg"),
        ("other", "other.jpg"),
    ]
    assert source.warnings == ("1 of 2 listed images have no map, such as elsewhere.jpg",)


def test_photos_are_looked_for_by_the_names_of_the_maps(tmp_path, index):
    maps = write(tmp_path / "maps", RGB)
    photos = write(tmp_path / "photos", RGB)

    assert two_channel.source(maps, index, images=photos).records[0].image == photos / "a.png"
    with pytest.raises(ValueError, match=r"no photo a with the suffix \.jpg, \.jpeg, \.png"):
        two_channel.source(maps, index, images=tmp_path / "maps" / "none")


@pytest.mark.parametrize("values", [np.zeros((1, 1), np.uint8), np.zeros((1, 1, 4), np.uint8)])
def test_pixels_of_another_kind_are_refused(values, tmp_path, index):
    with pytest.raises(
        ValueError,
        match=r"a\.png: unsupported pixels; expected .* RGB",
    ):
        read(write(tmp_path / "maps", values), index)


def test_an_empty_folder_is_refused(tmp_path, index):
    (tmp_path / "maps").mkdir()

    with pytest.raises(ValueError, match="maps: no files"):
        two_channel.source(tmp_path / "maps", index)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "index.json: missing 'categories'"),
        (
            {"images": [{"id": 1, "file_name": "../"}]},
            r"images\[0\]: 'file_name' is .\.\./.; expected the name of a file",
        ),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.png"}]},
            "images 1 and 2 would share a map",
        ),
    ],
)
def test_an_invalid_list_is_refused(content, message, tmp_path):
    (tmp_path / "index.json").write_text(json.dumps(content))

    with pytest.raises(ValueError, match=message):
        map_index.read_index(tmp_path / "index.json")


def test_what_is_written_is_read_again_even_300_things_of_a_class(tmp_path, index):
    things = [segment(CAR)] * 300
    panoptic = panoptic_map(
        [[*range(303)]], *things, segment(BUS, score=0.5), segment(PERSON, iscrowd=True)
    )

    written = two_channel.target(tmp_path, CATEGORIES).write(panoptic, "b/a")

    assert list(written.lost.values()) == [1, 1]
    pixels = np.asarray(Image.open(tmp_path / "maps/b/a.png"))
    assert pixels[0, [0, 1, 256, 300, 301, 302]].tolist() == [
        [0, 0, 0],
        [CAR_ID, 1, 0],
        [CAR_ID, 0, 1],
        [CAR_ID, 44, 1],
        [6, 1, 0],
        [0, 0, 0],
    ]
    assert read(tmp_path / "maps", index) == [(CAR, 1)] * 300 + [(BUS, 1)]


WITH_1000 = np.array([[100_00, 3 * 1000 + 1, 3 * 1000 + 2, 0]], np.uint16)
"""Road and two cars, as 1000 class + instance; the id of the road is 10."""


@pytest.fixture
def thousands(tmp_path):
    entries = factories.category_entries()
    for entry in entries:
        entry["id"] = entry["id"] // 10 or entry["id"]
    path = tmp_path / "thousands.json"
    path.write_text(json.dumps({"categories": entries}))
    return map_index.read_index(path)


def test_another_divisor_separates_class_and_instance(tmp_path, thousands):
    found = read(write(tmp_path / "maps", WITH_1000), thousands, label_divisor=1000)

    assert found == [(CAR, 1), (CAR, 1), (ROAD, 1)]


def test_classes_above_255_need_a_smaller_divisor(tmp_path):
    entries = [{"id": 600, "name": "car", "isthing": 1}]
    (tmp_path / "index.json").write_text(json.dumps({"categories": entries}))
    maps = write(tmp_path / "maps", np.array([[60001, 60099, 60001]], np.uint16))
    index = map_index.read_index(tmp_path / "index.json")

    assert read(maps, index, label_divisor=100) == [(0, 1), (0, 2)]
    with pytest.raises(ValueError, match=r"value 234 is not .* fit with label_divisor 100 "):
        read(maps, index)


def test_the_divisor_that_would_fit_is_suggested(tmp_path, thousands):
    maps = write(tmp_path / "maps", WITH_1000)

    with pytest.raises(ValueError, match=r"value 39 is not .* fit with label_divisor 1000 "):
        read(maps, thousands)
    with pytest.raises(ValueError, match=r"value 100 is not .* fit with label_divisor 1000 "):
        read(maps, thousands, label_divisor=100)


def test_no_divisor_is_suggested_if_none_fits(tmp_path, thousands):
    with pytest.raises(ValueError, match=r"value 255 is not .*\(void values: 0\)$"):
        read(write(tmp_path / "maps", np.array([[65535, 77]], np.uint16)), thousands, void=[0])


@pytest.mark.parametrize("divisor", [0, -5, 10**18])
def test_a_divisor_fits_16_bits(tmp_path, thousands, divisor):
    with pytest.raises(ValueError, match=f"label_divisor is {divisor}; expected 1 to 65536"):
        read(write(tmp_path / "maps", WITH_1000), thousands, label_divisor=divisor)


def test_a_divisor_needs_16_bits(tmp_path, index):
    with pytest.raises(ValueError, match=r"a\.png: unsupported pixels; expected 16-bit grey, as"):
        read(write(tmp_path / "maps", RGB), index, label_divisor=1000)


def test_instances_of_void_are_void_unless_another_divisor_gives_them_classes(tmp_path, index):
    suspicious = write(tmp_path / "first", np.array([[101, 103, 0]], np.uint16))
    harmless = write(tmp_path / "second", np.array([[256 * 3 + 1, 77, 0]], np.uint16))

    with pytest.raises(ValueError, match=r"a\.png: value 101 would be void; .* label_divisor 100 "):
        read(suspicious, index)
    assert read(suspicious, index, label_divisor=256) == []
    assert read(harmless, index) == [(CAR, 1)]
