"""The fixed boxes that the region proposal network refines."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from jsisnet.model.trunk import STRIDE


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorConfig:
    """Shapes of the anchors of one cell."""

    sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
    """Square roots of the areas, in pixels of the network's input."""

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Heights over widths."""

    def __post_init__(self) -> None:
        for name, values in (("sizes", self.sizes), ("ratios", self.ratios)):
            if not values or min(values) <= 0:
                raise ValueError(f"anchors.{name} is {values}; expected positive numbers")

    @property
    def per_cell(self) -> int:
        """Number of anchors of one cell."""
        return len(self.sizes) * len(self.ratios)


def anchors(
    grid: tuple[int, int], config: AnchorConfig, device: torch.device
) -> Float[Tensor, "a 4"]:
    """Place the anchors of every cell, by row, column, size and ratio.

    Centres lie at multiples of the stride, beginning with 0, so some anchors reach outside the
    image.

    Args:
        grid: Rows and columns of the shared map.
        config: Shapes.
        device: Where to place them.
    """
    sizes = torch.tensor(config.sizes, dtype=torch.float32, device=device)
    roots = torch.tensor(config.ratios, dtype=torch.float32, device=device).sqrt()
    half_heights = (sizes[:, None] * roots / 2).flatten()
    half_widths = (sizes[:, None] / roots / 2).flatten()
    shapes = torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)

    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) * STRIDE for n in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1)
    return (centres[:, :, None] + shapes).reshape(-1, 4)
