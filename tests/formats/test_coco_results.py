import json

import numpy as np
import pytest
from hotcoco import mask

import factories
from factories import BUS, CAR, ROAD, SKY
from jsisnet.formats import coco_results, image_list
from jsisnet.formats.coco_results import read_stuff, read_things

PIXELS = np.zeros((4, 6), bool)
PIXELS[1:3, 2:5] = True


def entry(image_id=7, category_id=3, **more):
    """Return a result: by default a car with a score of 0.9."""
    values = {"segmentation": factories.run_lengths(PIXELS), "score": 0.9} | more
    return {"image_id": image_id, "category_id": category_id} | values


@pytest.fixture
def wanted(tmp_path):
    path = tmp_path / "info.json"
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 6} for i in (7, 8)]
    path.write_text(json.dumps({"images": images, "categories": factories.category_entries()}))
    return image_list.read(path)


def written(tmp_path, *entries):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    return path


def test_things_come_best_score_first_then_as_in_the_file(tmp_path, wanted):
    path = written(
        tmp_path, entry(score=0.5), entry(score=0.9), entry(category_id=6), entry(score=0.49)
    )

    found = read_things(path, wanted, min_score=0.5)

    assert found.of_image(7).segments == (
        factories.segment(CAR, score=0.9),
        factories.segment(BUS, score=0.9),
        factories.segment(CAR, score=0.5),
    )
    assert found.of_image(8).segments == ()


@pytest.mark.parametrize(
    "segmentation",
    [
        factories.run_lengths(PIXELS),
        {"size": [4, 6], "counts": mask.encode(np.asfortranarray(PIXELS, np.uint8))["counts"]},
        [[2, 1, 5, 1, 5, 3, 2, 3]],
        [[2, 1, 3, 1, 3, 3, 2, 3], [3, 1, 5, 1, 5, 3, 3, 3]],
    ],
    ids=["run lengths", "compressed", "polygon", "polygons"],
)
def test_masks_have_any_form_that_annotations_have(segmentation, tmp_path, wanted):
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], bytes):
        segmentation["counts"] = segmentation["counts"].decode()
    path = written(tmp_path, entry(segmentation=segmentation))

    [(segment, (window, pixels))] = read_things(path, wanted, min_score=0.0).of_image(7).draw()

    assert segment.label == CAR
    assert window == (slice(1, 3), slice(2, 5))
    assert pixels.tolist() == [[True] * 3] * 2


def test_an_empty_mask_has_an_empty_window(tmp_path, wanted):
    path = written(tmp_path, entry(segmentation={"size": [4, 6], "counts": [24]}))

    [(_, (_, pixels))] = read_things(path, wanted, min_score=0.0).of_image(7).draw()

    assert pixels.size == 0


def test_stuff_comes_as_in_the_file_without_things_and_needs_no_score(tmp_path, wanted):
    path = written(tmp_path, entry(8, 100), entry(8, 3), entry(8, 92, score=None))

    found = read_stuff(path, wanted)

    assert [segment.label for segment in found.of_image(8).segments] == [ROAD, SKY]


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (entry("7"), r"result 1: 'image_id' is '7', which .*info.json does not list: it has 7 \(a"),
        (entry(None), "result 1: 'image_id' is null; expected"),
        (entry(7, 5), "result 1: image 7: 'category_id' is 5; expected one of the 6 categories"),
        (entry(7, 92), r"result 1: image 7: 'category_id' is 92 \('sky'\), which is stuff"),
        (entry(score=None), "result 1: image 7: 'score' is null; expected a number"),
        (entry(score=float("nan")), "result 1: image 7: 'score' is NaN; expected a number"),
        ([], "result 1: found \\[\\]; expected an object"),
    ],
)
def test_results_that_break_the_format_are_explained(strange, message, tmp_path, wanted):
    path = written(tmp_path, entry(), strange)

    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        read_things(path, wanted, min_score=0.5)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (
            {"size": [6, 4], "counts": [24]},
            r"its mask is \[6, 4\]; expected the size of the image, \[4",
        ),
        ({"size": [4, 6], "counts": "abc"}, "the 'counts' of its mask can't be read"),
        ({"size": [4, 6], "counts": [5, 5]}, "not integers that add up to 24"),
        (None, "missing 'segmentation'"),
        ([[1, 2]], "its 'segmentation' has no polygon"),
    ],
)
def test_broken_masks_are_explained_when_they_are_drawn(segmentation, message, tmp_path, wanted):
    path = written(tmp_path, entry(8), entry(segmentation=segmentation))
    found = read_things(path, wanted, min_score=0.0)

    with pytest.raises(ValueError, match=f"^{path}: result 1: image 7: .*{message}"):
        list(found.of_image(7).draw())


def test_a_class_of_stuff_has_one_mask(tmp_path, wanted):
    path = written(tmp_path, entry(8, 100), entry(8, 100))

    with pytest.raises(ValueError, match="result 1: image 8: duplicate 'category_id' 100"):
        read_stuff(path, wanted)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"annotations": []}', "expected a list"),
        ("[{", "invalid JSON"),
        ("[] []", "expected the end of the file"),
    ],
)
def test_files_that_are_no_list_are_refused(content, message, tmp_path, wanted):
    path = tmp_path / "results.json"
    path.write_text(content)

    with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
        coco_results.read_stuff(path, wanted)
