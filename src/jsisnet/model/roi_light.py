"""Region head `light`: two convolutions and a fully connected layer for each region."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, init_kaiming
from jsisnet.model.methods import TrunkShape
from jsisnet.model.roi import Reader, RoIConfig, RoIHead


@dataclass(frozen=True, kw_only=True, slots=True)
class LightConfig(RoIConfig):
    """Architecture of the light head."""

    head: Literal["light"] = "light"
    """Region head: ``light``, two 3x3 convolutions, and a fully connected layer for class and
    box."""

    width: int = 512
    """Channels of the convolutions."""

    hidden: int = 1024
    """Width of the fully connected layer."""

    def __post_init__(self) -> None:
        RoIConfig.__post_init__(self)
        check_ranges(self, "roi", **dict.fromkeys(("width", "hidden"), (1, MOST_CHANNELS)))

    def build(self, trunk: TrunkShape, things: int) -> RoIHead:
        """Create the head."""
        stage = nn.Sequential(
            ConvNormAct(trunk.channels, self.width, kernel=3, norm_kind=self.norm),
            ConvNormAct(self.width, self.width, kernel=3, norm_kind=self.norm),
        )
        connect = nn.Linear(self.width * (self.crop // self.pool) ** 2, self.hidden)
        init_kaiming(connect)
        reader = Reader(
            stage=stage,
            channels=self.width,
            summary=nn.Sequential(nn.Flatten(), connect, nn.ReLU(inplace=True)),
            width=self.hidden,
        )
        return RoIHead(trunk, things, self, reader)
