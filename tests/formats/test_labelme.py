from factories import CATEGORIES, odd_maps
from jsisnet.formats import labelme


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
