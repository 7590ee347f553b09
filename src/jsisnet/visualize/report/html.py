"""HTML and SVG in which every text is escaped."""

import hashlib
import html
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import Template

from jsisnet.evaluation.errors import ErrorKind
from jsisnet.files.atomic import replacing
from jsisnet.visualize.report.findings import SIZES

Content = str | int
"""What an element holds; text is escaped unless it is `Markup`."""

_VOID = frozenset({"br", "img", "input", "meta"})
"""Elements that hold nothing and have no end."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *content: Content, **attributes: Content | float | bool | None) -> Markup:
    """Make an element.

    Args:
        name: Of the element.
        content: What it holds, in order.
        attributes: By their names, in which an underscore stands for a hyphen; one at the end keeps
            them apart from Python's words. Those that are ``None`` or false are left out.
    """
    begin = " ".join([name, *(_attribute(*each) for each in attributes.items() if _given(each[1]))])
    return Markup(f"<{begin}>" if name in _VOID else f"<{begin}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Put parts behind each other."""
    return Markup("".join(map(_escaped, content)))


def _escaped(part: Content) -> str:
    return part if isinstance(part, Markup) else html.escape(str(part))


def _given(value: object) -> bool:
    return value is not None and value is not False


def _attribute(name: str, value: Content | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return name
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f'{name}="{html.escape(text)}"'


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
    return (files("jsisnet.visualize.report") / name).read_text(encoding="utf-8")


def _note(name: str, sentences: Sequence[str]) -> Markup:
    more = len(sentences) - _MOST_NOTES
    rest = [tag("li", f"and {more} more")] if more > 0 else []
    items = tag("ul", *(tag("li", each) for each in sentences[:_MOST_NOTES]), *rest)
    return tag("details", tag("summary", f"{len(sentences)} {name}"), items, class_="note")


NAMES = {
    "found": "found",
    "swapped": "wrong class",
    "split": "split",
    "merged": "merged",
    "inexact": "inexact",
    "missed": "missed",
    "invented": "invented",
    "lowest": "lowest PQ",
}
"""What becomes of segments, and why an image is worth a look."""

MEANINGS: dict[ErrorKind, str] = {
    "swapped": "found, but as another class",
    "split": "one object, predicted in several parts",
    "merged": "several objects, predicted as one",
    "inexact": "right class and place, but an IoU of at most 0.5",
    "missed": "nothing alike was predicted",
    "invented": "predicted where nothing alike is",
}
"""What they mean."""

NONE = "–"
"""What stands for a number that does not exist."""


def percent(value: float | None, digits: int = 1) -> str:
    """Write a part from 0 to 1 as percentage, without its sign."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def share(value: float) -> str:
    """Write a part of an image: small ones with more digits."""
    shown = f"{100 * value:.2g}" if value < 1 / 10 else f"{100 * value:.0f}"
    return f"{shown} %" if 100 * value >= 0.01 else "< 0.01 %"  # noqa: PLR2004


def size_ranges() -> list[str]:
    """Name the ranges of sizes, in percent of an image."""
    edges = [f"{100 * edge:g}" for edge in SIZES]
    between = [f"{low}–{high}" for low, high in pairwise(edges)]
    return [f"< {edges[0]}", *between, f"> {edges[-1]}"]


Length = float | int
"""In units of the diagram, as all lengths and places."""


def svg(width: Length, height: Length, label: str, *parts: Markup) -> Markup:
    """Make a diagram.

    Args:
        width: Of all of it.
        height: Likewise.
        label: What it shows, for those who don't see it.
        parts: What is in it.
    """
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", joined(*parts), viewBox=box, role="img", aria_label=label)


def rect(x: Length, y: Length, width: Length, height: Length, class_: str, label: str) -> Markup:
    """Make a rectangle that tells what it stands for when it is pointed at."""
    tip = tag("title", label)
    return tag("rect", tip, x=x, y=y, width=width, height=height, class_=class_)


def line(x0: Length, y0: Length, x1: Length, y1: Length, class_: str) -> Markup:
    """Make a straight line."""
    return tag("line", x1=x0, y1=y0, x2=x1, y2=y1, class_=class_)


def text(
    x: Length,
    y: Length,
    words: str,
    *,
    anchor: str = "middle",
    class_: str = "",
    upwards: bool = False,
) -> Markup:
    """Write a line, whose middle is at the height `y`; from below to above if wanted."""
    return tag(
        "text",
        words,
        x=x,
        y=y,
        text_anchor=anchor,
        dominant_baseline="middle",
        class_=class_ or None,
        transform=f"rotate(-90 {x:g} {y:g})" if upwards else None,
    )
