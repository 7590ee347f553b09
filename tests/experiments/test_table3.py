import pytest

from jsisnet.experiments.table3 import Spread


def test_a_spread_is_the_mean_and_the_deviation_of_a_sample():
    spread = Spread.of([1.0, 2.0, 3.0])

    assert spread == Spread(mean=2.0, deviation=1.0)


def test_missing_values_are_left_out():
    assert Spread.of([None, 4.0]) == Spread(mean=4.0, deviation=0.0)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_values_there_is_no_spread(values):
    assert Spread.of(values) is None
