import pytest

from factories import CATEGORIES, odd_maps
from jsisnet.categories import Categories
from jsisnet.formats.annotation_tools import ANNOTATION_FORMATS


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_each_format_writes_one_file_for_a_photo(tmp_path, name):
    panoptic = odd_maps()["one column"]

    path = ANNOTATION_FORMATS[name](tmp_path, "ä b", panoptic, CATEGORIES, image="ä b.jpg")

    assert [path] == list(tmp_path.iterdir())
    assert path.stem == "ä b"
    assert "car" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_nothing_is_left_if_writing_fails(tmp_path, name):
    panoptic = odd_maps()["one column"]

    with pytest.raises(IndexError):
        ANNOTATION_FORMATS[name](tmp_path, "a", panoptic, Categories(()), image="a.jpg")

    assert not list(tmp_path.iterdir())
