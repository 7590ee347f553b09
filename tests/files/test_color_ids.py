import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from jsisnet.files import pixels
from jsisnet.files.png import MAX_ID, ids_to_rgb, rgb_to_ids
from jsisnet.formats.pixel_codes import renumber


def test_an_id_is_red_plus_256_green_plus_65536_blue():
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (1, 2, 3))
    image.putpixel((1, 0), (255, 255, 255))

    assert rgb_to_ids(image).tolist() == [[1 + 256 * 2 + 65536 * 3, 256**3 - 1]]


@given(arrays(np.uint32, (3, 5), elements=st.integers(0, MAX_ID)))
def test_every_id_survives_conversion_to_colours(ids):
    assert (rgb_to_ids(ids_to_rgb(ids)) == ids).all()


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either_way(request, monkeypatch):
    """Renumber with the compiled loop, then without it."""
    if not request.param:
        monkeypatch.setattr(pixels, "_pixels", None)
    elif pixels._pixels is None:
        pytest.skip("installed without a C compiler")


@pytest.mark.usefixtures("either_way")
def test_renumbering_follows_the_list_and_counts_pixels():
    ids = np.array([[7, 7, 0], [900, 7, 0]], np.uint32)

    dense, areas = renumber(ids, [900, 5, 7])

    assert dense.tolist() == [[3, 3, 0], [1, 3, 0]]
    assert areas.tolist() == [1, 0, 3]


@pytest.mark.usefixtures("either_way")
def test_renumbering_may_have_nothing_to_do():
    dense, areas = renumber(np.zeros((0, 4), np.uint32), [3])

    assert dense.shape == (0, 4)
    assert areas.tolist() == [0]


@pytest.mark.usefixtures("either_way")
def test_id_zero_is_not_void_if_it_is_listed():
    dense, areas = renumber(np.array([[0, 4]], np.uint32), [4, 0])

    assert dense.tolist() == [[2, 1]]
    assert areas.tolist() == [1, 1]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("listed", [[], [4], [6], [4, 6]])
def test_an_id_that_is_not_listed_is_named(listed):
    with pytest.raises(ValueError, match=re.escape("segment 5: in the PNG, but not")):
        renumber(np.array([[0, 5]], np.uint32), listed)
