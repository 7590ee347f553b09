import numpy as np
import pytest
import torch

from factories import CAR, PERSON, SKY, panoptic_map, segment
from jsisnet.evaluation.anchors import Anchors, TrueBoxes, best_iou, fit, read_true_boxes, recall
from jsisnet.formats.records import Record
from jsisnet.model import boxes, rpn

SIZE = (90, 130)
START = Anchors(sizes=(16.0, 40.0), ratios=(0.5, 2.0), strides=(8,))


def random_boxes(count, seed=0):
    """Return boxes of all sizes and shapes inside the input."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, [SIZE[1], SIZE[0]], size=(count, 2, 2))
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, np.maximum(high, low + 1)], axis=1)


def placed(anchors, size):
    """Place all anchors of one map, as the network does."""
    grid = tuple(-(-side // anchors.strides[0]) for side in size)
    config = rpn.AnchorConfig(sizes=anchors.sizes, ratios=anchors.ratios)
    return rpn.anchors(grid, config, torch.device("cpu"), anchors.strides[0])


@pytest.mark.parametrize("stride", [8, 16])
def test_the_best_iou_is_that_with_all_anchors_of_the_network(stride):
    anchors = Anchors(sizes=(9.0, 16.0, 50.0), ratios=(0.5, 1.0, 3.0), strides=(stride,))
    objects = random_boxes(100)

    found = best_iou(objects, anchors, SIZE)

    expected = boxes.iou(torch.from_numpy(objects).float(), placed(anchors, SIZE)).amax(dim=1)
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


def test_sizes_are_spread_over_the_maps_in_order():
    two = Anchors(sizes=(8.0, 16.0, 32.0, 64.0), ratios=(1.0, 2.0), strides=(4, 16))

    objects = random_boxes(50)

    assert [stride for _, _, stride in two.shapes()] == [4] * 4 + [16] * 4
    fine, coarse = (
        best_iou(objects, Anchors(sizes=sizes, ratios=(1.0, 2.0), strides=(stride,)), SIZE)
        for sizes, stride in (((8.0, 16.0), 4), ((32.0, 64.0), 16))
    )
    assert best_iou(objects, two, SIZE).tolist() == np.maximum(fine, coarse).tolist()


def test_each_map_has_as_many_sizes():
    with pytest.raises(ValueError, match="has 3 numbers; expected a multiple of 2"):
        Anchors(sizes=(8.0, 16.0, 32.0), ratios=(1.0,), strides=(4, 8))


def test_fitted_anchors_reach_more():
    objects = random_boxes(300)

    found = fit(objects, START, SIZE)

    before, after = (best_iou(objects, anchors, SIZE) for anchors in (START, found))
    assert (after >= 0.5).mean() > (before >= 0.5).mean() + 0.05
    assert (len(found.sizes), len(found.ratios), found.strides) == (2, 2, (8,))
    assert found == fit(objects, START, SIZE)


def test_fitted_sizes_and_ratios_differ_even_if_all_objects_are_alike():
    objects = np.tile([[16.0, 16.0, 48.0, 48.0]], (5, 1))

    found = fit(objects, START, SIZE)

    assert best_iou(objects, found, SIZE).min() > 0.95
    assert found.sizes[0] < found.sizes[1]
    assert found.ratios[0] < found.ratios[1]


def test_anchors_are_not_fitted_without_things():
    with pytest.raises(ValueError, match="there are no things"):
        fit(np.zeros((0, 4)), START, SIZE)


def test_recall_is_measured_at_the_input_and_grouped_by_the_image():
    true = TrueBoxes(
        boxes=np.array([[0.0, 0.0, 64.0, 32.0], [0.0, 0.0, 260.0, 40.0]]),
        sides=np.array([[180.0, 260.0], [180.0, 260.0]]),
    )
    exact = Anchors(sizes=(512**0.5,), ratios=(0.5,), strides=(8,))

    found = recall(true, exact, SIZE)

    assert found["medium"] == {"things": 1, "recall": 100.0, "iou": pytest.approx(100.0)}
    assert found["thin"]["recall"] == 0
    assert found["all"]["recall"] == 50
    assert found["small"] == {"things": 0, "recall": None, "iou": None}


def test_crowds_stuff_and_empty_segments_have_no_true_boxes():
    panoptic = panoptic_map(
        [[1, 1, 2], [3, 3, 3]],
        segment(PERSON),
        segment(CAR, iscrowd=True),
        segment(SKY),
        segment(CAR),
    )
    record = Record(image_id=1, name="1.jpg", image=None, size=None, read=lambda: panoptic)

    true = read_true_boxes([record, record])

    assert true.boxes.tolist() == [[0, 0, 2, 1]] * 2
    assert true.resized((4, 30)).tolist() == [[0, 0, 20, 2]] * 2
