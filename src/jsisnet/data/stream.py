"""Training data as an infinite stream with random access.

The example at a position depends only on the seed and the position. A resumed training therefore
continues the same stream, and the numbers of workers and ranks make no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jsisnet.arrays import Float64, Int64
from jsisnet.data.balance import Repeats
from jsisnet.data.copy_paste import paste
from jsisnet.data.sample import Example, example
from jsisnet.data.sources import Part, Sources
from jsisnet.data.transforms import TransformConfig, transform
from jsisnet.formats.dataset import Sample, Samples

_ORDER, _VARIATION, _TRAINING, _ROUND, _OFFSET, _PASTE = range(6)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSampler:
    """Infinite sampler of the positions of one rank: every `world`-th, beginning at `start + rank`.

    A global batch consists of consecutive positions for any number of ranks. Pass it to a
    `DataLoader` as its `sampler`, and keep Lightning Fabric from replacing it
    (``use_distributed_sampler=False``).
    """

    start: int = 0
    """Number of photos that all ranks together have already seen."""

    rank: int = 0
    """Index of the rank."""

    world: int = 1
    """Number of ranks."""

    def __iter__(self) -> Iterator[int]:
        return count(self.start + self.rank, self.world)


class Stream(Dataset[Example]):
    """Examples by position, in random order, with repeated passes through each data set."""

    def __init__(self, samples: Samples, config: TransformConfig, *, seed: int = 0) -> None:
        """Open the stream.

        Args:
            samples: At least one photo with ground truth. The photos of `Sources` are seen as often
                as the weights of its parts say.
            config: Augmentation.
            seed: Seed of order and augmentation, 0 or more.

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

    @property
    def epoch(self) -> int:
        """Number of examples in which each photo is seen as often as weights and repeats say."""
        return sum(part.share for part in self.parts)

    def __getitem__(self, position: int) -> Example:
        generator = _generator(self.seed, _VARIATION, position)
        varied = self._varied(position, generator)
        if self.config.copy_paste:
            varied = self._with_pasted_things(varied, position)
        return example(
            varied,
            self.samples.categories,
            min_box=self.config.min_box,
            seed=_seed(self.seed, _TRAINING, position),
        )

    def _varied(self, position: int, generator: torch.Generator) -> Sample:
        sample = self.samples[sample_index(position, self.parts, self.seed)]
        return transform(sample, self.config, generator, self._mirrored)

    def _with_pasted_things(self, sample: Sample, position: int) -> Sample:
        """Paste things of the photo at a random position of the same round."""
        generator = _generator(self.seed, _PASTE, position)
        draw, place = torch.rand(2, generator=generator).tolist()
        if draw >= self.config.copy_paste or sample.unlabelled:
            return sample
        start = position - position % self.epoch
        other = self._varied(start + int(place * self.epoch), generator)
        return sample if other.unlabelled else paste(sample, other, generator)


def sample_index(position: int, parts: tuple[Part, ...], seed: int) -> int:
    """Return the index of the sample at a position of the stream.

    The stream consists of rounds. In each round the parts take turns in random order; the number of
    turns of a part is its number of photos times its weight, rounded, but at least one. At its
    turns a part goes through its photos, shuffled anew in each pass, so the numbers of times that
    two of its photos have been seen never differ by more than one. If the part repeats some photos,
    each has been seen as often as its factor says after any number of passes, rounded up or down.

    Args:
        position: 0 or more.
        parts: Concatenated parts of the samples, none of them empty.
        seed: Seed of the order, 0 or more.
    """
    shares = tuple(part.share for part in parts)
    number, offset = divmod(position, sum(shares))
    part, turn = _turns(number, shares, seed)[offset].tolist()
    before = sum(other.length for other in parts[:part])
    return before + _photo(number * shares[part] + turn, parts[part], part, seed)


def _photo(turn: int, part: Part, number: int, seed: int) -> int:
    """Return the photo at a turn of a part, counted from the beginning of the stream."""
    if part.repeats is None:
        run, offset = divmod(turn, part.length)
        return int(_order(run, part.length, number, seed)[offset])
    # The photos seen after a pass are at most one each from what is expected.
    run = int(turn / part.repeats.total) + 1
    while (first := _first_turn(run, part.repeats, number, seed)) > turn:
        run -= 1
    return int(_repeated_order(run, part.repeats, number, seed)[turn - first])


@lru_cache(maxsize=4)
def _turns(number: int, shares: tuple[int, ...], seed: int) -> Int64[Tensor, "positions 2"]:
    """Return the part and its turn number for each position of a round."""
    parts = torch.arange(len(shares)).repeat_interleave(torch.tensor(shares))
    parts = parts[torch.randperm(len(parts), generator=_generator(seed, _ROUND, number))]
    turns = torch.zeros_like(parts)
    for part, share in enumerate(shares):
        turns[parts == part] = torch.arange(share)
    return torch.stack([parts, turns], dim=1)


@lru_cache(maxsize=64)
def _order(run: int, length: int, part: int, seed: int) -> Int64[Tensor, " length"]:
    return torch.randperm(length, generator=_generator(seed, _ORDER, run, part))


@lru_cache(maxsize=64)
def _repeated_order(run: int, repeats: Repeats, part: int, seed: int) -> Int64[Tensor, " turns"]:
    """Return the photos of a pass, each as often as it is repeated."""
    offsets = _offsets(repeats, part, seed)
    times = repeats.seen(run + 1, offsets) - repeats.seen(run, offsets)
    photos = torch.from_numpy(np.repeat(np.arange(len(times)), times))
    return photos[torch.randperm(len(photos), generator=_generator(seed, _ORDER, run, part))]


@lru_cache(maxsize=64)
def _first_turn(run: int, repeats: Repeats, part: int, seed: int) -> int:
    """Return the number of turns before a pass."""
    return int(repeats.seen(run, _offsets(repeats, part, seed)).sum())


@lru_cache(maxsize=8)
def _offsets(repeats: Repeats, part: int, seed: int) -> Float64[np.ndarray, " n"]:
    # In single precision, so that adding a number of passes is exact.
    generator = _generator(seed, _OFFSET, part)
    return torch.rand(len(repeats.factors), generator=generator).double().numpy()


def _generator(*key: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(*key))


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
