"""Region heads on a single map: crops, and three parallel branches for class, box and mask."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, NormKind, init_small
from jsisnet.model.methods import Maps, TrunkShape

SAMPLES_PER_CELL = 2
"""Sampling points of RoIAlign along each side of a cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoIConfig:
    """Architecture that region heads on a single map have in common."""

    crop: int = 14
    """Side of RoIAlign's output, in cells."""

    pool: int = 2
    """Factor of the max pooling after RoIAlign."""

    norm: NormKind = "batch"
    """Normalisation of the head, without that of the mask branch."""

    class_agnostic_boxes: bool = False
    """Whether all classes share the box offsets of a region, instead of each having its own."""

    mask_channels: int = 256
    """Channels of the mask branch."""

    mask_size: int = 28
    """Side of a predicted mask, in cells."""

    mask_norm: NormKind = "batch"
    """Normalisation of the mask branch."""

    mask_convolutions: int = 2
    """Number of the mask branch's 3x3 convolutions before its classifier."""

    mask_resize: Literal["after_first", "before_first"] = "after_first"
    """Where the mask branch resizes its map to `mask_size`: after its first convolution, or before
    it, as the TensorFlow Object Detection API does."""

    mask_kernel: Literal[1, 3] = 1
    """Side of the kernels of the mask branch's classifier."""

    def __post_init__(self) -> None:
        sides = dict.fromkeys(("crop", "mask_size"), (1, 512))
        layers = {"mask_channels": (1, MOST_CHANNELS), "mask_convolutions": (1, 64)}
        check_ranges(self, "roi", **layers, **sides)
        if not 1 <= self.pool <= self.crop:
            raise ValueError(f"roi.pool is {self.pool}; expected 1 to roi.crop, {self.crop}")

    @property
    def norms(self) -> dict[str, NormKind]:
        """Normalisation of each part, for messages."""
        return {"region": self.norm, "mask": self.mask_norm}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Layers that read the crop of a region."""

    stage: nn.Module
    """From the crop to a map of the same size, which all branches read."""

    channels: int
    """Channels of that map."""

    summary: nn.Module
    """From that map to the vector that class and box are predicted from."""

    width: int
    """Length of that vector."""


class RoIHead(nn.Module):
    """Features of regions in one map, and three parallel branches for class, box and mask."""

    def __init__(self, trunk: TrunkShape, num_things: int, config: RoIConfig, reader: Reader):
        super().__init__()
        self.config = config
        self.num_things = num_things
        self.stride = trunk.stride
        self.stage = reader.stage
        self.summary = reader.summary
        width, sets = reader.width, 1 if config.class_agnostic_boxes else num_things
        self.classify = nn.Linear(width, num_things + 1)
        self.deltas = nn.Linear(width, 4 * sets)
        for layer in (self.classify, self.deltas):
            init_small(layer)
        self.mask = MaskBranch(reader.channels, num_things, config)

    def extract(
        self, maps: Maps, regions: Float[Tensor, "r 5"]
    ) -> Float[Tensor, "r c_out side side"]:
        """Extract the features of regions; see `methods.RegionHead`."""
        crops = roi_align(
            maps[self.stride].float(),
            regions.float(),
            self.config.crop,
            spatial_scale=1 / self.stride,
            sampling_ratio=SAMPLES_PER_CELL,
            aligned=True,
        )
        if self.config.pool > 1:
            crops = functional.max_pool2d(crops, self.config.pool)
        return self.stage(crops)

    def classify_and_refine(
        self, features: Float[Tensor, "r c side side"]
    ) -> tuple[Float[Tensor, "r t_and_background"], Float[Tensor, "r t 4"]]:
        """Return class logits, the background last, and box offsets of each thing class."""
        summary = self.summary(features)
        deltas = self.deltas(summary).unflatten(1, (-1, 4)).expand(-1, self.num_things, 4)
        return self.classify(summary), deltas

    def extract_for_masks(
        self,
        maps: Maps,
        regions: Float[Tensor, "r 5"],
        features: Float[Tensor, "r c_out side side"] | None = None,
    ) -> Float[Tensor, "r c_out side side"]:
        """Return the features of regions, which are the same for all branches."""
        return self.extract(maps, regions) if features is None else features


class MaskBranch(nn.Module):
    """Mask head: logits per thing class."""

    def __init__(self, channels: int, num_things: int, config: RoIConfig):
        super().__init__()
        self.size = config.mask_size
        self.resizes_first = config.mask_resize == "before_first"
        kind, inner = config.mask_norm, config.mask_channels
        self.coarse = ConvNormAct(channels, inner, kernel=3, norm_kind=kind)
        layers = [
            ConvNormAct(inner, inner, kernel=3, norm_kind=kind)
            for _ in range(config.mask_convolutions - 1)
        ]
        # Alone, the second convolution keeps the name that it has in saved models.
        self.fine = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
        kernel = config.mask_kernel
        self.classify = nn.Conv2d(inner, num_things, kernel, padding=kernel // 2)
        init_small(self.classify)

    def forward(self, regions: Float[Tensor, "r c side side"]) -> Float[Tensor, "r t m m"]:
        """Return mask logits on a grid that spans the region."""
        size = (self.size, self.size)
        if self.resizes_first:
            coarse = self.coarse(functional.interpolate(regions, size, mode="bilinear"))
        else:
            coarse = functional.interpolate(self.coarse(regions), size, mode="bilinear")
        return self.classify(self.fine(coarse))
