import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment
from jsisnet.formats import cityscapes, coco, map_index
from jsisnet.formats.cityscapes import MAP

STEM = "ulm/ulm_000001_000019"


def write(root, values, split="val", stem=STEM):
    path = root / "gtFine" / split / f"{stem}{MAP}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint16)).save(path)


def described(panoptic, categories=cityscapes.CATEGORIES):
    return sorted(
        (categories[s.label].id, s.iscrowd, int(area))
        for s, area in zip(panoptic.segments, panoptic.areas(), strict=True)
    )


def read(root, values):
    write(root, values)
    return described(cityscapes.source(root, "val").records[0].read())


def test_there_are_8_things_and_11_stuff_classes_with_the_ids_of_the_server():
    categories = cityscapes.CATEGORIES

    assert len(categories.thing_labels) == 8
    assert len(categories.stuff_labels) == 11
    assert [c.id for c in categories if c.isthing] == [24, 25, 26, 27, 28, 31, 32, 33]
    assert categories[categories.label(26)].name == "car"


def test_image_ids_and_photos_follow_from_the_names_of_maps(tmp_path):
    write(tmp_path, [[7]])

    record = cityscapes.source(tmp_path, "val").records[0]

    assert record.image_id == "ulm_000001_000019"
    assert record.name == f"{STEM}_leftImg8bit.png"
    assert record.image == tmp_path / "leftImg8bit/val" / record.name


def test_things_have_a_segment_each_and_stuff_has_one(tmp_path):
    found = read(tmp_path, [[7, 26_000, 26_001, 33_012], [7, 23, 26_001, 33_012]])

    assert found == [
        (7, False, 2),
        (23, False, 1),
        (26, False, 1),
        (26, False, 2),
        (33, False, 2),
    ]


def test_a_thing_class_without_instance_is_one_crowd(tmp_path):
    assert read(tmp_path, [[26, 24, 26, 26_000]]) == [
        (24, True, 1),
        (26, False, 1),
        (26, True, 2),
    ]


def test_labels_that_are_not_evaluated_are_void(tmp_path):
    ignored = [0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 34, 45, 29_001, 30_000, 29]

    assert read(tmp_path, [[8, *ignored]]) == [(8, False, 1)]


@pytest.mark.parametrize(("value", "number"), [(46, 46), (255, 255), (60_001, 60)])
def test_a_value_of_no_label_is_refused(value, number, tmp_path):
    with pytest.raises(ValueError, match=rf"{MAP}: value {value} stands for class {number}, but"):
        read(tmp_path, [[value]])


def test_a_folder_without_maps_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no files gtFine/train/"):
        cityscapes.source(tmp_path, "train")


def test_the_official_panoptic_output_is_a_coco_panoptic_file(tmp_path):
    ids = np.array([[7, 26_001, 26, 0]])
    folder = tmp_path / "cityscapes_panoptic_val"
    folder.mkdir()
    colors = np.stack([ids % 256, ids // 256, ids // 65_536], -1).astype(np.uint8)
    Image.fromarray(colors).save(folder / "ulm_1_2_gtFine_panoptic.png")
    content = {
        "images": [
            {"id": "ulm_1_2", "file_name": "ulm_1_2_leftImg8bit.png", "height": 1, "width": 4}
        ],
        "annotations": [
            {
                "image_id": "ulm_1_2",
                "file_name": "ulm_1_2_gtFine_panoptic.png",
                "segments_info": [
                    {"id": 7, "category_id": 7, "area": 1, "iscrowd": 0},
                    {"id": 26_001, "category_id": 26, "area": 1, "iscrowd": 0},
                    {"id": 26, "category_id": 26, "area": 1, "iscrowd": 1},
                ],
            }
        ],
        "categories": [
            {"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in cityscapes.CATEGORIES
        ],
    }
    folder.with_suffix(".json").write_text(json.dumps(content))

    record = coco.source(folder.with_suffix(".json")).records[0]

    assert (record.image_id, record.image) == ("ulm_1_2", None)
    assert described(record.read()) == [(7, False, 1), (26, False, 1), (26, True, 1)]


def test_what_is_written_is_read_again_with_other_classes(tmp_path):
    kinds = (segment(ROAD), segment(CAR), segment(CAR), segment(CAR, iscrowd=True))
    panoptic = panoptic_map([[0, 1, 2], [3, 4, 5]], *kinds, segment(PERSON))
    target = cityscapes.target(tmp_path, CATEGORIES)
    index = tmp_path / "index.json"
    entries = [{**e, "id": i} for i, e in enumerate(factories.category_entries(), 1)]
    index.write_text(json.dumps({"categories": entries}))

    target.write(panoptic, "a/b")

    png = tmp_path / f"gtFine/all/a/b{MAP}"
    assert np.asarray(Image.open(png)).tolist() == [[0, 5, 2000], [2001, 2, 1000]]
    source = cityscapes.source(tmp_path, "all", index=map_index.read_index(index))
    assert described(source.records[0].read(), source.categories) == [
        (1, False, 1),
        (2, False, 1),
        (2, False, 1),
        (2, True, 1),
        (5, False, 1),
    ]


def test_crowds_of_one_class_are_merged_and_counted_with_scores(tmp_path):
    crowds = [segment(CAR, iscrowd=True)] * 3
    panoptic = panoptic_map([[1, 2, 3, 4]], *crowds, segment(PERSON, score=0.5))

    written = cityscapes.target(tmp_path, CATEGORIES).write(panoptic, "a")

    assert list(written.lost.values()) == [2, 1]


def test_more_than_1000_things_of_a_class_or_64_classes_do_not_fit(tmp_path):
    target = cityscapes.target(tmp_path, CATEGORIES)
    row = [list(range(1, 1002))]

    with pytest.raises(ValueError, match="more than 1000 things of the class 'car'"):
        target.write(panoptic_map(row, *[segment(CAR)] * 1001), "a")
    many = type(CATEGORIES)(
        tuple(type(CATEGORIES[0])(id=i, name=str(i), isthing=True) for i in range(65))
    )
    with pytest.raises(ValueError, match="65 classes, but the format can store 64 at most"):
        cityscapes.target(tmp_path, many)
