import numpy as np

from factories import CAR, PERSON, SKY, panoptic_map, segment
from jsisnet.categories import UNKNOWN
from jsisnet.evaluation.errors import SegmentError, segment_errors
from jsisnet.evaluation.matching import match, match_overlap
from jsisnet.evaluation.overlap import overlap


def errors(truth, prediction):
    return segment_errors(match(truth, prediction))


def row(pixels, *labels):
    """Return a map of one row, each digit a segment."""
    return panoptic_map([[int(pixel) for pixel in pixels]], *(segment(label) for label in labels))


def test_equal_maps_have_no_errors():
    assert errors(row("1122", CAR, SKY), row("1122", CAR, SKY)) == ()


def test_maps_without_segments_have_no_errors():
    assert errors(row("0000"), row("0000")) == ()


def test_a_segment_of_another_class_is_misclassified():
    found = errors(row("11100000", CAR), row("11110000", PERSON))

    assert found == (SegmentError(kind="misclassified", true=(0,), predicted=(0,)),)


def test_a_segment_without_overlap_is_missed_and_its_prediction_spurious():
    found = errors(row("1112222222", CAR, SKY), row("0002222211", CAR, SKY))

    assert found == (
        SegmentError(kind="missed", true=(0,)),
        SegmentError(kind="spurious", predicted=(0,)),
    )


def test_a_thing_in_two_parts_is_split():
    found = errors(row("11111111", CAR), row("11112222", CAR, CAR))

    assert found == (SegmentError(kind="split", true=(0,), predicted=(0, 1)),)


def test_a_thing_that_matches_its_largest_part_is_also_split():
    found = errors(row("11111111", CAR), row("11111222", CAR, CAR))

    assert found == (SegmentError(kind="split", true=(0,), predicted=(0, 1)),)


def test_a_part_that_covers_less_than_a_tenth_splits_nothing():
    found = errors(row("1" * 12, CAR), row("1" * 11 + "2", CAR, CAR))

    assert found == (SegmentError(kind="spurious", predicted=(1,)),)


def test_parts_that_cover_less_than_half_of_a_thing_do_not_split_it():
    found = errors(row("1111111111", CAR), row("1122000000", CAR, CAR))

    assert found == (
        SegmentError(kind="inexact", true=(0,), predicted=(0,)),
        SegmentError(kind="spurious", predicted=(1,)),
    )


def test_two_things_in_one_prediction_are_merged():
    found = errors(row("11112222", CAR, CAR), row("11111111", CAR))

    assert found == (SegmentError(kind="merged", true=(0, 1), predicted=(0,)),)


def test_a_thing_is_merged_into_the_match_of_another_one():
    found = errors(row("11111122", CAR, CAR), row("11111111", CAR))

    assert found == (SegmentError(kind="merged", true=(0, 1), predicted=(0,)),)


def test_things_of_two_classes_are_not_merged():
    found = errors(row("11111122", CAR, PERSON), row("11111111", CAR))

    assert found == (SegmentError(kind="missed", true=(1,)),)


def test_a_prediction_of_the_class_with_a_low_iou_is_inexact():
    found = errors(row("11110000", CAR), row("00111100", CAR))

    assert found == (SegmentError(kind="inexact", true=(0,), predicted=(0,)),)


def test_the_best_of_several_inexact_predictions_counts():
    truth = row("1111111122222222", CAR, SKY)

    found = errors(truth, row("1110002222333333", CAR, CAR, SKY))

    assert found == (
        SegmentError(kind="inexact", true=(0,), predicted=(0,)),
        SegmentError(kind="spurious", predicted=(1,)),
    )


def test_crowds_are_neither_missed_nor_merged():
    crowd = segment(CAR, iscrowd=True)

    assert errors(panoptic_map([[1, 2, 2, 2]], crowd, crowd), row("1111", CAR)) == ()


def test_a_prediction_on_void_is_no_error():
    assert errors(row("0000"), row("1100", CAR)) == ()


def test_true_segments_of_an_unknown_class_are_no_error():
    maps = row("11", CAR), row("00")
    matching = match_overlap(
        overlap(*maps),
        true_labels=np.array([UNKNOWN]),
        iscrowd=np.array([False]),
        labels=np.zeros(0, np.int64),
        scores=np.zeros(0),
    )

    assert segment_errors(matching) == ()


def test_each_unmatched_segment_belongs_to_exactly_one_error():
    generator = np.random.default_rng(0)
    for _ in range(200):
        maps = [
            panoptic_map(
                np.sort(generator.integers(0, 7, (1, 40))).tolist(),
                *(segment(int(label)) for label in generator.integers(0, 3, 6)),
            )
            for _ in range(2)
        ]
        matching = match(*maps)

        found = segment_errors(matching)

        true = [i for error in found for i in error.true if matching.false_negatives[i]]
        predicted = [i for error in found for i in error.predicted if matching.false_positives[i]]
        assert sorted(true) == np.flatnonzero(matching.false_negatives).tolist()
        assert sorted(predicted) == np.flatnonzero(matching.false_positives).tolist()
