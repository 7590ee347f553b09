import json

import pytest
import yaml

import factories
import training_runs
from jsisnet.cli.app import run
from jsisnet.inference.model_folder import read_description


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Write settings with streets, and with further photos that have annotated things only."""
    folder = tmp_path_factory.mktemp("sources")
    streets = factories.tiny_dataset(folder / "streets")
    things = factories.tiny_instances(folder / "things")
    path = training_runs.write_config(folder / "both.yaml", streets, steps=2)
    values = yaml.safe_load(path.read_text())
    values["more_data"] = {
        "things": {
            "root": "../things",
            "images": things.images.name,
            "annotations": things.annotations.name,
            "kind": "instances",
        }
    }
    path.write_text(yaml.safe_dump(values))
    return path


def trained(config, out, *options):
    assert run(["train", str(config), "--out", str(out), *options]) == 0
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def terms(entries):
    return next(entry["terms"] for entry in entries if "terms" in entry)


def test_a_network_learns_from_complete_and_partial_ground_truth(config, tmp_path):
    entries = trained(config, tmp_path / "run")

    assert all(0 < value < 100 for value in terms(entries).values())
    assert read_description(tmp_path / "run").categories == factories.CATEGORIES
    assert "things" in (tmp_path / "run" / "config.yaml").read_text()


def test_annotated_things_do_not_train_the_semantic_branch(config, tmp_path):
    weights = ("--data.weight", "0.001", "--more-data.things.weight", "1000")

    found = terms(trained(config, tmp_path / "run", *weights))

    assert found["semantic"] == 0
    assert found["rpn_objectness"] > 0


def test_annotated_pixel_classes_do_not_train_the_instance_branch(config, tmp_path):
    without = ("--data.trusted", "semantic", "--more-data.things.weight", "0")

    found = terms(trained(config, tmp_path / "run", *without))

    assert found["semantic"] > 0
    instance = ("rpn_objectness", "rpn_boxes", "classes", "boxes", "masks")
    assert [found[name] for name in instance] == [0] * 5


def test_contradictory_classes_give_one_error_message(config, tmp_path, capsys):
    merged = ("--more-data.things.merge", "supercategory")

    code = run(["train", str(config), "--out", str(tmp_path / "run"), *merged])

    error = capsys.readouterr().err
    assert code == 1
    assert error.count("\n") == 1
    assert "instances_tiny.json: category 'car' is merged into 'vehicle', but into 'car'" in error
