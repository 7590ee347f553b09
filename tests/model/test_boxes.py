import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsisnet.model import boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
NONE = torch.zeros(0, 4)


@st.composite
def positive_boxes(draw):
    x0, y0 = draw(st.floats(-500, 500)), draw(st.floats(-500, 500))
    width, height = draw(st.floats(1, 500)), draw(st.floats(1, 500))
    return torch.tensor([[x0, y0, x0 + width, y0 + height]], dtype=torch.float64)


def test_identical_disjoint_and_empty_boxes():
    rows = torch.tensor([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    columns = torch.tensor([[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0], [1.0, 0.0, 3.0, 2.0]])

    assert boxes.iou(rows, columns).tolist() == [[1, 0, pytest.approx(1 / 3)], [0, 0, 0]]
    assert boxes.iou(rows, rows[1:]).tolist() == [[0], [0]]
    assert boxes.intersections(rows, columns).tolist() == [[4, 0, 2], [0, 0, 0]]


def test_a_reversed_box_has_no_area():
    assert boxes.areas(torch.tensor([[0.0, 0.0, 2.0, 3.0], [3.0, 0.0, 1.0, 2.0]])).tolist() == [
        6,
        0,
    ]


def test_no_boxes_are_valid_input():
    some = torch.tensor([[0.0, 0.0, 2.0, 2.0]])

    assert boxes.iou(NONE, some).shape == (0, 1)
    assert boxes.iou(some, NONE).shape == (1, 0)
    assert boxes.encode(NONE, NONE, WEIGHTS).shape == (0, 4)
    assert boxes.decode(NONE, NONE, WEIGHTS).shape == (0, 4)
    assert boxes.clip(NONE, (4, 4)).shape == (0, 4)


def test_a_box_is_encoded_as_shift_and_log_scale():
    reference = torch.tensor([[0.0, 0.0, 10.0, 20.0]])
    box = torch.tensor([[5.0, 0.0, 15.0, 40.0]])

    deltas = boxes.encode(box, reference, (1.0, 1.0, 1.0, 1.0))

    assert deltas.tolist() == [[0.5, 0.5, 0, pytest.approx(math.log(2))]]
    assert boxes.encode(box, reference, WEIGHTS)[0, 0] == 5


@given(positive_boxes(), positive_boxes())
def test_decode_inverts_encode(box, reference):
    sides = (box[:, 2:] - box[:, :2]) / (reference[:, 2:] - reference[:, :2])
    if sides.log().max() > boxes.MAX_LOG_SCALE:
        return

    decoded = boxes.decode(boxes.encode(box, reference, WEIGHTS), reference, WEIGHTS)

    torch.testing.assert_close(decoded, box, atol=1e-6, rtol=1e-6)


def test_a_huge_offset_does_not_overflow():
    deltas = torch.tensor([[0.0, 0.0, 1e6, -1e6]])

    decoded = boxes.decode(deltas, torch.tensor([[0.0, 0.0, 16.0, 16.0]]), WEIGHTS)

    assert decoded.isfinite().all()
    assert decoded[0, 2] - decoded[0, 0] == pytest.approx(1000)


def test_corners_outside_the_image_are_clipped():
    wild = torch.tensor([[-3.0, 2.0, 99.0, 99.0], [50.0, -9.0, 60.0, -2.0]])

    assert boxes.clip(wild, (20, 30)).tolist() == [[0, 2, 30, 20], [30, 0, 30, 0]]
