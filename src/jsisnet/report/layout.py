"""What the pages have in common: the file, and the small parts of it."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from jsisnet.files.atomic import replacing
from jsisnet.visualize.report.html import Content, Markup, joined, tag

_MOST_NOTES = 50
"""Sentences of one sort that are shown."""


def write_page(
    path: Path, template: str, scripts: Sequence[str], style: str, contents: Mapping[str, Content]
) -> None:
    """Write one HTML file that needs nothing else; it appears complete or not at all.

    Args:
        path: The page; its folder is made if it is missing.
        template: Name of the HTML file of this package that has a place for each of the contents.
        scripts: Names of script files of this package, which run one after the other.
        style: What the page adds to the style that all have.
        contents: What to put in, by the names of the places; text is escaped unless it is `Markup`.
    """
    script = "\n".join(map(_part, scripts))
    code = b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    shown = {name: joined(content) for name, content in contents.items()}
    page = Template(_part(template)).substitute(
        shown, style=_part("page.css") + style, script=script, code=code
    )
    with replacing(path) as temporary:
        # A name in a JSON file can hold half a character, which no file can.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def facts(values: Sequence[tuple[str, Content]]) -> Markup:
    """Show numbers with their names."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in values))


def notes(sorts: Sequence[tuple[str, Sequence[str]]]) -> Markup:
    """Show sentences behind their number, sort by sort.

    Args:
        sorts: What the sentences are about, and the sentences; those without are left out.
    """
    return joined(*(_note(name, sentences) for name, sentences in sorts if sentences))


def numbers(table: Markup) -> Markup:
    """Hide the numbers of a diagram until they are wanted."""
    return tag("details", tag("summary", "Numbers"), table)


def legend(keys: Mapping[str, str]) -> Markup:
    """Explain colours, each a class of the page's style."""
    items = (tag("li", tag("i", class_=f"key {each}"), name) for each, name in keys.items())
    return tag("ul", *items, class_="legend short")


def _part(name: str) -> str:
    return (files("jsisnet.report") / name).read_text(encoding="utf-8")


def _note(name: str, sentences: Sequence[str]) -> Markup:
    more = len(sentences) - _MOST_NOTES
    rest = [tag("li", f"and {more} more")] if more > 0 else []
    items = tag("ul", *(tag("li", each) for each in sentences[:_MOST_NOTES]), *rest)
    return tag("details", tag("summary", f"{len(sentences)} {name}"), items, class_="note")
