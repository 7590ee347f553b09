"""Semantic branch: pyramid pooling, classifier and hybrid upsampling."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.model.blocks import ConvNormAct, LastStage, NormKind, init_small

DILATION = 4
"""Dilation of the 3x3 kernels in the last ResNet stage at stride 8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticConfig:
    """Architecture of the semantic branch."""

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
    """Normalisation of all layers of the branch."""

    def __post_init__(self) -> None:
        if any(cells < 1 for cells in self.bins):
            raise ValueError(f"semantic.bins is {self.bins}; expected positive integers")
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"semantic.dropout is {self.dropout}; expected at least 0 and less than 1"
            )


class PyramidPooling(nn.Module):
    """Pyramid pooling: adds context at several scales to each cell.

    Reference:
        Zhao et al., "Pyramid Scene Parsing Network", section 3.2.
    """

    def __init__(self, channels: int, config: SemanticConfig):
        super().__init__()
        self.bins = config.bins
        self.projections = nn.ModuleList(
            ConvNormAct(channels, config.channels, kernel=1, norm_kind=config.norm)
            for _ in config.bins
        )
        joined = channels + len(config.bins) * config.channels
        self.fuse = ConvNormAct(joined, config.channels, kernel=3, norm_kind=config.norm)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c_out h w"]:
        """Pool to each grid, project, resize back, concatenate and fuse."""
        levels = [features]
        for cells, project in zip(self.bins, self.projections, strict=True):
            pooled = project(functional.adaptive_avg_pool2d(features, cells))
            levels.append(functional.interpolate(pooled, features.shape[-2:], mode="bilinear"))
        return self.fuse(torch.cat(levels, dim=1))


class SemanticBranch(nn.Module):
    """Class logits at half the stride of the shared map.

    Hybrid upsampling is a learned deconvolution of the logits by a factor of 2, followed by a
    bilinear resize to the image. The resize is not done here but in the loss, and in the merge,
    which needs it only where classes meet.

    Reference:
        Meletis and Dubbelman, arXiv 1803.05675 (hybrid upsampling).
    """

    def __init__(self, channels: int, num_labels: int, config: SemanticConfig):
        super().__init__()
        self.last_stage: nn.Module = nn.Identity()
        self.reduce: nn.Module = nn.Identity()
        if config.own_last_stage:
            self.last_stage = LastStage(channels, dilation=DILATION)
            channels = self.last_stage.out_channels
        if config.reduce:
            self.reduce = ConvNormAct(channels, config.channels, kernel=3, norm_kind=config.norm)
            channels = config.channels
        self.pool = PyramidPooling(channels, config)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classify = nn.Conv2d(config.channels, num_labels, 1)
        self.upsample = nn.ConvTranspose2d(num_labels, num_labels, 4, stride=2, padding=1)
        init_small(self.classify)
        _init_bilinear(self.upsample)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        """Return logits of every label, at twice the resolution of the features."""
        context = self.pool(self.reduce(self.last_stage(features)))
        return self.upsample(self.classify(self.dropout(context)))


def _init_bilinear(upsample: nn.ConvTranspose2d) -> None:
    """Initialise a deconvolution as a bilinear resize of each channel."""
    side = torch.tensor([0.25, 0.75, 0.75, 0.25])
    nn.init.zeros_(upsample.weight)
    with torch.no_grad():
        for channel in range(upsample.in_channels):
            upsample.weight[channel, channel] = side[:, None] * side
    if upsample.bias is not None:
        nn.init.zeros_(upsample.bias)
