from xml.etree import ElementTree

import numpy as np
import pytest

from factories import CATEGORIES, odd_maps, segment
from jsisnet.categories import Categories, Category
from jsisnet.formats import cvat
from jsisnet.panoptic import PanopticMap

MAPS = [pytest.param(panoptic, id=name) for name, panoptic in odd_maps().items()]


def read(photo):
    """Decode the masks of an image: runs along the rows of a box, unset pixels first."""
    masks = []
    for mask in photo.iter("mask"):
        runs = [int(run) for run in mask.get("rle").split(",")]
        left, top, width, height = (int(mask.get(n)) for n in ("left", "top", "width", "height"))
        box = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        pixels = np.zeros((int(photo.get("height")), int(photo.get("width"))), bool)
        pixels[top : top + height, left : left + width] = box
        masks.append((mask.get("label"), pixels))
    return masks


@pytest.mark.parametrize("panoptic", MAPS)
def test_every_segment_keeps_its_class_and_its_exact_mask(panoptic):
    root = ElementTree.fromstring(cvat.document(panoptic, CATEGORIES, "a.jpg"))

    found = read(root.find("image"))

    expected = [
        (CATEGORIES[segment.label].name, panoptic.ids == number)
        for number, segment in enumerate(panoptic.segments, 1)
        if (panoptic.ids == number).any()
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))


def test_a_file_has_the_elements_of_version_1_1():
    text = cvat.document(odd_maps()["one pixel"], CATEGORIES, 'a/ä "<&>.jpg')

    root = ElementTree.fromstring(text)
    photo = root.find("image")
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<annotations>')
    assert root.findtext("version") == "1.1"
    names = [name.text for name in root.iterfind("meta/task/labels/label/name")]
    assert names == [category.name for category in CATEGORIES]
    assert root.findtext("meta/task/labels/label/color") == "#dc143c"
    assert photo.attrib == {"id": "0", "name": 'a/ä "<&>.jpg', "width": "1", "height": "1"}
    (mask,) = photo
    assert mask.attrib == {
        **{"label": "bus", "source": "auto", "occluded": "0", "z_order": "0"},
        **{"rle": "0, 1", "left": "0", "top": "0", "width": "1", "height": "1"},
    }
    assert mask.findtext("attribute[@name='score']") == "1.000"


@pytest.mark.parametrize("name", ["\0", "\x1b[31m", "\ufffe", "\udcff"])
def test_names_that_xml_can_not_hold_lose_those_characters(name):
    categories = Categories((Category(id=1, name=f"a{name}b", isthing=True),))
    panoptic = PanopticMap(np.ones((2, 3), np.int32), (segment(0, score=0.5),))

    text = cvat.document(panoptic, categories, f"{name}.jpg")

    root = ElementTree.fromstring(text.encode())
    assert root.find("meta/task/labels/label/name").text[:2] == "a\N{REPLACEMENT CHARACTER}"
    assert root.find("image").get("name").endswith(".jpg")


def test_a_file_is_written(tmp_path):
    panoptic = odd_maps()["stuff alone"]

    path = cvat.write(tmp_path / "new", "a", panoptic, CATEGORIES, image="a.jpg")

    assert path == tmp_path / "new" / "a.xml"
    assert path.read_text(encoding="utf-8") == cvat.document(panoptic, CATEGORIES, "a.jpg")
    assert "score" not in path.read_text(encoding="utf-8")
