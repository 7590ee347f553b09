"""Region head `fpn`, that of Mask R-CNN on a pyramid: each region is read in a map of its size."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, NormKind, init_kaiming, init_small
from jsisnet.model.boxes import areas, rows_and_first
from jsisnet.model.methods import Maps, TrunkShape
from jsisnet.model.roi import SAMPLES_PER_CELL

CANONICAL_STRIDE = 16
"""Stride of the map in which regions of the canonical size are read."""

_ROUNDING = 1e-6
"""Added to levels before they are rounded down, as torchvision does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoIFPNConfig:
    """Architecture of the region head on a pyramid; the defaults are those of Mask R-CNN."""

    head: Literal["fpn"] = "fpn"
    """Region head: ``fpn``, which reads each region in the map of the pyramid that fits its
    size."""

    canonical_size: float = 224.0
    """Side of a square region that is read at stride 16, in pixels of the network's input; regions
    of half of it are read at stride 8, and so on."""

    aligned: bool = True
    """Whether the centre of a cell, not its corner, lies at its coordinates; torchvision's
    networks were trained without."""

    crop: int = 7
    """Side of RoIAlign's output for class and box, in cells."""

    convolutions: int = 0
    """Number of 3x3 convolutions for class and box."""

    width: int = 256
    """Channels of these convolutions."""

    norm: NormKind = "none"
    """Normalisation of these convolutions."""

    layers: int = 2
    """Number of fully connected layers for class and box."""

    hidden: int = 1024
    """Width of the fully connected layers."""

    class_agnostic_boxes: bool = False
    """Whether all classes share the box offsets of a region, instead of each having its own."""

    mask_crop: int = 14
    """Side of RoIAlign's output for masks, in cells; masks have twice as many."""

    mask_convolutions: int = 4
    """Number of the mask branch's 3x3 convolutions."""

    mask_channels: int = 256
    """Channels of the mask branch."""

    mask_norm: NormKind = "none"
    """Normalisation of the mask branch."""

    def __post_init__(self) -> None:
        channels = dict.fromkeys(("width", "hidden", "mask_channels"), (1, MOST_CHANNELS))
        sides = dict.fromkeys(("crop", "mask_crop"), (1, 256))
        counts = {"convolutions": (0, 64), "layers": (1, 64), "mask_convolutions": (1, 64)}
        check_ranges(self, "roi", **channels, **sides, **counts)
        if self.canonical_size <= 0:
            raise ValueError(
                f"roi.canonical_size is {self.canonical_size:g}; expected a positive number"
            )

    @property
    def norms(self) -> dict[str, NormKind]:
        """Normalisation of each part, for messages."""
        return {"region": self.norm, "mask": self.mask_norm}

    def build(self, trunk: TrunkShape, things: int) -> "RoIFPNHead":
        """Create the head.

        Raises:
            ValueError: If the trunk has no pyramid.
        """
        return RoIFPNHead(trunk.pyramid("network.roi.head fpn"), trunk.channels, things, self)


class RoIFPNHead(nn.Module):
    """Features of regions in a pyramid, and branches for class and box, and for masks.

    Reference:
        Lin et al., "Feature Pyramid Networks", section 4.2, and He et al., "Mask R-CNN", figure 4.
    """

    def __init__(
        self, strides: tuple[int, ...], channels: int, num_things: int, config: RoIFPNConfig
    ):
        super().__init__()
        self.config = config
        self.num_things = num_things
        self.strides = strides
        self.convolutions = _convolutions(
            channels, config.width, config.convolutions, norm_kind=config.norm
        )
        width = (config.width if config.convolutions else channels) * config.crop**2
        connected: list[nn.Module] = []
        for _ in range(config.layers):
            layer = nn.Linear(width, config.hidden)
            init_kaiming(layer)
            connected += [layer, nn.ReLU(inplace=True)]
            width = config.hidden
        self.summary = nn.Sequential(*connected)
        self.classify = nn.Linear(width, num_things + 1)
        self.deltas = nn.Linear(width, 4 * (1 if config.class_agnostic_boxes else num_things))
        for layer in (self.classify, self.deltas):
            init_small(layer)
        self.mask = MaskFPN(channels, num_things, config)

    def extract(self, maps: Maps, regions: Float[Tensor, "r 5"]) -> Float[Tensor, "r c side side"]:
        """Crop regions for class and box; see `methods.RegionHead`."""
        return self._crops(maps, regions, self.config.crop)

    def classify_and_refine(
        self, features: Float[Tensor, "r c side side"]
    ) -> tuple[Float[Tensor, "r t_and_background"], Float[Tensor, "r t 4"]]:
        """Return class logits, the background last, and box offsets of each thing class."""
        summary = self.summary(self.convolutions(features).flatten(1))
        deltas = self.deltas(summary).unflatten(1, (-1, 4)).expand(-1, self.num_things, 4)
        return self.classify(summary), deltas

    def extract_for_masks(
        self,
        maps: Maps,
        regions: Float[Tensor, "r 5"],
        features: Float[Tensor, "r c side side"] | None = None,  # noqa: ARG002 - coarser than masks
    ) -> Float[Tensor, "r c side2 side2"]:
        """Crop regions for masks; see `methods.RegionHead`."""
        return self._crops(maps, regions, self.config.mask_crop)

    def _crops(
        self, maps: Maps, regions: Float[Tensor, "r 5"], side: int
    ) -> Float[Tensor, "r c side side"]:
        """Apply RoIAlign to each region in the map of its level."""
        regions = regions.float()
        levels = self._levels(regions[:, 1:])
        finest = maps[self.strides[0]]
        crops = finest.new_zeros(regions.shape[0], finest.shape[1], side, side, dtype=torch.float32)
        for level, stride in enumerate(self.strides):
            here = levels == level
            rows = rows_and_first(here)
            read = roi_align(
                maps[stride].float(),
                regions[rows],
                side,
                spatial_scale=1 / stride,
                sampling_ratio=SAMPLES_PER_CELL,
                aligned=self.config.aligned,
            )
            crops = crops.index_add(0, rows, read * here[rows, None, None, None])
        return crops

    def _levels(self, boxes: Float[Tensor, "r 4"]) -> Float[Tensor, " r"]:
        """Return the number of the map for each box; small boxes are read in fine maps."""
        canonical = self.strides.index(CANONICAL_STRIDE)
        relative = areas(boxes).sqrt() / self.config.canonical_size
        level = (canonical + relative.log2() + _ROUNDING).floor()
        return level.clamp(0, len(self.strides) - 1)


def _convolutions(channels: int, width: int, count: int, *, norm_kind: NormKind) -> nn.Sequential:
    return nn.Sequential(
        *(
            ConvNormAct(width if number else channels, width, kernel=3, norm_kind=norm_kind)
            for number in range(count)
        )
    )


class MaskFPN(nn.Module):
    """Mask branch of Mask R-CNN: convolutions, a deconvolution, and logits per thing class."""

    def __init__(self, channels: int, num_things: int, config: RoIFPNConfig):
        super().__init__()
        width = config.mask_channels
        self.convolutions = _convolutions(
            channels, width, config.mask_convolutions, norm_kind=config.mask_norm
        )
        self.upsample = nn.ConvTranspose2d(width, width, 2, stride=2)
        init_kaiming(self.upsample)
        self.classify = nn.Conv2d(width, num_things, 1)
        init_small(self.classify)

    def forward(self, crops: Float[Tensor, "r c side side"]) -> Float[Tensor, "r t m m"]:
        """Return mask logits on a grid that spans the region."""
        return self.classify(functional.relu(self.upsample(self.convolutions(crops))))
