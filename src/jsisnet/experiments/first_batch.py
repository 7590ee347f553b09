"""What the first step of a training sees."""

import numpy as np
from jaxtyping import UInt8

from jsisnet.categories import Categories
from jsisnet.data.sample import Batch, collate
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream
from jsisnet.training.config import RunConfig


def first_batch(config: RunConfig) -> tuple[Categories, Batch, UInt8[np.ndarray, "h w 3"]]:
    """Give the classes of the data, the first photos with their targets, and a whole photo.

    Raises:
        ValueError: If data is missing or damaged.
    """
    samples = Sources(config.sources())
    stream = Stream(samples, config.augment, seed=config.train.seed)
    batch = collate([stream[position] for position in range(config.train.batch_size)])
    return samples.categories, batch, samples[0].image.permute(1, 2, 0).numpy()
