import numpy as np
import pytest

from jsisnet.evaluation import compare
from jsisnet.evaluation.compare import MIN_IMAGES, bootstrap
from jsisnet.evaluation.panoptic_quality import class_means

ONE = np.ones((1, 1), bool)
"""One group with the only class."""


def images(*rows):
    """Return sums of images with one class: IoU, tp, fp, fn."""
    return np.array(rows, np.float64)[:, :, None]


def found(random, share, number):
    """Return images with one true segment, matched with this probability and an IoU around 0.8."""
    hits = random.random(number) < share
    iou = hits * random.uniform(0.7, 0.9, number)
    return np.stack([iou, hits, np.zeros(number), ~hits], axis=1)[:, :, None]


def test_both_results_are_measured_on_all_images():
    first, second = images((1, 1, 0, 0), (0, 0, 0, 1)), images((1, 1, 0, 0), (0.5, 1, 0, 0))

    result = bootstrap(first, second, ONE)

    assert result.first[:, 0] == pytest.approx([2 / 3, 1, 2 / 3])
    assert result.second[:, 0] == pytest.approx([0.75, 0.75, 1])
    assert result.images.tolist() == [2]


def test_every_sample_measures_both_results_on_the_same_images():
    random = np.random.default_rng(1)
    first, second = found(random, 0.4, 8), found(random, 0.6, 8)

    result = bootstrap(first, second, ONE, samples=50, seed=3)

    drawn = []
    for weights in np.random.default_rng(3).multinomial(8, [1 / 8] * 8, 50):
        chosen = np.repeat(np.arange(8), weights)
        one, other = (class_means(sums[chosen].sum(0), ONE)[:, 0] for sums in (first, second))
        drawn.append(other - one)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    assert result.low[:, 0] == pytest.approx(low)
    assert result.high[:, 0] == pytest.approx(high)
    assert result.better[:, 0] == pytest.approx((np.array(drawn) > 0).mean(0))


def test_equal_results_have_an_interval_of_zero_width():
    sums = found(np.random.default_rng(0), 0.5, 30)

    result = bootstrap(sums, sums.copy(), ONE)

    assert result.low.tolist() == result.high.tolist() == result.better.tolist() == [[0.0]] * 3


def test_a_result_that_is_better_on_each_image_is_better_in_every_sample():
    first, second = images(*[(0.6, 1, 0, 0)] * 9), images(*[(0.7, 1, 0, 0)] * 9)

    result = bootstrap(first, second, ONE)

    assert result.better[0] == 1
    assert result.low[0] == pytest.approx(0.1)
    assert result.high[0] == pytest.approx(0.1)


@pytest.mark.parametrize("number", [1, MIN_IMAGES - 1, MIN_IMAGES])
def test_few_images_give_no_interval(number):
    nothing = np.zeros((20, 4, 1))
    first, second = nothing.copy(), nothing.copy()
    first[:number], second[:number] = images((0, 0, 0, 1)), images((0.8, 1, 0, 0))

    result = bootstrap(first, second, ONE)

    assert result.second[0] - result.first[0] == pytest.approx(0.8)
    assert result.images.tolist() == [number]
    assert np.isnan(result.low).all() == np.isnan(result.better).all() == (number < MIN_IMAGES)


def test_samples_without_the_class_do_not_enter_its_interval():
    first, second = np.zeros((40, 4, 1)), np.zeros((40, 4, 1))
    first[:MIN_IMAGES], second[:MIN_IMAGES] = images((0.6, 1, 0, 0)), images((0.7, 1, 0, 0))

    result = bootstrap(first, second, ONE)

    assert result.low[0] == pytest.approx(0.1)
    assert result.better[0] == 1


def test_classes_that_no_image_shows_have_no_values():
    result = bootstrap(np.zeros((9, 4, 2)), np.zeros((9, 4, 2)), np.eye(2, dtype=bool))

    assert np.isnan([result.first, result.second, result.low, result.high, result.better]).all()
    assert result.images.tolist() == [0, 0]


def test_the_chunk_size_does_not_change_the_intervals(monkeypatch):
    random = np.random.default_rng(0)
    first, second = found(random, 0.5, 20), found(random, 0.5, 20)

    whole = bootstrap(first, second, ONE)
    monkeypatch.setattr(compare, "_CHUNK", 70)
    parts = bootstrap(first, second, ONE)

    assert parts.low.tolist() == whole.low.tolist()
    assert parts.high.tolist() == whole.high.tolist()


def test_the_seed_decides_the_samples():
    random = np.random.default_rng(0)
    first, second = found(random, 0.5, 20), found(random, 0.5, 20)

    one, same, other = (bootstrap(first, second, ONE, seed=seed) for seed in (1, 1, 2))

    assert one.low.tolist() == same.low.tolist() != other.low.tolist()


def test_about_95_of_100_intervals_hold_the_true_difference():
    random = np.random.default_rng(0)
    # With one true segment an image PQ is 0.8 p / (p + (1 - p) / 2) where p is the share matched.
    true = 0.8 * (0.7 / 0.85 - 0.5 / 0.75)

    held = 0
    for seed in range(300):
        first, second = found(random, 0.5, 60), found(random, 0.7, 60)
        result = bootstrap(first, second, ONE, samples=200, seed=seed)
        held += int(result.low[0, 0] <= true <= result.high[0, 0])

    assert 0.92 * 300 <= held <= 0.98 * 300
