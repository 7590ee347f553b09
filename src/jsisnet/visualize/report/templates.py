"""HTML pages from Jinja2 templates, and the wording and number formats they share."""

import hashlib
import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from jsisnet.arrays import UInt8
from jsisnet.evaluation.errors import ErrorKind
from jsisnet.files.atomic import replacing
from jsisnet.visualize.report.report_data import SIZES

OUTCOME_NAMES = {
    "found": "matched",
    "misclassified": "wrong class",
    "split": "split",
    "merged": "merged",
    "inexact": "low IoU",
    "missed": "missed",
    "spurious": "spurious",
}
"""Displayed name of each outcome of a segment: a match, or one of the kinds of errors."""

OUTCOME_MEANINGS: dict[ErrorKind, str] = {
    "misclassified": "right place, but another class",
    "split": "one object predicted as several segments",
    "merged": "several objects predicted as one segment",
    "inexact": "right class and place, but an IoU of at most 0.5",
    "missed": "no similar segment was predicted",
    "spurious": "predicted where there is no similar segment",
}
"""Explanation of each kind of error."""

MISSING = "–"
"""Displayed in place of an undefined value."""

_JPEG_QUALITY = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A JPEG that is embedded in a page."""

    uri: str
    """Data URI."""

    size: tuple[int, int]
    """Height and width in pixels."""

    @classmethod
    def of(cls, pixels: UInt8[np.ndarray, "h w 3"]) -> "Picture":
        """Encode RGB pixels."""
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=_JPEG_QUALITY, optimize=True)
        code = b64encode(content.getvalue()).decode("ascii")
        return cls(uri=f"data:image/jpeg;base64,{code}", size=(pixels.shape[0], pixels.shape[1]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A picture with its caption, which can be enlarged by a click."""

    picture: Picture
    caption: tuple[str, ...]
    """Lines below the picture."""

    alt: str
    """Description for screen readers; also the caption of the enlarged picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table whose first column names the rows."""

    name: str
    """Description for screen readers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str | int]]
    class_: str = ""
    """CSS class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell of a table that can be sorted."""

    text: str | int
    value: str | int | float | None = None
    """Sort key; ``None`` sorts by `text`."""

    part: float | None = None
    """Length of a bar behind the text, 0 to 1; ``None`` for no bar."""

    faint: bool = False
    """Whether the text is greyed out."""


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> None:
    """Render a self-contained HTML file atomically; missing parent folders are created.

    Args:
        path: File to write.
        template: File name of a Jinja2 template in this package.
        context: Variables of the template; strings are escaped unless they are `Markup`.
    """
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "share": share, "number": _number}
    environment.globals |= {"assets": _assets, "sha256": _sha256, "outcome_names": OUTCOME_NAMES}
    page = environment.get_template(template).render(context)
    with replacing(path) as temporary:
        # JSON strings may hold lone surrogates, which UTF-8 can't encode.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction as a percentage, without the sign."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def share(value: float) -> str:
    """Format the fraction of an image as a percentage, with more digits for small ones."""
    shown = f"{100 * value:.2g}" if value < 1 / 10 else f"{100 * value:.0f}"
    return f"{shown} %" if 100 * value >= 0.01 else "< 0.01 %"  # noqa: PLR2004


def size_ranges() -> list[str]:
    """Return the labels of the size ranges, in percent of an image."""
    edges = [f"{100 * edge:g}" for edge in SIZES]
    between = [f"{low}–{high}" for low, high in pairwise(edges)]
    return [f"< {edges[0]}", *between, f"> {edges[-1]}"]


def _read(name: str) -> str:
    return (files("jsisnet.visualize.report") / name).read_text(encoding="utf-8")


def _assets(names: Sequence[str]) -> Markup:
    return Markup("\n").join(Markup(_read(name)) for name in names)


def _number(value: str | int | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sha256(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
