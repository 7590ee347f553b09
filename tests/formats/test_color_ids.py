import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from jsisnet.formats.color_ids import (
    MAX_ID,
    ids_to_rgb,
    read_ids,
    renumber,
    rgb_to_ids,
    write_ids,
)


def write_picture(path, mode):
    Image.new(mode, (3, 2)).save(path)
    return path


def test_an_id_is_red_plus_256_green_plus_65536_blue():
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (1, 2, 3))
    image.putpixel((1, 0), (255, 255, 255))

    assert rgb_to_ids(image).tolist() == [[1 + 256 * 2 + 65536 * 3, 256**3 - 1]]


@given(arrays(np.uint32, (3, 5), elements=st.integers(0, MAX_ID)))
def test_colours_give_back_every_id(ids):
    assert (rgb_to_ids(ids_to_rgb(ids)) == ids).all()


def test_a_file_gives_back_every_id(tmp_path):
    ids = np.array([[0, 1, 255, 256], [65535, 65536, MAX_ID - 1, MAX_ID]], np.uint32)

    write_ids(ids, tmp_path / "map.png")

    assert (read_ids(tmp_path / "map.png") == ids).all()


def test_alpha_is_ignored(tmp_path):
    Image.new("RGBA", (2, 1), (1, 2, 3, 77)).save(tmp_path / "map.png")

    assert read_ids(tmp_path / "map.png").tolist() == [[197121, 197121]]


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("L", "8-bit grey pixels"),
        ("P", "1-bit palette pixels"),
        ("I;16", "16-bit grey pixels"),
        ("LA", "8-bit grey and alpha pixels"),
        ("1", "1-bit grey pixels"),
    ],
)
def test_pictures_of_other_kinds_are_refused(tmp_path, mode, found):
    path = write_picture(tmp_path / "map.png", mode)

    with pytest.raises(ValueError, match=f"is a PNG with {found}, expected 8-bit RGB"):
        read_ids(path)


def test_16_bit_rgb_is_refused(tmp_path):
    path = write_picture(tmp_path / "map.png", "RGB")
    content = bytearray(path.read_bytes())
    content[24] = 16
    path.write_bytes(content)

    with pytest.raises(ValueError, match="16-bit RGB pixels"):
        read_ids(path)


def test_a_jpeg_is_refused(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "map.png", format="JPEG")

    with pytest.raises(ValueError, match="is not a PNG"):
        read_ids(tmp_path / "map.png")


@pytest.mark.parametrize("kept", [0, 20, 30, 60, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "map.png"
    write_ids(np.random.default_rng(0).integers(0, MAX_ID, (20, 30), np.uint32), path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])

    with pytest.raises(ValueError, match=r"is not a PNG|can't be decoded"):
        read_ids(path)


def test_renumbering_follows_the_list_and_counts_pixels():
    ids = np.array([[7, 7, 0], [900, 7, 0]], np.uint32)

    dense, areas = renumber(ids, [900, 5, 7])

    assert dense.tolist() == [[3, 3, 0], [1, 3, 0]]
    assert areas.tolist() == [1, 0, 3]


def test_id_zero_is_no_void_if_it_is_listed():
    dense, areas = renumber(np.array([[0, 4]], np.uint32), [4, 0])

    assert dense.tolist() == [[2, 1]]
    assert areas.tolist() == [1, 1]


@pytest.mark.parametrize("listed", [[], [4], [6], [4, 6]])
def test_an_id_that_is_not_listed_is_named(listed):
    with pytest.raises(ValueError, match=re.escape("segment 5: is in the PNG, but not")):
        renumber(np.array([[0, 5]], np.uint32), listed)
