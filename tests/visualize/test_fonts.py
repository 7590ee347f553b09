import pytest

from jsisnet.visualize import fonts
from jsisnet.visualize.fonts import font_for, writable


@pytest.fixture
def no_other_fonts(monkeypatch):
    """A system without fonts besides Pillow's own."""
    monkeypatch.setattr(fonts, "_OTHERS", ("no such font.ttf",))
    fonts._name_for.cache_clear()
    yield
    fonts._name_for.cache_clear()


def test_plain_letters_are_written_in_pillows_own_font():
    assert writable("traffic light 90%") == "traffic light 90%"
    assert font_for("car", 12).getname() == font_for("bus", 12).getname()


def test_letters_that_no_font_has_are_left_out():
    assert writable("car \U000f0000") == "car"
    assert writable("\U000f0000") == ""
    assert font_for("car \U000f0000", 12).getname() == font_for("car", 12).getname()


@pytest.mark.usefixtures("no_other_fonts")
@pytest.mark.parametrize(
    ("text", "expected"), [("café", "cafe"), ("汽车", ""), ("Straße", "Strae")]
)
def test_without_other_fonts_accents_are_dropped(text, expected):
    assert writable(text) in (text, expected)
    assert font_for("汽车", 12).getname() == font_for("car", 12).getname()
