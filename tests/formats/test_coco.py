import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment
from jsisnet.categories import Categories, Category
from jsisnet.formats import coco
from jsisnet.panoptic import PanopticMap

ENTRY = {
    "image_id": 7,
    "file_name": "map.png",
    "segments_info": [
        {"id": 5, "category_id": 92, "area": 3, "iscrowd": 0},
        {"id": 70_000, "category_id": 3, "area": 2, "iscrowd": 0},
    ],
}
CONTENT = {
    "images": [{"id": 7, "file_name": "photo.JPG", "height": 2, "width": 3}],
    "annotations": [ENTRY],
    "categories": factories.category_entries(),
}
IDS = np.array([[5, 5, 5], [70_000, 70_000, 0]])


def write(folder, content=CONTENT, ids=IDS):
    """Write one image's annotation: sky above a car."""
    path = folder / "truth.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "truth").mkdir(exist_ok=True)
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(colors).save(folder / "truth" / "map.png")
    return path


def changed(*keys, **values):
    """Copy `CONTENT` with new values in the entry that the keys lead to."""
    content = deepcopy(CONTENT)
    target = content
    for key in keys:
        target = target[key]
    for key, value in values.items():
        if value is None:
            del target[key]
        else:
            target[key] = value
    return content


IMAGE, ANNOTATION = ("images", 0), ("annotations", 0)
SEGMENT = (*ANNOTATION, "segments_info", 1)


def read_map(path, **options):
    file = coco.read_annotations(path, **options)
    return coco.read_png(file.annotations[0], file.categories)


def assert_same(one: PanopticMap, other: PanopticMap):
    assert one.ids.tolist() == other.ids.tolist()
    assert one.segments == other.segments


def test_the_annotations_of_a_ground_truth_are_read(tmp_path):
    file = coco.read_annotations(write(tmp_path), images=tmp_path / "photos")

    assert file.categories == CATEGORIES
    (annotation,) = file.annotations
    assert replace(annotation, segments_info=tuple(annotation.segments_info)) == (
        coco.Annotation(
            image_id=7,
            png=tmp_path / "truth" / "map.png",
            image=tmp_path / "photos" / "photo.JPG",
            size=(2, 3),
            segments_info=(
                coco.SegmentInfo(id=5, category_id=92, area=3),
                coco.SegmentInfo(id=70_000, category_id=3, area=2),
            ),
        )
    )


def test_dense_ids_follow_the_order_of_the_json_file(tmp_path):
    expected = panoptic_map([[1, 1, 1], [2, 2, 0]], segment(SKY), segment(CAR))

    assert_same(read_map(write(tmp_path)), expected)


def test_a_map_is_read_as_the_data_set_was_drawn(tiny):
    file = coco.read_annotations(tiny.annotations)

    for index, annotation in enumerate(file.annotations):
        assert_same(coco.read_png(annotation, file.categories), factories.tiny_map(index))


def test_an_empty_segment_of_a_ground_truth_is_kept(tmp_path):
    extra = {"id": 9, "category_id": 1, "area": 0}
    content = changed(*ANNOTATION, segments_info=[extra, *ENTRY["segments_info"]])

    panoptic = read_map(write(tmp_path, content))

    assert panoptic.areas().tolist() == [0, 3, 2]


def test_ids_of_images_and_categories_may_be_strings(tmp_path):
    content = {
        "images": [{"id": "street/9", "file_name": "9.png"}],
        "annotations": [
            {
                "image_id": "street/9",
                "file_name": "map.png",
                "segments_info": [
                    {"id": 5, "category_id": "sky"},
                    {"id": 70_000, "category_id": "car"},
                ],
            }
        ],
        "categories": [
            {"id": "car", "name": "a car", "isthing": 1},
            {"id": "sky", "name": "the sky", "isthing": 0},
        ],
    }

    file = coco.read_annotations(write(tmp_path, content))

    assert file.annotations[0].image_id == "street/9"
    assert file.annotations[0].size is None
    panoptic = coco.read_png(file.annotations[0], file.categories)
    assert [info.label for info in panoptic.segments] == [1, 0]


def test_a_missing_area_is_no_error(tmp_path):
    content = changed(*SEGMENT, area=None)

    assert read_map(write(tmp_path, content)).areas().tolist() == [3, 2]


def test_the_pngs_may_be_in_another_folder(tmp_path):
    path = write(tmp_path)
    (tmp_path / "truth").rename(tmp_path / "maps")

    file = coco.read_annotations(path, pngs=tmp_path / "maps")

    assert file.annotations[0].png == tmp_path / "maps" / "map.png"


def test_crowd_and_void_survive(tmp_path):
    panoptic = read_map(write(tmp_path, changed(*SEGMENT, iscrowd=1)))

    assert [info.iscrowd for info in panoptic.segments] == [False, True]
    assert panoptic.ids[1, 2] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "invalid JSON"),
        (json.dumps(CONTENT)[:-20], "invalid JSON"),
        ("[" * 100_000, "invalid JSON: nested too deeply"),
        ("[]", r"found \[\]; expected an object"),
        ({}, "missing 'categories'"),
        (changed(annotations=None), "missing 'annotations'"),
        (changed(annotations={}), "'annotations' is {}; expected a list"),
        (changed(annotations=[5]), r"annotations\[0\]: found 5; expected an object"),
        (changed(*ANNOTATION, image_id=None), r"annotations\[0\]: missing 'image_id'"),
        (changed(*ANNOTATION, image_id=[1]), r"annotations\[0\]: 'image_id' is \[1\]"),
        (changed(*ANNOTATION, image_id=8), "image 8: not listed under 'images'"),
        (changed(annotations=[ENTRY, ENTRY]), "image 7: two annotations"),
        (changed(*ANNOTATION, file_name=None), "image 7: missing 'file_name'"),
        (changed(*ANNOTATION, file_name="/map.png"), "image 7: 'file_name' is .*inside its folder"),
        (changed(*ANNOTATION, file_name="../map.png"), "image 7: 'file_name' is .*inside its fold"),
        (changed(*ANNOTATION, segments_info=None), "image 7: missing 'segments_info'"),
        (changed(*ANNOTATION, segments_info=[[]]), r"image 7: segments_info\[0\]: found \[\]"),
        (changed(*SEGMENT, id=None), r"image 7: segments_info\[1\]: missing 'id'"),
        (changed(*SEGMENT, id="5"), "image 7: .*'id' is \"5\"; expected an integer from 1 to"),
        (changed(*SEGMENT, id=0), "image 7: .*'id' is 0; expected an integer from 1 to"),
        (changed(*SEGMENT, id=256**3), "'id' is 16777216; expected .* from 1 to 16777215"),
        (changed(*SEGMENT, id=5), "image 7: segment 5: listed twice"),
        (changed(*SEGMENT, category_id=None), "image 7: .*segment 70000: missing 'category_id'"),
        (changed(*SEGMENT, category_id=4), "segment 70000: 'category_id' is 4; expected one of th"),
        (changed(*SEGMENT, iscrowd=2), "image 7: .*segment 70000: 'iscrowd' is 2; expected 0 or 1"),
        (changed(*SEGMENT, area=float("nan")), "image 7: .*segment 70000: 'area' is NaN; expected"),
        (changed(*SEGMENT, area=-2), "image 7: .*segment 70000: 'area' is -2; expected the number"),
        (
            changed(*SEGMENT, score=float("inf")),
            "segment 70000: 'score' is Infinity; expected a nu",
        ),
        (
            changed(*IMAGE, height=0),
            "image 7: 'height' is 0; expected an integer of at least 1",
        ),
        (changed(*IMAGE, id=None), r"images\[0\]: missing 'id'"),
        (changed(categories=[{"id": 1}]), r"categories\[0\]: category 1: missing 'name'"),
    ],
)
def test_a_malformed_json_file_gives_one_message(tmp_path, content, message):
    path = write(tmp_path, content)

    with pytest.raises(ValueError, match=message) as caught:
        coco.read_annotations(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [5, "", "/", "photos/.."])
def test_the_name_of_a_photo_is_checked_when_photos_are_wanted(tmp_path, name):
    path = write(tmp_path, changed(*IMAGE, file_name=name))

    assert coco.read_annotations(path).annotations[0].image is None
    with pytest.raises(ValueError, match="image 7: 'file_name' is "):
        coco.read_annotations(path, images=tmp_path)


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"truth\.json: can't be read: No such file"):
        coco.read_annotations(tmp_path / "truth.json")
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(ValueError, match=r"the folder of its PNGs, .*truth, does not exist"):
        coco.read_annotations(tmp_path / "truth.json")


@pytest.mark.parametrize(
    ("content", "ids", "message"),
    [
        (CONTENT, np.array([[5, 5, 5], [70_000, 70_000, 6]]), "segment 6: in the PNG, but not"),
        (CONTENT, IDS[:, :2], "2x2 pixels, but the JSON file says 2x3"),
        (changed(*SEGMENT, area=4), IDS, "segment 70000: 2 pixels, but the JSON file says 4"),
        (CONTENT, np.array([[5, 5, 5], [0, 0, 0]]), "segment 70000: 0 pixels, but the JSON"),
    ],
)
def test_a_png_that_contradicts_the_json_file_is_refused(tmp_path, content, ids, message):
    path = write(tmp_path, content, ids)

    with pytest.raises(ValueError, match=message) as caught:
        read_map(path)

    assert str(caught.value).startswith(f"{tmp_path / 'truth' / 'map.png'}: image 7: ")


def test_a_missing_png_is_named(tmp_path):
    path = write(tmp_path)
    (tmp_path / "truth" / "map.png").unlink()

    with pytest.raises(ValueError, match=r"map\.png: image 7: does not exist"):
        read_map(path)


def test_wrong_areas_can_be_recounted(tmp_path):
    file = coco.read_annotations(write(tmp_path, changed(*SEGMENT, area=400)))

    panoptic = coco.read_png(file.annotations[0], file.categories, recount_areas=True)

    assert panoptic.areas().tolist() == [3, 2]


def test_predictions_may_lack_images_and_categories_and_state_any_area(tmp_path):
    content = changed(*SEGMENT, area=400) | {"images": None, "categories": None}

    panoptic = read_map(write(tmp_path, content), categories=CATEGORIES, predicted=True)

    assert_same(panoptic, panoptic_map([[1, 1, 1], [2, 2, 0]], segment(SKY), segment(CAR)))


def test_predictions_may_use_segment_id_zero(tmp_path):
    path = write(tmp_path, changed(*SEGMENT, id=0), np.array([[5, 5, 5], [0, 0, 0]]))

    panoptic = read_map(path, predicted=True)

    assert panoptic.ids.tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_predicted_segment_without_pixels_is_refused(tmp_path):
    path = write(tmp_path, ids=np.array([[5, 5, 5], [0, 0, 0]]))

    with pytest.raises(ValueError, match="image 7: segment 70000: listed, but has no pixels"):
        read_map(path, predicted=True)


def test_categories_of_the_same_number_but_another_name_are_refused(tmp_path):
    other = Categories((Category(id=3, name="tram", isthing=True),))

    with pytest.raises(ValueError, match="category 3 is 'car'; expected 'tram'"):
        coco.read_annotations(write(tmp_path), categories=other, predicted=True)


@pytest.mark.parametrize("categories", [CATEGORIES, CATEGORIES.merged_by("supercategory")])
def test_what_is_written_is_read_back(tmp_path, categories):
    maps = [
        panoptic_map([[1, 1, 0], [2, 2, 2]], segment(PERSON, iscrowd=True), segment(3)),
        panoptic_map([[0, 0, 0, 0]]),
        panoptic_map([[1, 2]], segment(0, score=0.25), segment(0, score=1.0)),
    ]

    with coco.writing(tmp_path / "out.json", categories) as writer:
        for number, panoptic in enumerate(maps):
            writer.add(panoptic, image_id=f"id{number}", image_name=f"sub/photo{number}.jpeg")

    file = coco.read_annotations(tmp_path / "out.json", images=tmp_path)
    assert file.categories == categories
    assert file.annotations[2].image_id == "id2"
    assert file.annotations[2].png == tmp_path / "out" / "sub" / "photo2.png"
    assert file.annotations[2].image == tmp_path / "sub" / "photo2.jpeg"
    assert file.annotations[2].size == (1, 2)
    for annotation, panoptic in zip(file.annotations, maps, strict=True):
        read = coco.read_png(annotation, categories)
        assert read.ids.tolist() == panoptic.ids.tolist()
        assert [s.label for s in read.segments] == [s.label for s in panoptic.segments]
        assert [s.score for s in read.segments] == [s.score for s in panoptic.segments]
        assert [s.iscrowd for s in read.segments] == [s.iscrowd for s in panoptic.segments]


def test_a_file_without_images_is_written_and_read(tmp_path):
    with coco.writing(tmp_path / "out.json", CATEGORIES):
        pass

    assert coco.read_annotations(tmp_path / "out.json").annotations == ()


def test_the_entries_of_segments_are_complete():
    panoptic = panoptic_map([[0, 1, 2], [0, 1, 1]], segment(CAR, score=0.5), segment(ROAD))

    assert coco.segments_info(panoptic, CATEGORIES) == [
        {
            "id": 1,
            "category_id": 3,
            "area": 3,
            "bbox": [1, 0, 2, 2],
            "iscrowd": 0,
            "isthing": 1,
            "score": 0.5,
        },
        {
            "id": 2,
            "category_id": 100,
            "area": 1,
            "bbox": [2, 0, 1, 1],
            "iscrowd": 0,
            "isthing": 0,
        },
    ]


def write_twice(folder, *, image_id, image_name):
    panoptic = panoptic_map([[1]], segment(SKY))
    with coco.writing(folder / "out.json", CATEGORIES) as writer:
        writer.add(panoptic, image_id=1, image_name="a.jpg")
        writer.add(panoptic, image_id=image_id, image_name=image_name)


@pytest.mark.parametrize(
    ("image_id", "image_name", "message"),
    [
        (1, "b.jpg", "image 1 is written twice"),
        (2, "a.png", r"image 2: a\.png is already the map of another image"),
        (2, "../b.jpg", r"'file_name' is .* inside its folder"),
    ],
)
def test_no_map_overwrites_another_or_leaves_its_folder(tmp_path, image_id, image_name, message):
    with pytest.raises(ValueError, match=message):
        write_twice(tmp_path, image_id=image_id, image_name=image_name)

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_swapped_channels_of_a_map_are_named_as_the_cause(tmp_path):
    file = coco.read_annotations(write(tmp_path))
    png = file.annotations[0].png
    with Image.open(png) as image:
        Image.fromarray(np.asarray(image)[..., ::-1].copy()).save(png)

    with pytest.raises(
        ValueError, match=r"in the PNG, but not .* channels seem to be in BGR order"
    ):
        coco.read_png(file.annotations[0], file.categories)
