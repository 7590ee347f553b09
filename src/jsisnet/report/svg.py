"""Shapes and words of diagrams; their looks are classes of the page's style."""

from jsisnet.visualize.report.html import Markup, joined, tag

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
