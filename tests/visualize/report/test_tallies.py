import numpy as np
import pytest

from factories import CAR, PERSON, panoptic_map, segment
from jsisnet.evaluation.errors import KINDS, segment_errors
from jsisnet.evaluation.matching import match
from jsisnet.report.tallies import FOUND, Fates, ScoreTally, SizeTally


def row(pixels, *segments):
    return panoptic_map([[int(pixel) for pixel in pixels]], *segments)


def scored(score):
    return segment(CAR, score=score)


def test_segments_are_counted_by_their_share_of_the_image():
    truth = row("1" * 50 + "2" * 4 + "3" * 46, *[segment(CAR)] * 3)
    prediction = row("1" * 50 + "0" * 4 + "2" * 20 + "0" * 26, *[segment(CAR)] * 2)
    tally = SizeTally()

    tally.add(match(truth, prediction), np.ones(3, bool), np.ones(2, bool))

    assert tally.tp.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert tally.iou.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert tally.fn.tolist() == [0, 0, 0, 0, 1, 0, 1]
    assert tally.fp.tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_only_the_wanted_segments_are_counted_by_size():
    maps = row("12", segment(CAR), segment(PERSON)), row("10", segment(CAR))
    tally = SizeTally()

    tally.add(match(*maps), np.array([True, False]), np.array([False]))

    assert tally.tp.sum() == tally.fp.sum() == tally.fn.sum() == 0


def test_scores_are_counted_with_their_matches():
    truth = row("112233", segment(CAR), segment(CAR), segment(PERSON))
    prediction = row("112233", scored(0.25), scored(1.0), scored(0.29))
    tally = ScoreTally()

    tally.add(match(truth, prediction))

    assert tally.count.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert tally.matched.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert tally.error == pytest.approx((1 - 0.25 - 0.29 + 0) / 3)


def test_predictions_without_score_or_excused_ones_have_no_place_among_the_scores():
    truth, prediction = row("110", segment(CAR)), row("112", segment(CAR), scored(0.5))
    tally = ScoreTally()

    tally.add(match(truth, prediction))

    assert tally.count.sum() == 0
    assert tally.error == 0


def test_scores_outside_0_to_1_are_counted_apart():
    maps = row("12", segment(CAR), segment(CAR)), row("12", scored(80.0), scored(-1.0))
    tally = ScoreTally()

    tally.add(match(*maps))

    assert tally.outside == 2
    assert tally.count.sum() == 0


def test_each_segment_has_one_fate():
    matching = match(
        row("11112233", segment(CAR), segment(CAR), segment(PERSON)),
        row("11223333", *[segment(CAR)] * 3),
    )
    fates = Fates.nothing(2)

    fates.add(matching, segment_errors(matching))

    split = 1 + KINDS.index("split")
    assert fates.true[CAR, split] == 1
    assert fates.predicted[CAR, split] == 2
    assert fates.true[:, FOUND].sum() == fates.predicted[:, FOUND].sum() == 0
    assert fates.true.sum() == fates.predicted.sum() == 3
