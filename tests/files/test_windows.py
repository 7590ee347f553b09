"""Windows of large pictures: each equals that part of the picture read whole."""

import logging
import pickle
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from jsisnet.files import windows
from jsisnet.files.photos import read_image
from jsisnet.files.windows import Window, open_picture

SIZE = 70, 90


@pytest.fixture
def colors():
    """Return pixels that differ from place to place."""
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def opened(path):
    return open_picture(path, path.with_name("unpacked.raw"))


def whole(path):
    picture = opened(path)
    return picture.read(*map(range, picture.size))


LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (32, 16)},
    "big": {"bigtiff": True, "tile": (32, 16)},
    "big-endian": {"byteorder": ">", "rowsperstrip": 7},
    "deflate strips": {"compression": "zlib", "rowsperstrip": 7},
    "deflate tiles": {"compression": "zlib", "predictor": True, "tile": (32, 48)},
    "LZW": {"compression": "lzw", "predictor": True, "rowsperstrip": 16},
    "PackBits": {"compression": "packbits", "rowsperstrip": 16},
    "Zstandard": {"compression": "zstd", "tile": (16, 16)},
    "planes": {"planarconfig": "separate", "rowsperstrip": 9},
    "planes of tiles": {"planarconfig": "separate", "tile": (16, 32), "compression": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_of_a_tiff_are_parts_of_it(layout, colors, tmp_path):
    path = tmp_path / "picture.tif"
    data = colors.transpose(2, 0, 1) if "planes" in layout else colors
    tifffile.imwrite(path, data, photometric="rgb", **LAYOUTS[layout])

    picture = opened(path)

    assert picture.size == SIZE
    for rows, columns in [(range(70), range(90)), (range(3, 41), range(15, 17))]:
        expected = colors[rows.start : rows.stop, columns.start : columns.stop]
        assert np.array_equal(picture.read(rows, columns), expected)
    assert not (tmp_path / "unpacked.raw").exists()


def test_tiff_in_jpeg_tiles_is_close_to_its_colors(tmp_path):
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    colors = np.stack(np.broadcast_arrays(ramp[:, None], ramp, np.uint8(90)), axis=2)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, colors, photometric="rgb", tile=(32, 32), compression="jpeg")

    assert np.abs(whole(path).astype(int) - colors).max() < 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_are_upright(orientation, colors, tmp_path):
    plain, tiff = tmp_path / "photo.png", tmp_path / "photo.tif"
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(colors).save(plain, exif=exif)
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tiff, colors, photometric="rgb", rowsperstrip=8, extratags=tags)
    expected = read_image(plain, upright=True)

    for path in (plain, tiff):
        picture = opened(path)
        assert picture.size == expected.shape[:2]
        window = picture.read(range(20, 61), range(5, 33))
        assert np.array_equal(window, expected[20:61, 5:33])


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(("RGB", s) for s in (".png", ".bmp", ".jpg", ".tif")),
        *(("L", s) for s in (".png", ".tif")),
        *(("RGBA", s) for s in (".png", ".tif")),
        *(("P", s) for s in (".png", ".tif", ".gif")),
        *(("1", s) for s in (".png", ".tif")),
        ("LA", ".png"),
        ("CMYK", ".tif"),
        ("I;16", ".png"),
        ("I;16", ".tif"),
    ],
)
def test_pixels_of_every_kind_are_read_as_by_read_image(mode, suffix, colors, tmp_path):
    path = tmp_path / f"picture{suffix}"
    image = (
        Image.fromarray(colors[..., 0].astype(np.uint16) * 200)
        if mode == "I;16"
        else Image.fromarray(colors).convert(mode)
    )
    if "A" in mode:
        image.putalpha(Image.fromarray(colors[..., 1]))
    image.save(path)

    assert np.array_equal(whole(path), read_image(path))


def test_colors_of_16_bits_are_scaled_by_the_bits_that_they_use(colors, tmp_path):
    path = tmp_path / "camera.tif"
    tifffile.imwrite(path, colors.astype(np.uint16) * 16, photometric="rgb", tile=(16, 16))

    assert np.abs(whole(path).astype(int) - colors).max() <= 1


def test_white_may_be_zero_and_transparency_is_white(colors, tmp_path):
    negative, cut = tmp_path / "negative.tif", tmp_path / "cut.tif"
    tifffile.imwrite(negative, colors[..., 0], photometric="miniswhite")
    premultiplied = np.dstack([colors // 2, np.full(SIZE, 128, np.uint8)])
    tifffile.imwrite(cut, premultiplied, photometric="rgb", extrasamples=["assocalpha"])

    assert np.array_equal(whole(negative)[..., 1], 255 - colors[..., 0])
    assert np.array_equal(whole(cut), colors // 2 + 127)


def test_full_level_of_a_pyramid_is_read(colors, tmp_path):
    inside, ahead = tmp_path / "pyramid.tif", tmp_path / "ahead.tif"
    with tifffile.TiffWriter(inside) as writer:
        writer.write(colors, photometric="rgb", tile=(32, 32), subifds=1)
        writer.write(colors[::2, ::2].copy(), photometric="rgb", tile=(32, 32), subfiletype=1)
    with tifffile.TiffWriter(ahead) as writer:
        writer.write(colors[::2, ::2].copy(), photometric="rgb", subfiletype=1)
        writer.write(colors, photometric="rgb")

    assert np.array_equal(whole(inside), colors)
    assert np.array_equal(whole(ahead), colors)


def test_tiles_that_a_sparse_file_leaves_out_are_black(tmp_path):
    path = tmp_path / "sparse.tif"
    tifffile.imwrite(path, np.full((64, 128, 3), 9, np.uint8), photometric="rgb", tile=(64, 64))
    with tifffile.TiffFile(path, mode="r+b") as file:
        offsets, counts = (file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts"))
        offsets.overwrite((offsets.value[0], 0))
        counts.overwrite((counts.value[0], 0))

    pixels = whole(path)

    assert (pixels[:, :64] == 9).all()
    assert not pixels[:, 64:].any()


def test_a_window_travels_to_other_processes(colors, tmp_path):
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, colors, photometric="rgb")
    window = Window(opened(path), range(2, 6), range(10))

    copy = pickle.loads(pickle.dumps(window))

    assert np.array_equal(copy.read(), colors[2:6, :10])
    assert copy.stamp() == window.stamp()
    assert copy.name == "picture.tif"


def test_few_decoded_parts_are_kept(colors, tmp_path, monkeypatch):
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, colors, photometric="rgb", compression="zlib", rowsperstrip=1)
    monkeypatch.setattr(windows, "_CACHE", 10 * 90 * 3)
    tiff = windows._Tiff(path)

    assert np.array_equal(tiff.read(*map(range, SIZE)), colors)
    assert len(tiff._kept) == 10


def refusal(path):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        whole(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize("layout", ["strips", "deflate tiles", "big"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_cut_tiffs_are_refused_in_one_sentence(layout, share, colors, tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, colors, photometric="rgb", **LAYOUTS[layout])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    assert "can't be read as an image" in refusal(path)


def test_damaged_parts_are_refused_in_one_sentence(colors, tmp_path):
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, colors, photometric="rgb", compression="zlib", rowsperstrip=8)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[3]
    content[start : start + 20] = bytes(20)
    path.write_bytes(content)

    assert "can't be read as an image" in refusal(path)


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_refused_or_read(seed, colors, tmp_path):
    random = np.random.default_rng(seed)
    path = tmp_path / "damaged.tif"
    layout = list(LAYOUTS.values())[seed % 10]
    tifffile.imwrite(path, colors, photometric="rgb", **layout)
    content = bytearray(path.read_bytes())
    for place in random.integers(0, 400, 6):
        content[place] = random.integers(256)
    path.write_bytes(content)

    try:
        whole(path)
    except ValueError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - it need not be raised


def test_what_expands_too_much_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "1MB")
    path = tmp_path / "bomb.tif"
    tiles = iter([imagecodecs.zlib_encode(bytes(3 * 2048**2))])
    tifffile.imwrite(
        path, tiles, shape=(2048, 2048, 3), dtype=np.uint8, tile=(2048, 2048), compression="zlib"
    )
    photo = tmp_path / "bomb.png"
    Image.new("L", (2048, 2048)).save(photo)

    assert "tiles of 2048 x 2048 pixels would take about 36 MB of memory" in refusal(path)
    assert "2048 x 2048 pixels would take about 4 MB of memory" in refusal(photo)


def test_parts_that_hold_more_than_their_place_are_refused(colors, tmp_path):
    path, jpeg = tmp_path / "deflate.tif", tmp_path / "jpeg.tif"
    tiles = iter([imagecodecs.zlib_encode(bytes(1 << 24))])
    tifffile.imwrite(
        path, tiles, shape=(16, 16, 3), dtype=np.uint8, tile=(16, 16), compression="zlib"
    )
    tiles = iter([imagecodecs.jpeg_encode(colors)])
    tifffile.imwrite(
        jpeg, tiles, shape=(16, 16, 3), dtype=np.uint8, tile=(16, 16), compression="jpeg"
    )

    assert "can't be read as an image" in refusal(path)
    assert "a part has 90 x 70 pixels; expected at most 16 x 16" in refusal(jpeg)


def header(*tags):
    """Return a TIFF of these tags, each a code, a type and a value, and no pixels."""
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def test_sizes_that_no_file_can_have_are_refused(tmp_path):
    path = tmp_path / "bomb.tif"
    sides = [(256, 4, 2**31), (257, 4, 2**31), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    path.write_bytes(header(*sides, (277, 3, 1), (278, 4, 2**31), (279, 4, 100)))
    assert "expected 1 to 20,000,000,000" in refusal(path)

    sides[:2] = [(256, 4, 100_000), (257, 4, 100_000)]
    path.write_bytes(header(*sides, (277, 3, 1), (278, 4, 2**31), (279, 4, 100)))
    assert "its strips are too short for its rows" in refusal(path)


@pytest.mark.parametrize(
    ("pixels", "settings", "message"),
    [
        (np.zeros((8, 8), np.float32), {}, "floating-point numbers of 32 bits"),
        (np.zeros((8, 8), np.uint32), {}, "unsigned integers of 32 bits"),
        (np.zeros((8, 8), np.int16), {}, "signed integers of 16 bits"),
        (
            np.zeros((16, 16, 16), np.uint8),
            {"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack"},
            "16 x 16 x 16 pixels; expected 1 to 20,000,000,000 of a plane",
        ),
        (np.zeros((8, 8, 3), np.uint8), {"compression": "jpegxl"}, "compressed by JPEGXL"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "cielab"}, "3 channels of CIELAB"),
    ],
)
def test_pixels_of_other_kinds_are_refused(pixels, settings, message, tmp_path):
    path = tmp_path / "other.tif"
    settings.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(path, pixels, **settings)

    assert message in refusal(path)


def test_odd_tags_are_left_aside_or_named(colors, tmp_path):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, colors, photometric="rgb", extratags=[(274, 2, 6, "north", True)])
    assert open_picture(path, tmp_path / "unpacked").size == colors.shape[:2]

    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["RowsPerStrip"].overwrite(0)

    assert "strips of no rows" in refusal(path)


def test_an_empty_file_a_folder_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()

    assert "it is empty" in refusal(tmp_path / "empty.png")
    assert "not a file" in refusal(tmp_path)
    assert "not a file" in refusal(tmp_path / "missing.tif")


def test_a_disk_that_is_too_small_is_told(colors, tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.fromarray(colors).save(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))

    message = refusal(path)

    assert message.startswith(f"{path}: the disk is full (its ")
    assert "would take 0 MB of the disk" in message


def test_a_disk_that_fills_up_meanwhile_is_told(colors, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(colors).save(path)

    with pytest.raises(ValueError, match=r"photo.png: the disk is full \(No space left on device"):
        open_picture(path, Path("/dev/full"))


def test_cut_pngs_are_refused_in_one_sentence(colors, tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(colors).save(path)
    path.write_bytes(path.read_bytes()[:-600])

    assert "can't be read as an image" in refusal(path)


def test_a_missing_extra_is_one_sentence(colors, tmp_path, monkeypatch):
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, colors, photometric="rgb")
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)

    with pytest.raises(ImportError, match=r"pip install 'jsisnet\[tiff\]'"):
        opened(path)


def test_tifffile_writes_nothing_to_the_terminal(colors, tmp_path, capfd):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, colors, photometric="rgb")
    path.write_bytes(path.read_bytes()[:100])
    handlers = logging.getLogger("tifffile").handlers

    refusal(path)

    assert capfd.readouterr() == ("", "")
    assert handlers
