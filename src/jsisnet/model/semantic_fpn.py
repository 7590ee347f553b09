"""Semantic method `fpn`, that of Panoptic FPN: the maps of a pyramid, upsampled step by step."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, NormKind, init_small
from jsisnet.model.methods import Maps, Step, TrunkShape


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticFPNConfig:
    """Architecture of the semantic branch on a pyramid."""

    method: Literal["fpn"] = "fpn"
    """Semantic method: ``fpn``, the sum of all maps of a pyramid, upsampled to `stride`."""

    channels: int = 128
    """Channels of all convolutions."""

    stride: Literal[4, 8] = 4
    """Stride of the logits, in pixels of the network's input; finer maps are not read."""

    dropout: float = 0.0
    """Fraction of the summed channels dropped in training."""

    norm: NormKind = "group"
    """Normalisation."""

    def __post_init__(self) -> None:
        check_ranges(self, "semantic", channels=(1, MOST_CHANNELS))
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"semantic.dropout is {self.dropout}; expected at least 0 and less than 1"
            )

    @property
    def norms(self) -> dict[str, NormKind]:
        """Normalisation of each part, for messages."""
        return {"semantic": self.norm}

    def build(self, trunk: TrunkShape, labels: int) -> nn.Module:
        """Create the branch.

        Raises:
            ValueError: If the trunk has no pyramid.
        """
        return SemanticFPN(trunk.pyramid("network.semantic.method fpn"), trunk, labels, self)


class SemanticFPN(nn.Module):
    """Class logits from all maps of a pyramid.

    Each map passes a 3x3 convolution and is upsampled bilinearly by 2, again and again, until it
    has the stride of the logits. What reaches the same stride is added before it is upsampled for
    the last time, which is linear: equal but for rounding, at less cost.

    Reference:
        Kirillov et al., "Panoptic Feature Pyramid Networks", section 3.1.
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        trunk: TrunkShape,
        num_labels: int,
        config: SemanticFPNConfig,
    ):
        super().__init__()
        self.stride = config.stride
        self.strides = tuple(stride for stride in strides if stride >= config.stride)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                ConvNormAct(
                    config.channels if number else trunk.channels,
                    config.channels,
                    kernel=3,
                    norm_kind=config.norm,
                )
                for number in range(max(level, 1))
            )
            for level in range(len(self.strides))
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.classify = nn.Conv2d(config.channels, num_labels, 1)
        init_small(self.classify)

    def forward(self, maps: Maps) -> Float[Tensor, "b k h2 w2"]:
        """Return logits of every label."""
        return self._logits(self._context(maps))

    def steps(self) -> tuple[Step, ...]:
        """Return the steps of `forward`, for the table of costs."""
        return (Step("pyramid upsampled", self._context), Step("logits", self._logits))

    def _context(self, maps: Maps) -> Float[Tensor, "b c_out h w"]:
        sizes = [(maps[of].shape[-2], maps[of].shape[-1]) for of in self.strides]
        finest, *coarser = (
            self._upsampled(maps[stride], layers, sizes[:level])
            for level, (stride, layers) in enumerate(zip(self.strides, self.levels, strict=True))
        )
        return finest + _resized(sum(coarser[1:], coarser[0]), sizes[0])

    def _upsampled(
        self, features: Tensor, layers: nn.Module, sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Convolve a map and resize it to that of a finer one, as often as there are layers."""
        assert isinstance(layers, nn.ModuleList)
        for number, layer in enumerate(layers):
            features = layer(_resized(features, sizes[-number]) if number else features)
        return features

    def _logits(self, context: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        return self.classify(self.dropout(context))


def _resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(features, size, mode="bilinear")
