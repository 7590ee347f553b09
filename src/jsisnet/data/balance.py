"""Balance of frequent and rare classes: repeated photos, and weights of the semantic loss."""

import math
from dataclasses import dataclass

import numpy as np

from jsisnet.arrays import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """How often each photo of a data set is seen in one pass, on average."""

    factors: Float64[np.ndarray, " n"]
    """At least 1 each; after p passes a photo has been seen p times its factor, rounded up or
    down."""

    @property
    def total(self) -> float:
        """Mean number of photos in a pass."""
        return math.fsum(self.factors.tolist())

    def seen(self, passes: int, offsets: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return how often each photo has been seen after a number of passes.

        Args:
            passes: 0 or more.
            offsets: Where each photo is rounded, 0 or more and below 1.
        """
        return np.floor(passes * self.factors + offsets).astype(np.int64)


def repeat_factors(present: Bool[np.ndarray, "n k"], threshold: float) -> Float64[np.ndarray, " n"]:
    """Return how often to repeat each photo so that rare classes are seen more often.

    A class in a fraction f of the photos has the factor max(1, sqrt(threshold / f)), and a photo
    the highest factor of its classes.

    Args:
        present: Which classes each photo shows.
        threshold: Fraction of the photos below which a class is rare.

    Reference:
        Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", section 5.
    """
    frequency = present.sum(axis=0) / max(len(present), 1)
    factors = np.sqrt(threshold / np.where(frequency > 0, frequency, math.inf)).clip(min=1)
    return np.where(present, factors, 1.0).max(axis=1, initial=1.0)


def inverse_sqrt_weights(pixels: Int64[np.ndarray, " k"]) -> tuple[float, ...]:
    """Return weights in proportion to 1 / sqrt(pixels of a class), whose mean over pixels is 1.

    Classes without pixels have the weight 1, which no pixel uses.
    """
    weights = 1 / np.sqrt(np.maximum(pixels, 1))
    total = (pixels * weights).sum()
    scaled = weights * (pixels.sum() / total if total else 1.0)
    return tuple(np.where(pixels > 0, scaled, 1.0).tolist())
