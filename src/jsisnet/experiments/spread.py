"""A figure over several seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Where a figure lies, and how far apart its values are."""

    mean: float
    deviation: float
    """Standard deviation of a sample; 0 of a single value."""

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        """Describe the values that there are; ``None`` without any."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        deviation = statistics.stdev(known) if len(known) > 1 else 0.0
        return cls(mean=statistics.fmean(known), deviation=deviation)
