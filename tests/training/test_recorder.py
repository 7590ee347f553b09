import math
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from jsisnet.data.dataset import DataConfig
from jsisnet.training import tracking as module
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.listener import Listener
from jsisnet.training.loop import StepReport
from jsisnet.training.tracking import Recorder, recording

CONFIG = RunConfig(
    data=DataConfig(images="photos", annotations="photos.json"),
    train=TrainConfig(steps=5, batch_size=2, log_every=2),
)
FULL = OSError(28, "No space left on device")


class Notes:
    """A record in lists, which may break."""

    def __init__(self, breaks="", error=FULL):
        self.breaks = breaks
        self.error = error
        self.heard = []

    def begin(self, step):
        self._hear("begin", step)

    def numbers(self, step, values):
        self._hear("numbers", step, values)

    def pictures(self, step, pictures):
        self._hear("pictures", step, list(pictures))

    def end(self, *, finished):
        self._hear("end", finished)

    def _hear(self, *what):
        if what[0] == self.breaks:
            raise self.error
        self.heard.append(what)


def recorder(record, warnings):
    return Recorder("notes", record, CONFIG.train, warnings.append)


def report(step, gradient=3.0):
    return StepReport(
        step=step,
        terms={"classes": 0.25, "masks": 0.5},
        total=0.75,
        gradient=gradient,
        lr=0.5,
        memory=800.0,
    )


def train(listener):
    """Tell of a training of five steps and one evaluation."""
    listener.begun(0, 5)
    for step in range(1, 6):
        listener.stepped(report(step))
    listener.evaluating(1, 1)
    listener.evaluated(5, {"all": {"pq": 50.0}})
    listener.pictured(5, {"street.jpg": np.zeros((2, 3, 3), np.uint8)})
    listener.end(finished=True)


def test_it_listens_to_the_trainer():
    assert isinstance(recorder(Notes(), []), Listener)


def test_every_so_many_steps_and_the_last_one_are_recorded():
    notes, warnings = Notes(), []
    train(recorder(notes, warnings))

    assert [heard[:2] for heard in notes.heard] == [
        ("begin", 0),
        *(("numbers", step) for step in (2, 4, 5, 5)),
        ("pictures", 5),
        ("end", True),
    ]
    assert warnings == []


def test_the_figures_of_a_step_are_named():
    notes = Notes()
    train(recorder(notes, []))

    numbers = notes.heard[1][2]
    assert numbers.pop("train/photos_per_second") > 0
    assert numbers == {
        "loss/total": 0.75,
        "loss/classes": 0.25,
        "loss/masks": 0.5,
        "train/gradient": 3.0,
        "train/lr": 0.5,
        "train/memory": 800.0,
    }


def test_of_a_result_every_finite_number_is_recorded_but_no_list():
    notes = Notes()
    result = {
        "all": {"pq": 50.0, "n": 3},
        "things": {"pq": None, "sq": math.nan},
        "miou": 40.0,
        "classes": [{"name": "car", "pq": 1.0}],
    }
    recorder(notes, []).evaluated(7, result)

    numbers = {"validation/all/pq": 50.0, "validation/all/n": 3.0, "validation/miou": 40.0}
    assert notes.heard == [("numbers", 7, numbers)]


def test_an_infinite_gradient_is_left_out():
    notes = Notes()
    recorder(notes, []).stepped(report(2, gradient=math.inf))

    assert "train/gradient" not in notes.heard[0][2]


def test_pictures_have_numbers_and_plain_names():
    notes = Notes()
    picture = np.zeros((2, 3, 3), np.uint8)
    recorder(notes, []).pictured(1, {"../町 1.jpg": picture, "aachen/street_2.png": picture})

    names = ["photos/1 ..___1.jpg", "photos/2 aachen_street_2.png"]
    assert notes.heard == [("pictures", 1, names)]


@pytest.mark.parametrize("moment", ["begin", "numbers", "pictures", "end"])
def test_a_record_that_fails_is_dropped_with_one_sentence(moment):
    notes, warnings = Notes(breaks=moment), []
    train(recorder(notes, warnings))

    assert len(warnings) == 1
    assert warnings[0].startswith("notes: recording failed, and the training goes on without it (")
    assert "No space left on device" in warnings[0]
    assert moment not in [heard[0] for heard in notes.heard]
    assert notes.heard[-1:] != [("end", True)]


def test_stopping_the_training_is_no_failure_of_the_record():
    warnings = []
    listener = recorder(Notes(breaks="numbers", error=KeyboardInterrupt()), warnings)

    with pytest.raises(KeyboardInterrupt):
        train(listener)

    assert warnings == []


def test_a_record_hears_whether_the_training_was_stopped(monkeypatch, tmp_path):
    notes = Notes()
    monkeypatch.setitem(module._RECORDS, "tensorboard", lambda *_: notes)

    def stopped():
        with recording(("tensorboard",), CONFIG, tmp_path, print) as (listener,):
            listener.begun(0, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert notes.heard == [("begin", 0), ("end", False)]


def test_a_training_that_never_began_leaves_no_record(tmp_path):
    with (
        pytest.raises(ValueError, match="photos"),
        recording(("tensorboard",), CONFIG, tmp_path, print),
    ):
        raise ValueError("no photos")

    assert list(tmp_path.iterdir()) == []


def test_each_library_records_once_however_often_it_is_named(tmp_path):
    with recording(("tensorboard", "tensorboard"), CONFIG, tmp_path, print) as recorders:
        assert [recorder.name for recorder in recorders] == ["tensorboard"]


@pytest.mark.parametrize("found", [None, ModuleSpec("wandb", None)])
def test_a_library_that_is_not_installed_is_refused_at_once(monkeypatch, tmp_path, found):
    monkeypatch.setattr(module, "find_spec", lambda _: found)

    with (
        pytest.raises(ValueError, match=r"--track wandb .*: pip install 'jsisnet\[wandb\]'$"),
        recording(("wandb",), CONFIG, tmp_path, print),
    ):
        pytest.fail("the training began")
