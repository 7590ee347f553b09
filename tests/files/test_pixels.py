"""The compiled loops refuse whatever would lead them outside of the memory they are given."""

import pytest

_pixels = pytest.importorskip("jsisnet.files._pixels", reason="installed without a C compiler")


def odd(size):
    """Give a buffer that begins where no number may lie."""
    return memoryview(bytearray(size + 1))[1:]


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "no width": ("unfilter", (b"", bytearray(4), 0, 3)),
        "width below nothing": ("unfilter", (b"", bytearray(4), -1, 3)),
        "width beyond all measure": ("unfilter", (b"", bytearray(4), 2**62, 4)),
        "two bytes a pixel": ("unfilter", (b"\0ab", bytearray(8), 1, 2)),
        "half a row": ("unfilter", (b"\0ab", bytearray(8), 1, 3)),
        "odd pixels": ("unfilter", (b"\0abc", odd(8), 1, 3)),
        "maps of two sizes": ("count_pairs", (bytes(8), bytes(4), b"", b"", bytearray(32))),
        "a table too small": ("count_pairs", (bytes(4), bytes(4), b"", b"", bytearray(24))),
        "a table of half a cell": ("count_pairs", (bytes(4), bytes(4), b"", b"", bytearray(36))),
        "odd ids": ("count_pairs", (odd(4), bytes(4), b"", b"", bytearray(32))),
        "an odd table": ("count_pairs", (bytes(4), bytes(4), b"", b"", odd(32))),
        "fewer numbers": ("renumber", (bytes(4), bytes(8), bytes(4), bytearray(4), bytearray(16))),
        "fewer areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), bytearray(0))),
        "odd areas": ("renumber", (bytes(4), bytes(4), bytes(4), bytearray(4), odd(8))),
    }.values(),
)
def test_buffers_that_do_not_fit_are_refused(name, arguments):
    with pytest.raises(ValueError, match="do not fit each other"):
        getattr(_pixels, name)(*arguments)


def test_a_result_is_not_written_to_what_is_constant():
    with pytest.raises(TypeError):
        _pixels.unfilter(b"\0abc", bytes(8), 1, 3)


def test_ids_out_of_order_are_not_found_but_do_no_harm():
    keys = b"".join(number.to_bytes(4, "little") for number in (9, 5, 1))
    table = bytearray(8 * 5 * 5)

    _pixels.count_pairs(bytes(40), bytes(40), keys, keys, table)

    assert sum(memoryview(table).cast("q")) == 10
