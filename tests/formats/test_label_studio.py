import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import CATEGORIES, odd_maps
from jsisnet.formats import label_studio

MAPS = [pytest.param(panoptic, id=name) for name, panoptic in odd_maps().items()]


def decode(code):
    """Decode run lengths bit by bit, as the published decoder of rle-pack does."""
    bits = "".join(f"{byte:08b}" for byte in code)
    position = 0

    def take(count):
        nonlocal position
        position += count
        return int(bits[position - count : position], 2)

    number, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values = np.zeros(number, np.uint8)
    start = 0
    while start < number:
        isrun = take(1)
        end = start + 1 + take(sizes[take(2)])
        if isrun:
            values[start:end] = take(word)
        else:
            values[start:end] = [take(word) for _ in range(start, end)]
        start = end
    assert len(bits) - position < 8
    return values


@pytest.mark.parametrize("panoptic", MAPS)
def test_every_segment_keeps_its_class_and_its_exact_mask(panoptic):
    task = json.loads(json.dumps(label_studio.task(panoptic, CATEGORIES, "/data/a.jpg")))

    (prediction,) = task["predictions"]
    found = {}
    for result in prediction["result"]:
        size = result["original_height"], result["original_width"]
        picture = decode(result["value"]["rle"]).reshape(*size, 4)
        assert (picture == picture[..., :1]).all()
        found[result["id"]] = (result["value"]["brushlabels"], picture[..., 3])

    expected = {
        f"segment{number}": ([CATEGORIES[segment.label].name], panoptic.ids == number)
        for number, segment in enumerate(panoptic.segments, 1)
        if (panoptic.ids == number).any()
    }
    assert {name: label for name, (label, _) in found.items()} == {
        name: label for name, (label, _) in expected.items()
    }
    for name, (_, mask) in expected.items():
        assert np.array_equal(found[name][1], mask * 255)


@settings(deadline=None)
@given(st.lists(st.integers(1, 70_000), min_size=1, max_size=6), st.booleans())
def test_runs_of_any_length_are_decoded(lengths, first):
    mask = np.repeat((np.arange(len(lengths)) + first) % 2 == 1, lengths)[None]

    assert np.array_equal(decode(label_studio.encode(mask))[::4], mask[0] * 255)


def test_a_task_has_the_fields_of_pre_annotations():
    task = label_studio.task(odd_maps()["one pixel"], CATEGORIES, "/data/ä.jpg", brush="label")

    (prediction,) = task["predictions"]
    (result,) = prediction["result"]
    value = result.pop("value")
    assert task["data"] == {"image": "/data/ä.jpg"}
    assert (prediction["model_version"], prediction["score"]) == ("jsisnet", 1.0)
    assert result == {
        **{"id": "segment1", "type": "brushlabels", "from_name": "label", "to_name": "image"},
        **{"original_width": 1, "original_height": 1, "image_rotation": 0, "score": 1.0},
    }
    assert (value["format"], value["brushlabels"]) == ("rle", ["bus"])


def test_stuff_has_no_score():
    task = label_studio.task(odd_maps()["stuff alone"], CATEGORIES, "a.jpg")

    assert "score" not in task["predictions"][0]
    assert "score" not in task["predictions"][0]["result"][0]
