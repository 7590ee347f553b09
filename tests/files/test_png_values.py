import numpy as np
import pytest
from PIL import Image

from jsisnet.formats.png_values import read_values, write_values


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_survive_to_the_last_bit(kind, tmp_path):
    highest = np.iinfo(kind).max
    values = np.array([[0, 1, highest // 2 + 1, highest]], kind)

    write_values(values, tmp_path / "values.png")

    found = read_values(tmp_path / "values.png")
    assert found.dtype == kind
    assert found.tolist() == values.tolist()


def test_the_values_of_a_palette_are_its_positions(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6])
    image.putdata([3, 1])
    image.save(tmp_path / "palette.png", bits=2)

    assert read_values(tmp_path / "palette.png").tolist() == [[3, 1]]


def with_header(depth, kind):
    return b"\x89PNG\r\n\x1a\n" + bytes(16) + bytes([depth, kind]) + bytes(30)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a" + bytes(40), "is not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "is not a PNG"),
        (with_header(16, 2), "is a PNG with 16 bits in each channel of a kind that loses"),
        (with_header(4, 0), "is a PNG with 4 bits in each channel of a kind that loses"),
        (with_header(8, 0), "can't be decoded: its header is damaged$"),
    ],
)
def test_what_would_be_converted_or_is_damaged_is_refused(content, message, tmp_path):
    (tmp_path / "bad.png").write_bytes(content)

    with pytest.raises(ValueError, match=message):
        read_values(tmp_path / "bad.png")


def test_a_missing_or_truncated_file_is_refused(tmp_path):
    path = tmp_path / "map.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    write_values(noise, path)
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(ValueError, match="can't be decoded"):
        read_values(path)
    with pytest.raises(ValueError, match="can't be read: No such file"):
        read_values(tmp_path / "missing.png")
