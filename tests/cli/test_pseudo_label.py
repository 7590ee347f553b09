import json
from dataclasses import replace

import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig


@pytest.fixture
def model(tmp_path):
    """A network that is sure that everything is sky."""
    settings = ModelConfig(size=(64, 96), network=replace(networks.TINY, branches="semantic"))
    network = networks.network(settings.network)
    network.semantic.classify.bias.data[factories.SKY] += 100
    saved_model.write(tmp_path / "model", settings, factories.CATEGORIES, network.state_dict())
    return str(tmp_path / "model")


def test_photos_without_annotations_become_training_data(tiny, tmp_path, model, capsys):
    out = tmp_path / "filled"
    command = ["pseudo-label", model, "--images", str(tiny.images), "--out", str(out)]

    assert run(command) == 0

    content = json.loads((out / "panoptic.json").read_text())
    entries = [entry for each in content["annotations"] for entry in each["segments_info"]]
    assert len(entries) == 6
    assert all(entry["pseudo"] is True and entry["score"] > 0.99 for entry in entries)
    config = DataConfig(
        images=str(tiny.images), annotations=str(out / "panoptic.json"), trusted="semantic"
    )
    dataset = PanopticDataset(config, factories.CATEGORIES)
    assert [segment.label for segment in dataset[0].panoptic.segments] == [factories.SKY]
    assert dataset[0].unlabelled == set(factories.CATEGORIES.thing_labels)
    files = ("--images", str(tiny.images), "--annotations", str(out / "panoptic.json"))
    assert run(["data", "check", *files]) == 0
    capsys.readouterr()

    assert run(command) == 0
    assert "already complete" in capsys.readouterr().out
    assert run([*command, "--min-probability", "0.9"]) == 1
    assert "filled" in capsys.readouterr().err


def test_true_things_win_over_filled_stuff(tmp_path, model):
    tiny = factories.tiny_instances(tmp_path / "tiny")
    out = tmp_path / "filled"
    files = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))

    command = ["pseudo-label", model, "--format", "coco-instances", *files]
    assert run([*command, "--out", str(out)]) == 0

    content = json.loads((out / "panoptic.json").read_text())
    sky = factories.CATEGORIES[factories.SKY].id
    for annotation in content["annotations"]:
        for entry in annotation["segments_info"]:
            assert ("pseudo" in entry) == (entry["category_id"] == sky) == ("score" in entry)
            assert entry["isthing"] == (entry["category_id"] != sky)


def test_missing_photos_and_foreign_classes_are_refused(tiny, tmp_path, model, capsys):
    content = json.loads(tiny.annotations.read_text())
    content["categories"][0]["name"] = "alien"
    other = tiny.annotations.with_name("other.json")
    other.write_text(json.dumps(content))
    pngs, out = ("--pngs", str(tiny.pngs)), ("--out", str(tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    for options, message in (
        ((), "--images is required"),
        (("--images", str(tmp_path / "none")), "no such folder"),
        (("--images", str(tmp_path / "empty")), "contains no photo"),
        (("--annotations", str(tiny.annotations)), "--images is required"),
        (
            ("--images", str(tiny.images), "--annotations", str(other), *pngs),
            "'alien' (id 1) is not",
        ),
        (("--images", str(tiny.images), *pngs), "give --format"),
    ):
        assert run(["pseudo-label", model, *options, *out]) == 1
        assert message in capsys.readouterr().err
