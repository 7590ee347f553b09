"""Convolution blocks that the branches share."""

from typing import Literal

from timm.models.resnet import Bottleneck
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

NormKind = Literal["batch", "frozen", "group", "none"]
"""How activations are normalised: by the batch's statistics, by stored ones, in groups of channels
of each picture, or not at all."""

MOST_GROUPS = 32


def norm(kind: NormKind, channels: int) -> nn.Module:
    """Give a normalisation layer for maps of so many channels."""
    match kind:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "frozen":
            return FrozenBatchNorm2d(channels)
        case "group":
            # A group of one channel has no statistics where a map is pooled to a single cell.
            most = max(min(MOST_GROUPS, channels // 2), 1)
            groups = next(n for n in range(most, 0, -1) if channels % n == 0)
            return nn.GroupNorm(groups, channels)
        case "none":
            return nn.Identity()


def start_kaiming(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw weights whose outputs, after a ReLU, vary like the inputs; biases begin at 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def start_small(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw weights near 0, so that first predictions are undecided; biases begin at 0."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ConvNormAct(nn.Sequential):
    """Convolution that keeps the size, normalisation and ReLU."""

    def __init__(self, channels: int, out_channels: int, *, kernel: int, norm_kind: NormKind):
        bias = norm_kind == "none"
        convolution = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        start_kaiming(convolution)
        super().__init__(convolution, norm(norm_kind, out_channels), nn.ReLU(inplace=True))


class LastStage(nn.Sequential):
    """The last stage of ResNet-50 at stride 1, named so that ImageNet's `layer4` fits.

    Args:
        channels: Channels of the input; ImageNet's weights of the first unit fit at 1024 only.
        width: Width of the bottlenecks; the output has four times as many channels. ImageNet: 512.
        dilation: Spacing of the 3x3 kernels, 4 behind a trunk that stays at stride 8; that of the
            first unit is half of it, as the stage halved the map before.
    """

    def __init__(self, channels: int, *, width: int = 512, dilation: int = 1):
        self.out_channels = width * Bottleneck.expansion
        shortcut = nn.Sequential(
            nn.Conv2d(channels, self.out_channels, 1, bias=False),
            nn.BatchNorm2d(self.out_channels),
        )
        super().__init__(
            Bottleneck(
                channels,
                width,
                downsample=shortcut,
                dilation=dilation,
                first_dilation=max(dilation // 2, 1),
            ),
            Bottleneck(self.out_channels, width, dilation=dilation),
            Bottleneck(self.out_channels, width, dilation=dilation),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                start_kaiming(module)
