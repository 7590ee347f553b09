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
