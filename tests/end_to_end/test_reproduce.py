"""The paper's Table 3, on data that trains in a second."""

import json
from dataclasses import replace

import pytest

import runs
from jsisnet.cli.app import run
from jsisnet.config import read_config, to_yaml


@pytest.fixture
def config(tiny, tmp_path):
    path = runs.write_config(tmp_path / "street.yaml", tiny, steps=4)
    settings = read_config(path)
    path.write_text(to_yaml(replace(settings, train=replace(settings.train, log_every=1))))
    return path


@pytest.mark.slow
def test_table_3_compares_one_network_with_two(config, tmp_path, capsys):
    out, figures = tmp_path / "runs", tmp_path / "table3.json"
    command = ["reproduce", "table3", str(config), "--out", str(out), "--json", str(figures)]

    assert run([*command, "--seeds", "1"]) == 0

    first = figures.read_text()
    found = json.loads(first)
    assert found["experiment"] == "table3"
    rows = found["seeds"]["0"]
    known = {
        name: {f for f, value in row.items() if value is not None} for name, row in rows.items()
    }
    costs = {"training_seconds", "training_megabytes", "prediction_milliseconds"}
    assert known == {
        "joint": {"miou", "mask_ap50", "pq", *costs},
        "semantic": {"miou", *costs},
        "instance": {"mask_ap50", *costs},
        "semantic + instance": {"miou", "mask_ap50", "pq", *costs},
    }
    single = rows["semantic"]["training_seconds"] + rows["instance"]["training_seconds"]
    assert rows["semantic + instance"]["training_seconds"] == pytest.approx(single)
    assert rows["semantic + instance"]["miou"] == rows["semantic"]["miou"]
    assert "semantic + instance" in capsys.readouterr().out

    assert run([*command, "--seeds", "1"]) == 0
    assert figures.read_text() == first


def test_table_3_needs_validation_data(config, tmp_path, capsys):
    settings = read_config(config)
    config.write_text(to_yaml(replace(settings, validation=None)))

    assert run(["reproduce", "table3", str(config), "--out", str(tmp_path / "runs")]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: validation is missing; Table 3 is measured on it\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices.count", "2"], "measured on one device"),
        (["--train.log-every", "4"], "a training of 4 steps has a single line"),
    ],
)
def test_what_can_not_be_measured_is_refused_before_any_training(
    config, tmp_path, capsys, options, message
):
    out = tmp_path / "runs"

    assert run(["reproduce", "table3", str(config), "--out", str(out), *options]) == 1

    assert message in capsys.readouterr().err
    assert not out.exists()
