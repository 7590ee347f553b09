"""How sure the difference of two results is: intervals from drawing the same images anew."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jsisnet.evaluation.class_means import class_means

LEVEL = 0.95
"""Share of the samples that lie inside an interval."""

MIN_IMAGES = 6
"""Fewest images that show a class for it to get an interval. Fewer differences that are as likely
up as down all have one sign in more than 5 % of cases, and then the interval excludes 0."""

_NUMBERS = 2**20
"""Numbers that are in memory at once for each array of a chunk of samples, about."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Differences:
    """PQ, SQ and RQ of two results, down, for groups of classes, across.

    Values from 0 to 1; NaN where there is none.
    """

    first: Float64[np.ndarray, "3 m"]
    """Of the first result."""

    second: Float64[np.ndarray, "3 m"]
    """Of the second result."""

    low: Float64[np.ndarray, "3 m"]
    """Lower end of the interval of second - first; NaN with fewer than `MIN_IMAGES` images."""

    high: Float64[np.ndarray, "3 m"]
    """Its upper end, likewise."""

    better: Float64[np.ndarray, "3 m"]
    """Share of the samples in which the second result is higher, likewise."""

    images: Int64[np.ndarray, " m"]
    """Images in which either result has a class of the group."""


def differences(
    first: Float64[np.ndarray, "n 4 k"],
    second: Float64[np.ndarray, "n 4 k"],
    groups: Bool[np.ndarray, "m k"],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Differences:
    """Compare two results of the same images.

    A sample draws as many images as there are, with replacement, and both results are measured on
    it anew. So an interval tells how much the difference depends on which images were measured. A
    sample in which either result has no value doesn't enter the interval.

    Args:
        first: Sums of each image and class: IoU, matches, unmatched predicted ones, missed ones.
        second: Likewise, with the images and classes in the same order.
        groups: Classes that each figure is the mean over.
        samples: How often images are drawn.
        seed: Of the drawing.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13 (percentile interval).
    """
    drawn = np.concatenate(
        [
            class_means(_drawn(weights, second), groups)
            - class_means(_drawn(weights, first), groups)
            for weights in _weights(len(first), samples, first.shape[1] * first.shape[2], seed)
        ]
    )
    seen = (first[:, 1:] + second[:, 1:]).sum(axis=1) > 0
    images = (seen @ groups.T).sum(axis=0)
    enough = images >= MIN_IMAGES
    low, high, better = (np.where(enough, values, np.nan) for values in _spread(drawn))
    return Differences(
        first=class_means(first.sum(axis=0), groups),
        second=class_means(second.sum(axis=0), groups),
        low=low,
        high=high,
        better=better,
        images=images,
    )


def _weights(
    images: int, samples: int, columns: int, seed: int
) -> Iterator[Float64[np.ndarray, "s n"]]:
    """Tell how often each sample draws each image, some samples at a time."""
    random = np.random.default_rng(seed)
    chunk = max(1, _NUMBERS // max(images, columns))
    for start in range(0, samples, chunk):
        number = min(chunk, samples - start)
        drawn = random.multinomial(images, np.full(images, 1 / images), number)
        yield drawn.astype(np.float64)


def _drawn(
    weights: Float64[np.ndarray, "s n"], sums: Float64[np.ndarray, "n 4 k"]
) -> Float64[np.ndarray, "s 4 k"]:
    """Give the sums of samples."""
    return (weights @ sums.reshape(len(sums), -1)).reshape(len(weights), *sums.shape[1:])


def _spread(
    drawn: Float64[np.ndarray, "s 3 m"],
) -> tuple[Float64[np.ndarray, "3 m"], ...]:
    """Give the ends of the interval, and the share above 0, of the samples with a value."""
    result = np.full((3, *drawn.shape[1:]), np.nan)
    for place in np.ndindex(drawn.shape[1:]):
        values = drawn[(slice(None), *place)]
        values = values[~np.isnan(values)]
        if len(values):
            ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            result[(slice(None), *place)] = [*ends, (values > 0).mean()]
    return tuple(result)
