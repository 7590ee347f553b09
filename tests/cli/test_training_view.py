import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from jsisnet.cli import training_view as module
from jsisnet.cli.training_view import Bar, Lines, duration, figures, progress_callback, quality
from jsisnet.training.callbacks import Callback, Pace
from jsisnet.training.config import TrainConfig
from jsisnet.training.loop import StepReport

CONFIG = TrainConfig(steps=10, batch_size=2, log_every=4)
RESULT = {"all": {"pq": 12.345}, "things": {"pq": None}, "stuff": {"pq": 3.0}}
TERMS = ("rpn_objectness", "rpn_boxes", "classes", "boxes", "masks", "semantic", "l2")


def report(step):
    terms = {"classes": 0.25, "masks": 0.5}
    return StepReport(step=step, terms=terms, total=0.75, gradient=1.0, lr=0.01, memory=812.3)


def train(callback, *, steps=10):
    """Call the hooks of the last eight steps of a training and an evaluation."""
    callback.on_train_start(steps - 8, steps)
    for step in range(steps - 7, steps + 1):
        callback.on_step_end(report(step))
    for done in range(1, 4):
        callback.on_image_evaluated(done, 3)
    callback.on_evaluation_end(steps, RESULT)
    callback.on_pictures(steps, {"street.jpg": np.zeros((2, 3, 3), np.uint8)})
    callback.on_train_end(finished=True)


def shown(bar, width):
    """Return the lines shown by a terminal of this width."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(bar.live.get_renderable())
    return captured.get().splitlines()


def test_a_step_has_its_pace_and_loss_and_terms_and_gradient_and_rate_and_memory():
    assert figures(report(1), Pace(CONFIG)) == {
        "photos/s": "-",
        "loss": "0.7500",
        "classes": "0.2500",
        "masks": "0.5000",
        "gradient": "1",
        "lr": "0.01",
        "memory": "812 MB",
    }


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_figures_that_are_not_finite_are_shown(value):
    broken = replace(report(1), terms={"classes": value}, total=value, gradient=value)

    assert figures(broken, Pace(CONFIG))["gradient"] == str(value)


def test_quality_that_does_not_exist_is_a_dash():
    result = RESULT | {"stuff": {"pq": math.nan}}

    assert quality(5, RESULT) == "PQ after step 5: all 12.35, things -, stuff 3.00"
    assert quality(5, result) == "PQ after step 5: all 12.35, things -, stuff -"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (0.2, "0:00:00"),
        (3 * 3600 + 4 * 60 + 5.4, "3:04:05"),
        (24 * 3600.0, "1 d 0 h"),
        (1e12, "11574074 d 2 h"),
    ],
)
def test_times_are_in_seconds_and_long_ones_in_hours(seconds, text):
    assert duration(seconds) == text


def test_without_a_terminal_a_line_is_printed_at_intervals_of_steps(capsys):
    callback = progress_callback(CONFIG)
    train(callback)

    assert isinstance(callback, Lines)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == ["step 4/10", "step 8/10", "step 10/10"]
    assert lines[0].split("  ")[1] == "0:00:00 left"
    assert lines[0].split("  ")[3:6] == ["loss 0.7500", "classes 0.2500", "masks 0.5000"]
    assert lines[-1] == quality(10, RESULT)


def test_without_a_terminal_a_long_evaluation_prints_a_line_a_minute(capsys, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    lines = Lines(CONFIG)
    for done in range(1, 101):
        lines.on_image_evaluated(done, 100)
        clock.now += 1.5

    assert capsys.readouterr().out.splitlines() == [
        "evaluating: 41 of 100 photos  0:01:28 left",
        "evaluating: 81 of 100 photos  0:00:28 left",
    ]


def test_a_terminal_keeps_the_last_step_and_quality(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    callback = progress_callback(CONFIG)
    train(callback)

    assert isinstance(callback, Bar)
    text = capsys.readouterr().out
    assert "10/10" in text
    assert "loss 0.7500" in text
    assert quality(10, RESULT) in text


def test_a_terminal_shows_nothing_before_the_training_begins(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    callback = progress_callback(CONFIG)
    callback.on_train_end(finished=False)

    assert isinstance(callback, Bar)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_an_evaluation_has_a_bar_as_long_as_it_lasts():
    bar = Bar(CONFIG)
    bar.on_image_evaluated(1, 3)
    bar.on_image_evaluated(2, 3)
    during = shown(bar, 80)
    bar.on_image_evaluated(3, 3)

    assert any(line.startswith("evaluating ") and " 2/3 " in line for line in during)
    assert not any("evaluating" in line for line in shown(bar, 80))


@pytest.mark.parametrize("steps", [10, 189_264, 10**9])
def test_on_a_terminal_of_80_columns_no_figure_is_broken(steps):
    bar = Bar(TrainConfig(steps=steps))
    bar.pace.start(0, steps)
    bar.training.update(bar.step, total=steps)
    terms = dict.fromkeys(TERMS, 12345.6789)
    wide = replace(report(2), terms=terms, total=math.inf, gradient=1.2345e-30, lr=1e-7)
    bar.on_step_end(report(1))
    bar.on_step_end(wide)
    bar.on_image_evaluated(1234, 5000)
    bar.on_evaluation_end(2, RESULT)

    lines = shown(bar, 80)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 8
    assert lines[0].startswith("step ")
    assert f" 2/{steps} " in lines[0]
    assert lines[0].endswith(" left")
    assert lines[-1] == quality(2, RESULT)
    text = "\n".join(lines)
    assert all(f"{name} {value}" in text for name, value in figures(wide, bar.pace).items())


@pytest.mark.parametrize("kind", [Bar, Lines])
def test_both_views_are_callbacks(kind):
    assert isinstance(kind(CONFIG), Callback)
