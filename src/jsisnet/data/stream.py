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
from torch import Tensor
from torch.utils.data import Dataset

from jsisnet.arrays import Int64
from jsisnet.data.dataset import Part, Sources
from jsisnet.data.sample import Example, Samples, example
from jsisnet.data.transforms import TransformConfig, transform

_ORDER, _VARIATION, _TRAINING, _ROUND = range(4)


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
    """Examples by position, in random order: run after run through the samples of each source."""

    def __init__(self, samples: Samples, config: TransformConfig, *, seed: int = 0) -> None:
        """Open the stream.

        Args:
            samples: At least one photo with ground truth; those of `Sources` are seen as often as
                the weights of their parts say.
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
        mirrored = samples.categories.mirrored
        self._mirrored = None if mirrored == tuple(range(len(mirrored))) else mirrored
        parts = samples.parts if isinstance(samples, Sources) else (Part(length=len(samples)),)
        self.parts = tuple(part for part in parts if part.length)

    def __getitem__(self, position: int) -> Example:
        sample = self.samples[sample_index(position, self.parts, self.seed)]
        generator = _generator(self.seed, _VARIATION, position)
        varied = transform(sample, self.config, generator, self._mirrored)
        return example(
            varied,
            self.samples.categories,
            min_box=self.config.min_box,
            seed=_seed(self.seed, _TRAINING, position),
        )


def sample_index(position: int, parts: tuple[Part, ...], seed: int) -> int:
    """Tell which sample lies at a position of the stream.

    The stream is cut into rounds. In each of them the parts take turns at random, every part as
    often as it has photos, times its weight (rounded, but at least once). At its turns a part goes
    through its photos, in an order of its own in each run through them, so none of them is ever
    seen twice more than another.

    Args:
        position: 0 or more.
        parts: Samples of one part lie behind those of the other; none is empty.
        seed: Not negative.
    """
    shares = tuple(max(1, round(part.weight * part.length)) for part in parts)
    number, place = divmod(position, sum(shares))
    part, turn = _turns(number, shares, seed)[place].tolist()
    run, place = divmod(number * shares[part] + turn, parts[part].length)
    before = sum(other.length for other in parts[:part])
    return before + int(_order(run, parts[part].length, part, seed)[place])


@lru_cache(maxsize=4)
def _turns(number: int, shares: tuple[int, ...], seed: int) -> Int64[Tensor, "positions 2"]:
    """Give for each position of a round the part whose turn it is, and its turns before."""
    parts = torch.arange(len(shares)).repeat_interleave(torch.tensor(shares))
    parts = parts[torch.randperm(len(parts), generator=_generator(seed, _ROUND, number))]
    turns = torch.zeros_like(parts)
    for part, share in enumerate(shares):
        turns[parts == part] = torch.arange(share)
    return torch.stack([parts, turns], dim=1)


@lru_cache(maxsize=64)
def _order(run: int, length: int, part: int, seed: int) -> Int64[Tensor, " length"]:
    return torch.randperm(length, generator=_generator(seed, _ORDER, run, part))


def _generator(*key: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*key))


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
