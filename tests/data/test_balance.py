from collections import Counter
from dataclasses import replace
from math import ceil, floor, sqrt

import numpy as np
import pytest

import factories
from jsisnet.data.balance import Repeats, inverse_sqrt_weights, repeat_factors
from jsisnet.data.sources import Part, Sources
from jsisnet.data.stream import _first_turn, sample_index
from jsisnet.formats.dataset import DataConfig

COMMON, RARE, ABSENT = range(3)

PRESENT = np.array([[1, 0, 0]] * 7 + [[1, 1, 0]] + [[0, 0, 0]], bool)
"""Nine photos: eight with the common class, one of them with the rare one, and an empty one."""


def test_a_photo_is_repeated_by_the_rule_of_lvis():
    factors = repeat_factors(PRESENT, 0.5)

    expected = [1.0] * 7 + [sqrt(0.5 / (1 / 9)), 1.0]
    assert factors.tolist() == pytest.approx(expected)
    assert repeat_factors(PRESENT, 1e-9).tolist() == [1.0] * 9


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_each_photo_is_seen_exactly_as_often_as_its_factor_says(passes):
    repeats = Repeats(np.array([1.0, 2.25, 1.5, 3.0]))
    part = Part(length=4, repeats=repeats)
    length = _first_turn(passes, repeats, 0, 5)

    seen = Counter(sample_index(position, (part,), 5) for position in range(length))

    assert part.share == 8
    for photo, factor in enumerate(repeats.factors):
        assert seen[photo] in (floor(passes * factor), ceil(passes * factor))


def test_repeated_photos_are_found_in_any_order_and_with_the_expected_frequency():
    repeats = Repeats(np.array([1.0, 2.25, 1.5, 1.0]))
    part = Part(length=4, repeats=repeats)
    sequence = [sample_index(position, (part,), 1) for position in range(4000)]

    counts = np.bincount(sequence, minlength=4)

    assert counts == pytest.approx(4000 * repeats.factors / repeats.total, abs=4)
    backwards = [sample_index(position, (part,), 1) for position in reversed(range(4000))]
    assert backwards[::-1] == sequence


def test_factors_of_one_see_each_photo_once_in_a_pass():
    part = Part(length=5, repeats=Repeats(np.ones(5)))

    for run in range(40):
        photos = [sample_index(5 * run + place, (part,), 3) for place in range(5)]
        assert sorted(photos) == list(range(5))


def test_repeats_and_pixels_are_counted_in_the_data(tiny):
    photos = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    maps = [factories.tiny_map(index) for index in range(6)]
    present = np.array([np.isin(range(6), list({s.label for s in m.segments})) for m in maps])

    (plain,) = Sources([photos]).parts
    (part,) = Sources([replace(photos, repeat_threshold=0.9)]).parts
    pixels = Sources([photos]).class_pixels()

    assert plain.repeats is None
    assert part.repeats.factors.tolist() == repeat_factors(present, 0.9).tolist()
    labels = np.concatenate([panoptic.labels().ravel() for panoptic in maps])
    assert pixels.tolist() == np.bincount(labels[labels < 6], minlength=6).tolist()


def test_weights_are_the_inverse_root_of_the_pixels_with_a_mean_of_one():
    pixels = np.array([900, 100, 0])

    common, rare, absent = inverse_sqrt_weights(pixels)

    assert rare / common == pytest.approx(3)
    assert (900 * common + 100 * rare) / 1000 == pytest.approx(1)
    assert absent == 1
    assert inverse_sqrt_weights(np.zeros(2, np.int64)) == (1, 1)
