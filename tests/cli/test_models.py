import json

import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig


def write_run(folder, *entries):
    network = networks.network()
    config = ModelConfig(size=(64, 96), network=networks.TINY)
    saved_model.write(folder, config, factories.CATEGORIES, network.state_dict())
    lines = [json.dumps(entry) for entry in entries]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))


def listed(capsys):
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.split() for line in lines if line.strip()}


def test_the_built_in_models_are_listed_with_classes_and_scores(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert run(["models"]) == 0

    rows = listed(capsys)
    assert rows["coco"][1:6] == ["12", "15", "384", "x", "384"]
    assert rows["street"][1:3] == ["3", "8"]
    assert float(rows["coco"][7]) > 5


def test_classes_are_listed_with_what_was_merged_into_them(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert run(["models", "--classes"]) == 0

    rows = listed(capsys)
    assert rows["kitchen"][1] == "thing"
    assert " ".join(rows["kitchen"][2:]).startswith("bottle, wine glass, cup")
    assert rows["pedestrian"] == ["pedestrian", "thing"]


def test_runs_are_listed_with_the_scores_of_their_last_evaluation(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = {"all": {"pq": 12.5}, "miou": 31.0}
    early = {"all": {"pq": 1.0}, "miou": 2.0}
    write_run(
        tmp_path / "runs/mine",
        {"step": 10, "validation": early},
        {"step": 1000, "validation": scores},
    )
    write_run(tmp_path / "runs/new")

    assert run(["models", "--json", "models.json"]) == 0

    rows = listed(capsys)
    assert rows["runs/mine"][6:9] == ["no", "12.50", "31.00"]
    assert " ".join(rows["runs/mine"][9:]) == "validation data, step 1,000"
    assert rows["runs/new"][6:9] == ["no", "-", "-"]
    models = {
        model["name"]: model
        for model in json.loads((tmp_path / "models.json").read_text())["models"]
    }
    names = [factories.CATEGORIES[label].name for label in factories.CATEGORIES.thing_labels]
    assert models["runs/mine"]["things"] == names


def test_a_damaged_model_is_reported_and_the_others_are_listed(capsys, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model.json").write_text("{")

    assert run(["models", str(tmp_path)]) == 0

    captured = capsys.readouterr()
    assert "coco" in captured.out
    assert "broken/model.json: not the description of a model" in captured.err


def test_a_missing_folder_is_refused(capsys, tmp_path):
    assert run(["models", str(tmp_path / "nowhere")]) == 1

    assert "nowhere is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", ['{"pq": "high", "data": 5}', '{"pq": NaN, "miou": []}', "{}"])
def test_scores_that_are_no_numbers_are_left_out(capsys, tmp_path, content):
    write_run(tmp_path / "mine")
    (tmp_path / "mine/results.json").write_text(content)

    assert run(["models", str(tmp_path)]) == 0

    assert listed(capsys)[str(tmp_path / "mine")][6:] == ["no", "-", "-"]


@pytest.mark.parametrize("validation", [None, {}, {"all": None}, {"all": {"pq": "x"}, "miou": []}])
def test_evaluations_without_scores_are_left_out(capsys, tmp_path, validation):
    write_run(tmp_path / "mine", {"step": 10, "validation": validation})

    assert run(["models", str(tmp_path)]) == 0

    assert listed(capsys)[str(tmp_path / "mine")][6:9] == ["no", "-", "-"]


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000])
def test_a_damaged_file_of_scores_is_named(capsys, tmp_path, content):
    write_run(tmp_path / "mine")
    (tmp_path / "mine/results.json").write_text(content)

    assert run(["models", str(tmp_path)]) == 0

    captured = capsys.readouterr()
    assert "coco" in captured.out
    assert "results.json: " in captured.err
