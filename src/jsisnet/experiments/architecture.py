"""Figure 2 of the paper: the blocks of a network and the sizes of their tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.model.costs import Shape, Stage, stages
from jsisnet.model.network import NetworkConfig
from jsisnet.visualize.fonts import font_for

_WIDTH, _HEIGHT, _GAP, _TEXT = 190, 84, 44, 15
"""Size of a block, distance between blocks, and height of the text, in pixels."""

_COLORS = {
    "shared": (222, 226, 230),
    "semantic": (208, 235, 206),
    "instance": (206, 221, 245),
    "merge": (252, 228, 196),
}
"""Background of the blocks of each row."""

_TITLES = {
    "objectness, offsets": "region proposals",
    "proposals read": "RoI features",
    "classes, offsets": "classes, boxes",
    "detections read": "RoI features again",
}
"""Titles of stages whose names do not say enough in a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A step of the network and the sizes of what it returns."""

    title: str
    sizes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Blocks of a network in the order in which they run."""

    shared: tuple[Block, ...]
    """From the image to the map that both branches read."""

    semantic: tuple[Block, ...]
    """Blocks of the semantic branch; empty without one."""

    instance: tuple[Block, ...]
    """Blocks of the instance branch; empty without one."""

    merged: Block
    """The result."""

    def lines(self) -> list[str]:
        """Return the blocks as text, one line for each row of the picture."""
        source = [f"{self.shared[-1].title}"]
        rows = {
            "shared": [_described(block) for block in self.shared],
            "semantic": source + [_described(block) for block in self.semantic],
            "instance": source + [_described(block) for block in self.instance],
            "merge": [_described(self.merged)],
        }
        return [
            f"{name:8}  {' -> '.join(blocks)}"
            for name, blocks in rows.items()
            if name in ("shared", "merge") or getattr(self, name)
        ]


def architecture(
    config: NetworkConfig, categories: Categories, size: tuple[int, int]
) -> Architecture:
    """Measure the blocks of a network; nothing is computed.

    Args:
        config: Settings of the network.
        categories: Its classes.
        size: Height and width of its input.

    Raises:
        ValueError: If the settings are invalid.
    """
    measured = stages(config, categories, size)
    height, width = size
    upsampled = Block(title="bilinear", sizes=(f"{len(categories)} x {height} x {width}",))
    semantic = _blocks(measured, ("semantic",))
    return Architecture(
        shared=(
            Block(title="image", sizes=(f"3 x {height} x {width}",)),
            *_blocks(measured, ("trunk",)),
        ),
        semantic=(*semantic, upsampled) if semantic else (),
        instance=_blocks(measured, ("rpn", "roi", "masks")),
        merged=Block(title="panoptic map", sizes=(f"{height} x {width}", "class, instance id")),
    )


def draw_architecture(found: Architecture, title: str) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the blocks of a network: what is shared on the left, the branches, and their merge.

    Args:
        found: The blocks.
        title: Line above the picture.
    """
    across = len(found.shared) + max(len(found.semantic), len(found.instance)) + 1
    step, row = _WIDTH + _GAP, _HEIGHT + _GAP
    top = 2 * _GAP
    page = Image.new("RGB", (_GAP + across * step, top + 2 * row), "white")
    pen = ImageDraw.Draw(page)
    pen.text((_GAP, _GAP), title, "black", font_for(title, _TEXT + 5), "lm")
    middle = top + row // 2
    left, first = _GAP, len(found.shared)
    _draw_row(pen, found.shared, "shared", (left, middle))
    last = (_GAP + (across - 1) * step, middle)
    _draw_row(pen, (found.merged,), "merge", last)
    for name, blocks, y in (
        ("semantic", found.semantic, top),
        ("instance", found.instance, top + row),
    ):
        if not blocks:
            continue
        start = _GAP + first * step
        _draw_row(pen, blocks, name, (start, y))
        _arrow(pen, (start - _GAP, middle + _HEIGHT // 2), (start, y + _HEIGHT // 2))
        end = start + len(blocks) * step - _GAP
        _arrow(pen, (end, y + _HEIGHT // 2), (last[0], middle + _HEIGHT // 2))
    return np.array(page)


def stacked(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
) -> UInt8[np.ndarray, "h w 3"]:
    """Stack pictures on a white page."""
    width = max(picture.shape[1] for picture in pictures)
    padding = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    return np.concatenate(
        [
            np.pad(picture, sides, constant_values=255)
            for picture, sides in zip(pictures, padding, strict=True)
        ]
    )


def _blocks(measured: Sequence[Stage], branches: Sequence[str]) -> tuple[Block, ...]:
    return tuple(
        Block(
            title=_TITLES.get(stage.name, stage.name),
            sizes=tuple(_size(shape, stage.regions) for shape in stage.outputs),
        )
        for stage in measured
        if stage.branch in branches
    )


def _size(shape: Shape, regions: int | None) -> str:
    sides = " x ".join(map(str, shape))
    return sides if regions is None else f"{regions} x ({sides})"


def _described(block: Block) -> str:
    return f"{block.title} [{', '.join(block.sizes)}]"


def _draw_row(
    pen: ImageDraw.ImageDraw, blocks: Sequence[Block], name: str, corner: tuple[int, int]
) -> None:
    """Draw blocks from left to right, with arrows between them."""
    left, top = corner
    for number, block in enumerate(blocks):
        x = left + number * (_WIDTH + _GAP)
        pen.rectangle((x, top, x + _WIDTH, top + _HEIGHT), _COLORS[name], "black")
        text = "\n".join((block.title, *block.sizes))
        centre = (x + _WIDTH / 2, top + _HEIGHT / 2)
        pen.multiline_text(centre, text, "black", font_for(text, _TEXT), "mm", 6, "center")
        if number:
            _arrow(pen, (x - _GAP, top + _HEIGHT // 2), (x, top + _HEIGHT // 2))


def _arrow(pen: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int]) -> None:
    (x0, y0), (x1, y1) = start, end
    bend = x1 - _GAP // 2
    pen.line([(x0, y0), (bend, y0), (bend, y1), (x1, y1)], "black", 2)
    pen.polygon([(x1, y1), (x1 - 9, y1 - 5), (x1 - 9, y1 + 5)], "black")
