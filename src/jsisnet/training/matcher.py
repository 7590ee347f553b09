"""Matching of anchors and proposals to objects, and sampling for the losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int64
from jsisnet.checks import check_ranges
from jsisnet.model import boxes

NEGATIVE = -1
"""Match of a background candidate."""

IGNORED = -2
"""Match of a candidate that is excluded from the losses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchConfig:
    """IoU thresholds of the matching, and size of the sample."""

    min_positive: float
    """IoU from which a candidate matches the object that it overlaps most."""

    max_negative: float
    """IoU below which a candidate is background. Between the two thresholds it is ignored."""

    match_every_object: bool
    """Whether the best candidates of an object match it at any IoU above 0."""

    max_crowd: float = 0.5
    """Background candidates with at least this fraction of their area in a crowd are ignored."""

    samples: int
    """Number of sampled candidates per image."""

    positives: float
    """Highest fraction of positives in the sample."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_negative <= self.min_positive <= 1:
            raise ValueError(
                f"max_negative is {self.max_negative}, min_positive {self.min_positive}; expected "
                "0 <= max_negative <= min_positive <= 1"
            )
        check_ranges(self, "", samples=(1, 1_000_000))
        if self.samples < 1 or not 0 <= self.positives <= 1:
            raise ValueError(
                f"samples is {self.samples} and positives {self.positives}; expected at least 1, "
                "and a fraction from 0 to 1"
            )


def match(
    candidates: Float[Tensor, "n 4"],
    objects: Float[Tensor, "g 4"],
    crowds: Float[Tensor, "c 4"],
    config: MatchConfig,
) -> Int64[Tensor, " n"]:
    """Return the object index of each candidate, `NEGATIVE` or `IGNORED`.

    Reference:
        Ren et al., "Faster R-CNN", section 3.1.2.
    """
    matches = torch.full_like(candidates[:, 0], NEGATIVE, dtype=torch.int64)
    if len(objects) and len(candidates):
        overlap = boxes.iou(candidates, objects)
        best, owner = overlap.max(dim=1)
        matches[best >= config.max_negative] = IGNORED
        positive = best >= config.min_positive
        if config.match_every_object:
            highest = overlap.max(dim=0).values
            forced = (overlap == highest) & (highest > 0)
            rows, columns = forced.nonzero(as_tuple=True)
            owner[rows] = columns
            positive[rows] = True
        matches[positive] = owner[positive]
    if len(crowds):
        common = boxes.intersections(candidates, crowds).amax(dim=1)
        inside = common >= config.max_crowd * boxes.areas(candidates).clamp(min=1e-6)
        matches[inside & (matches == NEGATIVE)] = IGNORED
    return matches


def without_background(matches: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Ignore background candidates, for images in which some things are not annotated."""
    return matches.masked_fill(matches == NEGATIVE, IGNORED)


def sample(
    matches: Int64[Tensor, " n"], config: MatchConfig, generator: torch.Generator
) -> Int64[Tensor, " s"]:
    """Sample candidates at random, positives first; fewer than `samples` if there are fewer."""
    limit = int(config.samples * config.positives)
    positive = _draw(matches >= 0, limit, generator)
    negative = _draw(matches == NEGATIVE, config.samples - len(positive), generator)
    return torch.cat([positive, negative])


def _draw(
    allowed: Bool[Tensor, " n"], limit: int, generator: torch.Generator
) -> Int64[Tensor, " s"]:
    rows = allowed.nonzero().flatten()
    return rows[torch.randperm(len(rows), generator=generator, device=rows.device)[:limit]]
