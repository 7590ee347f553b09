import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from factories import CATEGORIES, odd_maps
from jsisnet.formats import labelme

MAPS = [pytest.param(panoptic, id=name) for name, panoptic in odd_maps().items()]


def read(document):
    """Read a file as labelme does: paste each mask into the box of its two points."""
    size = document["imageHeight"], document["imageWidth"]
    masks = []
    for shape in document["shapes"]:
        assert shape["shape_type"] == "mask"
        (x0, y0), (x1, y1) = shape["points"]
        content = Image.open(io.BytesIO(base64.b64decode(shape["mask"])))
        mask = np.zeros(size, bool)
        mask[y0 : y1 + 1, x0 : x1 + 1] = np.array(content).astype(bool)
        masks.append((shape["label"], mask))
    return masks


@pytest.mark.parametrize("panoptic", MAPS)
def test_every_segment_keeps_its_class_and_its_exact_mask(panoptic):
    document = json.loads(json.dumps(labelme.document(panoptic, CATEGORIES, "a.jpg")))

    found = read(document)

    expected = [
        (CATEGORIES[segment.label].name, panoptic.ids == number)
        for number, segment in enumerate(panoptic.segments, 1)
        if (panoptic.ids == number).any()
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))


def test_a_file_has_the_fields_that_labelme_needs():
    panoptic = odd_maps()["one pixel"]

    document = labelme.document(panoptic, CATEGORIES, "../photos/ä b.jpg")

    assert set(document) == {
        *("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"),
    }
    assert document["imagePath"] == "../photos/ä b.jpg"
    (shape,) = document["shapes"]
    assert shape["points"] == [[0, 0], [0, 0]]
    assert (shape["label"], shape["score"], shape["description"]) == ("bus", 1.0, "score 1.000")
    assert (shape["group_id"], shape["flags"]) == (None, {})


def test_a_file_is_written(tmp_path):
    panoptic = odd_maps()["stuff alone"]

    path = labelme.write(tmp_path / "new", "a", panoptic, CATEGORIES, image="a.jpg")

    assert path == tmp_path / "new" / "a.json"
    expected = labelme.document(panoptic, CATEGORIES, "a.jpg")
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert "score" not in expected["shapes"][0]
