import math
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from jsisnet.formats.dataset import DataConfig
from jsisnet.training import loggers as module
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.loggers import LoggerCallback, logger_callbacks
from jsisnet.training.loop import StepReport

CONFIG = RunConfig(
    data=DataConfig(images="photos", annotations="photos.json"),
    train=TrainConfig(steps=5, batch_size=2, log_every=2),
)
FULL = OSError(28, "No space left on device")


class ListLogger:
    """Logger that keeps its calls in a list, and may raise in one of them."""

    def __init__(self, fails_in="", error=FULL):
        self.fails_in = fails_in
        self.error = error
        self.calls = []

    def start(self, step):
        self._add("start", step)

    def log_metrics(self, step, values):
        self._add("log_metrics", step, values)

    def log_pictures(self, step, pictures):
        self._add("log_pictures", step, list(pictures))

    def finish(self, *, finished):
        self._add("finish", finished)

    def _add(self, *call):
        if call[0] == self.fails_in:
            raise self.error
        self.calls.append(call)


def callback_for(logger):
    return LoggerCallback("list", logger, CONFIG.train)


def report(step, gradient=3.0):
    return StepReport(
        step=step,
        terms={"classes": 0.25, "masks": 0.5},
        total=0.75,
        gradient=gradient,
        lr=0.5,
        memory=800.0,
    )


def train(callback):
    """Call the hooks of a training of five steps and one evaluation."""
    callback.on_train_start(0, 5)
    for step in range(1, 6):
        callback.on_step_end(report(step))
    callback.on_image_evaluated(1, 1)
    callback.on_evaluation_end(5, {"all": {"pq": 50.0}})
    callback.on_pictures(5, {"street.jpg": np.zeros((2, 3, 3), np.uint8)})
    callback.on_train_end(finished=True)


def test_steps_are_logged_at_intervals_and_at_the_end(caplog):
    logger = ListLogger()
    train(callback_for(logger))

    assert [call[:2] for call in logger.calls] == [
        ("start", 0),
        *(("log_metrics", step) for step in (2, 4, 5, 5)),
        ("log_pictures", 5),
        ("finish", True),
    ]
    assert caplog.messages == []


def test_the_metrics_of_a_step_are_named():
    logger = ListLogger()
    train(callback_for(logger))

    metrics = logger.calls[1][2]
    assert metrics.pop("train/photos_per_second") > 0
    assert metrics == {
        "loss/total": 0.75,
        "loss/classes": 0.25,
        "loss/masks": 0.5,
        "train/gradient": 3.0,
        "train/lr": 0.5,
        "train/memory": 800.0,
    }


def test_the_finite_numbers_of_a_result_are_logged_without_its_lists():
    logger = ListLogger()
    result = {
        "all": {"pq": 50.0, "n": 3},
        "things": {"pq": None, "sq": math.nan},
        "miou": 40.0,
        "classes": [{"name": "car", "pq": 1.0}],
    }
    callback_for(logger).on_evaluation_end(7, result)

    metrics = {"validation/all/pq": 50.0, "validation/all/n": 3.0, "validation/miou": 40.0}
    assert logger.calls == [("log_metrics", 7, metrics)]


def test_an_infinite_gradient_is_not_logged():
    logger = ListLogger()
    callback_for(logger).on_step_end(report(2, gradient=math.inf))

    assert "train/gradient" not in logger.calls[0][2]


def test_pictures_have_numbers_and_plain_names():
    logger = ListLogger()
    picture = np.zeros((2, 3, 3), np.uint8)
    callback_for(logger).on_pictures(1, {"../町 1.jpg": picture, "aachen/street_2.png": picture})

    names = ["photos/1 ..___1.jpg", "photos/2 aachen_street_2.png"]
    assert logger.calls == [("log_pictures", 1, names)]


@pytest.mark.parametrize("call", ["start", "log_metrics", "log_pictures", "finish"])
def test_a_logger_that_fails_is_dropped_with_one_warning(call, caplog):
    logger = ListLogger(fails_in=call)
    train(callback_for(logger))

    (message,) = caplog.messages
    assert message.startswith("list: logging failed; the training continues without it (")
    assert "No space left on device" in message
    assert call not in [made[0] for made in logger.calls]
    assert logger.calls[-1:] != [("finish", True)]


def test_an_interrupt_is_not_a_failure_of_the_logger(caplog):
    callback = callback_for(ListLogger(fails_in="log_metrics", error=KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        train(callback)

    assert caplog.messages == []


def test_a_logger_receives_whether_the_training_was_stopped():
    logger = ListLogger()
    callback = callback_for(logger)
    callback.on_train_start(0, 5)
    callback.on_train_end(finished=False)

    assert logger.calls == [("start", 0), ("finish", False)]


def test_a_training_that_never_started_leaves_no_run(tmp_path):
    (callback,) = logger_callbacks(("tensorboard",), CONFIG, tmp_path)
    callback.on_train_end(finished=False)

    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_named_twice_logs_once(tmp_path):
    callbacks = logger_callbacks(("tensorboard", "tensorboard"), CONFIG, tmp_path)

    assert [callback.name for callback in callbacks] == ["tensorboard"]


@pytest.mark.parametrize("found", [None, ModuleSpec("wandb", None)])
def test_a_library_that_is_not_installed_is_refused_at_once(monkeypatch, tmp_path, found):
    monkeypatch.setattr(module, "find_spec", lambda _: found)

    with pytest.raises(ValueError, match=r"--track wandb .*: pip install 'jsisnet\[wandb\]'$"):
        logger_callbacks(("wandb",), CONFIG, tmp_path)
