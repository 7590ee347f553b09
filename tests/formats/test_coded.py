import numpy as np
import pytest

from factories import CAR, CATEGORIES, PERSON, ROAD, panoptic_map, segment
from jsisnet.categories import UNKNOWN
from jsisnet.formats import coded
from jsisnet.formats.coded import Meaning, drawn, instance_numbers, looked_up
from jsisnet.formats.records import without_unknown

MEANINGS = {
    0: None,
    7: Meaning(label=ROAD),
    8: Meaning(label=ROAD),
    70_000: Meaning(label=CAR, instance=1),
    2**33: Meaning(label=CAR, iscrowd=True),
}


def drawn_from(values):
    return drawn(values.shape, values.__getitem__, MEANINGS.__getitem__, CATEGORIES)


def test_values_of_one_meaning_are_one_segment_and_none_is_void():
    values = np.array([[0, 7, 8], [70_000, 2**33, 7]])

    panoptic = drawn_from(values)

    assert panoptic.ids.tolist() == [[0, 1, 1], [2, 3, 1]]
    assert panoptic.segments == (segment(ROAD), segment(CAR), segment(CAR, iscrowd=True))


def test_strips_make_no_difference(monkeypatch):
    values = np.random.default_rng(0).choice(list(MEANINGS), (37, 5))
    whole = drawn_from(values)

    monkeypatch.setattr(coded, "_STRIP", 10)
    inparts = drawn_from(values)

    assert whole.areas().sum() == (values != 0).sum()
    for i, info in enumerate(inparts.segments, 1):
        same = whole.segments.index(info) + 1
        assert ((inparts.ids == i) == (whole.ids == same)).all()


def test_a_map_without_pixels_has_no_segments():
    assert drawn_from(np.zeros((0, 4), int)).segments == ()


def test_a_table_is_looked_up_in_its_own_type():
    values = looked_up(np.array([5, 65_535], np.uint16), np.array([[1, 0]], np.int32))

    assert values.dtype == np.uint16
    assert values.tolist() == [[65_535, 5]]


def test_things_are_counted_within_their_class_and_crowds_are_not():
    kinds = [segment(CAR), segment(ROAD), segment(PERSON), segment(CAR)]
    panoptic = panoptic_map([[1, 2, 3, 4]], *kinds, segment(CAR, iscrowd=True))

    assert instance_numbers(panoptic) == [1, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("kept", "ids"), [((CAR, ROAD), [[1, 2, 0]]), ((ROAD,), [[0, 1, 0]]), ((), [[0, 0, 0]])]
)
def test_segments_of_unknown_classes_become_void(kept, ids):
    labels = [kept.index(c) if c in kept else UNKNOWN for c in range(len(CATEGORIES))]

    panoptic = without_unknown(panoptic_map([[1, 2, 0]], segment(CAR), segment(ROAD)), labels)

    assert panoptic.ids.tolist() == ids
    assert [s.label for s in panoptic.segments] == list(range(len(kept)))
