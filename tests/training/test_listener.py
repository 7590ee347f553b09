from types import SimpleNamespace

import pytest

from jsisnet.training import listener as module
from jsisnet.training.config import TrainConfig
from jsisnet.training.listener import Pace


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def begun(clock, step=0, *, steps=100, every=0):
    """Give a pace that has heard of one step, which took a minute."""
    pace = Pace(TrainConfig(steps=steps, batch_size=6, evaluate_every=every))
    pace.begun(step, steps)
    clock.now += 60
    pace.stepped(step + 1)
    return pace


def go(pace, clock, *steps, seconds=2):
    for step in steps:
        clock.now += seconds
        pace.stepped(step)


def test_nothing_is_known_before_a_second_step(clock):
    pace = begun(clock)

    assert pace.photos_per_second is None
    assert pace.seconds_left is None


def test_the_first_step_does_not_count_as_it_waits_for_the_first_photos(clock):
    pace = begun(clock)
    go(pace, clock, 2, 3)

    assert pace.photos_per_second == 3
    assert pace.seconds_left == 97 * 2


def test_a_resumed_training_is_measured_from_where_it_goes_on(clock):
    pace = begun(clock, step=90)
    go(pace, clock, 92)

    assert pace.seconds_left == 8 * 2


def test_an_evaluation_is_no_step_but_belongs_to_the_time_left(clock):
    pace = begun(clock, every=10)
    go(pace, clock, *range(2, 11))
    clock.now += 500
    pace.paused()
    clock.now += 20
    pace.paused()
    go(pace, clock, 11)

    assert pace.photos_per_second == 3
    assert pace.seconds_left == 89 * 2 + 9 * 520


@pytest.mark.parametrize(
    ("step", "every", "evaluations"),
    [(1, 0, 1), (10, 0, 1), (3, 4, 3), (4, 4, 3), (5, 4, 2), (9, 4, 1), (10, 4, 1), (5, 5, 2)],
)
def test_the_evaluation_after_a_step_and_those_to_come_are_counted(clock, step, every, evaluations):
    pace = Pace(TrainConfig(steps=10, evaluate_every=every))
    pace.begun(step - 2, 10)
    clock.now += 100
    pace.paused()
    pace.stepped(step - 1)
    pace.stepped(step)

    assert pace.seconds_left == evaluations * 100


def test_an_evaluation_before_the_first_step_is_measured(clock):
    pace = Pace(TrainConfig(steps=10))
    pace.begun(4, 10)
    clock.now += 30
    pace.paused()
    go(pace, clock, 5, seconds=60)
    go(pace, clock, 6)

    assert pace.seconds_left == 4 * 2 + 30


def test_only_the_last_steps_count(clock):
    pace = begun(clock, steps=1000)
    go(pace, clock, *range(2, 50), seconds=9)
    go(pace, clock, *range(50, 150))

    assert pace.photos_per_second == 3


def test_steps_that_take_no_time_have_no_pace(clock):
    pace = begun(clock)
    go(pace, clock, 2, seconds=0)

    assert pace.photos_per_second is None
    assert pace.seconds_left == 0
