"""Labels in the place of logits: each pixel has one class, and nobody knows the next best."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int32
from torch import Tensor

from jsisnet.inference.raster import NO_CHANNEL


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A map of channels that is asked the same questions as `Upsampled` logits."""

    map: Int32[Tensor, "h w"]
    """Channel of each pixel, or `NO_CHANNEL`."""

    @classmethod
    def of(cls, labels: Int32[Tensor, "h w"], channels: list[int]) -> "Labelled":
        """Turn labels into their positions in a list; those that it lacks are no channel."""
        table = labels.new_full((int(labels.max()) + 1,), NO_CHANNEL)
        known = [(label, channel) for channel, label in enumerate(channels) if label < len(table)]
        for label, channel in known:
            table[label] = channel
        return cls(table[labels])

    def channels(self, channels: list[int]) -> "Labelled":
        """Keep some channels only."""
        return Labelled.of(self.map + 1, [channel + 1 for channel in channels])

    def best(self, wanted: Bool[Tensor, "h w"]) -> Int32[Tensor, "h w"]:
        """Give the channel of each wanted pixel, or `NO_CHANNEL`."""
        return torch.where(wanted, self.map, NO_CHANNEL)
