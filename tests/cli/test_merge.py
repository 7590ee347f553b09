import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import factories
from jsisnet.cli.app import run


@pytest.fixture
def command(tmp_path):
    """Return a command that merges perfect predictions for the tiny data set."""
    tiny = factories.tiny_dataset(tmp_path)
    others = factories.tiny_instances(tmp_path, count=6)
    listed = json.loads(others.annotations.read_text())["annotations"]
    things = [one | {"score": 0.9} for one in listed if not one["iscrowd"]]
    (tmp_path / "things.json").write_text(json.dumps(things))
    (tmp_path / "stuff").mkdir()
    ids = np.array([*(category.id for category in factories.CATEGORIES), *[0] * 250], np.uint8)
    for index in range(6):
        labels = factories.tiny_map(index).labels()
        Image.fromarray(ids[labels]).save(tmp_path / "stuff" / f"street{index}.png")
    return [
        *("merge", "--image-info", str(tiny.annotations)),
        *("--instances", str(tmp_path / "things.json"), "--semantic", str(tmp_path / "stuff")),
        *("--out", str(tmp_path / "merged.json"), "--processes", "1"),
    ]


@pytest.mark.parametrize("rules", ["jsisnet", "kirillov"])
def test_perfect_predictions_are_merged_to_a_perfect_result(rules, command, tmp_path, capsys):
    area = (f"--{'merge' if rules == 'jsisnet' else 'kirillov'}.min-stuff-area", "0")

    assert run([*command, "--rules", rules, *area]) == 0
    told = capsys.readouterr().out
    result = str(tmp_path / "pq.json")
    truth = str(tmp_path / "panoptic_tiny.json")
    assert run(["score", truth, str(tmp_path / "merged.json"), "--json", result]) == 0

    assert told.startswith(f"Wrote {tmp_path / 'merged.json'}: 6 images with ")
    assert json.loads((tmp_path / "pq.json").read_text())["all"]["pq"] == 100.0


def test_an_invalid_prediction_gives_one_message(command, tmp_path, capsys):
    (tmp_path / "stuff" / "street3.png").unlink()

    assert run(command) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"jsisnet: {tmp_path / 'stuff' / 'street3.png'}: does not exist, nor")
    assert error.count("\n") == 1
    assert not (tmp_path / "merged.json").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("stuff.json", "is an input, so the PNGs can't be written to it"),
        ("things.json", "is an input and would be overwritten"),
        ("merged", "--out must be the name of a .json file"),
    ],
)
def test_predictions_are_not_overwritten(out, message, command, tmp_path, capsys):
    command[command.index("--out") + 1] = str(tmp_path / out)

    assert run(command) == 1

    assert message in capsys.readouterr().err


@pytest.mark.parametrize("rules", ["jsisnet", "kirillov"])
def test_the_merge_never_imports_torch(rules, command):
    program = (
        "import sys; from jsisnet.cli.app import run;"
        "sys.exit(run(sys.argv[1:]) or 'torch' in sys.modules)"
    )
    options = ["--rules", rules]

    done = subprocess.run([sys.executable, "-c", program, *command, *options], check=False)

    assert done.returncode == 0


def with_image_ids(tmp_path, change):
    path = tmp_path / "things.json"
    things = json.loads(path.read_text())
    path.write_text(json.dumps(change(things)))


def test_detections_for_unlisted_images_are_ignored_and_counted(command, tmp_path, caplog):
    with_image_ids(tmp_path, lambda things: [*things, *(t | {"image_id": 7} for t in things[:2])])

    assert run(command) == 0
    (message,) = caplog.messages
    assert "things.json: ignored a result for an image that" in message
    assert "panoptic_tiny.json lacks (2 cases): result " in message


def test_detections_for_unlisted_images_alone_are_refused(command, tmp_path, capsys):
    with_image_ids(tmp_path, lambda things: [thing | {"image_id": 7} for thing in things])

    assert run(command) == 1
    assert "none of its " in capsys.readouterr().err


def test_image_ids_in_quotes_are_refused_with_the_cause(command, tmp_path, capsys):
    with_image_ids(tmp_path, lambda things: [t | {"image_id": str(t["image_id"])} for t in things])

    assert run(command) == 1
    assert "does not list: it has 100 (a number)" in capsys.readouterr().err


def test_the_branches_that_predict_writes_are_merged_by_any_rules(tiny, tmp_path):
    photo, raw = str(next(tiny.images.iterdir())), tmp_path / "raw"
    settings = ["--merge.min-score", "0.25", "--merge.max-mask-overlap", "1"]
    settings += ["--merge.min-stuff-area", "4096", "--merge.min-stuff-probability", "0"]
    predict = ["predict", photo, "-o", str(tmp_path / "out"), "--raw", str(raw), *settings]
    assert run([*predict, "--merge.canvas", "original"]) == 0

    inputs = ["--image-info", str(raw / "images.json"), "--instances", str(raw)]
    command = ["merge", *inputs, "--semantic", str(raw), *settings, "--processes", "1"]
    for rules in ("jsisnet", "kirillov"):
        out = tmp_path / f"{rules}.json"
        assert run([*command, "--rules", rules, "--out", str(out)]) == 0
        assert len(json.loads(out.read_text())["annotations"]) == 1

    predicted = next((tmp_path / "out").glob("*[!y].png"))
    again = tmp_path / "jsisnet" / predicted.name
    assert np.array_equal(np.asarray(Image.open(predicted)), np.asarray(Image.open(again)))
