import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from zipfile import ZipFile

import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.cli.errors import STOPPED
from jsisnet.datatools.submission import ANNOTATIONS
from jsisnet.inference import submitter
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig

TITLE = "panoptic_val_mine_results"


def model_in(folder, categories=factories.CATEGORIES, **merge):
    """Write a network that detects nothing, unless the settings of the merge change that."""
    settings = ModelConfig(
        size=(64, 96), network=networks.TINY, merge=MergeConfig(**{"min_score": 1.0} | merge)
    )
    network = networks.network(categories=categories)
    saved_model.write(folder, settings, categories, network.state_dict())
    return str(folder)


@pytest.fixture
def model(tmp_path):
    return model_in(tmp_path / "model", min_stuff_area=0.0)


def options(tiny, tmp_path, *more):
    names = ("--split", "val", "--name", "mine", "--out", str(tmp_path / "out"))
    return ["submit", "--image-info", str(tiny.annotations), *names, *more]


def with_model(tiny, tmp_path, model, *more):
    return options(tiny, tmp_path, "--images", str(tiny.images), "--model", model, *more)


def content(archive):
    with ZipFile(archive) as file:
        return json.loads(file.read(f"{TITLE}.json"))["annotations"]


def test_a_model_gives_an_archive_that_passes_the_check(tiny, tmp_path, model, capsys):
    archive = tmp_path / "out" / f"{TITLE}.zip"

    assert run(with_model(tiny, tmp_path, model)) == 0
    assert run(["submit", "--image-info", str(tiny.annotations), "--check", str(archive)]) == 0

    assert capsys.readouterr().out == (
        f"Wrote {archive}: maps of 6 images, all valid\n{archive} is valid: maps of 6 images\n"
    )
    assert list(archive.parent.iterdir()) == [archive]
    annotations = content(archive)
    assert [annotation["image_id"] for annotation in annotations] == list(range(100, 106))
    assert annotations[0]["file_name"] == "street0.png"
    found = {s["category_id"] for a in annotations for s in a["segments_info"]}
    assert found
    assert found <= {category.id for category in factories.CATEGORIES}


def test_the_list_may_lack_labels_and_isthing_and_have_strings_as_ids(tiny, tmp_path, model):
    listed = json.loads(tiny.annotations.read_text())
    for image in listed["images"]:
        image["id"] = f"street/{image['id']}"
    for category in listed["categories"]:
        del category["isthing"]
    del listed["annotations"]
    tiny.annotations.write_text(json.dumps(listed))

    assert run(with_model(tiny, tmp_path, model)) == 0

    annotations = content(tmp_path / "out" / f"{TITLE}.zip")
    assert [a["image_id"] for a in annotations] == [image["id"] for image in listed["images"]]


def test_images_without_detections_have_empty_maps(tiny, tmp_path):
    blind = model_in(tmp_path / "blind", min_stuff_area=1e9)

    assert run(with_model(tiny, tmp_path, blind)) == 0

    annotations = content(tmp_path / "out" / f"{TITLE}.zip")
    assert [annotation["segments_info"] for annotation in annotations] == [[]] * 6


def test_a_model_with_other_class_ids_submits_the_ids_of_the_list(tiny, tmp_path):
    numbered = tuple(replace(c, id=n) for n, c in enumerate(factories.CATEGORIES, 1001))
    other = model_in(tmp_path / "other", type(factories.CATEGORIES)(numbered), min_stuff_area=0.0)

    assert run(with_model(tiny, tmp_path, other)) == 0

    annotations = content(tmp_path / "out" / f"{TITLE}.zip")
    assert {s["category_id"] for a in annotations for s in a["segments_info"]} <= {92, 100, 150}


def test_a_model_with_merged_classes_is_refused_before_anything_is_written(tiny, tmp_path, capsys):
    merged = model_in(tmp_path / "merged", factories.CATEGORIES.merged_by("supercategory"))

    assert run(with_model(tiny, tmp_path, merged)) == 1

    error = capsys.readouterr().err
    assert "the model's class 'vehicle' was merged from 2 classes" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_maps_are_kept_on_demand(tiny, tmp_path, model):
    assert run(with_model(tiny, tmp_path, model, "--keep-maps")) == 0

    assert len(list((tmp_path / "out" / f"{TITLE}.maps" / "pngs").iterdir())) == 6


def test_a_complete_archive_is_not_written_again(tiny, tmp_path, model, capsys, monkeypatch):
    command, folder = with_model(tiny, tmp_path, model), tmp_path / "out" / f"{TITLE}.maps"
    assert run(command) == 0
    (folder / "pngs").mkdir(parents=True)  # as a process leaves it that is killed while it deletes
    (folder / "pngs" / "street3.png").touch()
    monkeypatch.setattr(submitter, "segment", stopped)

    assert run(command) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Already complete: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{TITLE}.zip"]

    os.utime(tiny.images / "street0.jpg", (1, 1))
    assert run(command) == STOPPED


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_an_unreadable_photo_is_tried_again_on_resuming(tiny, tmp_path, model, capsys):
    photo = tiny.images / "street0.jpg"
    whole = photo.read_bytes()
    photo.write_bytes(whole[:100])

    assert run(with_model(tiny, tmp_path, model)) == 1
    errors = capsys.readouterr().err.splitlines()
    assert not (tmp_path / "out" / f"{TITLE}.zip").exists()
    photo.write_bytes(whole)
    assert run(with_model(tiny, tmp_path, model)) == 0

    assert errors[0].startswith(f"jsisnet: {photo}: can't be read as an image")
    assert errors[1].startswith("jsisnet: 1 of 6 images failed; ")
    assert len(errors) == 2
    ids = [annotation["image_id"] for annotation in content(tmp_path / "out" / f"{TITLE}.zip")]
    assert sorted(ids) == list(range(100, 106))


def test_maps_of_another_model_are_not_mixed_in(tiny, tmp_path, model, capsys):
    (tiny.images / "street0.jpg").write_text("no photo")
    run(with_model(tiny, tmp_path, model))

    assert run(with_model(tiny, tmp_path, model, "--merge.min-score", "0.5")) == 1

    assert "maps of other photos or of another model" in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_resume(tiny, tmp_path, model, capsys, monkeypatch):
    monkeypatch.setattr(submitter, "segment", stopped)

    assert run(with_model(tiny, tmp_path, model)) == STOPPED

    assert capsys.readouterr().err == ("jsisnet: interrupted; rerun the same command to resume\n")


@pytest.mark.slow
def test_a_killed_run_resumes_and_gives_the_same_archive(tmp_path, model):
    tiny = factories.tiny_dataset(tmp_path / "streets", count=30)
    command = with_model(tiny, tmp_path, model, "--keep-maps")
    lines = tmp_path / "out" / f"{TITLE}.maps" / ANNOTATIONS

    with subprocess.Popen(
        [sys.executable, "-m", "jsisnet", *command], env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        while process.poll() is None and (
            not lines.exists() or lines.read_bytes().count(b"\n") < 4
        ):
            time.sleep(0.002)
        process.kill()
    first = lines.read_bytes()
    assert run(command) == 0

    assert process.returncode == -signal.SIGKILL
    assert 4 <= first.count(b"\n") < 31
    assert lines.read_bytes().startswith(first[: first.rindex(b"\n")])
    archive = tmp_path / "out" / f"{TITLE}.zip"
    killed = archive.read_bytes()
    assert run(with_model(tiny, tmp_path / "whole", model)) == 0
    assert (tmp_path / "whole" / "out" / archive.name).read_bytes() == killed


def test_existing_predictions_are_packed(tiny, tmp_path, capsys):
    predictions = ("--predictions", str(tiny.annotations))

    assert run(options(tiny, tmp_path, *predictions)) == 0

    archive = tmp_path / "out" / f"{TITLE}.zip"
    assert "maps of 6 images, all valid" in capsys.readouterr().out
    with ZipFile(archive) as file:
        assert file.read(f"{TITLE}/map0.png") == (tiny.pngs / "map0.png").read_bytes()


def test_predictions_of_other_images_are_left_out(tiny, tmp_path):
    listed = json.loads(tiny.annotations.read_text())
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps(listed | {"images": listed["images"][1:3]}))
    command = options(tiny, tmp_path, "--predictions", str(tiny.annotations))
    command[command.index("--image-info") + 1] = str(fewer)

    assert run(command) == 0

    annotations = content(tmp_path / "out" / f"{TITLE}.zip")
    assert [annotation["image_id"] for annotation in annotations] == [101, 102]


def test_invalid_predictions_are_reported_and_not_packed(tiny, tmp_path, capsys):
    listed = json.loads(tiny.annotations.read_text())
    listed["annotations"] = listed["annotations"][:1]
    listed["annotations"][0]["segments_info"].pop()
    predictions = tmp_path / "mine.json"
    predictions.write_text(json.dumps(listed))
    pngs = ("--prediction-pngs", str(tiny.pngs))

    assert run(options(tiny, tmp_path, "--predictions", str(predictions), *pngs)) == 1

    errors = capsys.readouterr().err.splitlines()
    archive = tmp_path / "out" / f"{TITLE}.zip"
    assert errors[0].startswith(f"jsisnet: {archive}: image 100: segment ")
    assert errors[1] == f"jsisnet: {archive}: image 101: no annotation"
    assert errors[-1] == (
        f"jsisnet: {archive}: not written, since it would break rules of the challenge"
    )
    assert list(archive.parent.iterdir()) == []


def test_classes_with_the_same_ids_but_other_names_are_refused(tiny, tmp_path, capsys):
    listed = json.loads(tiny.annotations.read_text())
    listed["categories"][0]["name"] = "robot"
    predictions = tmp_path / "mine.json"
    predictions.write_text(json.dumps(listed))
    pngs = ("--prediction-pngs", str(tiny.pngs))

    assert run(options(tiny, tmp_path, "--predictions", str(predictions), *pngs)) == 1

    assert "category 1 is 'robot'; expected 'person'" in capsys.readouterr().err


def test_violations_of_an_archive_are_listed_with_examples(tiny, tmp_path, capsys):
    archive = tmp_path / "panoptic_val_mine_results.zip"
    with ZipFile(archive, "w") as file:
        file.writestr(f"{TITLE}.json", '{"annotations": []}')

    assert run(["submit", "--image-info", str(tiny.annotations), "--check", str(archive)]) == 1

    errors = capsys.readouterr().err.splitlines()
    assert errors[:5] == [
        f"jsisnet: {archive}: image {number}: no annotation" for number in range(100, 105)
    ]
    assert errors[5].startswith(f"jsisnet: {archive}: and 1 more: image has no annotation")
    assert errors[6] == f"jsisnet: {archive}: the archive breaks the rules of the challenge"


def test_a_check_starts_without_torch(tiny, tmp_path):
    run(options(tiny, tmp_path, "--predictions", str(tiny.annotations)))
    archive = str(tmp_path / "out" / f"{TITLE}.zip")
    check = ["submit", "--image-info", str(tiny.annotations), "--check", archive]
    program = (
        "import sys; from jsisnet.cli.app import run;"
        "sys.exit(run(sys.argv[1:]) or 'torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program, *check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "give exactly one of --model, --predictions and --check"),
        (
            ["--model", "x", "--check", "y"],
            "give exactly one of --model, --predictions and --check",
        ),
        (["--predictions", "x"], "--split and --name are required"),
        (["--model", "x", "--split", "val", "--name", "me"], "--model needs --images DIR"),
        (["--model", "x", "--split", "a/b", "--name", "me"], "'a/b' cannot be part of a file name"),
        (["--check", "nowhere.zip"], "nowhere.zip: No such file or directory"),
    ],
)
def test_contradictory_arguments_are_explained(tiny, more, message, capsys):
    assert run(["submit", "--image-info", str(tiny.annotations), *more]) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
