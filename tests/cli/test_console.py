import pytest
from rich.text import Text

from jsisnet.cli import console
from jsisnet.cli.console import display, say, write_csv
from jsisnet.cli.tables import table


def test_control_characters_are_shown_escaped(capsys):
    names = table("class")
    names.add_row("red \x1b[31m")

    display("left \u202e right", names)

    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == r"left \u202e right"
    assert r"red \x1b[31m" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("isterminal", [False, True])
def test_a_name_with_a_line_break_stays_in_its_line(capsys, monkeypatch, isterminal):
    monkeypatch.setattr(console.out, "_force_terminal", isterminal)
    names = table("class")
    names.add_row("person\n0 errors")

    display("one\ntwo", names)
    say("three\rfour")

    shown = capsys.readouterr()
    assert r"one\ntwo" in shown.out
    assert r"person\n0 errors" in shown.out
    assert shown.err == "jsisnet: three\\rfour\n"


def test_texts_in_csv_files_are_no_formulas(tmp_path):
    rows = [{"name": "=HYPERLINK(1)", "pq": -0.5}, {"name": "\t-\x1b[2J\n", "pq": None}]

    write_csv(rows, ("name", "pq"), tmp_path / "a.csv")

    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ["name,pq", "'=HYPERLINK(1),-0.5", r"'\t-\x1b[2J\n,"]


def test_cells_of_several_lines_stay_in_their_columns(capsys):
    stages = table("stage", ">sizes", "next")
    stages.add_row("trunk", Text("40\n112"), "shared")
    stages.add_row("roi", "7", "")

    display(stages)

    assert capsys.readouterr().out.splitlines() == [
        "stage   sizes   next  ",
        22 * "\N{BOX DRAWINGS LIGHT HORIZONTAL}",
        "trunk      40   shared",
        "          112         ",
        "roi         7         ",
        "",
    ]
