import pytest

from jsisnet.files.one_line import csv_cell, one_line


@pytest.mark.parametrize("mark", ["\u200e", "\u200f", "\u061c", "\u202e", "\u2066"])
def test_marks_of_direction_are_escaped(mark):
    assert one_line(f"a{mark}b") == "a" + ascii(mark)[1:-1] + "b"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}"])
def test_no_cell_begins_a_formula_whether_commas_or_semicolons_divide_them(sign):
    assert csv_cell(f"{sign}1") == f"'{sign}1"
    assert csv_cell(f"a;{sign}cmd|'/c x'!A0;b") == f"a;'{sign}cmd|'/c x'!A0;b"
    assert csv_cell(f"a{sign}1, {sign}1") == f"a{sign}1, {sign}1"
