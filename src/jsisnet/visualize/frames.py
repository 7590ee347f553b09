"""Drawing labelled boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from jsisnet.visualize.fonts import font_for
from jsisnet.visualize.palette import Color

Corners = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_LINE = 1 / 400
"""Line width relative to the shorter side of the picture; at least one pixel."""

_TEXT, _MIN_TEXT = 1 / 30, 11
"""Height of the labels relative to the shorter side, and its minimum in pixels."""

_DASH = 4
"""Length of dashes and gaps in line widths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A labelled box."""

    corners: Corners
    """Bounding box of the object; the line is drawn outside it."""

    color: Color
    """Colour of the line; the label's background is darker."""

    name: str
    """Label, drawn where it fits."""

    dashed: bool = False
    """Whether the line is dashed."""


def draw_frames(canvas: Image.Image, frames: Sequence[Frame]) -> None:
    """Draw frames and then their labels, in place.

    Lines are drawn outside their boxes, except at the edges of the picture. Labels overlap neither
    each other nor small boxes; those that do not fit are left out.
    """
    pen = ImageDraw.Draw(canvas)
    side = min(canvas.size)
    thickness = max(1, round(side * _LINE))
    for frame in frames:
        for line in _sides(frame.corners, thickness, canvas.size):
            for part in _dashes(line, _DASH * thickness) if frame.dashed else [line]:
                pen.rectangle(_inclusive(part), fill=frame.color)
    size = max(_MIN_TEXT, round(side * _TEXT))
    taken = [frame.corners for frame in frames if _longer_side(frame.corners) < 2 * size]
    for frame in frames:
        font = font_for(frame.name, size)
        extent = round(pen.textlength(frame.name, font)) + size // 2, round(1.2 * size)
        box = _find_room(frame.corners, extent, canvas.size, taken)
        if box is not None:
            taken.append(box)
            left, top, right, bottom = box
            dark = tuple(value // 3 for value in frame.color)
            pen.rectangle(_inclusive(box), fill=dark)
            pen.text(((left + right) / 2, (top + bottom) / 2), frame.name, "white", font, "mm")


def _find_room(
    corners: Corners, extent: tuple[int, int], size: tuple[int, int], taken: Sequence[Corners]
) -> Corners | None:
    """Find room for a label of this width and height: around the box first, then inside it."""
    x0, y0, x1, y1 = corners
    (width, height), gap = extent, 2
    spots = [
        (x0, y0 - height - gap),
        (x0, y1 + gap),
        (x1 + gap, y0),
        (x0 - width - gap, y0),
        (x0 + gap, y0 + gap),
        (x0 + gap, y1 - height - gap),
        (x1 - width - gap, y0 + gap),
        ((x0 + x1 - width) // 2, (y0 + y1 - height) // 2),
    ]
    for left, top in spots:
        inside = min(max(left, 0), size[0] - width)
        box = (inside, top, inside + width, top + height)
        fits = inside >= 0 <= top and top + height <= size[1]
        if fits and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _longer_side(corners: Corners) -> int:
    return max(corners[2] - corners[0], corners[3] - corners[1])


def _overlap(one: Corners, other: Corners) -> bool:
    across = max(one[0], other[0]) < min(one[2], other[2])
    return across and max(one[1], other[1]) < min(one[3], other[3])


def _inclusive(corners: Corners) -> Corners:
    """Convert to inclusive corners, as Pillow expects them."""
    left, top, right, bottom = corners
    return left, top, right - 1, bottom - 1


def _sides(corners: Corners, thickness: int, size: tuple[int, int]) -> list[Corners]:
    """Return the four lines around a box, moved inside the picture where they would leave it."""
    left, top = (max(0, corner - thickness) for corner in corners[:2])
    right, bottom = (
        min(end, corner + thickness) for end, corner in zip(size, corners[2:], strict=True)
    )
    return [
        (left, top, right, top + thickness),
        (left, bottom - thickness, right, bottom),
        (left, top, left + thickness, bottom),
        (right - thickness, top, right, bottom),
    ]


def _dashes(line: Corners, length: int) -> Iterator[Corners]:
    left, top, right, bottom = line
    if right - left > bottom - top:
        for begin in range(left, right, 2 * length):
            yield begin, top, min(begin + length, right), bottom
    else:
        for begin in range(top, bottom, 2 * length):
            yield left, begin, right, min(begin + length, bottom)
