import numpy as np

import factories
from factories import CAR, PERSON
from jsisnet.experiments.figures import draw_detections
from jsisnet.inference.merge import Instances

GREY = np.full((60, 80, 3), 128, np.uint8)


def detections(*boxes, labels=None, scores=None):
    """Detections whose masks fill their boxes."""
    return Instances(
        boxes=np.float32(boxes).reshape(-1, 4),
        labels=np.array(labels or [CAR] * len(boxes), np.int64),
        scores=np.array(scores or [0.9] * len(boxes), np.float32),
        masks=np.ones((len(boxes), 3, 3), np.float32),
    )


def drawn(instances, frame=(60, 80)):
    return draw_detections(GREY, instances, factories.CATEGORIES, frame)


def test_overlapping_detections_are_both_seen():
    picture = drawn(
        detections([5, 20, 45, 55], [30, 20, 70, 55], labels=[CAR, PERSON], scores=[0.9, 0.1])
    )

    first, both, second, none = (picture[45, x].tolist() for x in (15, 37, 60, 76))
    assert none == [128, 128, 128]
    assert len({tuple(color) for color in (first, both, second, none)}) == 4


def test_detections_of_one_class_have_different_colours():
    picture = drawn(detections([2, 20, 38, 58], [42, 20, 78, 58]))

    assert picture[45, 20].tolist() != picture[45, 60].tolist()


def test_boxes_of_the_networks_input_are_scaled_to_the_photo():
    picture = drawn(detections([15, 10, 40, 30]), frame=(30, 40))

    changed = (picture != 128).any(axis=2)
    assert changed[40:55, 35:75].all()
    assert not changed[5:15, :25].any()


def test_no_detection_leaves_the_photo_as_it_is():
    assert np.array_equal(drawn(detections()), GREY)
