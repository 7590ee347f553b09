from jsisnet.cli.console import display
from jsisnet.cli.tables import table


def test_what_a_terminal_would_obey_is_shown_instead(capsys):
    names = table("class")
    names.add_row("red \x1b[31m")

    display("left \u202e right", names)

    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == r"left \u202e right"
    assert r"red \x1b[31m" in shown
    assert "\x1b" not in shown


def test_lines_stay_lines(capsys):
    display("one\ntwo")

    assert capsys.readouterr().out == "one\ntwo\n"
