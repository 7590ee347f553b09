import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from factories import BUS, CAR, SKY, panoptic_map, segment
from jsisnet.panoptic import IGNORE, PanopticMap, Segment, resize_ids, void_label

SEGMENTS = (segment(CAR), segment(SKY), segment(BUS))
maps = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 3)
)


def slow_box(mask):
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return [0, 0, 0, 0]
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_pixel_value_is_the_number_of_its_segment():
    panoptic = panoptic_map([[0, 1, 1], [2, 2, 2]], segment(CAR), segment(SKY))

    assert panoptic.size == (2, 3)
    assert panoptic.areas().tolist() == [2, 3]
    assert panoptic.boxes().tolist() == [[1, 0, 3, 1], [0, 1, 3, 2]]
    assert panoptic.labels().tolist() == [[IGNORE, CAR, CAR], [SKY, SKY, SKY]]


def test_a_segment_may_own_no_pixel():
    panoptic = panoptic_map([[2, 2]], segment(CAR), segment(SKY))

    assert panoptic.areas().tolist() == [0, 2]
    assert panoptic.boxes().tolist() == [[0, 0, 0, 0], [0, 0, 2, 1]]


def test_a_map_may_have_no_segment():
    panoptic = panoptic_map([[0, 0]])

    assert panoptic.areas().tolist() == []
    assert panoptic.boxes().shape == (0, 4)
    assert panoptic.labels().tolist() == [[IGNORE, IGNORE]]


def test_void_is_never_the_label_of_a_class():
    panoptic = PanopticMap(np.array([[0, 1]], np.int32), (Segment(label=255, isthing=False),))

    assert panoptic.labels(void_label(256)).tolist() == [[65535, 255]]
    with pytest.raises(ValueError, match="the label of a segment is 255, which stands for void"):
        panoptic.labels()


def test_maps_of_labels_have_16_bits():
    assert [void_label(number) for number in (0, 255, 256, 65535)] == [255, 255, 65535, 65535]
    with pytest.raises(ValueError, match="65,536 classes; expected at most 65,535"):
        void_label(65536)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_pixel_without_segment_is_refused(number):
    with pytest.raises(ValueError, match=f"ids of a map with 1 segments are .*{number}"):
        panoptic_map([[0, number]], segment(CAR))


@pytest.mark.parametrize("ids", ["(2, 3), float", "(2, 3), '>i4'", "(2, 3), 'int64'", "4, 'int32'"])
def test_ids_of_another_kind_are_refused(ids):
    # In a process of its own, where nothing else looks at shapes.
    program = (
        "import numpy as np; from jsisnet.panoptic import PanopticMap\n"
        f"try: PanopticMap(np.zeros({ids}), ())\n"
        "except ValueError as error: print(error)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert said.endswith(b"expected int32 with shape (height, width)\n")


def test_compact_drops_and_renumbers():
    panoptic = PanopticMap.compact(np.array([[0, 3], [1, 3]]), SEGMENTS)

    assert panoptic.ids.tolist() == [[0, 2], [1, 2]]
    assert panoptic.segments == (segment(CAR), segment(BUS))


def test_compact_keeps_a_map_of_void():
    panoptic = PanopticMap.compact(np.zeros((2, 2), np.int64), SEGMENTS)

    assert panoptic.ids.tolist() == [[0, 0], [0, 0]]
    assert panoptic.segments == ()


@given(maps)
def test_areas_and_boxes_are_those_of_the_masks(ids):
    panoptic = PanopticMap(ids, SEGMENTS)

    assert panoptic.areas().tolist() == [(ids == number).sum() for number in (1, 2, 3)]
    assert panoptic.boxes().tolist() == [slow_box(ids == number) for number in (1, 2, 3)]


@given(maps)
def test_compact_changes_no_pixel_s_segment(ids):
    whole, compact = PanopticMap(ids, SEGMENTS), PanopticMap.compact(ids, SEGMENTS)

    assert (compact.labels() == whole.labels()).all()
    assert (compact.areas() > 0).all()


@given(ids=maps, height=st.integers(1, 12), width=st.integers(1, 12))
def test_a_resized_map_has_the_segments_that_are_left(ids, height, width):
    compact = PanopticMap.compact(ids, SEGMENTS)

    resized = compact.resized((height, width))

    expected = PanopticMap.compact(resize_ids(ids, (height, width)), SEGMENTS)
    assert np.array_equal(resized.ids, expected.ids)
    assert resized.segments == expected.segments
