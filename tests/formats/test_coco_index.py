import json
import subprocess
import sys

import numpy as np
import pytest

import factories
from jsisnet.formats import coco
from jsisnet.formats.coco_index import find_photos, read_index
from jsisnet.panoptic import VOID

IMAGES = 50


def write(path, annotations):
    images = [
        {"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 60}
        for number in range(IMAGES)
    ]
    categories = factories.category_entries()
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    path.with_suffix("").mkdir(exist_ok=True)
    return path


def panoptic_annotations(segments):
    category = factories.category_entries()[0]["id"]
    entries = [{"id": i, "category_id": category, "area": 1} for i in range(1, segments + 1)]
    return [
        {"image_id": number, "file_name": f"{number}.png", "segments_info": entries}
        for number in range(IMAGES)
    ]


def instances_file(path, outlines):
    annotations = [
        {
            "id": number,
            "image_id": number % IMAGES,
            "category_id": 1,
            "segmentation": [[1.5, 2, 30, 2, 30, 20, 2, 21, 1, 12]],
        }
        for number in range(outlines)
    ]
    write(path, annotations)
    content = json.loads(path.read_text()) | {"categories": factories.thing_entries()}
    path.write_text(json.dumps(content))
    return path


MEASURE = """
import json, sys, tracemalloc
from pathlib import Path
from jsisnet.formats import coco

tracemalloc.start()
source = getattr(coco, sys.argv[1])(Path(sys.argv[2]))
print(json.dumps([len(source.records), *tracemalloc.get_traced_memory()]))
"""


def memory_of(function, path):
    """Return the bytes that an open data set occupies, and the peak while it was opened.

    A process of its own has no type checks, which slow tracing down.
    """
    command = [sys.executable, "-c", MEASURE, function, str(path)]
    records, kept, peak = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    assert records == IMAGES
    return kept, peak


@pytest.mark.slow
def test_memory_does_not_grow_with_segments(tmp_path):
    few = memory_of("source", write(tmp_path / "few.json", panoptic_annotations(40)))
    many = memory_of("source", write(tmp_path / "many.json", panoptic_annotations(200)))

    assert many[0] - few[0] < 20_000
    assert many[1] - few[1] < 1_000_000


@pytest.mark.slow
def test_memory_per_outline_is_that_of_its_position(tmp_path):
    few = memory_of("instances_source", instances_file(tmp_path / "few.json", 4_000))
    many = memory_of("instances_source", instances_file(tmp_path / "many.json", 12_000))

    assert (many[0] - few[0]) / 8_000 < 32
    assert (many[1] - few[1]) / 8_000 < 150


def test_annotations_may_precede_their_images(tmp_path):
    path = instances_file(tmp_path / "things.json", 100)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in reversed(content)}))

    record = coco.instances_source(path).records[3]

    assert record.image_id == 3
    assert len(record.read().segments) == 2
    assert np.count_nonzero(record.read().ids != VOID) > 0


def test_a_shape_is_checked_if_its_image_comes_later_in_the_file(tmp_path):
    path = instances_file(tmp_path / "things.json", 100)
    content = json.loads(path.read_text())
    content["annotations"][7]["segmentation"] = [[9e9] * 6]
    path.write_text(json.dumps({key: content[key] for key in reversed(content)}))

    with pytest.raises(ValueError, match=r"such as image 7: annotation 7: .* far"):
        coco.instances_source(path)


def test_a_file_that_changed_since_it_was_opened_is_refused(tmp_path):
    path = write(tmp_path / "truth.json", panoptic_annotations(2))
    record = coco.source(path).records[5]
    path.write_text("{" + " " * 100_000 + "}")

    with pytest.raises(ValueError, match=r"truth\.json: changed while it was being read"):
        record.read()


def test_invalid_entries_are_skipped_on_demand(tmp_path):
    path = write(tmp_path / "truth.json", [{"image_id": 4}, 5, {"image_id": [1]}, {"image_id": 2}])

    index = read_index(path, skip_invalid=True)

    assert index.annotations.image_ids == (4, 2)
    assert [error.removeprefix(f"{path}: ") for error in index.errors] == [
        "annotations[1]: found 5; expected an object",
        "annotations[2]: 'image_id' is [1]; expected an integer or a string",
    ]


def test_entries_are_grouped_by_image(tmp_path):
    path = write(tmp_path / "truth.json", [{"image_id": i} for i in (2, 0, 2)])
    index = read_index(path)
    whole = index.annotations.ranges.tolist()

    groups = index.annotations.ranges_by_image([0, 1, 2])

    assert [group.tolist() for group in groups] == [[whole[1]], [], [whole[0], whole[2]]]


def test_only_photos_that_exist_are_found(tmp_path):
    path = write(tmp_path / "truth.json", [])
    (tmp_path / "3.jpg").touch()
    (tmp_path / "4.jpg").touch()

    assert find_photos(path, tmp_path, {3, 9}) == {3: tmp_path / "3.jpg"}
