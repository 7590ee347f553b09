import json
from pathlib import Path

import pytest
import yaml

import factories
import runs
from jsisnet import saved_model
from jsisnet.cli.app import run
from jsisnet.config import read_config, read_values
from jsisnet.data.dataset import PanopticDataset


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
    path = runs.write_config(tmp_path / "run.yaml", factories.tiny_dataset(tmp_path / "x"), steps=2)
    values = yaml.safe_load(path.read_text())
    preset = read_values(Path("vistas_2.yaml"))
    parts = {name: preset[name] for name in ("data", "validation")}
    path.write_text(yaml.safe_dump(values | parts | {"root": str(vistas)}))

    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 0

    names = [category.name for category in saved_model.read_categories(tmp_path / "run")]
    measured = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert names == ["person", "car", "bus", "sky", "road"]
    assert measured["validation"]["all"]["n"] == 5
