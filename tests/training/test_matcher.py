from dataclasses import replace

import pytest
import torch

from jsisnet.training.matcher import (
    IGNORED,
    NEGATIVE,
    MatchConfig,
    match,
    sample,
    without_background,
)
from jsisnet.training.objective import ObjectiveConfig

FORCED = ObjectiveConfig().anchors
"""The paper's for anchors: 0.5 and 0.1, and the best anchor of every object."""

UNFORCED = replace(FORCED, match_every_object=False)

REGIONS = ObjectiveConfig().regions
"""The paper's for regions: 0.5 and 0.5."""


def matched(
    candidates: list[list[float]],
    objects: list[list[float]],
    crowds: list[list[float]] | None = None,
    config: MatchConfig = UNFORCED,
) -> list[int]:
    tables = [torch.tensor(rows, dtype=torch.float32).view(-1, 4) for rows in (candidates, objects)]
    crowd = torch.tensor(crowds or [], dtype=torch.float32).view(-1, 4)
    return match(*tables, crowd, config).tolist()


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(objects: int, background: int, ignored: int = 0, *, seed: int = 0, **limits) -> list[int]:
    """Sample candidates of which the first are positive and the last are ignored."""
    matches = [0] * objects + [NEGATIVE] * background + [IGNORED] * ignored
    config = replace(FORCED, **limits)
    return sample(torch.tensor(matches, dtype=torch.int64), config, dice(seed)).tolist()


def test_a_candidate_is_positive_from_one_half_and_negative_below_a_tenth():
    halves = [[0, 0, 10, side] for side in (10, 5, 4.9, 1, 0.9)]

    made = matched([*halves, [50, 50, 60, 60]], [[0, 0, 10, 10]])

    assert made == [0, 0, IGNORED, IGNORED, NEGATIVE, NEGATIVE]


def test_a_candidate_matches_the_object_that_it_overlaps_most():
    objects = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6]]

    assert matched([[0, 0, 10, 8.5]], objects) == [1]


def test_a_region_is_negative_below_one_half():
    made = matched([[0, 0, 10, 5], [0, 0, 10, 4.9]], [[0, 0, 10, 10]], config=REGIONS)

    assert made == [0, NEGATIVE]


def test_every_object_has_its_best_candidate():
    candidates = [[0, 0, 10, 2], [0, 0, 10, 1.5], [50, 0, 60, 0.5]]
    objects = [[0, 0, 10, 10], [50, 0, 60, 10]]

    assert matched(candidates, objects, config=FORCED) == [0, IGNORED, 1]
    assert matched(candidates, objects, config=UNFORCED) == [IGNORED, IGNORED, NEGATIVE]


def test_all_candidates_with_the_highest_overlap_match_the_object():
    candidates = [[0, 0, 10, 2], [0, 8, 10, 10], [0, 0, 10, 1]]

    assert matched(candidates, [[0, 0, 10, 10]], config=FORCED) == [0, 0, IGNORED]


def test_an_object_takes_its_best_candidate_from_another():
    candidates = [[0, 0, 10, 10], [40, 0, 50, 10]]
    objects = [[0, 0, 10, 10], [0, 0, 10, 1]]

    assert matched(candidates, objects, config=FORCED) == [1, NEGATIVE]


def test_an_object_that_no_candidate_touches_has_none():
    assert matched([[0, 0, 10, 10]], [[50, 50, 60, 60]], config=FORCED) == [NEGATIVE]


def test_a_candidate_half_inside_a_crowd_is_ignored():
    candidates = [[0, 0, 10, 10], [0, 5, 10, 15], [0, 6, 10, 16]]

    assert matched(candidates, [], [[0, 0, 10, 10]]) == [IGNORED, IGNORED, NEGATIVE]


def test_a_small_candidate_inside_a_large_crowd_is_ignored():
    assert matched([[40, 40, 42, 42]], [], [[0, 0, 100, 100]]) == [IGNORED]


def test_an_object_inside_a_crowd_keeps_its_candidates():
    assert matched([[0, 0, 10, 10]], [[0, 0, 10, 10]], [[0, 0, 50, 50]]) == [0]


def test_without_objects_every_candidate_is_background():
    assert matched([[0, 0, 10, 10], [5, 5, 9, 9]], [], config=FORCED) == [NEGATIVE, NEGATIVE]


def test_no_candidates_give_no_matches():
    assert matched([], [[0, 0, 10, 10]], [[0, 0, 10, 10]], FORCED) == []


def test_up_to_half_of_the_samples_are_positive():
    rows = drawn(20, 50, samples=10, positives=0.5)

    assert len(rows) == 10
    assert sum(row < 20 for row in rows) == 5


def test_negatives_fill_the_sample_if_positives_are_few():
    rows = drawn(2, 50, samples=10, positives=0.5)

    assert sorted(rows)[:2] == [0, 1]
    assert len(rows) == 10


def test_positives_do_not_fill_the_sample_if_negatives_are_few():
    assert len(drawn(20, 1, samples=10, positives=0.5)) == 6


def test_positives_come_first():
    rows = drawn(3, 20, samples=10, positives=0.5)

    assert sorted(rows[:3]) == [0, 1, 2]


def test_ignored_candidates_are_never_sampled():
    assert sorted(drawn(1, 2, ignored=50)) == [0, 1, 2]


def test_nothing_is_sampled_if_all_candidates_are_ignored():
    assert drawn(0, 0, ignored=5) == []
    assert drawn(0, 0) == []


@pytest.mark.parametrize(
    "change",
    [{"min_positive": 0.05}, {"max_negative": -0.1}, {"samples": 0}, {"positives": 1.5}],
)
def test_impossible_limits_are_refused(change):
    with pytest.raises(ValueError, match="expected"):
        replace(FORCED, **change)


def test_no_candidate_is_sampled_twice():
    rows = drawn(30, 300, samples=256)

    assert len(set(rows)) == len(rows)


def test_the_sample_depends_on_the_seed():
    draws = [drawn(50, 500, seed=seed) for seed in (0, 0, 1)]

    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("config", "positives", "negatives"), [(FORCED, 128, 128), (REGIONS, 16, 48)]
)
def test_the_paper_samples_256_anchors_and_64_regions_per_image(config, positives, negatives):
    matches = torch.tensor([0] * 500 + [NEGATIVE] * 500)

    rows = sample(matches, config, dice())

    assert (rows < 500).sum() == positives
    assert (rows >= 500).sum() == negatives


def test_without_background_only_objects_are_left():
    matches = torch.tensor([0, NEGATIVE, IGNORED, 3])

    assert without_background(matches).tolist() == [0, IGNORED, IGNORED, 3]
