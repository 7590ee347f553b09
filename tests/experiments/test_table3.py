from dataclasses import replace

import pytest

import training_runs
from jsisnet.experiments import table3
from jsisnet.experiments.table3 import BRANCHES, Row
from jsisnet.experiments.trainings import Spread
from jsisnet.training.config import read_config


def test_a_spread_is_the_mean_and_the_deviation_of_a_sample():
    spread = Spread.of([1.0, 2.0, 3.0])

    assert spread == Spread(mean=2.0, deviation=1.0)


def test_missing_values_are_left_out():
    assert Spread.of([None, 4.0]) == Spread(mean=4.0, deviation=0.0)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_values_there_is_no_spread(values):
    assert Spread.of(values) is None


def test_results_are_kept_for_the_same_models_and_validation_data_alone(
    tiny, tmp_path, monkeypatch
):
    config = read_config(training_runs.write_config(tmp_path / "street.yaml", tiny, steps=2))
    folders = {name: tmp_path / f"seed_0_{name}" for name in BRANCHES}
    for folder in folders.values():
        folder.mkdir()
        (folder / "model.safetensors").write_text("weights")
    figures = iter((0.0, 1.0, 2.0))

    def measured(*_):
        return Row(
            miou=next(figures),
            mask_ap50=None,
            pq=None,
            training_seconds=1.0,
            training_megabytes=1.0,
            prediction_milliseconds=1.0,
        )

    monkeypatch.setattr(table3, "_row", measured)

    def miou(settings):
        return table3._cached_row("joint", folders, settings).miou

    assert [miou(config), miou(config)] == [0, 0]
    assert miou(replace(config, validation=replace(config.validation, first=1))) == 1
    (folders["semantic"] / "model.safetensors").write_text("others")
    assert [miou(config), miou(config)] == [2, 2]
