import io
import os
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import AvifImagePlugin, Image, ImageOps, features

from jsisnet.files import photos
from jsisnet.files.photos import MAX_PIXELS, has_photo_suffix, read_image, to_rgb

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
        pytest.param(b"", "it is empty", id="nothing"),
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


FILE = encoded(Image.fromarray(COLORS), "PNG")
DEEP = COLORS.astype(np.uint16) * 257
ALPHA = np.dstack([COLORS, np.full(COLORS.shape[:2], 255, np.uint8)])


class Pathlike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


class Pipe:
    """A stream that can neither seek nor say where it is, and gives a few bytes at a time."""

    def __init__(self, content):
        self.stream = io.BytesIO(content)

    def read(self, size):
        return self.stream.read(min(size, 7))


class Arraylike:
    def __array__(self, dtype=None, copy=None):
        return COLORS


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(str, id="str"),
        pytest.param(Path, id="Path"),
        pytest.param(Pathlike, id="os.PathLike"),
        pytest.param(lambda path: Pathlike(os.fsencode(path)), id="os.PathLike of bytes"),
        pytest.param(PurePosixPath, id="pure path"),
    ],
)
def test_paths_of_any_type_are_read(save, kind):
    path = save(Image.fromarray(COLORS), "photo.png")

    assert np.array_equal(to_rgb(kind(str(path))), COLORS)


def test_entries_of_a_zip_are_read_and_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", FILE)
        archive.writestr("b.png", b"nothing")
    photos = zipfile.Path(tmp_path / "photos.zip")

    assert np.array_equal(to_rgb(photos / "a.png"), COLORS)
    for name, message in (("b.png", "none of JPEG"), ("c.png", "")):
        with pytest.raises(ValueError, match=f"photos.zip/{name}: can't be read.*{message}"):
            to_rgb(photos / name)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(FILE, id="bytes"),
        pytest.param(bytearray(FILE), id="bytearray"),
        pytest.param(memoryview(FILE), id="memoryview"),
        pytest.param(io.BytesIO(FILE), id="file object"),
        pytest.param(Pipe(FILE), id="pipe"),
        pytest.param(Image.fromarray(COLORS), id="PIL"),
        pytest.param(COLORS, id="uint8"),
        pytest.param(np.asfortranarray(COLORS), id="columns first"),
        pytest.param(DEEP, id="uint16"),
        pytest.param(DEEP.astype(">u2"), id="uint16 big-endian"),
        pytest.param(ALPHA, id="RGBA"),
        pytest.param(ALPHA.astype(np.uint16) * 257, id="RGBA uint16"),
        pytest.param(Arraylike(), id="__array__"),
        pytest.param(torch.from_numpy(COLORS).permute(2, 0, 1), id="tensor 3 h w"),
        pytest.param(torch.from_numpy(ALPHA).permute(2, 0, 1), id="tensor 4 h w"),
    ],
)
def test_what_holds_a_photo_becomes_rgb(source):
    image = to_rgb(source)

    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.array_equal(image, COLORS)


@pytest.mark.parametrize("kind", [torch.detach, lambda x: torch.nn.Parameter(x, False)])
def test_tensors_with_the_channels_last_are_taken(kind):
    tall = np.concatenate([COLORS, COLORS])

    assert np.array_equal(to_rgb(kind(torch.from_numpy(tall))), tall)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(RAMP, id="h w"),
        pytest.param(RAMP[..., None], id="h w 1"),
        pytest.param(RAMP.astype(np.uint16) * 257, id="uint16"),
        pytest.param(torch.from_numpy(RAMP), id="tensor h w"),
        pytest.param(torch.from_numpy(RAMP)[None], id="tensor 1 h w"),
        pytest.param(Image.fromarray(RAMP), id="PIL L"),
        pytest.param(Image.fromarray(RAMP.astype(np.uint16) * 257), id="PIL I;16"),
        pytest.param(Image.fromarray(RAMP.astype(np.int32) * 257), id="PIL I"),
    ],
)
def test_grey_of_any_kind_becomes_rgb(source):
    assert np.array_equal(to_rgb(source), np.stack([RAMP] * 3, axis=-1))


def test_black_and_white_arrays_become_0_and_255():
    assert np.array_equal(to_rgb(RAMP > 100), np.stack([(RAMP > 100) * 255] * 3, axis=-1))


def test_an_array_is_copied_so_that_a_reused_frame_does_no_harm():
    frame = COLORS.copy()

    image = to_rgb(frame)
    frame[:] = 0

    assert np.array_equal(image, COLORS)


def test_transparent_arrays_are_blended_like_files(save):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)
    path = save(Image.fromarray(pixels), "glass.png")

    assert np.array_equal(to_rgb(pixels), read_image(path))
    assert np.array_equal(to_rgb(Image.fromarray(pixels)), read_image(path))


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV",
     "I", "I;16", "I;16B"],
)  # fmt: skip
def test_pil_images_of_any_mode_are_taken(mode):
    assert to_rgb(Image.new(mode, (3, 2))).shape == (2, 3, 3)


def test_a_pil_image_stays_open_and_as_it_was(save):
    path = save(Image.fromarray(COLORS), "photo.png")

    with Image.open(path) as image:
        to_rgb(image)

        assert image.getpixel((0, 0)) == tuple(COLORS[0, 0])


def turned(kind):
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN_CLOCKWISE
    return encoded(Image.fromarray(COLORS), kind, exif=exif)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(turned("PNG"), id="file"),
        pytest.param(Image.open(io.BytesIO(turned("PNG"))), id="PIL"),
    ],
)
def test_photos_are_upright_for_prediction(source):
    upright, stored = to_rgb(source), None
    if isinstance(source, bytes):
        stored = to_rgb(source, upright=False)

    assert np.array_equal(upright, np.rot90(COLORS, -1))
    assert stored is None or np.array_equal(stored, COLORS)


def test_a_photo_is_read_from_standard_input():
    program = "import sys; from jsisnet.files import to_rgb; print(to_rgb(sys.stdin.buffer).shape)"

    found = subprocess.run(
        [sys.executable, "-c", program], input=FILE, check=True, capture_output=True
    )

    assert found.stdout.split() == b"(4, 6, 3)".split()


def test_a_file_is_read_from_where_it_stands():
    file = io.BytesIO(b"header" + FILE)
    file.seek(6)

    assert np.array_equal(to_rgb(file), COLORS)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(COLORS / 255, r"(255 * array).round().astype(np.uint8)", id="floats"),
        pytest.param(
            COLORS.astype(np.int64), "int64 of shape (4, 6, 3); expected uint8", id="int64"
        ),
        pytest.param(COLORS.transpose(2, 0, 1), "transpose(1, 2, 0)", id="channels first"),
        pytest.param(np.stack([COLORS] * 2), "one by one, or as a list", id="batch"),
        pytest.param(np.zeros((4, 6, 2), np.uint8), "3 channels, 4 or none", id="two channels"),
        pytest.param(np.zeros((0, 6, 3), np.uint8), "expected 1 to", id="empty"),
        pytest.param(np.broadcast_to(np.uint8(0), (60_000, 60_000)), "expected 1 to", id="huge"),
        pytest.param(np.array(7, np.uint8), "expected height x width", id="number"),
        pytest.param(torch.zeros(3, 4, 6), "(tensor * 255).byte()", id="float tensor"),
        pytest.param(torch.zeros(3, 4, 6, dtype=torch.bfloat16), "torch.bfloat16", id="bfloat16"),
        pytest.param(torch.zeros(3, 6, 3, dtype=torch.uint8), "first or last", id="ambiguous"),
        pytest.param(torch.zeros(2, 3, 4, 6, dtype=torch.uint8), "one by one", id="tensor batch"),
        pytest.param(Image.new("F", (3, 2)), "floating-point", id="PIL F"),
        pytest.param(None, "type NoneType; expected a path", id="None"),
        pytest.param([[0, 0, 0]], "type list; expected a path", id="list"),
        pytest.param(io.StringIO("text"), "mode 'rb'", id="text file"),
        pytest.param(io.BytesIO(), "was the file read before?", id="file read before"),
        pytest.param(b"", "the bytes: can't be read as an image (none of", id="no bytes"),
        pytest.param(HUGE_BMP, "100000 x 100000 pixels", id="bomb"),
        pytest.param("https://example.com/a.jpg", "a URL; download", id="URL"),
        pytest.param("S3://bucket/a.jpg", "S3://bucket/a.jpg: a URL; download", id="other URL"),
        pytest.param("a" * 5000, "a...a", id="long path"),
        pytest.param("a\0b.png", "not a file", id="NUL"),
        pytest.param("two\nlines.png", r"'two\nlines.png': not a file", id="line break"),
    ],
)
def test_what_holds_no_photo_gets_one_sentence_that_says_why(source, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        to_rgb(source)

    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("path", ["a" * 5000, "a\0b.png", "/root\0", "\udcff.png"])
def test_odd_paths_are_value_errors(path):
    with pytest.raises(ValueError, match=r"not a file|too long"):
        read_image(path)


def test_an_endless_stream_is_refused(monkeypatch):
    monkeypatch.setattr(photos, "_MAX_ENCODED", 1000)

    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        to_rgb(Pipe(bytes(2000)))


def heic(image):
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90)
    return buffer.getvalue()


FLAT = Image.new("RGB", (64, 48), (200, 100, 50))


def test_heic_is_read(tmp_path):
    path = tmp_path / "phone.heic"
    path.write_bytes(heic(FLAT))

    for image in (read_image(path), to_rgb(path.read_bytes())):
        assert image.shape == (48, 64, 3)
        assert np.allclose(image, [200, 100, 50], atol=4)


def test_heic_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)

    with pytest.raises(ValueError, match=r"HEIF needs pillow-heif.*'jsisnet\[heif\]'"):
        to_rgb(heic(FLAT))


@pytest.mark.parametrize("length", [30, 200, -1])
def test_a_damaged_heic_gets_one_sentence(length):
    with pytest.raises(ValueError, match="the bytes: can't be read as an image") as caught:
        to_rgb(heic(FLAT)[:length])

    assert str(caught.value).isprintable()


def test_a_heic_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 100)

    with pytest.raises(ValueError, match="64 x 48 pixels"):
        to_rgb(heic(FLAT))


def test_avif_is_read():
    assert np.allclose(to_rgb(encoded(FLAT, "AVIF")), [200, 100, 50], atol=4)


def test_damaged_avif_is_not_blamed_on_pillow():
    with pytest.raises(ValueError, match="AVIF, but damaged"):
        to_rgb(encoded(FLAT, "AVIF")[:200])


@pytest.mark.filterwarnings("ignore:.*AVIF support not installed")
def test_avif_without_its_library_says_what_to_install(monkeypatch):
    content = encoded(FLAT, "AVIF")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    monkeypatch.setattr(features, "check", lambda _: False)

    with pytest.raises(ValueError, match="AVIF, which this build of Pillow can't read"):
        to_rgb(content)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", True), ("a.HEIC", True), ("a.avif", True), ("a.txt", False), ("jpg", False)],
)
def test_names_of_photos_are_known(name, expected):
    assert has_photo_suffix(Path(name)) == expected


def test_photos_are_read_from_several_threads():
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(to_rgb(FILE).tolist())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [COLORS.tolist()] * 8


def test_tensors_are_known_without_importing_torch():
    program = (
        "import sys, numpy; from jsisnet.files import to_rgb;"
        "to_rgb(numpy.zeros((2, 2), numpy.uint8)); sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.fixture
def told(caplog):
    photos._tell_bits.cache_clear()
    yield caplog
    photos._tell_bits.cache_clear()


@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
@pytest.mark.parametrize("bits", [8, 12, 14])
def test_16_bit_files_are_scaled_by_the_bits_that_they_use(save, told, name, bits):
    path = save(Image.fromarray((RAMP.astype(int) * (2**bits - 1) // 255).astype(np.uint16)), name)

    for _ in range(2):
        grey = read_image(path)[..., 0].astype(int)
        assert np.abs(grey - RAMP).max() <= 1
    assert to_rgb(np.asarray(Image.open(path)))[..., 0].max() == grey.max()
    assert told.text.count(f"use {bits} bits") == 1


def test_32_bit_files_that_hold_bytes_keep_them(save, told):
    path = save(Image.fromarray(RAMP.astype(np.int32)), "photo.tif")

    assert np.array_equal(read_image(path)[..., 0], RAMP)
    assert "use 8 bits" in told.text


@pytest.mark.parametrize("highest", [256, 1023])
def test_values_of_ambiguous_depth_are_refused(save, highest):
    grey = RAMP.astype(np.uint16)
    grey[0, 0] = highest

    with pytest.raises(ValueError, match=f"photo.png: .*reach only {highest:,} of 65,535"):
        read_image(save(Image.fromarray(grey), "photo.png"))


def test_a_black_photo_of_16_bits_stays_black(save, told):
    assert not read_image(save(Image.fromarray(RAMP.astype(np.uint16) * 0), "photo.png")).any()
    assert not told.text


def png_of_16_bit_colors(path, values):
    """Write a PNG that Pillow can't write."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    height, width, _ = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def test_16_bit_colors_are_scaled_by_the_bits_that_they_use(tmp_path, told):
    whole = png_of_16_bit_colors(tmp_path / "16.png", COLORS.astype(np.uint16) * 257)
    assert np.array_equal(read_image(whole), COLORS)
    assert not told.text

    some = png_of_16_bit_colors(tmp_path / "14.png", COLORS.astype(np.uint16) * 64)
    assert np.abs(read_image(some).astype(int) - COLORS).max() <= 4
    assert "use 14 bits" in told.text


@pytest.mark.parametrize("factor", [1, 16])
def test_16_bit_colors_that_would_be_black_are_refused(tmp_path, factor):
    path = png_of_16_bit_colors(tmp_path / "photo.png", COLORS.astype(np.uint16) * factor)

    with pytest.raises(ValueError, match=r"photo.png: .* 16-bit colours stay below .* of 65,536"):
        read_image(path)


@pytest.mark.parametrize("cut", [4, 12])
def test_a_photo_without_its_end_is_refused(cut, tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (3, 2)).save(path)
    content = path.read_bytes()

    assert to_rgb(content + b"more").shape == (2, 3, 3)
    path.write_bytes(content[:-cut])
    for source in (path, content[:-cut]):
        with pytest.raises(ValueError, match=r"can't be read as an image \(it is truncated\)"):
            to_rgb(source)


def test_a_photo_with_a_damaged_chunk_is_refused(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "photo.png")
    content = bytearray((tmp_path / "photo.png").read_bytes())
    content[-1] ^= 1
    (tmp_path / "photo.png").write_bytes(content)

    with pytest.raises(ValueError, match="its chunk b'IEND' is damaged"):
        read_image(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("name", "options", "each"),
    [
        ("a.png", {}, 10),
        ("a.jpg", {}, 10),
        ("a.jpg", {"progressive": True}, 13),
        ("a.webp", {}, 15),
        ("a.tif", {}, 10),
        ("a.tif", {"compression": "tiff_lzw"}, 15),
        ("a.gif", {}, 10),
    ],
)
def test_a_photo_that_would_take_too_much_memory_is_refused(
    name, options, each, tmp_path, monkeypatch
):
    path = tmp_path / name
    Image.new("RGB", (100, 200), "red").save(path, **options)
    needed = each * 100 * 200 + 8 * 200
    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", f"{needed}")
    assert read_image(path).shape == (200, 100, 3)

    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", f"{needed - 1}")

    with pytest.raises(ValueError, match=f"{name}.*100 x 200 pixels would take .*PICTURE_MEMORY="):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16"])
def test_a_photo_is_converted_in_strips_as_in_one(mode, orientation, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (23, 17, 4), np.uint8)
    image = Image.fromarray(noise).convert("RGB" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(tmp_path / "photo.png", exif=exif)
    whole = read_image(tmp_path / "photo.png", upright=True)
    with Image.open(tmp_path / "photo.png") as image:
        expected = ImageOps.exif_transpose(image)
    if mode == "RGB":
        assert np.array_equal(whole, np.asarray(expected))
    monkeypatch.setattr(photos, "_STRIP", 5 * 17)

    found = read_image(tmp_path / "photo.png", upright=True)

    assert found.shape[:2] == (expected.height, expected.width)
    assert found.flags.c_contiguous
    assert np.array_equal(found, whole)


def test_the_header_of_a_png_is_read_without_its_pixels(tmp_path, monkeypatch):
    path, turned = tmp_path / "photo.png", Image.Exif()
    Image.new("RGB", (3, 2)).save(path)
    turned[ORIENTATION] = QUARTER_TURN_CLOCKWISE
    exif = b"eXIf" + turned.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif))
    content = path.read_bytes()
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", None)

    assert photos.read_header(path) == photos.PhotoHeader(size=(2, 3), mode="RGB", isturned=False)
    path.write_bytes(content[:-12] + chunk + content[-12:])
    assert photos.read_header(path) == photos.PhotoHeader(size=(2, 3), mode="RGB", isturned=True)


def test_a_tile_that_is_larger_than_the_photo_counts(tmp_path):
    path = tmp_path / "photo.tif"
    values = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 322: 30_000, 323: 30_000, 324: 8, 325: 8}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(values)) + tags + bytes(4))

    with pytest.raises(ValueError, match=r"16 x 16 pixels would take about 6\.7 GB of memory"):
        read_image(path)


def test_a_photo_of_endless_refinements_is_refused(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path, progressive=True)
    content = path.read_bytes()

    assert to_rgb(content + 500 * b"\xff\xda").shape == (8, 8, 3)
    path.write_bytes(content + 1001 * b"\xff\xda")
    with pytest.raises(ValueError, match=r"refined 1,\d+ times; expected at most 1,000"):
        read_image(path)
