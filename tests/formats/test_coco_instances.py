import json
import re
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from hotcoco import COCO, mask
from PIL import Image

import factories
from factories import BUS, CAR, CATEGORIES, PERSON, segment
from jsisnet.formats import coco_instances, masks
from jsisnet.formats.coco import instances_source

SQUARE = [1, 0, 3, 0, 3, 2, 1, 2]
"""Corners of the 2x2 pixels at the right of the first column."""

CONTENT = {
    "images": [{"id": 7, "file_name": "photo.JPG", "height": 3, "width": 4}],
    "annotations": [
        {"id": 11, "image_id": 7, "category_id": 3, "segmentation": [SQUARE], "iscrowd": 0}
    ],
    "categories": factories.thing_entries(),
}
IMAGE, ANNOTATION = ("images", 0), ("annotations", 0)


def write(folder, content=CONTENT):
    path = folder / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
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


def things(*shapes, **more):
    """Return annotations of cars with these shapes."""
    common = {"image_id": 7, "category_id": 3} | more
    return [{"id": i, "segmentation": shape} | common for i, shape in enumerate(shapes)]


def drawn(folder, annotations):
    path = write(folder, CONTENT | {"annotations": annotations})
    file = coco_instances.read_annotations(path, images=folder)
    return coco_instances.draw(file.annotations[0], file.categories)


def runs(*rows):
    return factories.run_lengths(np.array(rows, bool))


def test_a_file_lists_photos_with_their_things(tmp_path):
    file = coco_instances.read_annotations(write(tmp_path), images=tmp_path / "photos")

    annotation = file.annotations[0]
    assert [category.name for category in file.categories] == ["person", "car", "bus"]
    assert (annotation.image_id, annotation.size) == (7, (3, 4))
    assert annotation.image == tmp_path / "photos" / "photo.JPG"
    assert [(i.id, i.category_id, i.iscrowd) for i in annotation.instances] == [(11, 3, False)]


def test_all_categories_are_things_whether_the_file_says_so_or_not(tmp_path):
    content = changed("categories", 0, isthing=1)

    categories = coco_instances.read_categories(write(tmp_path, content))

    assert [(c.isthing, c.supercategory) for c in categories] == [
        (True, "person"),
        (True, "vehicle"),
        (True, "vehicle"),
    ]


def test_pixels_that_no_thing_covers_are_void(tmp_path):
    panoptic = drawn(tmp_path, CONTENT["annotations"])

    assert panoptic.ids.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert panoptic.segments == (segment(CAR),)


def test_a_thing_may_have_several_parts(tmp_path):
    left, right = [0, 0, 1, 0, 1, 3, 0, 3], [3, 0, 4, 0, 4, 1, 3, 1]

    panoptic = drawn(tmp_path, things([left, right]))

    assert panoptic.ids.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_polygons_and_both_kinds_of_run_lengths_give_the_same_map(tmp_path):
    uncompressed = runs([0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0])
    compressed = mask.fr_py_objects(uncompressed, 3, 4)
    compressed["counts"] = compressed["counts"].decode()

    maps = [drawn(tmp_path, things(s)) for s in ([SQUARE], uncompressed, compressed)]

    assert [m.ids.tolist() for m in maps] == [[[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]] * 3


@pytest.mark.parametrize("images", [None, "photos"])
def test_an_image_of_a_huge_declared_size_is_refused_before_it_is_drawn(tmp_path, images):
    size = {"height": 12_000, "width": 14_000}
    path = write(tmp_path, changed("images", 0, **size))

    source = instances_source(path, images=images and tmp_path / images)

    with pytest.raises(ValueError, match=f"{path}: image 7: 12000x14000 pixels .* limit is 1 GB"):
        source.records[0].read()


def test_the_smaller_of_two_things_is_on_top(tmp_path):
    all_of_it = [0, 0, 4, 0, 4, 3, 0, 3]

    maps = [drawn(tmp_path, things(*s)) for s in ([[SQUARE], [all_of_it]], [[all_of_it], [SQUARE]])]

    assert maps[0].ids.tolist() == [[2, 1, 1, 2], [2, 1, 1, 2], [2, 2, 2, 2]]
    assert maps[1].ids.tolist() == [[1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1]]


def test_crowds_are_below_everything(tmp_path):
    crowd = things(runs([0, 0, 1, 0], [0] * 4, [0] * 4), iscrowd=1)
    crowd[0]["id"] = 5

    panoptic = drawn(tmp_path, [*things([SQUARE]), *crowd])

    assert panoptic.ids.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert panoptic.segments == (segment(CAR), segment(CAR, iscrowd=True))


def test_the_later_of_two_equally_large_things_is_on_top(tmp_path):
    panoptic = drawn(tmp_path, things([SQUARE], [SQUARE]))

    assert panoptic.areas().tolist() == [0, 4]


def test_a_photo_without_things_is_all_void(tmp_path):
    panoptic = drawn(tmp_path, [])

    assert panoptic.size == (3, 4)
    assert not panoptic.ids.any()
    assert panoptic.segments == ()


def test_outlines_may_slightly_exceed_the_photo(tmp_path):
    panoptic = drawn(tmp_path, things([[-1.5, 1, 7, 1, 7, 5, -1.5, 5]]))

    assert panoptic.ids.tolist() == [[0] * 4, [1] * 4, [1] * 4]


def test_the_things_of_streets_are_read_as_they_were_drawn(tmp_path):
    tiny = factories.tiny_instances(tmp_path)
    file = coco_instances.read_annotations(tiny.annotations, images=tiny.images)
    labels = [PERSON, CAR, BUS]

    for index, annotation in enumerate(file.annotations):
        panoptic, street = (
            coco_instances.draw(annotation, file.categories),
            factories.tiny_map(index),
        )
        listed = [number for number, s in enumerate(street.segments, 1) if s.isthing]
        expected = np.array([0, *(listed.index(n) + 1 if n in listed else 0 for n in range(1, 9))])
        assert np.array_equal(panoptic.ids, expected[street.ids])
        assert [(labels[s.label], s.iscrowd) for s in panoptic.segments] == [
            (street.segments[n - 1].label, street.segments[n - 1].iscrowd) for n in listed
        ]


def test_masks_are_those_of_the_official_tools(tmp_path):
    generator = np.random.default_rng(0)
    blobs = [generator.uniform(-5, [65, 45], (corners, 2)) for corners in range(3, 23)]
    shapes = [[blob.ravel().tolist()] for blob in blobs]
    shapes += [[a[0], b[0]] for a, b in pairwise(shapes)]
    image = {"id": 0, "file_name": "a.png", "height": 40, "width": 60}
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "segmentation": shape, "area": 1, "iscrowd": 0}
        for i, shape in enumerate(shapes, 1)
    ]
    content = {
        "images": [image | {"id": i} for i in range(1, len(shapes) + 1)],
        "annotations": annotations,
        "categories": factories.thing_entries(),
    }
    path = write(tmp_path, content)
    official = COCO(str(path))

    file = coco_instances.read_annotations(path, images=tmp_path)

    for annotation, entry in zip(file.annotations, annotations, strict=True):
        ids = coco_instances.draw(annotation, file.categories).ids
        assert np.array_equal(ids, official.annToMask(entry))


RUNS = runs([1, 0, 0, 0], [0] * 4, [0] * 4)
PACKED = {"size": [3, 4], "counts": "01;"}
"""The same, compressed."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"found \[\]; expected an object"),
        ({}, "missing 'categories'"),
        (changed(images=None), "missing 'images'"),
        (changed(annotations=None), "missing 'annotations'"),
        (changed(*IMAGE, id=None), r"images\[0\]: missing 'id'"),
        (changed(*IMAGE, height=None), "image 7: missing 'height'"),
        (changed(*IMAGE, width=0), "image 7: 'width' is 0; expected an integer from 1 to"),
        (changed(*IMAGE, height=10**400), "image 7: 'height' is 1000.* from 1 to 200000000"),
        (changed(*IMAGE, height=10**5, width=10**5), r"image 7: 'width' is .* from 1 to 2000\b"),
        (changed(*IMAGE, file_name="a/.."), "image 7: 'file_name' is .* the name of a file"),
        (changed(*IMAGE, file_name="C:"), "image 7: 'file_name' is .* the name of a file"),
        (
            changed(images=[CONTENT["images"][0], CONTENT["images"][0] | {"width": 5}]),
            "image 7: listed twice",
        ),
        (changed("categories", 1, isthing=0), "category 3 .'car'. is stuff"),
        (changed("categories", 1, id=1), "duplicate category id 1"),
        (changed(*ANNOTATION, image_id=None), "annotation 11: missing 'image_id'"),
        (changed(*ANNOTATION, image_id=8), "image 8: annotation 11: the image is not listed"),
        (changed(*ANNOTATION, category_id=92), "annotation 11: 'category_id' is 92; expected one"),
        (changed(*ANNOTATION, category_id=[2]), "image 7: annotation 11: 'category_id' is"),
        (changed(*ANNOTATION, segmentation=None), "image 7: annotation 11: missing 'segmentation'"),
        (changed(*ANNOTATION, segmentation=[]), "annotation 11: missing 'segmentation'; a box"),
        (changed(*ANNOTATION, segmentation=5), "annotation 11: 'segmentation' is 5; expected a l"),
        (changed(*ANNOTATION, segmentation=[SQUARE[:2], SQUARE[:4]]), "no polygon of .* a box"),
        (changed(*ANNOTATION, segmentation=[SQUARE[:2]] * 2), "no polygon of .* a box"),
        (changed(*ANNOTATION, segmentation=[SQUARE, SQUARE[:5]]), "polygon 1 .* three corners"),
        (changed(*ANNOTATION, segmentation=[SQUARE, "1"]), "polygon 1 .* three corners"),
        (changed(*ANNOTATION, segmentation=["1", "2"]), "polygon 0 .* three corners"),
        (changed(*ANNOTATION, segmentation=[[SQUARE], [5]]), "polygon 0 .* three corners"),
        (changed(*ANNOTATION, segmentation={}), "missing 'segmentation'; a box alone"),
        (changed(*ANNOTATION, segmentation=[[0.1, 0, 0.9, 0.2, 0.5, 1]]), "fractions of the photo"),
        (changed(*ANNOTATION, image_id="7"), "image '7': .* it has 7 .a number.; write the ids"),
        (changed(*ANNOTATION, segmentation=[SQUARE[:7]]), "polygon 0 .* three corners"),
        (changed(*ANNOTATION, segmentation=[[SQUARE, [1]]]), "polygon 1 .* three corners"),
        (changed(*ANNOTATION, segmentation=[["1"] * 6]), "polygon 0 .* has strings; expected"),
        (changed(*ANNOTATION, segmentation=[[float("nan")] * 6]), "than finite numbers"),
        (changed(*ANNOTATION, segmentation=[[10**400] * 6]), "than finite numbers"),
        (changed(*ANNOTATION, segmentation=[[9e9] * 6]), "far outside the photo of 3x4 pixels"),
        (changed(*ANNOTATION, segmentation=RUNS | {"size": [4, 3]}), r"\[4, 3\]; .* swapped"),
        (changed(*ANNOTATION, segmentation=RUNS | {"size": [4, 5]}), r"expected .*\[3, 4\];"),
        (changed(*ANNOTATION, segmentation=RUNS | {"counts": [0, 1]}), "not integers .* up to 12"),
        (changed(*ANNOTATION, segmentation=RUNS | {"counts": [13, -1]}), "not integers"),
        (changed(*ANNOTATION, segmentation=RUNS | {"counts": [1.5, 10.5]}), "not integers"),
        (changed(*ANNOTATION, segmentation=RUNS | {"counts": "~~~~"}), "annotation 11: .*be read"),
        (changed(*ANNOTATION, segmentation=PACKED | {"counts": "01"}), "less than the 12 pixels"),
        (changed(*ANNOTATION, segmentation=PACKED | {"counts": ""}), "less than the 12 pixels"),
        (changed(*ANNOTATION, segmentation={"size": [3, 4]}), "annotation 11: .* can't be read"),
    ],
)
def test_a_malformed_file_gives_one_message(tmp_path, content, message):
    path = write(tmp_path, content)

    with pytest.raises(ValueError, match=message) as caught:
        coco_instances.read_annotations(path, images=tmp_path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_categories_that_break_a_rule_are_refused_when_read_alone(tmp_path):
    with pytest.raises(ValueError, match=r"instances\.json: category 3 .'car'. is stuff"):
        coco_instances.read_categories(write(tmp_path, changed("categories", 1, isthing=0)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.json: can't be read: No such file"):
        coco_instances.read_annotations(tmp_path / "nowhere.json", images=tmp_path)


def test_ids_may_be_strings(tmp_path):
    content = changed(*IMAGE, id="a/7")
    content["annotations"][0] |= {"id": "x", "image_id": "a/7"}

    file = coco_instances.read_annotations(write(tmp_path, content), images=tmp_path)

    assert file.annotations[0].image_id == "a/7"
    assert next(iter(file.annotations[0].instances)).id == "x"


def test_labels_are_those_of_the_given_categories(tmp_path):
    file = coco_instances.read_annotations(write(tmp_path), images=tmp_path)

    assert coco_instances.draw(file.annotations[0], CATEGORIES).segments == (segment(CAR),)


def read(folder, annotations, **options):
    path = write(folder, CONTENT | {"annotations": annotations})
    return coco_instances.read_annotations(path, images=folder, **options)


def test_ids_of_annotations_may_be_missing_or_duplicate(tmp_path):
    annotations = things(*[[SQUARE]] * 5)
    for entry, number in zip(annotations, [11, 11, "x", "x", 1.5], strict=True):
        entry["id"] = number
    del annotations[4]["id"]

    file = read(tmp_path, annotations)

    assert len(file.annotations[0].instances) == 5
    assert file.warnings == (
        "annotations with a missing or duplicate id (3), such as "
        "image 7: annotation without an id: no valid 'id'",
    )


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (SQUARE, "without the outer list"),
        ([[SQUARE]], "one level too deep"),
        ([[SQUARE], [[2, 0, 3, 0, 3, 1, 2, 1]]], "one level too deep"),
        ([{"size": [3, 4], "counts": [3, 2, 1, 2, 4]}], "a list of one mask"),
        ([SQUARE, None], "polygon 1 .* fewer than three corners"),
        ([[[1, 0], [3, 0], [3, 2], [1, 2]]], "lists of pairs x, y"),
        ([SQUARE, [0, 0]], "polygon 1 .* fewer than three corners"),
        ([[], [0, 0, 3, 3], SQUARE], "polygon 0 .* fewer than three corners"),
        ({"size": [3, 4], "counts": "b'32103'"}, "bytes that were written as text"),
    ],
)
def test_unambiguous_outlines_are_read_with_a_warning(tmp_path, shape, told):
    file = read(tmp_path, things(shape))

    panoptic = coco_instances.draw(file.annotations[0], file.categories)
    assert panoptic.ids.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    (warning,) = file.warnings
    assert re.search(rf" \(\d\), such as image 7: annotation 0: .*{told}", warning)


def test_backslashes_in_run_lengths_written_as_bytes_are_read():
    pixels = np.zeros((300, 500), bool)
    pixels[44:60, 0] = True
    counts = mask.encode(pixels)["counts"]
    assert b"\\" in counts
    entry = {"segmentation": {"size": [300, 500], "counts": str(counts)}}

    runs = masks.runs(masks.shape(entry, (300, 500)), (300, 500))

    assert runs["counts"] == counts


def test_whole_floats_are_run_lengths(tmp_path):
    shape = {"size": [3, 4], "counts": [3.0, 2.0, 1.0, 2.0, 4.0]}

    assert drawn(tmp_path, things(shape)).ids.tolist()[0] == [0, 1, 1, 0]


BROKEN = [
    things(None)[0] | {"bbox": [0, 0, 2, 2], "area": 4, "id": 20},
    things([])[0] | {"id": 21},
    things([[1, 1, 2, 2]])[0] | {"id": 22},
    things([[float("nan")] * 6])[0] | {"id": 23},
    things([SQUARE])[0] | {"id": 24, "category_id": 92},
    things([SQUARE])[0] | {"id": 25, "image_id": 8},
    things([SQUARE])[0] | {"id": 26, "category_id": 1.5},
    "no entry",
    things([])[0] | {"id": 27, "area": 0},
]
"""Entries that cannot be used, three of them boxes alone; the last one is nothing at all."""


def test_all_faults_are_listed_at_once(tmp_path):
    with pytest.raises(ValueError, match="without an outline") as caught:
        read(tmp_path, [*BROKEN, *things([SQUARE])])

    assert str(caught.value) == (
        f"{tmp_path}/instances.json: invalid annotations (2), such as annotations[6]: image 7: "
        "annotation 26: 'category_id' is 1.5; expected an integer or a string; annotations of "
        "images that are not listed or invalid (1), such as image 8: annotation 25: the image is "
        "not listed under 'images', or invalid; annotations of categories that are not listed "
        "(1), such as image 7: annotation 24: 'category_id' is 92; expected one of the 3 "
        "categories; annotations without an outline (3), such as annotations[0]: image 7: "
        "annotation 20: missing "
        "'segmentation'; a box alone does not determine its pixels; annotations with an outline "
        "that can't be read (1), such as annotations[3]: image 7: annotation 23: polygon 0 of "
        "'segmentation' has values other than finite numbers; --keep-going (in YAML, "
        "keep_going: true) leaves them out"
    )


@pytest.mark.parametrize("images_first", [True, False])
def test_exactly_the_faulty_entries_are_left_out(tmp_path, images_first):
    content = CONTENT | {"annotations": [*BROKEN[:4], *things([SQUARE]), *BROKEN[4:]]}
    order = content if images_first else reversed(content)
    path = write(tmp_path, {key: content[key] for key in order})
    faults = []

    file = coco_instances.read_annotations(
        path, images=tmp_path, keep_going=True, on_fault=lambda fault, _: faults.append(fault.name)
    )

    assert [instance.id for instance in file.annotations[0].instances] == [0]
    assert file.used == {3}
    assert sorted(faults) == sorted(
        ["NO_OUTLINE"] * 3 + ["OUTLINE", "CATEGORY", "UNLISTED", "ENTRY", "ENTRY", "NOTHING"]
    )
    assert sum(warning.startswith("left out: ") for warning in file.warnings) == 5


def test_annotations_of_invalid_images_are_left_out_with_them(tmp_path):
    content = changed(*IMAGE, height=0)
    content["images"].append(CONTENT["images"][0] | {"id": 8})

    file = coco_instances.read_annotations(
        write(tmp_path, content), images=tmp_path, keep_going=True
    )

    assert [(each.image_id, len(each.instances)) for each in file.annotations] == [(8, 0)]


def test_an_annotation_without_area_and_outline_is_left_out_without_an_option(tmp_path):
    nothing = [BROKEN[-1], things(None)[0] | {"bbox": [3, 1, 0, 0]}]

    file = read(tmp_path, [*nothing, *things([SQUARE])])

    assert len(file.annotations[0].instances) == 1
    assert file.warnings[0].startswith("annotations without outline and area, left out (2), such")


@pytest.mark.parametrize(
    ("value", "iscrowd"),
    [("0", False), ("1", True), (2, True), ("false", False), ("True", True), ([1], False)],
)
def test_flags_of_crowds_may_be_written_in_other_ways(tmp_path, value, iscrowd):
    path = write(tmp_path, changed(*ANNOTATION, iscrowd=value))

    file = coco_instances.read_annotations(path, images=tmp_path)

    assert [each.iscrowd for each in file.annotations[0].instances] == [iscrowd]
    assert [f"read as {int(iscrowd)}" in warning for warning in file.warnings] == [True]


def test_an_image_that_is_listed_again_in_the_same_way_is_left_out(tmp_path):
    path = write(tmp_path, CONTENT | {"images": CONTENT["images"] * 2})

    file = coco_instances.read_annotations(path, images=tmp_path)

    assert len(file.annotations) == 1
    assert "listed again" in file.warnings[0]


def test_a_mask_whose_size_is_swapped_is_read_if_its_box_agrees(tmp_path):
    swapped = runs([0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]) | {"size": [4, 3]}

    panoptic = drawn(tmp_path, things(swapped, bbox=[1, 0, 2, 2]))

    assert panoptic.ids.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    with pytest.raises(ValueError, match="swapped"):
        drawn(tmp_path, things(swapped, bbox=[0, 0, 0, 0]))


def test_a_mask_that_fits_only_the_photo_is_read_though_the_listed_size_is_swapped(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "photo.JPG")
    square = runs([0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0])
    content = changed(*IMAGE, height=4, width=3) | {"annotations": things(square)}

    file = coco_instances.read_annotations(write(tmp_path, content), images=tmp_path)

    panoptic = coco_instances.draw_as_photo(file.annotations[0], file.categories)
    assert panoptic.ids.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_a_polygon_may_be_a_list_of_pairs(tmp_path):
    pairs = [[1, 0], [3, 0], [3, 2], [1, 2]]

    assert drawn(tmp_path, things(pairs)).ids.tolist()[0] == [0, 1, 1, 0]
