import json

import pytest

import training_runs
from jsisnet.cli.app import run


def test_a_logger_receives_the_metrics_of_the_training(trained, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = training_runs.write_config(tmp_path / "street.yaml", trained.data, steps=4)

    assert run(["train", str(config), "--out", str(tmp_path), "--track", "tensorboard"]) == 0

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = {entry["step"]: entry["total"] for entry in entries if "total" in entry}
    (quality,) = (entry["validation"]["all"]["pq"] for entry in entries if "validation" in entry)
    points = {point.step: point.value for point in events.Scalars("loss/total")}
    assert points == pytest.approx(losses)
    (point,) = events.Scalars("validation/all/pq")
    assert (point.step, point.value) == (4, pytest.approx(quality))
    assert len(events.Tags()["images"]) == 4


def test_a_library_that_is_not_installed_stops_the_training_before_it_begins(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("jsisnet.training.loggers.find_spec", lambda _: None)
    out = tmp_path / "run"

    assert run(["train", str(trained.config), "--out", str(out), "--track", "mlflow"]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: --track mlflow needs a package that is not installed: "
        "pip install 'jsisnet[mlflow]'\n"
    )
    assert not out.exists()
