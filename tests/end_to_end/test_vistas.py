import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import factories
import networks
import training_runs
from jsisnet.cli.app import run
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference.model_folder import read_description
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig
from jsisnet.training.config import read_config, read_values


@pytest.fixture(scope="module")
def vistas(tmp_path_factory):
    """The second archive, unpacked, with two parts of version 2.0."""
    folder = tmp_path_factory.mktemp("vistas")
    for split, count in (("training", 4), ("validation", 2)):
        factories.tiny_vistas(folder, count=count, split=split)
    return folder


def test_the_presets_find_both_parts_of_the_unpacked_archive(vistas):
    config = read_config(Path("vistas_2.yaml"), ["--root", str(vistas)])

    opened = [PanopticDataset(data.under(config.root)) for data in (config.data, config.validation)]

    assert [len(dataset) for dataset in opened] == [4, 2]
    assert config.augment == read_config(Path("vistas.yaml")).augment


def test_a_network_is_trained_and_validated_on_the_unpacked_archive(vistas, tmp_path):
    path = training_runs.write_config(
        tmp_path / "run.yaml", factories.tiny_dataset(tmp_path / "x"), steps=2
    )
    values = yaml.safe_load(path.read_text())
    preset = read_values(Path("vistas_2.yaml"))
    parts = {name: preset[name] for name in ("data", "validation")}
    path.write_text(yaml.safe_dump(values | parts | {"root": str(vistas)}))

    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 0

    names = [category.name for category in read_description(tmp_path / "run").categories]
    measured = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert names == ["person", "car", "bus", "sky", "road"]
    assert measured["validation"]["all"]["n"] == 5


def test_a_model_is_measured_on_the_unpacked_archive(vistas, tmp_path, capsys):
    config = replace(networks.TINY, branches="semantic")
    settings = ModelConfig(size=(64, 96), network=config)
    model, out = tmp_path / "model", tmp_path / "out"
    saved_model.write(model, settings, factories.CATEGORIES, networks.network(config).state_dict())
    photos, truth = vistas / "validation/images", vistas / "validation/v2.0"
    command = ["evaluate", "--images", str(photos), "--annotations", str(truth)]

    assert run([*command, "--model", str(model), "--out", str(out)]) == 0
    measured = capsys.readouterr().out
    assert run(["score", str(out / "truth.json"), str(out / "predictions.json")]) == 0

    whole = next(line for line in measured.splitlines() if line.startswith("All"))
    assert whole in capsys.readouterr().out
