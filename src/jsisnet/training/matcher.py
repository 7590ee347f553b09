"""Which anchors and regions stand for which object, and which of them the losses read."""

from dataclasses import dataclass

import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int64
from jsisnet.model import boxes

NEGATIVE = -1
"""Match of a candidate that stands for the background."""

IGNORED = -2
"""Match of a candidate that no loss reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchConfig:
    """When a candidate box stands for an object, and how many are read."""

    min_positive: float
    """IoU from which a candidate stands for the object it covers best."""

    max_negative: float
    """IoU below which a candidate is background; between the two it is ignored."""

    match_every_object: bool
    """Whether the best candidates of an object stand for it at whatever IoU."""

    max_crowd: float = 0.5
    """Background candidates with at least this share of their area in a crowd are ignored."""

    samples: int
    """Candidates that the losses read, per image."""

    positives: float
    """Largest share of them that may stand for objects."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_negative <= self.min_positive <= 1:
            raise ValueError(
                f"candidates are negative below {self.max_negative} and positive from "
                f"{self.min_positive}; expected 0 or more, ascending, up to 1"
            )
        if self.samples < 1 or not 0 <= self.positives <= 1:
            raise ValueError(
                f"samples is {self.samples} and positives {self.positives}; expected at least 1, "
                "and a share of 0 to 1"
            )


def match(
    candidates: Float[Tensor, "n 4"],
    objects: Float[Tensor, "g 4"],
    crowds: Float[Tensor, "c 4"],
    config: MatchConfig,
) -> Int64[Tensor, " n"]:
    """Give each candidate the index of its object, `NEGATIVE` or `IGNORED`.

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
    """Ignore what seems to be background, where things are that nobody has labelled."""
    return matches.masked_fill(matches == NEGATIVE, IGNORED)


def sample(
    matches: Int64[Tensor, " n"], config: MatchConfig, generator: torch.Generator
) -> Int64[Tensor, " s"]:
    """Draw candidates at random, positives first; fewer than wanted where there are fewer."""
    limit = int(config.samples * config.positives)
    positive = _draw(matches >= 0, limit, generator)
    negative = _draw(matches == NEGATIVE, config.samples - len(positive), generator)
    return torch.cat([positive, negative])


def _draw(
    allowed: Bool[Tensor, " n"], limit: int, generator: torch.Generator
) -> Int64[Tensor, " s"]:
    rows = allowed.nonzero().flatten()
    return rows[torch.randperm(len(rows), generator=generator, device=rows.device)[:limit]]
