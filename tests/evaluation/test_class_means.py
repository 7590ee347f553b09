import numpy as np
import pytest

from factories import CATEGORIES, quality
from jsisnet.evaluation.class_means import class_means
from jsisnet.evaluation.panoptic_quality import summary


def test_means_are_over_the_classes_that_are_seen():
    sums = np.array([[1.5, 0, 0], [2, 0, 0], [2, 1, 0], [0, 0, 0]])
    groups = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1]], bool)

    pq, sq, rq = class_means(sums, groups)

    assert pq == pytest.approx([0.25, 0.5, np.nan], nan_ok=True)
    assert sq == pytest.approx([0.375, 0.75, np.nan], nan_ok=True)
    assert rq == pytest.approx([1 / 3, 2 / 3, np.nan], nan_ok=True)


def test_they_are_those_of_the_summary():
    sums = quality(person=(0.75, 1, 2, 0), bus=(0.0, 0, 0, 3), sky=(2.5, 3, 0, 1))
    things = np.array([category.isthing for category in CATEGORIES])
    groups = np.stack([np.ones_like(things), things, ~things])

    means = class_means(np.stack([sums.iou, sums.tp, sums.fp, sums.fn]), groups)

    expected = summary(sums, CATEGORIES)
    for name, values in zip(("all", "things", "stuff"), 100 * means.T, strict=True):
        assert values.tolist() == pytest.approx([expected[name][key] for key in ("pq", "sq", "rq")])


def test_many_sums_are_taken_at_once():
    sums = np.random.default_rng(0).integers(0, 3, (5, 2, 4, 3)).astype(float)
    groups = np.array([[1, 1, 0], [0, 0, 1]], bool)

    means = class_means(sums, groups)

    assert means.shape == (5, 2, 3, 2)
    np.testing.assert_array_equal(means[3, 1], class_means(sums[3, 1], groups))
