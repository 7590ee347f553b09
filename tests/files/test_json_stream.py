import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsisnet.files import json_stream
from jsisnet.files.json_stream import EntryReader, scan

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a string or bytes to a file."""

    def write(text):
        (tmp_path / "file.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "file.json"

    return write


def items_of(path, *keys):
    found = {key: [] for key in keys}
    rest = scan(
        path, {key: lambda item, place, key=key: found[key].append((item, place)) for key in keys}
    )
    return found, rest


@settings(max_examples=80, deadline=None)
@given(
    items=st.lists(st.dictionaries(st.text(), VALUES, max_size=4)),
    more=st.dictionaries(st.text().filter(lambda key: key != "items"), VALUES, max_size=4),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_items_are_those_of_the_file(tmp_path_factory, items, more, indent, ascii_only, chunk):
    path = tmp_path_factory.mktemp("lists") / "file.json"
    text = json.dumps({**more, "items": items}, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)

        found, rest = items_of(path, "items")

    assert [item for item, _ in found["items"]] == items
    assert {key: value for key, value in rest.items() if key != "items"} == more
    with EntryReader(path) as objects:
        assert [objects.read(place) for _, place in found["items"]] == items


def test_a_duplicate_list_is_refused(file):
    with pytest.raises(ValueError, match='at byte 16: duplicate name "a"'):
        items_of(file('{"a": [1], "a": [2]}'), "a")


def test_an_error_is_raised_without_reading_on(file, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", 16)
    loads = []
    load = json_stream._Scanner._load
    monkeypatch.setattr(json_stream._Scanner, "_load", lambda self: loads.append(1) or load(self))

    with pytest.raises(ValueError, match="at byte 6: Expecting value"):
        items_of(file('{"a": @@' + " " * 10_000 + "}"), "a")

    assert len(loads) < 5


def test_utf_16_is_refused(file):
    with pytest.raises(ValueError, match="invalid JSON: encoded in UTF-16; save the file as UTF-8"):
        items_of(file('{"a": []}'.encode("utf-16")), "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such pipes")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    both = os.open(tmp_path / "pipe", os.O_RDWR)

    with pytest.raises(ValueError, match="pipe: can't be read: a pipe; expected a regular file"):
        items_of(tmp_path / "pipe", "a")

    os.close(both)


def test_a_list_without_a_callback_is_returned(file):
    found, rest = items_of(file('{"a": [1, 2], "b": [3]}'), "b")

    assert [item for item, _ in found["b"]] == [3]
    assert rest["a"] == [1, 2]


def test_a_value_that_is_no_list_is_returned(file):
    found, rest = items_of(file('{"a": {"b": 1}}'), "a")

    assert found == {"a": []}
    assert rest == {"a": {"b": 1}}


def test_a_byte_order_mark_is_skipped(file):
    found, _ = items_of(file(b'\xef\xbb\xbf{"a": [{"b": "\xc3\xa9"}]}'), "a")

    assert found["a"][0][0] == {"b": "é"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "invalid JSON: at byte 0: Expecting value"),
        ("[]", "found []; expected an object"),
        ("12", "found 12; expected an object"),
        ('{"a": [{"b": 1}', "invalid JSON: at byte 15: expected ','"),
        ('{"a": [{"b": ', "invalid JSON: at byte 13: Expecting value"),
        ('{"a": [1 2]}', "invalid JSON: at byte 9: expected ','"),
        ('{"a" 1}', "invalid JSON: at byte 5: expected ':'"),
        ('{"a": 1', "invalid JSON: at byte 7: expected ','"),
        ("{1: 2}", "expected a key in double quotes"),
        ('{"a": 1} {', "invalid JSON: at byte 9: expected the end of the file"),
        (b'{"a": "\xff"}', "invalid JSON: at byte 7: not encoded in UTF-8; save"),
        ('{"b": ' + "[" * 100_000, "invalid JSON: nested too deeply"),
    ],
)
def test_invalid_json_is_refused_with_its_position(file, text, why):
    path = file(text)

    with pytest.raises(ValueError, match=r"file\.json: ") as caught:
        items_of(path, "a")

    assert why in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.json: can't be read: No such file"):
        scan(tmp_path / "nothing.json", {})


def test_a_file_that_changes_between_two_reads_is_refused(file):
    path = file('{"a": [{"b": 1}]}')
    found, _ = items_of(path, "a")
    path.write_text('{"c": [{"b": 1}],  "d": 12345}')

    with (
        EntryReader(path) as objects,
        pytest.raises(ValueError, match="changed while it was being read"),
    ):
        objects.read(json_stream.ByteRange(1, found["a"][0][1].stop))
