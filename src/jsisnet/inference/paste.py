"""Instance masks drawn from their boxes onto a canvas, one window at a time."""

import torch
from jaxtyping import Float
from torch import Tensor

Window = tuple[slice, slice]
"""Rows and columns of a canvas."""


def windows(boxes: Float[Tensor, "n 4"], canvas: tuple[int, int]) -> list[Window]:
    """Find the pixels of a canvas whose centres lie in each box; none if the box is empty.

    Args:
        boxes: Corners in pixels of the canvas; may lie outside it.
        canvas: Height and width.
    """
    height, width = canvas
    limits = boxes.new_tensor([width, height, width, height])
    corners = torch.minimum((boxes - 0.5).ceil().clamp(min=0), limits)
    return [
        (slice(y0, max(y0, y1)), slice(x0, max(x0, x1)))
        for x0, y0, x1, y1 in corners.int().tolist()
    ]


def paste(mask: Float[Tensor, "m m"], box: list[float], window: Window) -> Float[Tensor, "h w"]:
    """Read a mask at the pixels of a window, bilinearly.

    Args:
        mask: Grid that spans the box; each value stands at the centre of its cell, and the cells
            beyond the border are 0.
        box: Corners in pixels of the canvas that the window belongs to.
        window: Pixels inside the box.

    Reference:
        He et al., "Mask R-CNN", section 3.1, with pixel centres as in torchvision and detectron2.
    """
    rows, columns = window
    x0, y0, x1, y1 = box
    return _hats(mask, rows, y0, y1) @ mask @ _hats(mask, columns, x0, x1).T


def _hats(mask: Float[Tensor, "m m"], pixels: slice, low: float, high: float) -> Tensor:
    """Give each pixel's bilinear weights of the cells along one axis."""
    side = mask.shape[0]
    centres = torch.arange(pixels.start, pixels.stop, device=mask.device) + (0.5 - low)
    cells = centres * (side / max(high - low, torch.finfo(mask.dtype).tiny)) - 0.5
    distances = (cells[:, None] - torch.arange(side, device=mask.device)).abs_()
    return distances.neg_().add_(1).clamp_(min=0)
