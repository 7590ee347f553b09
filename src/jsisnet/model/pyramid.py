"""Feature pyramid: a neck with a map for every stage, each with what coarser ones add."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.model.blocks import NormKind, norm


class Pyramid(nn.Module):
    """Feature pyramid network with torchvision's arithmetic.

    Each stage is projected, the next coarser sum is added to it, and a 3x3 convolution follows. The
    last map is the coarsest one, of which every second cell is kept.

    Args:
        widths: Channels of the stages, from fine to coarse.
        channels: Channels of all maps.
        norm_kind: Normalisation after each convolution.

    Reference:
        Lin et al., "Feature Pyramid Networks for Object Detection", section 3.
    """

    def __init__(self, widths: Sequence[int], channels: int, norm_kind: NormKind):
        super().__init__()
        self.laterals = nn.ModuleList(
            _projection(width, channels, 1, norm_kind) for width in widths
        )
        self.outputs = nn.ModuleList(_projection(channels, channels, 3, norm_kind) for _ in widths)

    def forward(self, stages: list[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b c _ _"]]:
        """Fuse stages; they and the maps are given from fine to coarse."""
        joined: list[Tensor] = []
        for lateral, stage in zip(reversed(self.laterals), reversed(stages), strict=True):
            projected = lateral(stage)
            if joined:
                size = projected.shape[-2:]
                projected = projected + functional.interpolate(joined[0], size=size, mode="nearest")
            joined.insert(0, projected)
        maps = [output(each) for output, each in zip(self.outputs, joined, strict=True)]
        return [*maps, functional.max_pool2d(maps[-1], 1, stride=2)]


def _projection(channels: int, out_channels: int, kernel: int, norm_kind: NormKind) -> nn.Module:
    convolution = nn.Conv2d(
        channels, out_channels, kernel, padding=kernel // 2, bias=norm_kind == "none"
    )
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, norm(norm_kind, out_channels))
