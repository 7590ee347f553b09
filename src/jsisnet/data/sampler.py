"""Training data as one infinite stream that can be entered at any position.

What lies at a position depends on the seed and the position alone. So a resumed training sees the
tail of the same stream, and neither the number of workers nor that of ranks matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from torch.utils.data import Dataset

from jsisnet.data.sample import Example, Samples
from jsisnet.data.targets import example
from jsisnet.data.transforms import TransformConfig, transform

_ORDER, _VARIATION = range(2)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSampler:
    """The positions that one rank reads, for ever: every `world`-th from `start + rank` on.

    A global batch is a run of consecutive positions whatever the number of ranks. A `DataLoader`
    takes it as its `sampler`; Lightning Fabric must be told not to put its own in the place
    (``use_distributed_sampler=False``).
    """

    start: int = 0
    """Number of photos that all ranks together have seen before."""

    rank: int = 0
    """Which of the ranks reads."""

    world: int = 1
    """Number of ranks."""

    def __iter__(self) -> Iterator[int]:
        return count(self.start + self.rank, self.world)


class Stream(Dataset[Example]):
    """Examples by position: run after run through the samples, each in its own random order."""

    def __init__(self, samples: Samples, config: TransformConfig, *, seed: int = 0) -> None:
        """Open the stream.

        Args:
            samples: At least one photo with ground truth.
            config: How the photos are varied.
            seed: Not negative.

        Raises:
            ValueError: If there is no sample, or the seed is negative.
        """
        if not len(samples):
            raise ValueError("there are no photos to train on")
        if seed < 0:
            raise ValueError(f"seed is {seed}; expected 0 or more")
        self.samples = samples
        self.config = config
        self.seed = seed

    def __getitem__(self, position: int) -> Example:
        sample = self.samples[sample_index(position, len(self.samples), self.seed)]
        varied = transform(sample, self.config, _generator(self.seed, _VARIATION, position))
        return example(varied, self.samples.categories, min_box=self.config.min_box)


def sample_index(position: int, length: int, seed: int) -> int:
    """Tell which of `length` samples lies at a position of the stream.

    Positions 0 to `length - 1` hold each sample once, so do the next `length`, and so on.
    """
    epoch, place = divmod(position, length)
    return int(_order(epoch, length, seed)[place])


@lru_cache(maxsize=4)
def _order(epoch: int, length: int, seed: int) -> torch.Tensor:
    return torch.randperm(length, generator=_generator(seed, _ORDER, epoch))


def _generator(*key: int) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
