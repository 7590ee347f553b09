"""Invalid or malicious input gives one message and destroys no files."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import factories
import training_runs
from jsisnet import Predictor
from jsisnet.cli.app import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = factories.tiny_dataset(folder / "tiny", count=2)
    config = training_runs.write_config(folder / "street.yaml", data, steps=2)
    assert run(["train", str(config), "--out", str(folder / "run")]) == 0
    return training_runs.Trained(data=data, config=config, run=folder / "run")


@pytest.fixture
def predict(trained, capsys):
    """Segment files into a folder; return the exit code and standard error."""

    def called(out, *tokens):
        capsys.readouterr()
        model = ["--model", str(trained.run), "--out", str(out)]
        code = run(["predict", *map(str, tokens), *model])
        return code, capsys.readouterr().err

    return called


@pytest.fixture
def resume(trained, tmp_path, capsys):
    """Resume a copy of the run in which one file has other contents."""

    def called(name, content):
        folder = tmp_path / "run"
        shutil.copytree(trained.run, folder)
        (folder / name).write_bytes(content)
        code = run(["train", str(trained.config), "--out", str(folder), "--resume"])
        return code, capsys.readouterr().err

    return called


def test_an_image_whose_results_cannot_be_written_does_not_stop_the_others(predict, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "maps" / "a.png").mkdir(parents=True)

    code, error = predict(tmp_path / "maps", tmp_path)

    described = json.loads((tmp_path / "maps" / "predictions.json").read_text())
    assert code == 1
    assert (
        error == f"jsisnet: {tmp_path / 'a.jpg'}: {tmp_path / 'maps' / 'a.png'}: Is a directory\n"
    )
    assert [annotation["image_id"] for annotation in described["annotations"]] == ["b"]


def test_an_image_and_a_link_to_it_are_one_image_with_the_first_name(predict, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    (tmp_path / "z.jpg").symlink_to("a.jpg")

    assert predict(tmp_path / "maps", tmp_path) == (0, "")
    assert (tmp_path / "maps" / "a.png").is_file()
    assert not (tmp_path / "maps" / "z.png").exists()


@pytest.mark.parametrize("target", ["loop.jpg", "nowhere.jpg"])
def test_a_broken_link_is_no_image(predict, tmp_path, target):
    (tmp_path / "loop.jpg").symlink_to(target)

    code, error = predict(tmp_path / "maps", tmp_path / "loop.jpg")

    assert (code, error) == (1, f"jsisnet: no image found: {tmp_path / 'loop.jpg'}\n")


def test_an_empty_argument_is_not_the_current_folder(predict, tmp_path):
    code, error = predict(tmp_path / "maps", "")

    assert code == 2
    assert "an argument is empty" in error


def test_a_map_never_overwrites_a_file_beside_the_image(predict, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    code, error = predict(tmp_path, tmp_path / "a.jpg")

    assert code == 1
    assert str(tmp_path / "a.png") in error
    assert (tmp_path / "a.png").read_bytes() == before


def test_results_beside_the_image_can_be_overwritten(predict, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")

    assert predict(tmp_path, tmp_path / "a.jpg") == (0, "")
    assert predict(tmp_path, tmp_path / "a.jpg") == (0, "")


@pytest.mark.parametrize(
    "setting",
    [
        ("--size", "0", "8"),
        ("--size", "-3", "8"),
        ("--network.detection.max-detections", "-1"),
        ("--merge.min-score", "nan"),
    ],
)
def test_an_invalid_setting_is_named(predict, tmp_path, setting):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")

    code, error = predict(tmp_path / "maps", tmp_path / "a.jpg", *setting)

    assert code == 1
    assert setting[0].rpartition(".")[2].strip("-") in error
    assert "defect" not in error


def test_a_deeply_nested_model_description_is_rejected(tmp_path, capsys):
    (tmp_path / "model.json").write_text("[" * 100_000)

    code = run(["describe", str(tmp_path)])

    assert code == 1
    assert "not the description of a model" in capsys.readouterr().err


def test_too_many_classes_are_rejected(trained, capsys):
    assert run(["describe", str(trained.run), "--things", str(10**12)]) == 1
    assert "at most 65535" in capsys.readouterr().err


def test_an_infinite_score_is_rejected(trained, tmp_path, capsys):
    content = json.loads(trained.data.annotations.read_text())
    content["annotations"][0]["segments_info"][0]["score"] = 10**400
    path = tmp_path / "huge.json"
    path.write_text(json.dumps(content))

    code = run(
        [
            *("score", str(trained.data.annotations), str(path)),
            *("--prediction-pngs", str(trained.data.pngs)),
        ]
    )

    assert code == 1
    assert "'score' is 1000" in capsys.readouterr().err


def test_an_evaluation_does_not_overwrite_the_ground_truth(trained, tmp_path, capsys):
    truth = tmp_path / "truth.json"
    shutil.copy(trained.data.annotations, truth)
    shutil.copytree(trained.data.pngs, tmp_path / "truth")

    code = run(
        [
            *("evaluate", "--model", str(trained.run), "--images", str(trained.data.images)),
            *("--annotations", str(truth), "--out", str(tmp_path)),
        ]
    )

    assert code == 1
    assert str(truth) in capsys.readouterr().err
    assert truth.read_bytes() == trained.data.annotations.read_bytes()


def test_numbers_do_not_overwrite_the_predictions(trained, capsys):
    truth = str(trained.data.annotations)

    assert run(["score", truth, truth, "--json", truth]) == 1
    assert truth in capsys.readouterr().err


def test_a_drawing_does_not_overwrite_the_image(trained, capsys):
    photo, png = trained.data.images / "street0.jpg", trained.data.pngs / "map0.png"
    before = photo.read_bytes()

    code = run(["show", *map(str, (photo, png, trained.data.annotations)), "--out", str(photo)])

    assert code == 1
    assert str(photo) in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_an_image_format_that_cannot_be_written_is_rejected(trained, tmp_path, capsys):
    photo, png = trained.data.images / "street0.jpg", trained.data.pngs / "map0.png"
    out = str(tmp_path / "look.xbm")

    code = run(["show", *map(str, (photo, png, trained.data.annotations)), "--out", out])

    assert code == 1
    assert "defect" not in capsys.readouterr().err


@pytest.mark.parametrize("size", [(0, 8), (8, 0)])
def test_an_image_without_pixels_is_rejected(trained, size):
    predictor = Predictor.load(trained.run)

    with pytest.raises(ValueError, match="expected uint8 of height x width x 3"):
        predictor.panoptic(np.zeros((*size, 3), np.uint8))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_stops_a_training_with_one_sentence(tmp_path, capsys, workers):
    data = factories.tiny_dataset(tmp_path / "tiny", count=2)
    (data.images / "street0.jpg").write_text("no photo")
    config = training_runs.write_config(tmp_path / "street.yaml", data, steps=2)
    out = str(tmp_path / "run")

    code = run(["train", str(config), "--out", out, "--train.workers", str(workers)])

    error = capsys.readouterr().err
    assert code == 1
    assert error.startswith(f"jsisnet: {data.images / 'street0.jpg'}: can't be read")
    assert "Traceback" not in error


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"\0\0\n", b'{"step": "a"}\n', b"\xff\n"])
def test_damaged_metrics_are_named(resume, line):
    code, error = resume("metrics.jsonl", line)

    assert code == 1
    assert "metrics.jsonl: line 1: not a line of training metrics" in error


def test_a_run_is_not_resumed_with_other_classes(trained, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained.run, folder)
    checkpoint = torch.load(folder / "checkpoint.pt")
    del checkpoint["has_checksum"]
    checkpoint["network"]["semantic.classify.bias"] = torch.zeros(7)
    torch.save(checkpoint, folder / "checkpoint.pt")

    code = run(["train", str(trained.config), "--out", str(folder), "--resume"])

    error = capsys.readouterr().err
    assert code == 1
    assert "checkpoint.pt: does not fit this" in error
    assert "defect" not in error


def test_weights_are_written_under_the_name_they_are_read_by(tmp_path, capsys):
    assert run(["imagenet", "--out", str(tmp_path / "weights.pt")]) == 1
    assert "--out must end in .safetensors" in capsys.readouterr().err


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_nothing_in_a_checkpoint_is_executed(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(_Bomb(), "bomb.pt")
    weights = ["--network.trunk.weights", "bomb.pt"]

    assert run(["train", str(trained.config), "--out", "run", *weights]) == 1
    assert "bomb.pt" in capsys.readouterr().err
    assert not (tmp_path / "exploded").exists()
