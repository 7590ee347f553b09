from collections import Counter

from factories import BUS, CAR, CATEGORIES, PERSON, SKY, panoptic_map, segment
from jsisnet.evaluation.errors import class_confusions, confusions
from jsisnet.evaluation.matching import match

NOTHING = len(CATEGORIES)


def row(text, *labels, crowds=()):
    """Return a map of one row: a digit is a segment, a dot is void."""
    segments = [segment(label, iscrowd=i in crowds) for i, label in enumerate(labels)]
    return panoptic_map([[0 if sign == "." else int(sign) for sign in text]], *segments)


def pairs(truth, prediction):
    """Count the pairs of true and predicted label."""
    return Counter(map(tuple, confusions(match(truth, prediction), NOTHING).tolist()))


def test_a_match_counts_on_the_diagonal():
    assert pairs(row("1122", CAR, SKY), row("1122", CAR, SKY)) == {(CAR, CAR): 1, (SKY, SKY): 1}


def test_a_segment_of_another_class_at_the_same_position_is_a_confusion():
    truth, prediction = row("1111", CAR), row("111.", BUS)

    assert class_confusions(match(truth, prediction)).tolist() == [[True]]
    assert pairs(truth, prediction) == {(CAR, BUS): 1}


def test_segments_that_share_less_than_half_are_not_confused():
    assert pairs(row("1111", CAR), row("11..", BUS)) == {(CAR, NOTHING): 1, (NOTHING, BUS): 1}


def test_a_matched_segment_is_not_confused_again():
    truth, prediction = row("1111", CAR), row("1112", CAR, BUS)

    assert pairs(truth, prediction) == {(CAR, CAR): 1, (NOTHING, BUS): 1}


def test_crowds_and_ignored_predictions_are_not_confusions():
    truth = row("1111", PERSON, crowds={0})

    assert pairs(truth, row("1111", PERSON)) == {}
    assert pairs(truth, row("1111", BUS)) == {(NOTHING, BUS): 1}


def test_empty_maps_have_no_confusions():
    assert pairs(row("...."), row("....")) == {}
