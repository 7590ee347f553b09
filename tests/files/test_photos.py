import io

import numpy as np
import pytest
from PIL import Image

from jsisnet.files.photos import MAX_PIXELS, read_image

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
"""Grey values of four rows of six pixels."""

COLORS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
ORIENTATION = 0x0112
QUARTER_TURN_CLOCKWISE = 6


@pytest.fixture
def save(tmp_path):
    def save(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save


@pytest.mark.parametrize("name", ["photo.png", "photo.bmp", "photo.tif", "photo.ppm"])
def test_colours_are_read_as_stored(save, name):
    assert np.array_equal(read_image(save(Image.fromarray(COLORS), name)), COLORS)


def test_the_result_is_writable(save):
    image = read_image(save(Image.fromarray(COLORS), "photo.png"))

    image[0, 0] = 7

    assert image[0, 0].tolist() == [7, 7, 7]


def test_the_format_is_detected_from_the_content(save):
    path = save(Image.fromarray(COLORS), "photo.jpg", format="PNG")

    assert np.array_equal(read_image(path), COLORS)


def test_grey_becomes_equal_red_green_and_blue(save):
    image = read_image(save(Image.fromarray(RAMP), "grey.png"))

    assert np.array_equal(image, np.stack([RAMP] * 3, axis=-1))


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_16_bit_grey_is_scaled_to_8_bit(save, name):
    image = read_image(save(Image.fromarray(RAMP.astype(np.uint16) * 257), name))

    assert np.array_equal(image, np.stack([RAMP] * 3, axis=-1))


def test_black_and_white_is_read(save):
    image = read_image(save(Image.fromarray(RAMP > 100), "fax.png"))

    assert np.array_equal(image[..., 0] == 255, RAMP > 100)


def test_palettes_are_looked_up(save):
    few = Image.fromarray(COLORS).quantize(4)

    assert np.array_equal(read_image(save(few, "few.gif")), np.array(few.convert("RGB")))


def test_cmyk_becomes_rgb(save):
    path = save(Image.new("CMYK", (6, 4), (0, 255, 255, 0)), "print.jpg", quality=100)

    image = read_image(path)

    assert image.shape == (4, 6, 3)
    assert np.allclose(image, [255, 0, 0], atol=2)


def test_transparent_pixels_are_blended_with_white(save):
    image = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))

    assert read_image(save(image, "logo.png")).tolist() == [
        [[200, 0, 0], [255, 255, 255], [204, 204, 204]]
    ]


def test_transparency_of_a_palette_counts(save):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)

    path = save(image, "clip.png", transparency=0)

    assert read_image(path).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_an_image_of_one_pixel_is_read(save):
    path = save(Image.new("RGB", (1, 1), (1, 2, 3)), "dot.png")

    assert read_image(path).tolist() == [[[1, 2, 3]]]


def test_orientation_is_followed_only_on_demand(save):
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN_CLOCKWISE
    path = save(Image.fromarray(COLORS), "phone.png", exif=exif)

    assert np.array_equal(read_image(path), COLORS)
    assert np.array_equal(read_image(path, upright=True), np.rot90(COLORS, -1))


def test_an_image_without_orientation_is_upright(save):
    path = save(Image.fromarray(COLORS), "scan.png")

    assert np.array_equal(read_image(path, upright=True), COLORS)


@pytest.mark.filterwarnings("error")
def test_large_photos_are_read_without_a_warning(save, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)

    assert read_image(save(Image.fromarray(COLORS), "large.png")).shape == (4, 6, 3)
    assert Image.MAX_IMAGE_PIXELS == 5


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
JPEG, PNG, WEBP = (encoded(NOISE, kind) for kind in ("JPEG", "PNG", "WEBP"))
HUGE_BMP = (
    b"BM" + bytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    + (100_000).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24)
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(JPEG[: len(JPEG) // 2], "truncated", id="half a JPEG"),
        pytest.param(PNG[: len(PNG) // 2], "", id="half a PNG"),
        pytest.param(WEBP[: len(WEBP) // 2], "", id="half a WebP"),
        pytest.param(PNG[:100] + b"\0" + PNG[101:], "", id="PNG with a wrong byte"),
        pytest.param(b"\xff\xd8\xff\xe0", "", id="the first bytes of a JPEG"),
        pytest.param(b"this is a shopping list\n", "none of JPEG, PNG", id="text"),
        pytest.param(b"", "none of JPEG, PNG", id="nothing"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", "none of JPEG, PNG", id="a program"),
        pytest.param(HUGE_BMP, "100000 x 100000 pixels", id="an enormous picture"),
        pytest.param(
            encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
            "floating-point",
            id="floating-point numbers",
        ),
        pytest.param(
            encoded(Image.fromarray(RAMP.astype(np.int32) * 1000), "TIFF"),
            "exceed 16 bit",
            id="32-bit grey",
        ),
    ],
)
def test_a_file_that_is_no_image_gives_one_message_with_its_name(tmp_path, content, message):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"holiday\.jpg: can't be read as an image") as caught:
        read_image(path)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.jpg", "."])
def test_missing_files_and_folders_are_named(tmp_path, name):
    with pytest.raises(ValueError, match="not a file") as caught:
        read_image(tmp_path / name)

    assert str(tmp_path / name) in str(caught.value)


def test_22_megapixels_are_allowed():
    assert MAX_PIXELS > 22_000_000
