"""Fonts for writing on pictures, of any size and, where the system has them, any script."""

from functools import lru_cache
from unicodedata import normalize

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
"""A font of a certain size."""

_OTHERS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)
"""Common fonts of operating systems, for letters that Pillow's own font lacks."""

_UNASSIGNED = "\U0010ffff"
"""A character that no font has."""


def font_for(text: str, size: int) -> Font:
    """Return the first font that can write a text, or Pillow's own if none can."""
    return _font(_name_for("".join(sorted(set(text)))), size)


def writable(text: str) -> str:
    """Return a text without what no font can write: accents at first, else all foreign letters."""
    if _can_write(text):
        return text
    return normalize("NFKD", text).encode("ascii", "ignore").decode().strip()


def _can_write(text: str) -> bool:
    letters = "".join(sorted(set(text)))
    return _has_all(_name_for(letters), letters)


@lru_cache(1024)
def _name_for(letters: str) -> str | None:
    if letters.isascii():
        return None
    return next((name for name in (None, *_OTHERS) if _has_all(name, letters)), None)


@lru_cache(1024)
def _has_all(name: str | None, letters: str) -> bool:
    if letters.isascii():
        return True
    try:
        font = _font(name, 16)
    except OSError:
        return False
    missing = bytes(font.getmask(_UNASSIGNED))
    return not any(bytes(font.getmask(letter)) == missing for letter in letters if letter != " ")


@lru_cache(64)
def _font(name: str | None, size: int) -> Font:
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)
