import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import factories
import litter
from jsisnet.datatools.check.check import CHANGES, InstancesPaths, check_instances
from jsisnet.datatools.check.instances import measure_outlines
from jsisnet.datatools.check.segments import find_regions
from jsisnet.formats import coco_instances

SQUARE = [1, 0, 3, 0, 3, 2, 1, 2]
"""Corners of the 2x2 pixels at the right of the first column."""

CATEGORY = {"id": 3, "name": "car", "color": [1, 2, 3]}
IMAGE = {"id": 7, "file_name": "photo.png", "height": 3, "width": 4}
GOOD = {
    "id": 11,
    "image_id": 7,
    "category_id": 3,
    "segmentation": [SQUARE],
    "iscrowd": 0,
    "area": 4,
    "bbox": [1, 0, 2, 2],
    "attributes": {"kept": True},
}


def write(folder, *annotations, images=(IMAGE,), categories=(CATEGORY,)):
    content = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "instances.json"
    path.write_text(json.dumps(content | {"licenses": []}))
    return path


def rules(report):
    return {each.rule.id: each.count for each in report.violations}


def repaired(path, folder):
    report = check_instances(InstancesPaths(annotations=path), copy=folder)
    return report, json.loads((folder / path.name).read_text())


def test_outlines_are_measured_as_if_they_were_drawn(tmp_path):
    generator = np.random.default_rng(0)
    blobs = [generator.uniform(-9, 49, (corners, 2)) for corners in generator.integers(3, 30, 40)]
    shapes = [[blob.ravel().tolist()] for blob in blobs]
    shapes[5] += [[20, 20, 25, 20, 25, 30, 20, 30]]
    shapes[6] = [[-5, -5, -1, -5, -1, -1]]
    masks = generator.random((2, 40, 30)) < 0.3
    shapes += [factories.run_lengths(mask) for mask in masks]
    entries = [
        GOOD | {"id": i, "segmentation": shape, "iscrowd": int(i % 9 == 0), "image_id": i % 3}
        for i, shape in enumerate(shapes)
    ]
    images = [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 30} for i in range(3)]
    file = coco_instances.read_annotations(
        write(tmp_path, *entries, images=images), images=tmp_path
    )

    for annotation in file.annotations:
        found, empty = measure_outlines(tuple(annotation.instances), (40, 30))
        drawn = find_regions(coco_instances.draw(annotation, file.categories).ids.view(np.uint32))
        pieces = {n: r.pieces for n, r in drawn.items()}
        assert {n: (r.area, r.bbox) for n, r in found.items() if n} == {
            n: (r.area, r.bbox) for n, r in drawn.items() if n
        }
        # Up to 10 pieces, a bound is enough.
        assert all(
            r.pieces == pieces[n] or pieces[n] <= r.pieces <= 10 for n, r in found.items() if n
        )
        assert empty == [6 // 3 + 1] * (annotation.image_id == 6 % 3)


def test_a_valid_file_has_no_violations(tmp_path):
    report = check_instances(InstancesPaths(annotations=write(tmp_path, GOOD)))

    assert (report.images, report.segments, report.violations) == (1, 1, ())


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("outline-missing", {"segmentation": None}),
        ("outline-missing", {"segmentation": [[0, 0, 1, 1]]}),
        ("outline", {"segmentation": [["1"] * 6]}),
        ("outline-nothing", {"segmentation": [], "area": 0}),
        ("outline-point", {"segmentation": [SQUARE, [0, 0]]}),
        ("outline-form", {"segmentation": SQUARE}),
        ("outline-empty", {"segmentation": [[-3, 0, -1, 0, -1, 2]]}),
        ("annotation-id", {"id": None}),
        ("annotation-id", {"id": 1}),
        ("category", {"category_id": 92}),
        ("unlisted", {"image_id": 8}),
        ("entry", {"category_id": 1.5}),
        ("outline-crowd", {"iscrowd": "0"}),
        ("fields", {"area": None}),
        ("number", {"area": float("nan")}),
    ],
)
def test_each_fault_violates_its_rule_and_is_repaired(tmp_path, rule, change):
    first = GOOD | {"id": 1, "segmentation": [[0, 0, 1, 0, 1, 3, 0, 3]]}
    path = write(tmp_path, first, GOOD | {"id": 12} | change)

    report, content = repaired(path, tmp_path / "fixed")

    assert rules(report) == {rule: 1, "sliver": 1}  # the left column
    again = check_instances(InstancesPaths(annotations=tmp_path / "fixed" / path.name))
    assert again.valid
    assert rules(again).keys() <= {"outline-empty", "sliver"}
    assert content["licenses"] == []
    assert first in content["annotations"]


def test_a_repair_changes_only_what_is_odd(tmp_path):
    odd = [
        GOOD | {"segmentation": SQUARE},
        GOOD | {"segmentation": [SQUARE, [5.0, 5.0]], "area": float("nan")},
        GOOD | {"id": 12, "segmentation": {"size": [3, 4], "counts": "b'32103'"}, "bbox": None},
    ]

    _, content = repaired(write(tmp_path, *odd), tmp_path / "fixed")

    assert content["annotations"] == [
        GOOD,
        GOOD | {"id": 13},
        GOOD | {"id": 12, "segmentation": {"size": [3, 4], "counts": "32103"}},
    ]
    assert len((tmp_path / "fixed" / CHANGES).read_text().splitlines()) == 6


def test_a_covered_thing_is_told(tmp_path):
    report = check_instances(InstancesPaths(annotations=write(tmp_path, GOOD, GOOD | {"id": 12})))

    assert rules(report) == {"hidden": 1}


def test_photos_are_checked_too(tmp_path):
    things = factories.tiny_instances(tmp_path / "tiny", count=3)
    (things.images / "other0.png").unlink()
    content = json.loads(things.annotations.read_text())
    content["images"][1]["height"] = 65
    things.annotations.write_text(json.dumps(content))
    paths = InstancesPaths(annotations=things.annotations, images=things.images)

    report = check_instances(paths, copy=tmp_path / "fixed")

    found = {each.rule.id for each in report.violations if each.rule.severity == "error"}
    assert found == {"photo-missing", "outline", "outline-size"}
    fixed = json.loads((tmp_path / "fixed" / things.annotations.name).read_text())
    assert [image["file_name"] for image in fixed["images"]] == ["other2.png"]
    assert {entry["image_id"] for entry in fixed["annotations"]} == {102}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [], "annotations": []}'])
def test_a_damaged_file_is_one_error(tmp_path, text):
    path = tmp_path / "instances.json"
    path.write_text(text)

    assert rules(check_instances(InstancesPaths(annotations=path)))["json"] == 1


def test_categories_are_checked_leniently(tmp_path):
    odd = CATEGORY | {"color": "?"}, CATEGORY | {"id": 4, "isthing": 0, "name": "sky"}, CATEGORY

    report = check_instances(InstancesPaths(annotations=write(tmp_path, GOOD, categories=odd)))

    assert {"category-field", "category-kind", "category-id"} <= rules(report).keys()


def test_all_faults_of_a_litter_data_set_are_listed(tmp_path):
    broken = litter.write(tmp_path, images=20, objects=100, size=(120, 160))

    report = check_instances(InstancesPaths(annotations=broken.annotations), processes=2)

    assert rules(report) | {"category-unseen": 0} == {
        "category-unseen": 0,
        "outline-missing": len(broken.boxes),
        "outline": len(broken.bogus),
        "annotation-id": len(broken.duplicates),
        "outline-point": len(broken.points),
        "color-missing": 1,
    }


def test_a_copy_never_overwrites_the_original(tmp_path):
    path = write(tmp_path, GOOD)

    with pytest.raises(ValueError, match="would overwrite"):
        check_instances(InstancesPaths(annotations=path), copy=Path(tmp_path))


def test_the_size_of_the_photo_counts_if_the_listed_one_is_swapped(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a\N{COMBINING DIAERESIS}.png")
    name = "\N{LATIN SMALL LETTER A WITH DIAERESIS}.png"
    swapped = IMAGE | {"file_name": name, "height": 4, "width": 3}
    path = write(tmp_path, GOOD | {"segmentation": [SQUARE]}, images=(swapped,))

    report = check_instances(InstancesPaths(annotations=path, images=tmp_path), copy=tmp_path / "c")

    found = rules(report)
    assert found["size-swapped"] == found["photo-name"] == 1
    assert report.valid
    (image,) = json.loads((tmp_path / "c" / path.name).read_text())["images"]
    assert (image["height"], image["width"]) == (3, 4)
    assert (tmp_path / image["file_name"]).is_file()


def test_a_repaired_copy_has_valid_flags_and_ids(tmp_path):
    path = write(tmp_path, GOOD | {"id": 2**70, "iscrowd": 2})

    report, content = repaired(path, tmp_path / "copy")

    assert rules(report) == {"annotation-id": 1, "outline-crowd": 1, "crowds-only": 1}
    assert [(each["id"], each["iscrowd"]) for each in content["annotations"]] == [(1, 1)]


def test_masks_that_do_not_fit_a_turned_photo_are_told(tmp_path):
    Image.new("RGB", (3, 4)).save(tmp_path / "photo.png")
    mask = factories.run_lengths(np.eye(3, 4, dtype=bool))
    path = write(tmp_path, GOOD | {"segmentation": mask, "bbox": [0, 0, 3, 3]})

    report = check_instances(InstancesPaths(annotations=path, images=tmp_path))

    assert rules(report)["outline-size"] == 1
