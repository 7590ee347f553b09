"""Region head `last_stage`, the paper's: the last stage of ResNet-50 for each region."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import LastStage
from jsisnet.model.methods import TrunkShape
from jsisnet.model.roi import Reader, RoIConfig, RoIHead


@dataclass(frozen=True, kw_only=True, slots=True)
class LastStageConfig(RoIConfig):
    """Architecture of the head with ResNet-50's last stage."""

    head: Literal["last_stage", "c5"] = "last_stage"
    """Region head: ``last_stage``, or ``c5`` for short, ResNet-50's last stage, averaged over the
    region for class and box."""

    width: int = 512
    """Width of the last stage's bottlenecks."""

    def __post_init__(self) -> None:
        RoIConfig.__post_init__(self)
        check_ranges(self, "roi", width=(1, MOST_CHANNELS))
        if self.norm == "none":
            raise ValueError(
                "roi.norm is none, but the convolutions of the last stage have no biases without "
                "one; expected batch, batch_fixed_affine, frozen or group"
            )

    def build(self, trunk: TrunkShape, things: int) -> RoIHead:
        """Create the head."""
        stage = LastStage(trunk.channels, width=self.width, norm_kind=self.norm)
        reader = Reader(
            stage=stage,
            channels=stage.out_channels,
            summary=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            width=stage.out_channels,
        )
        return RoIHead(trunk, things, self, reader)
