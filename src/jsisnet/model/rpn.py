"""Region proposal network: anchors, their objectness and boxes, and the selection of proposals."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Bool, Float
from jsisnet.inference.thresholds import ProposalConfig
from jsisnet.model import boxes
from jsisnet.model.blocks import init_small
from jsisnet.model.methods import Maps
from jsisnet.model.suppression import EXCLUDED, suppress, take

UNSCALED = (1.0, 1.0, 1.0, 1.0)
"""Box coding weights of the region proposal network."""

MIN_SIDE = 1e-3
"""Shortest side of a proposal, in pixels of the network's input; torchvision's."""

MOST_ANCHORS = 64
"""Most sizes of anchors, and most ratios."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorConfig:
    """Sizes and aspect ratios of the anchors."""

    sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
    """Square roots of the areas, in pixels of the network's input. With several maps they are
    spread over them in order, as many to each."""

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Aspect ratios, height over width."""

    outside: Literal["keep", "prune"] = "keep"
    """What becomes of anchors that cross the border of the image. ``prune``: they take no part in
    training, and are clipped in prediction, as in the TensorFlow Object Detection API."""

    rounded: bool = False
    """Whether anchors lie on whole pixels, as torchvision's do: corners are rounded from the
    centre, and where a pyramid's last map covers half a cell more than the map before it, its
    centres are moved together to the whole pixels that spread them over that map."""

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
        """Number of anchors per cell of a single map."""
        return len(self.sizes) * len(self.ratios)

    def spread(self, maps: int) -> "tuple[AnchorConfig, ...]":
        """Divide the sizes among maps, in order.

        Raises:
            ValueError: If each map can't have as many.
        """
        each, rest = divmod(len(self.sizes), maps)
        if rest or not each:
            raise ValueError(
                f"network.anchors.sizes has {len(self.sizes)} numbers; expected a multiple of "
                f"{maps}, as many for each map of the trunk's pyramid"
            )
        return tuple(
            replace(self, sizes=self.sizes[each * number : each * (number + 1)])
            for number in range(maps)
        )


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
    """Convolutional head that scores every anchor of each map and predicts its box offsets.

    Args:
        channels: Channels of the maps.
        hidden: Hidden channels.
        anchor_config: Anchors of one map.
        convolutions: Number of hidden 3x3 convolutions.
    """

    def __init__(
        self, channels: int, hidden: int, anchor_config: AnchorConfig, convolutions: int = 1
    ):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, hidden, 3, padding=1)]
        for _ in range(convolutions - 1):
            layers += [nn.ReLU(inplace=True), nn.Conv2d(hidden, hidden, 3, padding=1)]
        # Alone, the convolution keeps the name that it has in saved models.
        self.hidden = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
        self.objectness = nn.Conv2d(hidden, 2 * anchor_config.per_cell, 1)
        self.deltas = nn.Conv2d(hidden, 4 * anchor_config.per_cell, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init_small(layer)

    def forward(self, maps: Maps) -> tuple[Float[Tensor, "b a 2"], Float[Tensor, "b a 4"]]:
        """Return logits (background, object) and unscaled box offsets of all maps' anchors."""
        hidden = [functional.relu(self.hidden(features)) for features in maps.values()]
        objectness = [_by_anchor(self.objectness(each), 2) for each in hidden]
        deltas = [_by_anchor(self.deltas(each), 4) for each in hidden]
        return _joined(objectness), _joined(deltas)


def _joined(levels: list[Float[Tensor, "b _ *values"]]) -> Float[Tensor, "b a *values"]:
    return levels[0] if len(levels) == 1 else torch.cat(levels, dim=1)


def _by_anchor(
    maps: Float[Tensor, "b a_and_values h w"], values: int
) -> Float[Tensor, "b a values"]:
    return maps.permute(0, 2, 3, 1).unflatten(3, (-1, values)).flatten(1, 3)


def anchors(
    grid: tuple[int, int],
    config: AnchorConfig,
    device: torch.device,
    stride: int | tuple[int, int] = 8,
) -> Float[Tensor, "a 4"]:
    """Return the anchors of every cell, ordered by row, column, size and ratio.

    Centres lie at multiples of the stride, from 0, so some anchors extend beyond the image.

    Args:
        grid: Height and width of the shared map.
        config: Sizes and ratios.
        device: Device of the result.
        stride: Distance of the rows and of the columns of cells, in pixels.
    """
    strides = (stride, stride) if isinstance(stride, int) else stride
    sizes = torch.tensor(config.sizes, dtype=torch.float32, device=device)
    roots = torch.tensor(config.ratios, dtype=torch.float32, device=device).sqrt()
    half_heights = (sizes[:, None] * roots / 2).flatten()
    half_widths = (sizes[:, None] / roots / 2).flatten()
    shapes = torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)
    if config.rounded:
        shapes = shapes.round()

    rows, columns = (
        torch.arange(cells, dtype=torch.float32, device=device) * distance
        for cells, distance in zip(grid, strides, strict=True)
    )
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack([x, y, x, y], dim=-1)
    return (centres[:, :, None] + shapes).reshape(-1, 4)


def propose(
    objectness: Float[Tensor, "b a 2"],
    deltas: Float[Tensor, "b a 4"],
    anchors: Float[Tensor, "a 4"],
    size: tuple[int, int],
    config: ProposalConfig,
    counts: tuple[int, ...] | None = None,
) -> Proposals:
    """Select proposals: decode the best anchors of each map and suppress overlapping boxes.

    Args:
        objectness: Logits (background, object).
        deltas: Unscaled box offsets of the anchors.
        anchors: Corners in pixels of the network's input; may lie outside it.
        size: Height and width of the network's input.
        config: Limits.
        counts: Numbers of the anchors of each map, whose boxes are suppressed apart from those of
            the others. Default: all are of one map.

    Returns:
        Proposals, detached: no gradient reaches the RPN through them.

    Reference:
        Ren et al., "Faster R-CNN", section 3; for several maps, Lin et al., "Feature Pyramid
        Networks", section 4.1.
    """
    counts = counts or (anchors.shape[0],)
    levels = [
        _best(*level, config.max_candidates)
        for level in zip(
            (objectness[..., 1] - objectness[..., 0]).detach().float().split(counts, dim=1),
            deltas.detach().float().split(counts, dim=1),
            anchors.split(counts),
            strict=True,
        )
    ]
    scores, chosen, placed = (
        _joined([getattr(level, name) for level in levels]) for name in _Candidates._fields
    )
    refined = boxes.clip(boxes.decode(chosen, placed, UNSCALED), size)
    scores = scores.where(boxes.shorter_sides(refined) >= MIN_SIDE, EXCLUDED)
    overlap = torch.tensor(config.max_overlap)
    kept, valid = suppress(_apart(refined, levels, size), scores, overlap, config.max_proposals)
    return Proposals(boxes=take(refined, kept, valid), valid=valid)


class _Candidates(NamedTuple):
    """Anchors of one map with the highest scores."""

    scores: Float[Tensor, "b n"]
    deltas: Float[Tensor, "b n 4"]
    anchors: Float[Tensor, "b n 4"]


def _best(
    scores: Float[Tensor, "b a"],
    deltas: Float[Tensor, "b a 4"],
    anchors: Float[Tensor, "a 4"],
    limit: int,
) -> _Candidates:
    scores, order = scores.topk(min(limit, scores.shape[1]), dim=1)
    chosen = deltas.gather(1, order[..., None].expand(-1, -1, 4))
    return _Candidates(scores, chosen, anchors[order])


def _apart(
    boxes: Float[Tensor, "b n 4"], levels: list[_Candidates], size: tuple[int, int]
) -> Float[Tensor, "b n 4"]:
    """Move the boxes of different maps apart, so that they don't suppress each other."""
    if len(levels) == 1:
        return boxes
    counts = [level.scores.shape[1] for level in levels]
    shifts = [boxes.new_full((count, 1), number) for number, count in enumerate(counts)]
    return boxes + torch.cat(shifts) * (max(size) + 1)
