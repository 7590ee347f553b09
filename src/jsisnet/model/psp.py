"""Semantic method `psp`, the paper's: pyramid pooling, classifier and hybrid upsampling."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import OF_THE_BATCH, ConvNormAct, LastStage, NormKind, init_small
from jsisnet.model.methods import Maps, Step, TrunkShape
from jsisnet.model.trunk import LAST_STRIDE


@dataclass(frozen=True, kw_only=True, slots=True)
class PSPConfig:
    """Architecture of the semantic branch."""

    method: Literal["psp"] = "psp"
    """Semantic method: ``psp``, pyramid pooling of the map of stride `trunk.stride`."""

    own_last_stage: bool = False
    """Whether the branch has its own last ResNet stage, for trunks that stop before it."""

    reduce: bool = False
    """Whether a 3x3 convolution reduces the features to `channels`, for trunks without a neck."""

    channels: int = 512
    """Channels of the reduction, of each pooling level's projection and of the fusion."""

    bins: tuple[int, ...] = (1, 2, 3, 6)
    """Sides of the pooled maps, in cells."""

    dropout: float = 0.0
    """Fraction of the fused channels dropped in training."""

    norm: NormKind = "batch"
    """Normalisation of all layers of the branch but the last stage."""

    last_stage_norm: NormKind = "batch"
    """Normalisation of the branch's own last stage."""

    upsample_stride: Literal[1, 2] = 2
    """Factor by which the deconvolution enlarges the logits; the rest is bilinear."""

    upsample_kernel: Literal[1, 2, 3, 4] = 4
    """Side of the deconvolution's kernels."""

    def __post_init__(self) -> None:
        check_ranges(self, "semantic", channels=(1, MOST_CHANNELS), bins=(1, 256))
        if self.own_last_stage and self.last_stage_norm == "none":
            raise ValueError(
                "semantic.last_stage_norm is none, but the convolutions of the last stage have no "
                "biases without one; expected batch, batch_fixed_affine, frozen or group"
            )
        kernel, stride = self.upsample_kernel, self.upsample_stride
        if kernel < stride or (kernel - stride) % 2:
            raise ValueError(
                f"semantic.upsample_kernel is {kernel}; expected "
                f"{' or '.join(str(side) for side in range(stride, 5, 2))} for upsample_stride "
                f"{stride}"
            )
        if any(cells < 1 for cells in self.bins):
            raise ValueError(f"semantic.bins is {self.bins}; expected positive integers")
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"semantic.dropout is {self.dropout}; expected at least 0 and less than 1"
            )

    @property
    def norms(self) -> dict[str, NormKind]:
        """Normalisation of each part, for messages."""
        parts: dict[str, NormKind] = {"semantic": self.norm}
        return parts | (
            {"semantic last stage": self.last_stage_norm} if self.own_last_stage else {}
        )

    def check_photos(self, photos: int) -> None:
        """Check that batch normalisation never sees a single value, which has no variance.

        Args:
            photos: Photos of a micro-batch on a device.

        Raises:
            ValueError: If it would.
        """
        if photos == 1 and 1 in self.bins and self.norm in OF_THE_BATCH:
            raise ValueError(
                "batch normalisation needs more than one photo for the 1x1 bin of pyramid pooling; "
                "expected --train.batch-size 2 or more per device and micro-batch, or "
                "--network.semantic.norm group"
            )

    def build(self, trunk: TrunkShape, labels: int) -> nn.Module:
        """Create the branch."""
        return PSP(trunk, labels, self)


class PyramidPooling(nn.Module):
    """Pyramid pooling: adds context at several scales to each cell.

    A 3x3 convolution fuses the features with the projections, resized bilinearly from each pooled
    grid. Resizing and convolving are both linear, so the coarse grids are convolved before they
    are resized: equal but for rounding, at a fraction of the cost.

    Reference:
        Zhao et al., "Pyramid Scene Parsing Network", section 3.2.
    """

    def __init__(self, channels: int, config: PSPConfig):
        super().__init__()
        self.bins, self.width = config.bins, config.channels
        self.projections = nn.ModuleList(
            ConvNormAct(channels, config.channels, kernel=1, norm_kind=config.norm)
            for _ in config.bins
        )
        joined = channels + len(config.bins) * config.channels
        self.fuse = ConvNormAct(joined, config.channels, kernel=3, norm_kind=config.norm)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c_out h w"]:
        """Pool to each grid, project, resize back, concatenate and fuse."""
        convolution, normalise, activate = self.fuse
        assert isinstance(convolution, nn.Conv2d)
        height, width = features.shape[-2:]
        down, across = (_resizing(self.bins, side, features) for side in (height, width))
        widths = [features.shape[1], *[self.width] * len(self.bins)]
        own_kernel, *kernels = convolution.weight.split(widths, dim=1)
        rows = down.averages.split(self.bins)
        columns = (features @ across.averages.mT).split(self.bins, dim=-1)
        resize = across.shifted.split([3 * cells for cells in self.bins], dim=1)
        levels = []
        for level, project in enumerate(self.projections):
            taps = _taps(project(rows[level] @ columns[level]), kernels[level])
            levels.append(taps @ resize[level].mT)
        context = down.shifted @ torch.cat(levels, dim=2)
        own = functional.conv2d(features, own_kernel, convolution.bias, padding=1)
        return activate(normalise(own + context))


class _Resizing(NamedTuple):
    """Matrices that resize one axis, the pooled grids one after the other."""

    averages: Float[Tensor, "cells pixels"]
    """Adaptive average pooling."""

    shifted: Float[Tensor, "pixels taps_and_cells"]
    """Bilinear interpolation as each tap of a 3-pixel kernel sees it, with zeros outside."""


def _resizing(bins: tuple[int, ...], pixels: int, like: Tensor) -> _Resizing:
    # While a compiler traces, tensors are stand-ins that must not outlive the trace.
    make = _new_resizing if torch.compiler.is_compiling() else _cached_resizing
    return make(bins, pixels, like.device, like.dtype)


def _new_resizing(
    bins: tuple[int, ...], pixels: int, device: torch.device, dtype: torch.dtype
) -> _Resizing:
    return _Resizing(
        averages=torch.cat([_averages(cells, pixels, device) for cells in bins]).to(dtype),
        shifted=torch.cat([_shifted(cells, pixels, device) for cells in bins], dim=1).to(dtype),
    )


@lru_cache(maxsize=32)
def _cached_resizing(
    bins: tuple[int, ...], pixels: int, device: torch.device, dtype: torch.dtype
) -> _Resizing:
    # Tensors made in inference mode could not serve a later training step.
    with torch.inference_mode(False):
        return _new_resizing(bins, pixels, device, dtype)


def _averages(cells: int, pixels: int, device: torch.device) -> Float[Tensor, "cells pixels"]:
    cell = torch.arange(cells, device=device)[:, None]
    pixel = torch.arange(pixels, device=device)
    inside = (pixel >= cell * pixels // cells) & (pixel * cells < (cell + 1) * pixels)
    return inside / inside.sum(dim=1, keepdim=True)


def _shifted(cells: int, pixels: int, device: torch.device) -> Float[Tensor, "pixels cells_of_3"]:
    pixel = torch.arange(-1, pixels + 1, device=device)
    centres = (pixel + 0.5) * (cells / pixels) - 0.5
    distance = (centres.clamp(0, cells - 1)[:, None] - torch.arange(cells, device=device)).abs()
    inside = (pixel >= 0) & (pixel < pixels)
    weights = (1 - distance).clamp(min=0) * inside[:, None]
    return torch.cat([weights[tap : tap + pixels] for tap in range(3)], dim=1)


def _taps(
    pooled: Float[Tensor, "b c cells cells"], kernel: Float[Tensor, "o c 3 3"]
) -> Float[Tensor, "b o rows columns"]:
    """Weight each cell with each tap of a kernel; axes are ordered by tap, then cell."""
    channels, cells = len(kernel), pooled.shape[-1]
    weights = kernel.permute(0, 2, 3, 1).flatten(0, 2)
    weighted = (weights @ pooled.flatten(2)).unflatten(2, (cells, cells))
    by_row = weighted.unflatten(1, (channels, 3, 3)).transpose(3, 4)
    return by_row.flatten(4, 5).flatten(2, 3)


class PSP(nn.Module):
    """Class logits, by default at half the stride of the shared map.

    Hybrid upsampling is a learned deconvolution of the logits by a factor of 2, followed by a
    bilinear resize to the image. The resize is not done here but in the loss, and in the merge,
    which needs it only where classes meet.

    Reference:
        Meletis and Dubbelman, arXiv 1803.05675 (hybrid upsampling).
    """

    def __init__(self, trunk: TrunkShape, num_labels: int, config: PSPConfig):
        super().__init__()
        self.stride = trunk.stride
        channels = trunk.channels
        self.last_stage: nn.Module = nn.Identity()
        self.reduce: nn.Module = nn.Identity()
        if config.own_last_stage:
            self.last_stage = LastStage(
                channels, dilation=LAST_STRIDE // trunk.stride, norm_kind=config.last_stage_norm
            )
            channels = self.last_stage.out_channels
        if config.reduce:
            self.reduce = ConvNormAct(channels, config.channels, kernel=3, norm_kind=config.norm)
            channels = config.channels
        self.pool = PyramidPooling(channels, config)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classify = nn.Conv2d(config.channels, num_labels, 1)
        kernel, factor = config.upsample_kernel, config.upsample_stride
        padding = (kernel - factor) // 2
        self.upsample = nn.ConvTranspose2d(
            num_labels, num_labels, kernel, stride=factor, padding=padding
        )
        init_small(self.classify)
        _init_bilinear(self.upsample)

    def forward(self, maps: Maps) -> Float[Tensor, "b k h2 w2"]:
        """Return logits of every label, by default at twice the resolution of the map."""
        return self._logits(self._context(maps))

    def steps(self) -> tuple[Step, ...]:
        """Return the steps of `forward`, for the table of costs."""
        return (Step("pyramid pooling", self._context), Step("logits", self._logits))

    def _context(self, maps: Maps) -> Float[Tensor, "b c_out h w"]:
        return self.pool(self.reduce(self.last_stage(maps[self.stride])))

    def _logits(self, context: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        return self.upsample(self.classify(self.dropout(context)))


def _init_bilinear(upsample: nn.ConvTranspose2d) -> None:
    """Initialise a deconvolution as a bilinear resize of each channel."""
    kernel, stride = upsample.kernel_size[0], upsample.stride[0]
    distance = (torch.arange(kernel) - (kernel - 1) / 2).abs()
    side = (1 - distance / stride).clamp(min=0)
    side = side * (stride / side.sum())
    nn.init.zeros_(upsample.weight)
    with torch.no_grad():
        for channel in range(upsample.in_channels):
            upsample.weight[channel, channel] = side[:, None] * side
    if upsample.bias is not None:
        nn.init.zeros_(upsample.bias)
