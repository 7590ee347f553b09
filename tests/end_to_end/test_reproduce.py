"""All experiments at small scale on generated scenes."""

import json

import pytest
from PIL import Image

from jsisnet.cli.app import run
from jsisnet.experiments import tiny as tiny_data


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(tiny_data, "COUNTS", (8, 4))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with the scenes and the network of all experiments."""
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture
def experiment(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(name, *options):
        return run(["reproduce", name, "--tiny", "--runs", str(runs), *options])

    return call


def test_the_network_for_scenes_is_the_built_in_one(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text("mine")
    monkeypatch.chdir(tmp_path)

    assert tiny_data.Tiny(tmp_path).config().network.trunk.name == "resnet10t"


@pytest.mark.slow
def test_table_1_trains_a_network_first(experiment, runs, tmp_path, capsys):
    assert experiment("table1", "--steps", "2", "--json", "a.json") == 0
    trained = (runs / "tiny_2" / "model.safetensors").stat().st_mtime_ns
    assert "step 2/2" in capsys.readouterr().out

    assert experiment("table1", "--steps", "2", "--json", "b.json") == 0

    assert (runs / "tiny_2" / "model.safetensors").stat().st_mtime_ns == trained
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    shown = capsys.readouterr().out
    assert "step" not in shown
    assert "measured on 4 images" in shown
    assert "the paper on coco-val" in shown


def test_table_2_adds_up_on_scenes(experiment, capsys):
    assert experiment("table2", "--train.batch-size", "2") == 0

    shown = capsys.readouterr().out
    assert shown.splitlines()[2].split()[:3] == ["rpn_objectness", "1", "1"]


@pytest.mark.slow
def test_table_3_compares_one_network_with_two(experiment, runs, tmp_path, capsys):
    few = ["--train.steps=2", "--train.batch-size=2", "--train.log-every=1", "--train.workers=0"]
    figures = tmp_path / "table3.json"
    command = ["table3", "--seeds", "1", *few, "--json", str(figures)]

    assert experiment(*command) == 0

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
    assert (runs / "table3" / "seed_0_joint" / "model.json").is_file()

    assert experiment(*command) == 0
    assert figures.read_text() == first


@pytest.mark.slow
def test_table_4_gives_the_recall_of_proposals_on_scenes(experiment, capsys):
    assert experiment("table4", "--steps", "2") == 0

    assert "The paper on coco-val: 82.7" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["figure1", "figure3"])
def test_figures_show_scenes(experiment, name, tmp_path):
    assert experiment(name, "--steps", "2", "--out", f"{name}.png") == 0

    with Image.open(tmp_path / f"{name}.png") as picture:
        assert min(picture.size) > 256


@pytest.mark.slow
def test_the_merge_ablation_runs_on_scenes(experiment, capsys):
    assert experiment("merge-ablation", "--steps", "2") == 0

    assert "small stuff stays" in capsys.readouterr().out


@pytest.mark.slow
def test_speed_compares_one_network_with_two_on_scenes(experiment, tmp_path, capsys):
    few = ["--train.batch-size", "2", "--rounds", "1", "--processes", "0", "--size", "96", "128"]

    assert experiment("speed", *few, "--json", "speed.json") == 0

    costs = json.loads((tmp_path / "speed.json").read_text())["costs"]
    assert [cost["name"] for cost in costs if not cost["name"].startswith("-")] == [
        "training step",
        "photo to map",
    ]
    assert all(cost["joint"] > 0 and cost["both"] > 0 for cost in costs)
    shown = capsys.readouterr().out
    assert "joint / both" in shown
    assert "; prediction at 96x128" in shown
