import json

import numpy as np
import pytest
from PIL import Image

import factories
from jsisnet.cli.app import run
from jsisnet.cli.inputs import sample_photo
from jsisnet.formats import coco
from jsisnet.training.config import read_config


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """Output and files of `evaluate`."""
    folder = tmp_path_factory.mktemp("measured")
    code = run(
        [
            *("evaluate", "--model", str(trained.run), "--images", str(trained.data.images)),
            *("--annotations", str(trained.data.annotations)),
            *("--out", str(folder), "--json", str(folder / "quality.json")),
        ]
    )
    assert code == 0
    return folder


def test_a_run_folder_holds_settings_metrics_checkpoint_and_model(trained):
    lines = [json.loads(line) for line in (trained.run / "metrics.jsonl").read_text().splitlines()]

    names = {path.name for path in trained.run.iterdir()}
    assert names == {
        "config.yaml",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.json",
        "model.safetensors",
        "pictures",
        "plot.png",
    }
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 10]
    assert read_config(trained.run / "config.yaml") == read_config(trained.config)


def test_the_printed_terms_add_up(trained):
    line = json.loads((trained.run / "metrics.jsonl").read_text().splitlines()[0])

    assert len(line["terms"]) == 7
    assert sum(line["terms"].values()) == pytest.approx(line["total"], rel=1e-5)


def test_the_training_evaluates_like_the_evaluate_command(trained, measured):
    last = json.loads((trained.run / "metrics.jsonl").read_text().splitlines()[-1])

    result = json.loads((measured / "quality.json").read_text())
    assert last["validation"] == {name: result[name] for name in last["validation"]}


def test_score_gives_the_panoptic_quality_of_evaluate_for_the_files_it_wrote(measured, capsys):
    again = measured / "again.json"

    code = run(
        [
            *("score", str(measured / "truth.json"), str(measured / "predictions.json")),
            *("--json", str(again)),
        ]
    )

    assert code == 0
    scored, evaluated = (
        json.loads(file.read_text()) for file in (again, measured / "quality.json")
    )
    shared = {"all", "things", "stuff", "classes", "images", "mode"}
    assert {name: scored[name] for name in shared} == {name: evaluated[name] for name in shared}
    assert "miou" in evaluated
    assert "All" in capsys.readouterr().out


def test_the_quality_is_above_that_of_an_untrained_network(measured):
    quality = json.loads((measured / "quality.json").read_text())

    assert quality["all"]["n"] == len(factories.CATEGORIES)
    assert quality["stuff"]["pq"] > 0
    assert [row["name"] for row in quality["classes"]] == [c.name for c in factories.CATEGORIES]


def test_predict_writes_the_maps_that_evaluate_measured(trained, measured, tmp_path, capsys):
    code = run(
        ["predict", str(trained.data.images), "--model", str(trained.run), "--out", str(tmp_path)]
    )

    predicted = coco.read_annotations(tmp_path / "predictions.json", pngs=tmp_path, predicted=True)
    expected = coco.read_annotations(measured / "predictions.json", predicted=True)
    assert code == 0
    assert predicted.categories == expected.categories == factories.CATEGORIES
    assert [list(a.segments_info) for a in predicted.annotations] == [
        list(a.segments_info) for a in expected.annotations
    ]
    for ours, theirs in zip(predicted.annotations, expected.annotations, strict=True):
        first = coco.read_png(ours, predicted.categories)
        second = coco.read_png(theirs, expected.categories)
        assert np.array_equal(first.ids, second.ids)
    assert "sky" in capsys.readouterr().out


def test_predict_draws_each_map_on_its_photo(trained, tmp_path):
    photo = trained.data.images / "street1.png"

    code = run(["predict", str(photo), "--model", str(trained.run), "--out", str(tmp_path)])

    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        ".predict.jsonl",
        "street1.png",
        "street1_overlay.jpg",
        "predictions.json",
    }
    with Image.open(tmp_path / "street1_overlay.jpg") as overlay:
        assert overlay.size == (96, 64)


def test_the_demo_segments_its_photos_and_names_the_overlays(trained, tmp_path, capsys):
    out = tmp_path / "demo"

    assert run(["demo", "--model", str(trained.run), "--out", str(out)]) == 0

    assert f"overlays in {out}/*_overlay.jpg" in capsys.readouterr().out
    for name in ("astronaut", "chelsea", "coffee"):
        with (
            Image.open(sample_photo(f"{name}.png")) as photo,
            Image.open(out / f"{name}.png") as map_,
        ):
            assert map_.size == photo.size
        assert (out / f"{name}_overlay.jpg").is_file()


def test_the_demo_accepts_own_photos(trained, tmp_path):
    photo = str(trained.data.images / "street0.jpg")

    assert run(["demo", photo, "--model", str(trained.run), "--out", str(tmp_path)]) == 0

    assert (tmp_path / "street0_overlay.jpg").is_file()


def test_settings_of_the_model_are_options(trained, tmp_path, capsys):
    photo = trained.data.images / "street0.jpg"

    code = run(
        [
            *("predict", "--merge.min-stuff-area", "100000", "--no-overlay", str(photo)),
            *("--model", str(trained.run), "--merge.canvas=original", "--out", str(tmp_path)),
        ]
    )

    assert code == 0
    assert "stuff" not in capsys.readouterr().out
    assert not (tmp_path / "street0_overlay.jpg").exists()


def test_show_draws_what_predict_wrote(trained, tmp_path):
    photo = trained.data.images / "street2.jpeg"
    run(["predict", str(photo), "--model", str(trained.run), "--out", str(tmp_path)])

    code = run(
        [
            *("show", str(photo), str(tmp_path / "street2.png")),
            *(str(tmp_path / "predictions.json"), "--out", str(tmp_path / "look.jpg")),
        ]
    )

    assert code == 0
    assert (tmp_path / "look.jpg").read_bytes() == (tmp_path / "street2_overlay.jpg").read_bytes()


def test_a_trained_model_can_be_described(trained, capsys):
    code = run(["describe", str(trained.run)])

    assert code == 0
    assert "3 things and 3 stuff, from the model" in capsys.readouterr().out


def test_a_run_folder_is_not_overwritten_by_another_training(trained, capsys):
    code = run(["train", str(trained.config), "--out", str(trained.run), "--train.seed", "7"])

    assert code == 1
    assert "--resume" in capsys.readouterr().err
