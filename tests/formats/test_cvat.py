from xml.etree import ElementTree

import numpy as np
import pytest

from factories import CATEGORIES, odd_maps, segment
from jsisnet.categories import Categories, Category
from jsisnet.formats import cvat
from jsisnet.panoptic import PanopticMap


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
