from types import SimpleNamespace

import pytest

from jsisnet.training import callbacks as module
from jsisnet.training.callbacks import Pace
from jsisnet.training.config import TrainConfig


class Clock:
    """Clock that the test advances."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def started(clock, step=0, *, steps=100, every=0):
    """Return a pace after one step that took a minute."""
    pace = Pace(TrainConfig(steps=steps, batch_size=6, evaluate_every=every))
    pace.start(step, steps)
    clock.now += 60
    pace.step_ended(step + 1)
    return pace


def run_steps(pace, clock, *steps, seconds=2):
    for step in steps:
        clock.now += seconds
        pace.step_ended(step)


def test_the_pace_is_unknown_before_the_second_step(clock):
    pace = started(clock)

    assert pace.photos_per_second is None
    assert pace.seconds_left is None


def test_the_first_step_is_not_timed_as_it_waits_for_the_data_loader(clock):
    pace = started(clock)
    run_steps(pace, clock, 2, 3)

    assert pace.photos_per_second == 3
    assert pace.seconds_left == 97 * 2


def test_the_time_left_of_a_resumed_training_is_that_of_its_remaining_steps(clock):
    pace = started(clock, step=90)
    run_steps(pace, clock, 92)

    assert pace.seconds_left == 8 * 2


def test_an_evaluation_counts_for_the_time_left_but_not_for_the_pace(clock):
    pace = started(clock, every=10)
    run_steps(pace, clock, *range(2, 11))
    clock.now += 500
    pace.pause_ended()
    clock.now += 20
    pace.pause_ended()
    run_steps(pace, clock, 11)

    assert pace.photos_per_second == 3
    assert pace.seconds_left == 89 * 2 + 9 * 520


@pytest.mark.parametrize(
    ("step", "every", "evaluations"),
    [(1, 0, 1), (10, 0, 1), (3, 4, 3), (4, 4, 3), (5, 4, 2), (9, 4, 1), (10, 4, 1), (5, 5, 2)],
)
def test_the_remaining_evaluations_include_the_one_after_the_current_step(
    clock, step, every, evaluations
):
    pace = Pace(TrainConfig(steps=10, evaluate_every=every))
    pace.start(step - 2, 10)
    clock.now += 100
    pace.pause_ended()
    pace.step_ended(step - 1)
    pace.step_ended(step)

    assert pace.seconds_left == evaluations * 100


def test_an_evaluation_before_the_first_step_is_timed(clock):
    pace = Pace(TrainConfig(steps=10))
    pace.start(4, 10)
    clock.now += 30
    pace.pause_ended()
    run_steps(pace, clock, 5, seconds=60)
    run_steps(pace, clock, 6)

    assert pace.seconds_left == 4 * 2 + 30


def test_the_pace_is_that_of_the_recent_steps(clock):
    pace = started(clock, steps=1000)
    run_steps(pace, clock, *range(2, 50), seconds=9)
    run_steps(pace, clock, *range(50, 150))

    assert pace.photos_per_second == 3


def test_steps_that_take_no_time_have_no_pace(clock):
    pace = started(clock)
    run_steps(pace, clock, 2, seconds=0)

    assert pace.photos_per_second is None
    assert pace.seconds_left == 0
