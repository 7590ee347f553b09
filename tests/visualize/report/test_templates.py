import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from jsisnet.visualize.report import templates
from jsisnet.visualize.report.templates import Cell, share, write_page


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """Render the source of a template."""

    def render(source, **context):
        read = templates._read
        monkeypatch.setattr(
            templates, "_read", lambda name: source if name == "test.html" else read(name)
        )
        write_page(tmp_path / "page.html", "test.html", context)
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return render


def test_strings_are_escaped_and_markup_is_not(rendered):
    page = rendered("{{ a }}{{ b }}{{ c }}", a="<b> & ", b=Markup("<b>"), c=7)

    assert page == "&lt;b&gt; &amp; <b>7"


def test_a_value_can_not_end_its_attribute(rendered):
    page = rendered('<i title="{{ a }}"></i>', a='" onclick="x')

    assert page == '<i title="&#34; onclick=&#34;x"></i>'


def test_a_missing_variable_is_an_error(rendered):
    with pytest.raises(UndefinedError):
        rendered("{{ a }}")


def test_a_cell_of_a_class_table_has_its_sort_key_and_bar(rendered):
    row = {
        "name": "a<b",
        "kind": "thing",
        "cells": [Cell(text="25.00", value=0.25, part=0.5), Cell(text=0, faint=True)],
    }
    page = rendered(
        '{% import "macros.html" as m %}'
        "{% call(row) m.class_table(columns, rows, {}) %}{{ row.name }}{% endcall %}",
        columns=[("class", "tip")],
        rows=[row],
    )

    assert (
        '<tr><th scope="row" data-value="a&lt;b">a&lt;b</th><td>thing</td>'
        '<td data-value="0.25" class="bar" style="--part:0.5000">25.00</td>'
        '<td data-value="0" class="zero">0</td></tr>'
    ) in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "50 %"), (0.051, "5.1 %"), (0.00012, "0.012 %"), (0.00001, "< 0.01 %")],
)
def test_small_shares_have_more_digits(value, shown):
    assert share(value) == shown
