"""Region head: class, box and mask of each region."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, LastStage, NormKind, init_kaiming, init_small

SAMPLES_PER_CELL = 2
"""Sampling points of RoIAlign along each side of a cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoIConfig:
    """Architecture of the region head."""

    head: Literal["last_stage", "light"] = "last_stage"
    """``last_stage``: ResNet-50's last stage, averaged over the region for class and box.
    ``light``: two 3x3 convolutions, and a fully connected layer for class and box."""

    width: int = 512
    """Width of the last stage's bottlenecks, or channels of the light head."""

    hidden: int = 1024
    """Width of the light head's fully connected layer."""

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
        layers = dict.fromkeys(("width", "hidden", "mask_channels"), (1, MOST_CHANNELS))
        sides = dict.fromkeys(("crop", "mask_size"), (1, 512))
        check_ranges(self, "roi", **layers, **sides, mask_convolutions=(1, 64))
        if self.head == "last_stage" and self.norm == "none":
            raise ValueError(
                "roi.norm is none, but the convolutions of the last stage have no biases without "
                "one; expected batch, batch_fixed_affine, frozen or group"
            )
        if not 1 <= self.pool <= self.crop:
            raise ValueError(f"roi.pool is {self.pool}; expected 1 to roi.crop, {self.crop}")


class RoIHead(nn.Module):
    """Features of regions, and three parallel branches for class, box and mask."""

    def __init__(self, channels: int, num_things: int, config: RoIConfig, stride: int = 8):
        super().__init__()
        self.config = config
        self.num_things = num_things
        self.stride = stride
        self.stage: nn.Module
        self.summary: nn.Module
        if config.head == "last_stage":
            self.stage = LastStage(channels, width=config.width, norm_kind=config.norm)
            out_channels = hidden = self.stage.out_channels
            self.summary = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        else:
            self.stage = nn.Sequential(
                ConvNormAct(channels, config.width, kernel=3, norm_kind=config.norm),
                ConvNormAct(config.width, config.width, kernel=3, norm_kind=config.norm),
            )
            out_channels, hidden = config.width, config.hidden
            cells = (config.crop // config.pool) ** 2
            connect = nn.Linear(out_channels * cells, hidden)
            init_kaiming(connect)
            self.summary = nn.Sequential(nn.Flatten(), connect, nn.ReLU(inplace=True))
        self.classify = nn.Linear(hidden, num_things + 1)
        self.deltas = nn.Linear(hidden, 4 * (1 if config.class_agnostic_boxes else num_things))
        for layer in (self.classify, self.deltas):
            init_small(layer)
        self.mask = MaskBranch(out_channels, num_things, config)

    def extract(
        self,
        features: Float[Tensor, "b c h w"],
        regions: Sequence[Float[Tensor, "_ 4"]] | Float[Tensor, "r 5"],
    ) -> Float[Tensor, "r c_out side side"]:
        """Extract the features of the regions of all images, concatenated in order.

        Args:
            features: Shared feature map.
            regions: For each image, boxes in pixels of the network's input; or rows of the image's
                number in the batch and a box.
        """
        boxes = (
            regions.float()
            if isinstance(regions, Tensor)
            else [region.float() for region in regions]
        )
        crops = roi_align(
            features.float(),
            boxes,
            self.config.crop,
            spatial_scale=1 / self.stride,
            sampling_ratio=SAMPLES_PER_CELL,
            aligned=True,
        )
        return self.stage(functional.max_pool2d(crops, self.config.pool))

    def classify_and_refine(
        self, regions: Float[Tensor, "r c side side"]
    ) -> tuple[Float[Tensor, "r t_and_background"], Float[Tensor, "r t 4"]]:
        """Return class logits, the background last, and box offsets of each thing class."""
        summary = self.summary(regions)
        deltas = self.deltas(summary).unflatten(1, (-1, 4)).expand(-1, self.num_things, 4)
        return self.classify(summary), deltas


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
