"""The semantic branch: pyramid pooling, classifier and hybrid upsampling."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.model.blocks import ConvNormAct, LastStage, NormKind, start_small

DILATION = 4
"""Spacing of the 3x3 kernels in the last ResNet stage at stride 8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticConfig:
    """Widths of the semantic branch."""

    own_last_stage: bool = False
    """Whether the branch begins with a last ResNet stage of its own (where the trunk stops before
    it)."""

    reduce: bool = False
    """Whether a 3x3 convolution to `channels` comes before pooling (where the trunk has none)."""

    channels: int = 512
    """Channels after each pooled bin's projection, after the reduction and after the fusion."""

    bins: tuple[int, ...] = (1, 2, 3, 6)
    """Cells along each side of the pooled maps."""

    dropout: float = 0.0
    """Share of the fused channels that is dropped in training."""

    norm: NormKind = "batch"
    """Normalisation of all layers of the branch."""

    def __post_init__(self) -> None:
        if any(cells < 1 for cells in self.bins):
            raise ValueError(f"semantic.bins is {self.bins}; expected positive numbers of cells")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"semantic.dropout is {self.dropout}; expected 0 or more, below 1")


class PyramidPooling(nn.Module):
    """Adds to each place what the picture holds at several scales.

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
        """Pool to each grid, project, resize back, join and fuse."""
        levels = [features]
        for cells, project in zip(self.bins, self.projections, strict=True):
            pooled = project(functional.adaptive_avg_pool2d(features, cells))
            levels.append(functional.interpolate(pooled, features.shape[-2:], mode="bilinear"))
        return self.fuse(torch.cat(levels, dim=1))


class SemanticBranch(nn.Module):
    """Class logits at half the shared map's stride; bilinear resizing completes them.

    Hybrid upsampling is a learnt deconvolution of the logits by 2, then a bilinear resize to the
    image. The resize is left to who needs it: the loss, or the merge, which does it only where
    classes meet.

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
        start_small(self.classify)
        _start_bilinear(self.upsample)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        """Give logits of every label, twice as fine as the features."""
        context = self.pool(self.reduce(self.last_stage(features)))
        return self.upsample(self.classify(self.dropout(context)))


def _start_bilinear(upsample: nn.ConvTranspose2d) -> None:
    """Let the deconvolution begin as a bilinear resize of each channel."""
    side = torch.tensor([0.25, 0.75, 0.75, 0.25])
    nn.init.zeros_(upsample.weight)
    with torch.no_grad():
        for channel in range(upsample.in_channels):
            upsample.weight[channel, channel] = side[:, None] * side
    if upsample.bias is not None:
        nn.init.zeros_(upsample.bias)
