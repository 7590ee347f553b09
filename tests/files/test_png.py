import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jsisnet.files import pixels
from jsisnet.files import png as png_files
from jsisnet.files.png import (
    MAX_ID,
    open_ids,
    read_ids,
    read_values,
    rgb_to_ids,
    write_ids,
    write_values,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FILTERS = range(5)


def write_picture(path, mode):
    Image.new(mode, (3, 2)).save(path)
    return path


def chunk(name, values):
    return (
        struct.pack(">I", len(values))
        + name
        + values
        + struct.pack(">I", zlib.crc32(name + values))
    )


def png(size, rows, *, channels=3, parts=1, end=b""):
    """Return a PNG file with these filtered rows."""
    height, width = size
    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    packed = zlib.compress(rows) + end
    step = -(-len(packed) // parts)
    pieces = [packed[start : start + step] for start in range(0, len(packed), step)]
    chunks = [chunk(b"IHDR", header), *(chunk(b"IDAT", piece) for piece in pieces)]
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def either_way(request, monkeypatch):
    """Read with the compiled loops, then without them."""
    if not request.param:
        monkeypatch.setattr(pixels, "_pixels", None)
    elif pixels._pixels is None:
        pytest.skip("installed without a C compiler")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_filter_is_undone_as_pillow_does(tmp_path_factory, data):
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    channels = data.draw(st.sampled_from([3, 4]))
    # Few values, so that neighbours are equal in every way.
    values = st.sampled_from([0, 0, 0, 1, 254])
    rows = b"".join(
        bytes([data.draw(st.sampled_from(FILTERS))])
        + bytes(data.draw(st.lists(values, min_size=width * channels, max_size=width * channels)))
        for _ in range(height)
    )
    path = tmp_path_factory.mktemp("filters") / "map.png"
    path.write_bytes(png((height, width), rows, channels=channels, parts=3))

    ids = read_ids(path)

    with Image.open(path) as image:
        assert (ids == rgb_to_ids(image)).all()


@pytest.mark.parametrize("filter_type", FILTERS)
@pytest.mark.parametrize("density", [0, 0.01, 1])
def test_long_rows_are_unfiltered_as_pillow_does(tmp_path, filter_type, density):
    random = np.random.default_rng(filter_type)
    deltas = random.integers(0, 256, (40, 100 * 3), np.uint8) * (random.random((40, 300)) < density)
    # Every third row has another filter, so that what is above differs.
    filters = [filter_type if y % 3 else y % 5 for y in range(40)]
    deltas[0] = random.integers(0, 256, 300)
    rows = b"".join(
        bytes([kind]) + row.astype(np.uint8).tobytes()
        for kind, row in zip(filters, deltas, strict=True)
    )
    (tmp_path / "map.png").write_bytes(png((40, 100), rows))

    ids = read_ids(tmp_path / "map.png")

    with Image.open(tmp_path / "map.png") as image:
        assert (ids == rgb_to_ids(image)).all()


@pytest.mark.parametrize("filter_type", FILTERS)
def test_filters_refer_to_the_strip_before(tmp_path, monkeypatch, filter_type):
    monkeypatch.setattr(png_files, "_STRIP_PIXELS", 20)
    random = np.random.default_rng(filter_type)
    deltas = random.integers(0, 256, (30, 7 * 3), np.uint8)
    rows = b"".join(bytes([filter_type]) + row.tobytes() for row in deltas)
    (tmp_path / "map.png").write_bytes(png((30, 7), rows))

    opened = open_ids(tmp_path / "map.png")
    strips = [strip.copy() for strip in opened.strips]

    assert opened.size == (30, 7)
    assert [len(strip) for strip in strips] == [2] * 15
    with Image.open(tmp_path / "map.png") as image:
        assert (np.concatenate(strips) == rgb_to_ids(image)).all()


def test_an_interlaced_image_is_read(tmp_path):
    ids = np.arange(12, dtype=np.uint32).reshape(3, 4)
    # Seven passes over the picture, each with rows of its own.
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2)]
    rows = b""
    for top, down, left, right in [*passes, (1, 2, 0, 1)]:
        for line in ids[top::down, left::right]:
            if len(line):
                rows += b"\0" + b"".join(int(value).to_bytes(3, "little") for value in line)
    content = bytearray(png((3, 4), rows))
    content[28] = 1
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "map.png").write_bytes(content)

    assert (read_ids(tmp_path / "map.png") == ids).all()


@pytest.mark.usefixtures("either_way")
def test_every_id_survives_a_round_trip(tmp_path):
    ids = np.array([[0, 1, 255, 256], [65535, 65536, MAX_ID - 1, MAX_ID]], np.uint32)

    write_ids(ids, tmp_path / "map.png")

    assert (read_ids(tmp_path / "map.png") == ids).all()


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (30, 7), (9, 64)])
def test_pillow_reads_what_is_written_in_strips(tmp_path, monkeypatch, size):
    monkeypatch.setattr(png_files, "_STRIP_PIXELS", 20)
    random = np.random.default_rng(0)
    # Few ids, so that neighbours are equal in every way.
    ids = random.choice(np.array([0, 1, 256, 0x807F01, MAX_ID], np.uint32), size)
    ids[:, size[1] // 2 :] = ids[0, 0]

    write_ids(ids, tmp_path / "map.png")

    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "RGB"
        assert (rgb_to_ids(image) == ids).all()


def test_both_ways_write_the_same_bytes(tmp_path, monkeypatch):
    ids = np.random.default_rng(0).integers(0, MAX_ID + 1, (50, 33), np.uint32)
    write_ids(ids, tmp_path / "map.png")

    monkeypatch.setattr(pixels, "_pixels", None)
    write_ids(ids, tmp_path / "plain.png")

    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "map.png").read_bytes()


@pytest.mark.usefixtures("either_way")
def test_alpha_is_ignored(tmp_path):
    Image.new("RGBA", (2, 1), (1, 2, 3, 77)).save(tmp_path / "map.png")

    assert read_ids(tmp_path / "map.png").tolist() == [[197121, 197121]]


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("L", "8-bit grey pixels"),
        ("I;16", "16-bit grey pixels"),
        ("LA", "8-bit grey and alpha pixels"),
        ("1", "1-bit grey pixels"),
    ],
)
def test_images_of_other_modes_are_refused(tmp_path, mode, found):
    path = write_picture(tmp_path / "map.png", mode)

    with pytest.raises(ValueError, match=f"PNG with {found}; expected 8-bit RGB"):
        read_ids(path)


def test_16_bit_rgb_is_refused(tmp_path):
    path = write_picture(tmp_path / "map.png", "RGB")
    content = bytearray(path.read_bytes())
    content[24] = 16
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)

    with pytest.raises(ValueError, match="16-bit RGB pixels"):
        read_ids(path)


def test_a_jpeg_is_refused(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "map.png", format="JPEG")

    with pytest.raises(ValueError, match="not a PNG"):
        read_ids(tmp_path / "map.png")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("kept", [0, 20, 30, 60, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "map.png"
    write_ids(np.random.default_rng(0).integers(0, MAX_ID, (20, 30), np.uint32), path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])

    with pytest.raises(ValueError, match=r"not a PNG|can't be decoded"):
        read_ids(path)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("place", [35, 60, -20])
def test_a_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "map.png"
    write_ids(np.random.default_rng(0).integers(0, MAX_ID, (20, 30), np.uint32), path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)

    with pytest.raises(ValueError, match="can't be decoded: "):
        read_ids(path)


def with_methods(*methods):
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, *methods)
    pixels = chunk(b"IDAT", zlib.compress(bytes(4)))
    return SIGNATURE + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (png((2, 2), b"\0" + bytes(6)), "pixels are missing"),
        (png((1, 1), b"\x05abc"), "a row has an unknown filter"),
        (png((0, 5), b""), "it claims to have 0x5 pixels"),
        (png((200_000, 200_000), b""), "it claims to have 200000x200000 pixels"),
        (SIGNATURE + chunk(b"IHDR", b"short"), "the header is damaged"),
        (SIGNATURE + chunk(b"IDAT", b"x"), "the header is damaged"),
        (with_methods(1, 0, 0), "the header is damaged"),
        (with_methods(0, 86, 0), "the header is damaged"),
        (with_methods(0, 0, 2), "the header is damaged"),
        (png((1, 1), b"\0abc")[:-13], "it is truncated"),
        (SIGNATURE + b"\xff\xff\xff\xffIHDR", "it is truncated"),
    ],
)
def test_impossible_dimensions_are_refused(tmp_path, content, what):
    (tmp_path / "map.png").write_bytes(content)
    if pixels._pixels is None and what == "a row has an unknown filter":
        what = ""  # Pillow has words of its own

    with pytest.raises(ValueError, match=f"can't be decoded: {what}"):
        read_ids(tmp_path / "map.png")


def test_pixels_that_another_chunk_interrupts_are_refused(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    packed = zlib.compress(bytes(4))
    first, second = chunk(b"IDAT", packed[:2]), chunk(b"IDAT", packed[2:])
    path, end = tmp_path / "a.png", chunk(b"IEND", b"")
    path.write_bytes(SIGNATURE + header + first + second + end)
    assert read_ids(path).tolist() == [[0]]

    path.write_bytes(SIGNATURE + header + first + chunk(b"tEXt", b"x") + second + end)

    with pytest.raises(ValueError, match="a chunk b'tEXt' interrupts its pixels"):
        read_ids(path)


def test_data_after_the_pixels_is_ignored(tmp_path):
    (tmp_path / "map.png").write_bytes(png((1, 1), b"\0\1\0\0" + bytes(200_000), end=b"more"))

    assert read_ids(tmp_path / "map.png").tolist() == [[1]]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("interlace", [0, 1])
def test_missing_pixels_are_an_error_instead_of_void(tmp_path, interlace):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, interlace))
    full = 8 * 25 if not interlace else 4 + 4 + 7 + 2 * 7 + 2 * 13 + 4 * 13 + 4 * 25
    for missing in (0, 1):
        pixels = chunk(b"IDAT", zlib.compress(bytes(full - missing)))
        path = tmp_path / f"{missing}.png"
        path.write_bytes(SIGNATURE + header + pixels + chunk(b"IEND", b""))

    assert not read_ids(tmp_path / "0.png").any()
    with pytest.raises(ValueError, match="can't be decoded: pixels are missing"):
        read_ids(tmp_path / "1.png")


@pytest.mark.usefixtures("either_way")
def test_an_endless_stream_is_not_decompressed(tmp_path):
    (tmp_path / "map.png").write_bytes(png((1, 1), b"\0\1\0\0" + bytes(2**22)))

    with pytest.raises(ValueError, match="too much data follows its last pixel"):
        read_ids(tmp_path / "map.png")


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_ids(tmp_path / "map.png")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a file"):
        read_ids(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "map.png")

    with pytest.raises(ValueError, match="a pipe; expected a regular file"):
        read_ids(tmp_path / "map.png")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_are_written_in_strips(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(png_files, "_STRIP_PIXELS", 20)
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (31, 7), kind)

    write_values(values[:, ::-1], tmp_path / "values.png")

    with Image.open(tmp_path / "values.png") as image:
        assert (np.asarray(image) == values[:, ::-1]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_values_survive_survive_to_the_last_bit(kind, tmp_path):
    highest = np.iinfo(kind).max
    values = np.array([[0, 1, highest // 2 + 1, highest]], kind)

    write_values(values, tmp_path / "values.png")

    found = read_values(tmp_path / "values.png")
    assert found.dtype == kind
    assert found.tolist() == values.tolist()


def test_palette_images_are_read_as_indices(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6])
    image.putdata([3, 1])
    image.save(tmp_path / "palette.png", bits=2)

    assert read_values(tmp_path / "palette.png").tolist() == [[3, 1]]


def with_header(depth, kind):
    return SIGNATURE + bytes(4) + b"IHDR" + bytes(8) + bytes([depth, kind]) + bytes(30)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a" + bytes(40), "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a PNG"),
        (with_header(16, 2), "PNG with 16 bits per channel, which can't be read without loss"),
        (with_header(4, 0), "PNG with 4 bits per channel, which can't be read without loss"),
        (with_header(8, 0), "can't be decoded: Truncated IHDR chunk$"),
        (SIGNATURE + chunk(b"gAMA", bytes(30)), "can't be decoded: its header is damaged$"),
    ],
)
def test_damaged_images_and_those_that_need_conversion_are_refused(content, message, tmp_path):
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


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_colors_of_a_palette_are_ids(tmp_path, bits):
    ids = np.arange(7 * 5).reshape(7, 5) % 2**bits * 60_001
    image = Image.new("P", (5, 7))
    image.putdata((ids // 60_001).ravel().tolist())
    colors = np.arange(2**bits) * 60_001
    image.putpalette(np.stack([colors & 255, colors >> 8 & 255, colors >> 16], 1).ravel().tolist())
    image.save(tmp_path / "map.png", bits=bits, transparency=0)

    assert read_ids(tmp_path / "map.png").tolist() == ids.tolist()


@pytest.mark.usefixtures("either_way")
def test_a_truncated_map_with_a_palette_is_refused(tmp_path):
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 9, (64, 64), np.uint8)).quantize(9).save(
        tmp_path / "m.png"
    )
    content = (tmp_path / "m.png").read_bytes()
    (tmp_path / "m.png").write_bytes(content[:-200])

    with pytest.raises(ValueError, match="can't be decoded"):
        read_ids(tmp_path / "m.png")


def end_cut(content):
    return content[:-4]


def end_missing(content):
    return content[:-12]


def end_damaged(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def pixels_damaged(content):
    at = content.index(b"IDAT")
    length = int.from_bytes(content[at - 4 : at], "big")
    return content[: at + 4 + length] + bytes(4) + content[at + 8 + length :]


DAMAGES = (end_cut, end_missing, end_damaged, pixels_damaged)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_map_without_its_end_is_refused(mode, damage, tmp_path):
    path = write_picture(tmp_path / "map.png", mode)
    content = path.read_bytes()

    path.write_bytes(content + b"more")
    assert read_ids(path).shape == (2, 3)
    path.write_bytes(damage(content))
    with pytest.raises(ValueError, match=r"can't be decoded: it.*(truncated|damaged)"):
        read_ids(path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_values_without_their_end_are_refused(damage, tmp_path):
    path = write_picture(tmp_path / "values.png", "L")
    content = path.read_bytes()

    path.write_bytes(content + b"more")
    assert read_values(path).shape == (2, 3)
    path.write_bytes(damage(content))
    with pytest.raises(ValueError, match=r"can't be decoded: it.*(truncated|damaged)"):
        read_values(path)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_map_that_would_take_too_much_memory_is_refused(mode, tmp_path, monkeypatch):
    Image.new(mode, (900_000, 1)).save(tmp_path / "map.png")
    assert read_ids(tmp_path / "map.png").shape == (1, 900_000)

    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "8MB")

    for read in (read_ids, open_ids):
        with pytest.raises(ValueError, match=r"^1x900000 pixels would take .*limit is 8 MB; set"):
            read(tmp_path / "map.png")


def test_values_that_would_take_too_much_memory_are_refused(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "values.png", "L")
    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "10")

    with pytest.raises(ValueError, match=r"2x3 pixels would take .*JSISNET_PICTURE_MEMORY=1MB"):
        read_values(path)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_strips_of_an_image_that_pillow_decodes_are_the_same(mode, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path / "map.png")
    monkeypatch.setattr(pixels, "_pixels", None)
    whole = read_ids(tmp_path / "map.png")
    monkeypatch.setattr(png_files, "_STRIP_PIXELS", 7 * 30)

    strips = [strip.copy() for strip in open_ids(tmp_path / "map.png").strips]

    assert [len(strip) for strip in strips] == [7, 7, 7, 7, 7, 5]
    assert np.array_equal(np.concatenate(strips), whole)


def chunks_of(content):
    """Yield the names and the contents of the chunks of a PNG."""
    at = len(SIGNATURE)
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += 12 + length


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_values_of_which_pixels_are_missing_are_refused(mode, tmp_path):
    path = tmp_path / "classes.png"
    Image.new(mode, (5, 4), 3).save(path)
    parts = dict(chunks_of(path.read_bytes()))
    half = zlib.decompress(parts[b"IDAT"])
    parts[b"IDAT"] = zlib.compress(half[: len(half) // 2])
    path.write_bytes(SIGNATURE + b"".join(chunk(*part) for part in parts.items()))

    with pytest.raises(ValueError, match=r"^can't be decoded: pixels are missing$"):
        read_values(path)


@pytest.mark.parametrize("read", [read_ids, read_values])
def test_the_wrong_checksum_of_a_text_does_no_harm(read, tmp_path):
    path = tmp_path / "map.png"
    Image.new("RGB", (5, 4), (7, 0, 0)).save(path)
    content = path.read_bytes()
    text = bytearray(chunk(b"tEXt", b"Software\0odd"))
    text[-1] ^= 1
    path.write_bytes(content[:-12] + text + content[-12:])

    assert np.all(read(path)[..., :1] == 7)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_maps_of_more_pixels_than_pillow_opens_are_read_in_strips(mode, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    ids = np.arange(30, dtype=np.uint32).reshape(5, 6)
    path = tmp_path / "map.png"
    if mode == "RGB":
        write_ids(ids, path)
    else:
        image = Image.fromarray(ids.astype(np.uint8))
        image.putpalette([value for red in range(256) for value in (red, 0, 0)])
        image.save(path)

    found = np.concatenate([strip.copy() for strip in open_ids(path).strips])

    assert np.array_equal(found, ids)


def test_a_map_of_a_gigapixel_is_opened_in_the_memory_of_some_rows(tmp_path):
    if pixels._pixels is None:
        pytest.skip("installed without a C compiler")
    path = tmp_path / "map.png"
    path.write_bytes(png((40_000, 40_000), b""))

    assert open_ids(path).size == (40_000, 40_000)
    with pytest.raises(ValueError, match=r"would take about 14\.9 GB of memory, but the limit is"):
        read_ids(path)
