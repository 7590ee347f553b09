"""Mean recall of random boxes equals that of a plain loop over images, objects and proposals."""

import numpy as np
import pytest

from jsisnet.evaluation.proposal_recall import LIMITS, ProposalRecall, count

SHAPES = {"compact": (1, 2), "long": (2, 4), "thin": (4, 1e9)}
SIZES = {"all": (0, 1e9), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e9)}


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def iou(first, second):
    common = area([*map(max, first[:2], second[:2]), *map(min, first[2:], second[2:])])
    return common / (area(first) + area(second) - common)


def plain_recall(objects, proposals):
    """Divide the covered objects by all objects."""
    found = missed = 0
    for box in objects:
        if any(iou(box, proposal) >= 0.5 for proposal in proposals):
            found += 1
        else:
            missed += 1
    return found / (found + missed)


def ratio(box):
    sides = sorted([box[2] - box[0], box[3] - box[1]])
    return sides[1] / sides[0]


def plain_mean(images, proposals_of, measure, low, high):
    recalls = []
    for image in images:
        objects = [box for box in image[0] if low <= measure(box) < high]
        if objects:
            recalls.append(plain_recall(objects, proposals_of(image)))
    return sum(recalls) / len(recalls), len(recalls)


def random_boxes(random, count):
    corner = random.random((count, 2)) * 100
    return np.concatenate([corner, corner + 2 ** random.uniform(3, 8, (count, 2))], axis=1)


@pytest.fixture(scope="module")
def images():
    """True boxes, ranked proposals and the network's own proposals of images, some empty."""
    random = np.random.default_rng(0)
    numbers = [(0, 9, 9), (3, 0, 0), *random.integers(1, (9, 1200, 99), (20, 3))]
    return [tuple(random_boxes(random, int(number)) for number in each) for each in numbers]


@pytest.mark.parametrize("column", range(7), ids=[*SIZES, *SHAPES])
def test_mean_recall_is_that_of_a_plain_loop(images, column):
    total = sum((count(*image) for image in images), ProposalRecall.zero())

    measure = area if column < len(SIZES) else ratio
    bounds = [*SIZES.values(), *SHAPES.values()][column]
    written = [[boxes.tolist() for boxes in image] for image in images]
    sets = [lambda image, k=limit: image[1][:k] for limit in LIMITS] + [lambda image: image[2]]
    for row, proposals_of in enumerate(sets):
        expected, number = plain_mean(written, proposals_of, measure, *bounds)
        assert total.mean[row, column] == pytest.approx(expected, abs=1e-9)
        assert total.images[column] == number
    assert 0 < total.mean[0, column] <= total.mean[2, column] < 1
