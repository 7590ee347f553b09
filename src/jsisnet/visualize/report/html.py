"""HTML and SVG in which every text is escaped."""

import html

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
