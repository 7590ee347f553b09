"""The compiled loops refuse arguments that would make them access memory out of bounds."""

import pytest

_pixels = pytest.importorskip("jsisnet.files._pixels", reason="installed without a C compiler")


def misaligned(size):
    """Return a buffer that is not aligned for any numeric type."""
    return memoryview(bytearray(size + 1))[1:]


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
        "fewer numbers": ("renumber", (bytes(4), bytes(8), bytes(4), bytearray(4), bytearray(16))),
        "fewer areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), bytearray(0))),
        "odd areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), misaligned(8))),
    }.values(),
)
def test_buffers_that_do_not_fit_are_refused(name, arguments):
    with pytest.raises(ValueError, match="do not fit each other"):
        getattr(_pixels, name)(*arguments)


def test_read_only_outputs_are_refused():
    with pytest.raises(TypeError):
        _pixels.unfilter(b"\0abc", bytes(8), 1, 3)


def test_unsorted_ids_are_not_found_but_do_no_harm():
    keys = b"".join(number.to_bytes(4, "little") for number in (9, 5, 1))
    table = bytearray(8 * 5 * 5)

    _pixels.count_pairs(bytes(40), bytes(40), keys, keys, table)

    assert sum(memoryview(table).cast("q")) == 10
