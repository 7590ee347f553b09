"""Both readers of JSON follow one rule; Python's own parser judges."""

import json
import sys
import tracemalloc

import pytest

from jsisnet.files import json_fields, json_stream, json_text

DIGITS = sys.get_int_max_str_digits() + 1

DOCUMENTS = [
    text.encode()
    for text in (
        "{}",
        ' \n{ "a" : [ ] } \t',
        '{"a": [1, {"b": 2}], "c": {"b": {"b": 3}}}',
        '{"a": [{"b": [{"c": [{"d": 1}]}]}], "e": {"a": [[{"a": 1}]]}}',
        r'{"a": [{"b": "x\":", "c": " : \" :{"}, {}, "\\"], "n": "http://x"}',
        '{"a": [{"é": 1, "e": "é"}], "ü": "ü"}',
        r'{"a": ["\ud83d\ude00", "\ud800", "\uDFFF\uD800"]}',
        '{"a": [NaN, Infinity, -Infinity, 1e999, -0, 0.5e-3]}',
        '{"a": [%s]}' % ("9" * (DIGITS - 1)),
        '{"a": [%s]}' % ("9" * DIGITS),
        '{"a": [0.%s]}' % ("9" * DIGITS),
        '{"a": [], "a": []}',
        r'{"a": [], "\u0061": 1}',
        r'{"x": 1, "a": [{"\u00e9": 1, "é": 2}]}',
        '{"a": [{"b": 1, "b": 1}]}',
        '{"a": [{"b": [{"c": 1, "c": 2}]}]}',
        '{"a": [{"b": [{"c": [{"d": 1, "d": 2}]}]}]}',
        '{"a": [[{"b": 1, "b": 2}]], "c" :1}',
        '{"a": ["\\":", {"b" :1, "b":2}]}',
        '{"a": ["x", {"b": 1, "b": 2}]}',
        '{"x": {"y": {"z": {"b": 1, "b": 2}}}}',
        '{"a": [1,]}',
        '{"a": [1}',
        '{"a": ["\t"]}',
        '{"a": [01]}',
        '{"a": [1.]}',
        "{\"a\": ['b']}",
        '{"a": [1]} x',
        "[]",
        "",
        "nul",
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    )
]
ENCODED = [
    b'\xef\xbb\xbf{"a": [1]}',
    *('{"a": ["é"]}'.encode(name) for name in ("latin-1", "utf-16", "utf-16-le", "utf-16-be")),
    *('{"a": ["é"]}'.encode(name) for name in ("utf-32", "utf-32-le", "utf-32-be")),
    b'{"a": ["\xed\xa0\x80"]}',
    b'{"a": ["\xc0\x80"], "\xff": 1}',
]


def judged(content):
    """Return the object as Python reads it, or ``None`` if the rule forbids it."""

    def unique(pairs):
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    try:
        value = json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique)
    except (ValueError, RecursionError, AssertionError):
        return None
    return value if isinstance(value, dict) else None


def streamed(path):
    items = []
    values = json_stream.scan(path, {"a": lambda item, _: items.append(item)})
    return {**values, "a": items} if values.get("a") == [] else values


def outcome(read, path):
    try:
        return read(path), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("chunk", [1, 7, 2**16])
@pytest.mark.parametrize("content", DOCUMENTS + ENCODED)
def test_both_readers_agree_with_python(tmp_path, monkeypatch, content, chunk):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)

    whole, items = outcome(json_fields.load, path), outcome(streamed, path)

    # repr, because NaN is not equal to itself
    assert repr(whole[0]) == repr(items[0]) == repr(judged(content))
    assert whole[1].startswith(f"{path}: ") == (whole[0] is None)
    for sentence in ("duplicate name", "UTF-8", f"{DIGITS:,} digits", "nested too deeply"):
        assert (sentence in whole[1]) == (sentence in items[1])


@pytest.mark.parametrize("content", ENCODED[1:])
def test_other_encodings_are_refused_in_the_same_words(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)

    refusals = {outcome(read, path)[1] for read in (json_fields.load, streamed)}

    assert len(refusals) == 1
    assert refusals.pop().endswith("; save the file as UTF-8")


@pytest.mark.parametrize(
    ("text", "whole", "items"),
    [
        (
            '{"b": 1,\n "annotations": [1], "annotations": []}',
            'duplicate name "annotations": line 2 column 35 (char 43)',
            'at byte 45: duplicate name "annotations"',
        ),
        (
            '{"a": [{}, {"é": "ü",\n "x": 1, "x": 2}]}',
            'duplicate name "x": line 2 column 13 (char 34)',
            'at byte 36: duplicate name "x"',
        ),
        (
            '{"a": [1,\n %s]}' % ("1" * 5000),
            "a number of 5,000 digits: line 2 column 2 (char 11)",
            "at byte 11: a number of 5,000 digits",
        ),
    ],
)
def test_the_place_of_a_fault_is_given(tmp_path, text, whole, items):
    path = tmp_path / "file.json"
    path.write_text(text, encoding="utf-8")

    assert outcome(json_fields.load, path)[1] == f"{path}: invalid JSON: {whole}"
    assert outcome(streamed, path)[1] == f"{path}: invalid JSON: {items}"


@pytest.mark.parametrize("read", [json_fields.string, json_fields.identity])
def test_half_a_surrogate_pair_is_no_name(read):
    with pytest.raises(ValueError, match=r"""'name' is "a\\ud800"; expected valid Unicode"""):
        read({"name": "a\ud800"}, "name")


def test_a_long_string_before_an_error_takes_little_memory():
    document = '{"a": "' + "x" * 2_000_000 + r"\n" * 500_000 + '", "b": 1, "b": 2}'
    tracemalloc.start()

    with pytest.raises(ValueError, match='duplicate name "b"'):
        json_text.parse(document.encode())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * len(document)
