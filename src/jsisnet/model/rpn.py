"""Region proposal network: anchors, their objectness and boxes, and the selection of proposals."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Bool, Float
from jsisnet.inference.thresholds import ProposalConfig
from jsisnet.model import boxes
from jsisnet.model.blocks import init_small
from jsisnet.model.suppression import EXCLUDED, suppress, take

UNSCALED = (1.0, 1.0, 1.0, 1.0)
"""Box coding weights of the region proposal network."""


MOST_ANCHORS = 64
"""Most sizes of anchors, and most ratios."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorConfig:
    """Sizes and aspect ratios of the anchors."""

    sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
    """Square roots of the areas, in pixels of the network's input."""

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Aspect ratios, height over width."""

    outside: Literal["keep", "prune"] = "keep"
    """What becomes of anchors that cross the border of the image. ``prune``: they take no part in
    training, and are clipped in prediction, as in the TensorFlow Object Detection API."""

    def __post_init__(self) -> None:
        for name, values in (("sizes", self.sizes), ("ratios", self.ratios)):
            if not values or min(values) <= 0:
                raise ValueError(f"anchors.{name} is {values}; expected positive numbers")
            if len(values) > MOST_ANCHORS:
                raise ValueError(
                    f"anchors.{name} has {len(values)} numbers; expected 1 to {MOST_ANCHORS}"
                )

    @property
    def per_cell(self) -> int:
        """Number of anchors per cell."""
        return len(self.sizes) * len(self.ratios)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposals:
    """Proposals of a batch, best first, padded to a fixed number."""

    boxes: Float[Tensor, "b p 4"]
    """Corners in pixels of the network's input, clipped to it; zeros where padded."""

    valid: Bool[Tensor, "b p"]
    """False where padded."""

    def of_image(self, index: int) -> Float[Tensor, "n 4"]:
        """Return the boxes of one image, without padding."""
        return self.boxes[index][self.valid[index]]


class RegionProposalNetwork(nn.Module):
    """Convolutional head that scores every anchor and predicts its box offsets."""

    def __init__(self, channels: int, hidden_channels: int, anchor_config: AnchorConfig):
        super().__init__()
        per_cell = anchor_config.per_cell
        self.hidden = nn.Conv2d(channels, hidden_channels, 3, padding=1)
        self.objectness = nn.Conv2d(hidden_channels, 2 * per_cell, 1)
        self.deltas = nn.Conv2d(hidden_channels, 4 * per_cell, 1)
        for layer in (self.hidden, self.objectness, self.deltas):
            init_small(layer)

    def forward(
        self, features: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b a 2"], Float[Tensor, "b a 4"]]:
        """Return logits (background, object) and unscaled box offsets of all anchors."""
        hidden = functional.relu(self.hidden(features))
        return (
            _by_anchor(self.objectness(hidden), 2),
            _by_anchor(self.deltas(hidden), 4),
        )


def _by_anchor(
    maps: Float[Tensor, "b a_and_values h w"], values: int
) -> Float[Tensor, "b a values"]:
    return maps.permute(0, 2, 3, 1).unflatten(3, (-1, values)).flatten(1, 3)


def anchors(
    grid: tuple[int, int], config: AnchorConfig, device: torch.device, stride: int = 8
) -> Float[Tensor, "a 4"]:
    """Return the anchors of every cell, ordered by row, column, size and ratio.

    Centres lie at multiples of the stride, from 0, so some anchors extend beyond the image.

    Args:
        grid: Height and width of the shared map.
        config: Sizes and ratios.
        device: Device of the result.
        stride: Stride of the shared map, in pixels.
    """
    sizes = torch.tensor(config.sizes, dtype=torch.float32, device=device)
    roots = torch.tensor(config.ratios, dtype=torch.float32, device=device).sqrt()
    half_heights = (sizes[:, None] * roots / 2).flatten()
    half_widths = (sizes[:, None] / roots / 2).flatten()
    shapes = torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)

    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) * stride for n in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1)
    return (centres[:, :, None] + shapes).reshape(-1, 4)


def propose(
    objectness: Float[Tensor, "b a 2"],
    deltas: Float[Tensor, "b a 4"],
    anchors: Float[Tensor, "a 4"],
    size: tuple[int, int],
    config: ProposalConfig,
) -> Proposals:
    """Select proposals: decode the best anchors and suppress overlapping boxes.

    Args:
        objectness: Logits (background, object).
        deltas: Unscaled box offsets of the anchors.
        anchors: Corners in pixels of the network's input; may lie outside it.
        size: Height and width of the network's input.
        config: Limits.

    Returns:
        Proposals, detached: no gradient reaches the RPN through them.

    Reference:
        Ren et al., "Faster R-CNN", section 3.
    """
    scores = (objectness[..., 1] - objectness[..., 0]).detach().float()
    count = min(config.max_candidates, scores.shape[1])
    scores, order = scores.topk(count, dim=1)
    chosen = deltas.detach().float().gather(1, order[..., None].expand(-1, -1, 4))
    refined = boxes.clip(boxes.decode(chosen, anchors[order], UNSCALED), size)

    scores = scores.where(boxes.areas(refined) > 0, EXCLUDED)
    overlap = torch.tensor(config.max_overlap)
    kept, valid = suppress(refined, scores, overlap, config.max_proposals)
    return Proposals(boxes=take(refined, kept, valid), valid=valid)
