import base64
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from factories import CATEGORIES, odd_maps
from jsisnet.categories import Categories
from jsisnet.formats import cvat, label_studio, labelme
from jsisnet.formats.annotation_tools import ANNOTATION_FORMATS
from jsisnet.inference.photo_job import COCO, FORMATS

MAPS = [pytest.param(panoptic, id=name) for name, panoptic in odd_maps().items()]


def read_cvat(text):
    """Decode the masks of a photo: runs along the rows of a box, unset pixels first."""
    photo = ElementTree.fromstring(text).find("image")
    masks = []
    for mask in photo.iter("mask"):
        runs = [int(run) for run in mask.get("rle").split(",")]
        left, top, width, height = (int(mask.get(n)) for n in ("left", "top", "width", "height"))
        box = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        pixels = np.zeros((int(photo.get("height")), int(photo.get("width"))), bool)
        pixels[top : top + height, left : left + width] = box
        masks.append((mask.get("label"), pixels))
    return masks


def read_labelme(text):
    """Read a file as labelme does: paste each mask into the box of its two points."""
    document = json.loads(text)
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


@pytest.mark.parametrize(("name", "read"), [("cvat", read_cvat), ("labelme", read_labelme)])
@pytest.mark.parametrize("panoptic", MAPS)
def test_every_segment_keeps_its_class_and_its_exact_mask(panoptic, name, read):
    found = read(ANNOTATION_FORMATS[name].content(panoptic, CATEGORIES, "a.jpg"))

    expected = [
        (CATEGORIES[segment.label].name, panoptic.ids == number)
        for number, segment in enumerate(panoptic.segments, 1)
        if (panoptic.ids == number).any()
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_each_format_writes_one_file_for_a_photo(tmp_path, name):
    panoptic = odd_maps()["one column"]

    path = ANNOTATION_FORMATS[name](tmp_path, "ä b", panoptic, CATEGORIES, image="ä b.jpg")

    assert [path] == list(tmp_path.iterdir())
    assert path.stem == "ä b"
    assert "car" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "parse", "content"),
    [
        ("cvat", str, cvat.document),
        ("label-studio", json.loads, lambda *photo: [label_studio.task(*photo)]),
        ("labelme", json.loads, labelme.document),
    ],
)
def test_a_file_holds_the_content_of_its_format(tmp_path, name, parse, content):
    panoptic = odd_maps()["stuff alone"]

    path = ANNOTATION_FORMATS[name](tmp_path / "new", "a", panoptic, CATEGORIES, image="a.jpg")

    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "new" / f"a{FORMATS[name]}"
    assert parse(text) == content(panoptic, CATEGORIES, "a.jpg")
    assert '"score"' not in text


def test_every_format_but_that_of_coco_is_one_of_an_annotation_tool():
    assert set(FORMATS) == {COCO, *ANNOTATION_FORMATS}


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_nothing_is_left_if_writing_fails(tmp_path, name):
    panoptic = odd_maps()["one column"]

    with pytest.raises(IndexError):
        ANNOTATION_FORMATS[name](tmp_path, "a", panoptic, Categories(()), image="a.jpg")

    assert not list(tmp_path.iterdir())
