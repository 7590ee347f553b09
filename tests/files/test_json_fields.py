from datetime import date

import pytest

from jsisnet.files import json_fields


@pytest.mark.parametrize("value", [5, 5.0])
def test_an_integer_may_be_written_as_a_float(value):
    number = json_fields.integer({"x": value}, "x")

    assert number == 5
    assert isinstance(number, int)


@pytest.mark.parametrize(
    "value", [None, True, "5", 5.5, float("nan"), float("inf"), -1, 11, [5], {}]
)
def test_other_values_are_no_integer_up_to_ten(value):
    with pytest.raises(ValueError, match=r"^'x' is .*; expected an integer from 0 to 10"):
        json_fields.integer({"x": value}, "x", highest=10)


@pytest.mark.parametrize("value", [None, False, "1", float("nan"), float("-inf"), []])
def test_other_values_are_no_number(value):
    with pytest.raises(ValueError, match=r"'x' is .*; expected a number"):
        json_fields.number({"x": value}, "x")


@pytest.mark.parametrize("value", [None, True, 1.5, float("nan"), [], {}])
def test_other_values_are_no_identity(value):
    with pytest.raises(ValueError, match=r"'x' is .*; expected an integer or a string"):
        json_fields.identity({"x": value}, "x")


@pytest.mark.parametrize(("value", "expected"), [(0, False), (1, True), (True, True)])
def test_a_flag_is_a_number_or_a_boolean(value, expected):
    assert json_fields.flag({"x": value}, "x") is expected


@pytest.mark.parametrize("value", [None, 2, "1", 0.5, []])
def test_other_values_are_no_flag(value):
    with pytest.raises(ValueError, match=r"'x' is .*; expected 0 or 1"):
        json_fields.flag({"x": value}, "x")


def test_lists_and_strings_are_checked_too():
    with pytest.raises(ValueError, match=r"'x' is 3; expected a list$"):
        json_fields.items({"x": 3}, "x")
    with pytest.raises(ValueError, match=r"'x' is 3; expected a string$"):
        json_fields.string({"x": 3}, "x")
    with pytest.raises(ValueError, match=r"'x' is \[\"a\", 3\]; expected a list of strings"):
        json_fields.strings({"x": ["a", 3]}, "x")


def test_an_error_gives_the_position_in_a_list():
    with pytest.raises(ValueError, match=r"^x\[1\]: found 3; expected an object$"):
        json_fields.each({"x": [{}, 3]}, "x", lambda values: values)
    with pytest.raises(ValueError, match=r"^x\[0\]: missing 'y'$"):
        json_fields.each({"x": [{}]}, "x", lambda values: json_fields.string(values, "y"))


def test_a_long_value_is_shortened():
    with pytest.raises(ValueError, match=r"'x' is .{60}\.\.\.; expected a number"):
        json_fields.number({"x": "a" * 1000}, "x")


@pytest.mark.parametrize("value", [2**63, -(2**63), 10**4000])
def test_an_integer_id_fits_64_bits(value):
    with pytest.raises(ValueError, match=r"^'x' is .{,63}; expected a 64-bit integer$"):
        json_fields.identity({"x": value}, "x")


def test_recursive_values_and_values_that_are_no_json_are_shortened_too():
    endless, many = [1], ["lol"]
    endless.append(endless)
    for _ in range(40):
        many = [many] * 10

    for value in (endless, many, {date(2001, 1, 1)}, {"x": date(2001, 1, 1)}, {(1, 2): 3}):
        with pytest.raises(ValueError, match=r"^'x' is .{2,63}; expected a number$"):
            json_fields.number({"x": value}, "x")


def test_a_file_may_be_in_a_subfolder(tmp_path):
    assert json_fields.path_in(tmp_path, {"x": "a/b.png"}, "x") == tmp_path / "a" / "b.png"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/etc/passwd",
        "../a.png",
        "a/../../b.png",
        "..\\a.png",
        "C:\\a.png",
        "\\\\host\\share\\a.png",
        "a\0.png",
    ],
)
def test_a_file_may_not_leave_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected the name of a file inside its folder"):
        json_fields.path_in(tmp_path, {"x": name}, "x")


@pytest.mark.parametrize("name", ["x" * 256, "data:image/png;base64,A", "\ud800"])
def test_what_no_file_can_be_called_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"'x' is .*; expected"):
        json_fields.path_in(tmp_path, {"x": name}, "x")


def test_whole_floats_are_integers():
    values = {"x": 1.0}

    for read in (json_fields.integer, json_fields.identity, json_fields.flag):
        assert read(values, "x") == 1
    assert isinstance(json_fields.identity(values, "x"), int)


@pytest.mark.parametrize("value", ["5", " 7 ", "-1", "80.0"])
def test_quotes_around_a_number_are_named(value):
    with pytest.raises(ValueError, match=r"expected an integer of at least 0 \(remove the quotes"):
        json_fields.integer({"x": value}, "x")


@pytest.mark.parametrize(
    ("found", "known", "text"),
    [
        ("1", {1}, ": it has 1 (a number); write the ids of both in the same way"),
        (1, {"1"}, ': it has "1" (a string); write the ids of both in the same way'),
        ("1", {2}, ""),
        ("a", {1}, ""),
        ("\N{SUPERSCRIPT TWO}", {2}, ""),
        (2, {1}, ""),
    ],
)
def test_an_id_of_the_other_type_is_explained(found, known, text):
    assert json_fields.other_type(found, known) == text
