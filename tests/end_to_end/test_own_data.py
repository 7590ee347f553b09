"""Who follows the documentation line by line arrives."""

import json
import re
from pathlib import Path

import pytest

import factories
from documented import commands, follow, section
from jsisnet.formats import coco_source
from jsisnet.panoptic import VOID


@pytest.mark.slow
def test_own_photos_become_a_scored_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert follow(section("docs/own_data.md")) == []

    told = capsys.readouterr().out
    assert "mine/panoptic.json: 10 images" in told
    assert "0 errors, 0 warnings" in told
    before, after = (
        {record.name: record.read() for record in coco_source.panoptic(tmp_path / path).records}
        for path in ("scenes/panoptic_train.json", "mine/panoptic.json")
    )
    assert before.keys() == after.keys()
    for name, panoptic in before.items():
        assert sorted(panoptic.areas().tolist()) == sorted(after[name].areas().tolist())
        assert ((panoptic.ids == VOID) == (after[name].ids == VOID)).all()
    parts = [json.loads((tmp_path / f"parts/{name}.json").read_text()) for name in ("train", "val")]
    assert [len(part["images"]) for part in parts] == [8, 2]
    for path in ("look.jpg", "batch.jpg", "report/index.html", "prediction/000001_overlay.jpg"):
        assert (tmp_path / path).is_file()


@pytest.mark.slow
def test_the_first_training_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert follow(section("README.md", "Your first training")) == []

    trained = re.search(r"PQ after step 2: all ([\d.]+)", capsys.readouterr().out)
    assert trained is not None
    assert (tmp_path / "prediction/000001_overlay.jpg").is_file()


@pytest.mark.slow
def test_getting_started_runs(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    text = section("docs/getting_started.md")
    monkeypatch.chdir(tmp_path)
    for number, folder in enumerate(("holiday", "more")):
        Path(folder).mkdir()
        factories.photo_of(factories.tiny_map(number)).save(f"{folder}/{number}.png")

    assert ["demo"] in commands(text)
    assert follow(text) == []
