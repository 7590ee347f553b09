import pytest

from jsisnet import strict_yaml

LAUGHS = "a: &l0 [lol]\n" + "".join(
    f"b{i}: &l{i + 1} [{', '.join(9 * [f'*l{i}'])}]\n" for i in range(20)
)
MERGED = "a: &l0 {x: 1}\n" + "".join(
    f"b{i}: &l{i + 1} {{<<: [{', '.join(9 * [f'*l{i}'])}]}}\n" for i in range(20)
)


def test_plain_values_aliases_and_merge_keys_are_read():
    text = "a: &x {lr: 0.1, on: [1, yes, ~, 2001-01-01]}\nb: *x\nc: {<<: *x, lr: 2}\n1: ü"

    found = strict_yaml.parse(text.encode())

    assert found["a"] == found["b"]
    assert found["c"] == found["a"] | {"lr": 2}
    assert found[1] == "ü"
    assert strict_yaml.parse(b"") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: [{c: 1, d: 2, c: 3}]}", "line 1, column 22: duplicate key 'c'"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: the tag .*python/object"),
        ("a: !mine 3", "the tag !mine; expected plain values"),
        ("a: &x {b: *x}", "a value that contains itself"),
        ("a: 2001-13-45", "a value does not match its tag"),
        ("a: " + "1" * 5000, "a number of more than 4,000 characters"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a: " + "[" * 9000, "nested too deeply"),
        (LAUGHS, "stands for more than 100,000 values"),
        (MERGED, "stands for more than 100,000 values"),
        ("a: *" + "x" * 9000, "line 1, column 4: found undefined alias 'x*$"),
        ("a: \0", "invalid YAML: unacceptable character"),
    ],
)
def test_what_breaks_the_rule_is_refused_in_a_line(text, message):
    with pytest.raises(ValueError, match=f"invalid YAML: .*{message}|{message}") as error:
        strict_yaml.parse(text.encode())
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


def test_other_encodings_and_long_files_are_refused():
    with pytest.raises(ValueError, match=r"not a text file: .*; save the file as UTF-8"):
        strict_yaml.parse("a: 1".encode("utf-16"))
    with pytest.raises(ValueError, match="has more than 256 KB; expected a short YAML file"):
        strict_yaml.parse(b"a" * (2**18 + 1))
