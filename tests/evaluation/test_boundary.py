"""Boundaries and boundary PQ against plain loops."""

import math
from itertools import product

import numpy as np
import pytest

from jsisnet.evaluation.boundary import INTERIOR, boundaries
from jsisnet.evaluation.matching import match_overlap
from jsisnet.evaluation.overlap import overlap_of_ids
from jsisnet.evaluation.panoptic_quality import quality_of

SIZE = (20, 26)
LABELS = 4
WIDE, REACH = 0.03, 1
"""Width of the boundaries of maps of this size, as a fraction of the diagonal and in pixels."""


def blobs(seed, segments, size=SIZE):
    """Return a map of random regions, with ids from 0 on."""
    random = np.random.default_rng(seed)
    points = random.uniform(0, 1, (segments, 2)) * size
    grid = np.stack(np.mgrid[: size[0], : size[1]], axis=-1)
    return np.linalg.norm(grid[:, :, None] - points, axis=-1).argmin(-1).astype(np.uint32)


def moved(ids, seed):
    """Return a map that differs along some outlines."""
    random = np.random.default_rng(seed)
    shifted = np.roll(ids, random.integers(-2, 3, 2), (0, 1))
    return np.where(blobs(seed + 100, 5) < 2, ids, shifted)


def edge(mask, reach):
    """Return the pixels of a mask whose square leaves the mask or the image."""
    height, width = mask.shape
    found = set()
    for y, x in np.argwhere(mask).tolist():
        square = product(range(y - reach, y + reach + 1), range(x - reach, x + reach + 1))
        if not all(0 <= r < height and 0 <= c < width and mask[r, c] for r, c in square):
            found.add((y, x))
    return found


def test_boundary_pixels_are_near_another_segment_or_the_edge():
    ids = np.array([[1, 1, 1, 1, 2, 2, 2]] * 5, np.uint32)

    kept = boundaries(ids, 0.01)

    inside = INTERIOR
    assert kept.tolist() == [
        [1, 1, 1, 1, 2, 2, 2],
        [1, inside, inside, 1, 2, inside, 2],
        [1, inside, inside, 1, 2, inside, 2],
        [1, inside, inside, 1, 2, inside, 2],
        [1, 1, 1, 1, 2, 2, 2],
    ]


def test_void_has_no_interior():
    assert not boundaries(np.zeros((5, 5), np.uint32)).any()


def test_the_width_of_a_boundary_is_a_fraction_of_the_diagonal():
    kept = boundaries(np.ones((300, 400), np.uint32))

    # 2 % of 500 pixels.
    assert (kept[10:-10, 10:-10] == INTERIOR).all()
    assert (kept == 1).sum() == 300 * 400 - 280 * 380


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (1, 30), (2, 9), (3, 3), (7, 5), SIZE])
@pytest.mark.parametrize("width", [0.001, 0.06, 0.1, 0.5])
def test_boundaries_equal_those_of_a_plain_loop(size, width):
    ids = blobs(3, 6, size)
    reach = max(1, round(width * math.hypot(*size)))

    kept = boundaries(ids, width)

    expected = np.full(size, INTERIOR)
    expected[ids == 0] = 0
    for number in range(1, 6):
        for place in edge(ids == number, reach):
            expected[place] = number
    assert kept.tolist() == expected.tolist()


def overlaps(truth, prediction, width):
    """Count the shared pixels of whole segments and of their boundaries."""
    numbers = [np.setdiff1d(ids, 0).astype(np.int64) for ids in (truth, prediction)]
    edges = boundaries(truth, width), boundaries(prediction, width)
    return overlap_of_ids([(truth, prediction)], *numbers), overlap_of_ids([edges], *numbers)


@pytest.mark.parametrize("seed", range(4))
def test_the_boundary_iou_is_that_of_the_boundary_pixels(seed):
    truth = blobs(seed, 5) + np.uint32(1)
    prediction = moved(truth, seed)

    _, boundary = overlaps(truth, prediction, WIDE)

    for i, j in product(range(5), repeat=2):
        one, other = edge(truth == i + 1, REACH), edge(prediction == j + 1, REACH)
        assert boundary.iou[i, j] == pytest.approx(len(one & other) / len(one | other))


def plainly(truth, prediction, true_infos, infos, reach):
    """Count tp, fp, fn and IoU by class, pair by pair and pixel by pixel."""

    def pixels(ids, number):
        return {tuple(place) for place in np.argwhere(ids == number).tolist()}

    void = pixels(truth, 0)
    result = {label: [0.0, 0, 0, 0] for label in range(LABELS)}
    used, hit = set(), set()
    for (i, (label, crowd)), (j, other) in product(true_infos.items(), infos.items()):
        if crowd or label != other:
            continue
        one, two = pixels(truth, i), pixels(prediction, j)
        first, second = edge(truth == i, reach), edge(prediction == j, reach)
        whole = len(one & two) / (len(one) + len(two) - len(one & two) - len(two & void))
        union = len(first) + len(second) - len(first & second) - len(second & void)
        iou = min(whole, len(first & second) / union if union else 0.0)
        if iou > 0.5:
            result[label][0] += iou
            result[label][1] += 1
            hit.add(i)
            used.add(j)
    for i, (label, crowd) in true_infos.items():
        result[label][3] += i not in hit and not crowd
    for j, label in infos.items():
        found = pixels(prediction, j)
        last = [i for i, info in true_infos.items() if info == (label, True)][-1:]
        ignored = len(found & void) + sum(len(found & pixels(truth, i)) for i in last)
        result[label][2] += j not in used and ignored <= len(found) / 2
    return result


def example(seed):
    """Return a random pair of maps, the classes of their segments, and which are crowds."""
    random = np.random.default_rng(seed)
    truth = blobs(seed, 10)
    prediction = moved(truth, seed)
    true_labels = random.integers(0, LABELS, 9)
    iscrowd = random.random(9) < 0.25
    labels = np.where(random.random(9) < 0.8, true_labels, 0)
    present = np.setdiff1d(prediction, 0).astype(np.int64)
    return (
        truth,
        prediction,
        true_labels,
        iscrowd,
        dict(zip(present, labels[present - 1], strict=True)),
    )


def judged(seed, *, by_boundary=True):
    truth, prediction, true_labels, iscrowd, infos = example(seed)
    whole, boundary = overlaps(truth, prediction, WIDE)
    return match_overlap(
        whole,
        true_labels=true_labels,
        iscrowd=iscrowd,
        labels=np.array(list(infos.values())),
        scores=np.full(len(infos), np.nan),
        boundary=boundary if by_boundary else None,
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_sums_equal_those_of_plain_loops(seed):
    quality = quality_of(judged(seed), LABELS)

    truth, prediction, true_labels, iscrowd, infos = example(seed)
    true_infos = dict(enumerate(zip(true_labels, iscrowd, strict=True), 1))
    expected = plainly(truth, prediction, true_infos, infos, REACH)
    sums = np.stack([quality.iou, quality.tp, quality.fp, quality.fn], axis=1)
    assert sums.tolist() == [pytest.approx(row) for row in expected.values()]


def test_the_random_maps_cover_every_case():
    by_boundary = [judged(seed) for seed in range(25)]
    by_area = [judged(seed, by_boundary=False) for seed in range(25)]

    matches = [sum((each.iou > 0).sum() for each in group) for group in (by_boundary, by_area)]
    assert 20 < matches[0] < matches[1] - 20
    assert sum(each.ignored.sum() for each in by_boundary) > 20
    assert sum(each.overlap.void.any() for each in by_boundary) > 10
    assert sum(each.false_positives.sum() for each in by_boundary) > 20
