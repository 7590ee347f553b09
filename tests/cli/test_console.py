from jsisnet.cli.console import display
from jsisnet.cli.tables import table


def test_control_characters_are_shown_escaped(capsys):
    names = table("class")
    names.add_row("red \x1b[31m")

    display("left \u202e right", names)

    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == r"left \u202e right"
    assert r"red \x1b[31m" in shown
    assert "\x1b" not in shown


def test_line_breaks_are_kept(capsys):
    display("one\ntwo")

    assert capsys.readouterr().out == "one\ntwo\n"


def test_cells_of_several_lines_stay_in_their_columns(capsys):
    stages = table("stage", ">sizes", "next")
    stages.add_row("trunk", "40\n112", "shared")
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
