"""The compiled loops refuse arguments that would make them access memory out of bounds."""

import numpy as np
import pytest

from jsisnet.files import pixels
from jsisnet.files.pixels import FilteredRows

_pixels = pytest.importorskip("jsisnet.files._pixels", reason="installed without a C compiler")


def misaligned(size):
    """Return a buffer that is not aligned for any numeric type."""
    return memoryview(bytearray(size + 1))[1:]


def pngs(first, second, *, channels=3, last=None, table=None):
    """Return the arguments that count the pairs of two PNGs one pixel wide."""
    last = bytearray(8) if last is None else last
    table = bytearray(32) if table is None else table
    return first, channels, second, channels, last, b"", b"", table


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "no width": ("unfilter", (b"", bytearray(4), 0, 3)),
        "width below nothing": ("unfilter", (b"", bytearray(4), -1, 3)),
        "width beyond all measure": ("unfilter", (b"", bytearray(4), 2**62, 4)),
        "two bytes a pixel": ("unfilter", (b"\0ab", bytearray(8), 1, 2)),
        "half a row": ("unfilter", (b"\0ab", bytearray(8), 1, 3)),
        "odd pixels": ("unfilter", (b"\0abc", misaligned(8), 1, 3)),
        "no width to filter": ("filter", (bytes(8), bytearray(4), 0)),
        "no row above": ("filter", (b"", bytearray(0), 1)),
        "rows of another size": ("filter", (bytes(8), bytearray(5), 1)),
        "odd pixels to filter": ("filter", (misaligned(8), bytearray(4), 1)),
        "maps of two sizes": ("count_pairs", (bytes(8), bytes(4), b"", b"", bytearray(32))),
        "a table too small": ("count_pairs", (bytes(4), bytes(4), b"", b"", bytearray(24))),
        "a table of half a cell": ("count_pairs", (bytes(4), bytes(4), b"", b"", bytearray(36))),
        "odd ids": ("count_pairs", (misaligned(4), bytes(4), b"", b"", bytearray(32))),
        "an odd table": ("count_pairs", (bytes(4), bytes(4), b"", b"", misaligned(32))),
        "PNGs without rows": ("count_png_pairs", pngs(b"", b"")),
        "PNGs of two heights": ("count_png_pairs", pngs(bytes(4), bytes(8))),
        "a PNG of half a row": ("count_png_pairs", pngs(bytes(6), bytes(6))),
        "PNGs of two bytes a pixel": ("count_png_pairs", pngs(bytes(3), bytes(3), channels=2)),
        "PNGs without a width": ("count_png_pairs", pngs(bytes(4), bytes(4), last=bytearray(0))),
        "half a last row": ("count_png_pairs", pngs(bytes(4), bytes(4), last=bytearray(12))),
        "an odd last row": ("count_png_pairs", pngs(bytes(4), bytes(4), last=misaligned(8))),
        "a table for other PNGs": ("count_png_pairs", pngs(bytes(4), bytes(4), table=bytearray(8))),
        "fewer numbers": ("renumber", (bytes(4), bytes(8), bytes(4), bytearray(4), bytearray(16))),
        "fewer areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), bytearray(0))),
        "fewer levels": ("blend", (bytes(3), bytes(4), b"", bytes(6), bytes(6), 1, bytearray(3))),
        "a small photo": ("blend", (b"", bytes(4), b"0", bytes(6), bytes(6), 1, bytearray(3))),
        "no level": ("blend", (bytes(3), bytes(4), b"0", bytes(6), bytes(6), 0, bytearray(3))),
        "two tables": ("blend", (bytes(3), bytes(4), b"0", bytes(6), b"", 1, bytearray(3))),
        "odd factors": (
            "blend",
            (bytes(3), bytes(4), b"0", misaligned(6), bytes(6), 1, bytearray(3)),
        ),
        "odd areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), misaligned(8))),
    }.values(),
)
def test_buffers_that_do_not_fit_are_refused(name, arguments):
    with pytest.raises(ValueError, match="do not fit each other"):
        getattr(_pixels, name)(*arguments)


def test_read_only_outputs_are_refused():
    with pytest.raises(TypeError):
        _pixels.unfilter(b"\0abc", bytes(8), 1, 3)


@pytest.mark.parametrize(("number", "level"), [(1, 0), (0, 2), (-1, 0)])
def test_segments_and_levels_that_no_table_has_are_refused(number, level):
    ids = np.array([number], np.int32)

    with pytest.raises(ValueError, match="that no table has"):
        _pixels.blend(bytes(3), ids, bytes([level]), bytes(12), bytes(12), 2, bytearray(3))


def test_numpy_blends_like_the_compiled_loop(monkeypatch):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (5, 7, 3), np.uint8)[:, ::-1]
    ids = generator.integers(0, 4, (5, 7), np.int32)
    level = generator.integers(0, 2, (5, 7), np.uint8)
    factors = generator.integers(0, 129, (4, 2, 3), np.uint16)
    pictures = np.zeros((2, 5, 7, 3), np.uint8)

    pixels.blend(image, ids, level, factors, 256 * factors, pictures[0])
    monkeypatch.setattr(pixels, "_pixels", None)
    pixels.blend(image, ids, level, factors, 256 * factors, pictures[1])

    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert pictures.any()


def test_unsorted_ids_are_not_found_but_do_no_harm():
    keys = b"".join(number.to_bytes(4, "little") for number in (9, 5, 1))
    table = bytearray(8 * 5 * 5)

    _pixels.count_pairs(bytes(40), bytes(40), keys, keys, table)

    assert sum(memoryview(table).cast("q")) == 10


def filtered_rows(random, height, width, channels):
    """Return rows with random filters; most bytes are 0, so that neighbours are equal."""
    rows = random.choice([0, 0, 0, 0, 0, 0, 1, 255, 127], (height, 1 + width * channels))
    rows[:, 0] = random.integers(0, 5, height)
    return rows.astype(np.uint8).tobytes()


@pytest.mark.parametrize("case", range(60))
def test_pairs_of_pngs_are_counted_as_those_of_their_ids(case):
    random = np.random.default_rng(case)
    height, width = random.integers(1, [12, 50]).tolist()
    channels = random.integers(3, 5, 2).tolist()
    raws = [filtered_rows(random, height, width, each) for each in channels]
    maps = [np.zeros((height + 1, width), np.uint32) for _ in raws]
    for raw, ids, each in zip(raws, maps, channels, strict=True):
        pixels.unfilter(raw, ids, each)
    known = [np.unique(ids[1:])[::2].copy() for ids in maps]
    expected, counts = np.zeros((2, len(known[0]) + 2, len(known[1]) + 2), np.int64)
    pixels.count_pairs(maps[0][1:], maps[1][1:], *known, expected)

    middle = int(random.integers(0, height))
    strips = [
        tuple(
            FilteredRows(raw[begin * (1 + width * each) : end * (1 + width * each)], each)
            for raw, each in zip(raws, channels, strict=True)
        )
        for begin, end in ((0, middle), (middle, height))
        if end > begin
    ]
    pixels.count_png_pairs(strips, width, *known, counts)

    assert counts.sum() == height * width
    assert (counts == expected).all()


def test_an_unknown_filter_is_refused_in_either_png():
    for first, second in ((b"\0abc", b"\5abc"), (b"\xffabc", b"\0abc")):
        with pytest.raises(ValueError, match="a row has an unknown filter"):
            _pixels.count_png_pairs(*pngs(first, second))
