"""Table 2 of the paper: the weights of the seven loss terms, and their values in a step."""

from dataclasses import dataclass

import numpy as np
import torch

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.data.sample import Batch, collate
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream
from jsisnet.training import trainer
from jsisnet.training.config import RunConfig
from jsisnet.training.objective import Objective

PAPER = {
    "rpn_objectness": 1.0,
    "rpn_boxes": 1.0,
    "classes": 1.0,
    "boxes": 0.15,
    "masks": 0.3,
    "semantic": 1.0,
    "l2": 5.5e-5,
}
"""Weights in the paper, lambda 1 to 7."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """Loss term in the first step of a training."""

    name: str
    weight: float
    """Weight in the settings."""

    value: float
    """Weighted value; the values of all terms add up to the loss."""


def first_step(config: RunConfig) -> tuple[Term, ...]:
    """Compute the loss terms of the first step of a training, in the paper's order.

    Raises:
        ValueError: If data or initial weights are missing or damaged.
    """
    categories, batch, _ = first_batch(config)
    network = trainer.new_network(config, categories).train()
    objective = config.objective
    if objective.semantic_weights:
        objective = objective.in_numbers(Sources(config.sources()))
    with torch.no_grad():
        losses = Objective(network, objective)(batch)
    weights = config.objective.weights
    return tuple(
        Term(name=name, weight=getattr(weights, name), value=float(value))
        for name, value in losses._asdict().items()
    )


def first_batch(config: RunConfig) -> tuple[Categories, Batch, UInt8[np.ndarray, "h w 3"]]:
    """Read the classes of the data, the first batch of a training, and the first photo.

    Raises:
        ValueError: If data is missing or damaged.
    """
    samples = Sources(config.sources())
    stream = Stream(samples, config.augment, seed=config.train.seed)
    batch = collate([stream[position] for position in range(config.train.batch_size)])
    return samples.categories, batch, samples[0].image
