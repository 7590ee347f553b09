import csv
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CATEGORIES, category_entries
from jsisnet.cli.app import run
from jsisnet.formats import coco


@pytest.fixture
def predictions(tmp_path):
    """Predictions for the tiny data set: each map is that of the next street."""
    maps = [factories.tiny_map(index) for index in range(6)]
    with coco.writing(tmp_path / "predictions.json", CATEGORIES) as writer:
        for image_id, panoptic in enumerate([*maps[1:], maps[0]], 100):
            writer.add(panoptic, image_id=image_id, image_name=f"{image_id}.jpg")
    return tmp_path / "predictions.json"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_all_numbers_are_shown_and_written(tiny, predictions, tmp_path, capsys):
    files = {"--json": "q.json", "--csv": "classes.csv", "--images-csv": "images.csv"}
    options = [word for name, file in files.items() for word in (name, str(tmp_path / file))]

    assert run(["score", str(tiny.annotations), str(predictions), *options]) == 0

    shown = capsys.readouterr()
    result = json.loads((tmp_path / "q.json").read_text())
    with (tmp_path / "classes.csv").open() as file:
        classes = list(csv.DictReader(file))
    with (tmp_path / "images.csv").open() as file:
        images = list(csv.DictReader(file))
    assert shown.err == ""
    assert "Scored 6 images (official rules)" in shown.out
    assert f"{result['all']['pq']:.2f}" in shown.out
    assert [float(row["pq"] or "nan") for row in classes] == pytest.approx(
        [math.nan if row["pq"] is None else row["pq"] for row in result["classes"]], nan_ok=True
    )
    assert [int(row["image_id"]) for row in images] == list(range(100, 106))
    assert sum(int(row["tp"]) for row in images) == sum(row["tp"] for row in result["classes"])


def test_classes_with_only_crowds_are_told(tiny, predictions, capsys):
    def crowd(content):
        for entry in content["annotations"]:
            for info in entry["segments_info"]:
                info["iscrowd"] = int(info["category_id"] in (3, 6))

    edit(tiny.annotations, crowd)

    assert run(["score", str(tiny.annotations), str(predictions)]) == 0
    assert "classes car, bus have only crowd segments: nothing to score" in capsys.readouterr().err


def test_a_file_without_annotations_is_told(tiny, capsys):
    edit(tiny.annotations, lambda content: content["annotations"].clear())

    assert run(["score", str(tiny.annotations), str(tiny.annotations)]) == 0

    assert "no annotations: nothing to score" in capsys.readouterr().err


def test_errors_that_the_official_script_overlooks_are_reported(tiny, predictions, capsys):
    edit(tiny.annotations, lambda content: content["annotations"].append(content["annotations"][0]))

    assert run(["score", str(tiny.annotations), str(predictions)]) == 0

    assert capsys.readouterr().err.splitlines() == [
        f"jsisnet: {tiny.annotations}: image 100: two annotations"
    ]


def test_boundaries_and_missing_images_are_shown(tiny, predictions, capsys):
    edit(predictions, lambda content: content["annotations"].pop())
    options = ["--boundary", "--missing-as-void"]

    assert run(["score", str(tiny.annotations), str(predictions), *options]) == 0

    shown = capsys.readouterr().out
    assert "Boundary" in shown
    assert "Scored 6 images (official rules); 1 without a prediction count as void" in shown


def test_inputs_are_not_overwritten(tiny, predictions, capsys):
    before = predictions.read_bytes()

    code = run(["score", str(tiny.annotations), str(predictions), "--csv", str(predictions)])

    assert code == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert predictions.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "said"), [("both.txt", "is given for two outputs"), (".", "is a folder")]
)
def test_outputs_need_different_names(tiny, predictions, tmp_path, capsys, name, said):
    same = str(tmp_path / name)

    code = run(["score", str(tiny.annotations), str(predictions), "--csv", same, "--json", same])

    assert code == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "both.txt").exists()


def test_names_in_a_file_cannot_control_the_terminal(tiny, predictions, capsys):
    def disturb(content):
        content["categories"][0]["name"] = "\x1b[31mred\u202e"
        content["categories"][0]["supercategory"] = "person"

    for path in (tiny.annotations, predictions):
        edit(path, disturb)
    edit(
        predictions, lambda content: content["annotations"][0].update(file_name="\x1b]0;title\x07")
    )

    assert run(["score", str(tiny.annotations), str(predictions), "--keep-going"]) == 1

    shown = capsys.readouterr()
    assert "\\x1b[31mred\\u202e   thing" in shown.out
    assert "\\x1b]0;title\\x07" in shown.err
    assert not set("\x1b\x07\u202e") & set(shown.out + shown.err)


def annotation(content):
    """Return the entry of the second image."""
    return content["annotations"][1]


def first(content):
    return annotation(content)["segments_info"][0]


def grey(png):
    Image.new("L", (96, 64)).save(png)


def deep(png):
    Image.fromarray(np.zeros((64, 96), np.uint16)).save(png)


def cropped(png):
    Image.open(png).crop((0, 0, 95, 64)).save(png)


def one_row(png):
    Image.open(png).crop((0, 0, 96, 1)).save(png)


def cut_off(png):
    png.write_bytes(png.read_bytes()[:-40])


def jpeg(png):
    Image.open(png).save(png, format="JPEG")


OF_MAPS = {
    "grey": (grey, "PNG with 8-bit grey pixels; expected 8-bit RGB"),
    "16 bits": (deep, "PNG with 16-bit grey pixels; expected 8-bit RGB"),
    "other size": (cropped, "the predicted map is 64x95 pixels; expected 64x96"),
    "one row, which would fit any map": (one_row, "the predicted map is 1x96 pixels"),
    "cut off": (cut_off, "can't be decoded: "),
    "empty": (lambda png: png.write_bytes(b""), "not a PNG"),
    "JPEG": (jpeg, "not a PNG"),
    "missing": (lambda png: png.unlink(), "does not exist"),
    "text": (lambda png: png.write_text("no picture"), "not a PNG"),
}
"""Errors in a predicted PNG, and their messages."""

OF_PREDICTIONS = {
    "no prediction": (
        lambda content: content["annotations"].pop(1),
        "predictions.json: no prediction for image 101",
    ),
    "unknown category": (
        lambda content: first(content).update(category_id=77),
        "segment 1: 'category_id' is 77; expected one of the 6 categories",
    ),
    "list for a category": (
        lambda content: first(content).update(category_id=[1]),
        "'category_id' is [1]; expected an integer or a string",
    ),
    "no category": (lambda content: first(content).pop("category_id"), "missing 'category_id'"),
    "no id": (lambda content: first(content).pop("id"), "segments_info[0]: missing 'id'"),
    "negative id": (lambda content: first(content).update(id=-5), "'id' is -5; expected an int"),
    "huge id": (lambda content: first(content).update(id=2**24), "'id' is 16777216; expected"),
    "id that is no number": (lambda content: first(content).update(id="1"), "'id' is \"1\""),
    "score that is not finite": (
        lambda content: first(content).update(score=math.nan),
        "'score' is NaN; expected a number",
    ),
    "segment that is no object": (
        lambda content: annotation(content)["segments_info"].append(5),
        "found 5; expected an object",
    ),
    "segments that are no list": (
        lambda content: annotation(content).update(segments_info={}),
        "'segments_info' is {}; expected a list",
    ),
    "no segments": (
        lambda content: annotation(content).pop("segments_info"),
        "missing 'segments_info'",
    ),
    "segment without pixels": (
        lambda content: annotation(content)["segments_info"].append({"id": 99, "category_id": 1}),
        "segment 99: listed, but has no pixels",
    ),
    "segment that is not listed": (
        lambda content: annotation(content)["segments_info"].pop(0),
        "segment 1: in the PNG, but not in the JSON file",
    ),
    "path upwards": (
        lambda content: annotation(content).update(file_name="../../secret.png"),
        "expected the name of a file inside its folder",
    ),
    "path from the root": (
        lambda content: annotation(content).update(file_name="/etc/passwd"),
        "expected the name of a file inside its folder",
    ),
    "image that is no number or text": (
        lambda content: annotation(content).update(image_id=None),
        "annotations[1]: 'image_id' is null; expected an integer or a string",
    ),
}
"""Errors in the second entry of the predictions' JSON file, and their messages."""

OF_TRUTHS = {
    "id 0": (lambda content: first(content).update(id=0), "'id' is 0; expected an integer"),
    "wrong area": (
        lambda content: first(content).update(area=5),
        "pixels, but the JSON file says 5",
    ),
    "area that is not finite": (
        lambda content: first(content).update(area=math.inf),
        "'area' is Infinity; expected the number of pixels (--recount-areas",
    ),
    "area beyond all measure": (
        lambda content: first(content).update(area=10**30),
        "expected the number of pixels",
    ),
    "crowd of two": (lambda content: first(content).update(iscrowd=2), "'iscrowd' is 2; expected"),
}
"""Errors in the ground truth, and their messages."""

WHOLE = {
    "cut off": (lambda path: path.write_text(path.read_text()[:-200]), "invalid JSON: at byte"),
    "empty": (lambda path: path.write_text(""), "invalid JSON: at byte 0"),
    "a list": (lambda path: path.write_text("[1]"), "found [1]; expected an object"),
    "no annotations": (lambda path: path.write_text("{}"), "missing 'annotations'"),
    "no text": (lambda path: path.write_bytes(b"\x00\xff" * 9), "invalid JSON"),
    "missing": (lambda path: path.unlink(), "can't be read: No such file"),
    "annotations that are no list": (
        lambda path: path.write_text('{"annotations": {}}'),
        "'annotations' is {}; expected a list",
    ),
    "other classes": (
        lambda path: edit(path, lambda content: content["categories"][0].update(name="dog")),
        "category 1 is 'dog'; expected 'person'",
    ),
}
"""Errors in the predictions' JSON file as a whole, and their messages."""


def stderr_line(capsys):
    """Return the only line on standard error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("jsisnet: ")
    return lines[0]


@pytest.fixture
def spoilt(tiny, predictions):
    """Introduce errors into the second of six images."""

    def spoil(kind):
        if kind in OF_MAPS:
            OF_MAPS[kind][0](predictions.with_suffix("") / "101.png")
            return OF_MAPS[kind][1]
        path, kinds = predictions, OF_PREDICTIONS
        if kind in OF_TRUTHS:
            path, kinds = tiny.annotations, OF_TRUTHS
        edit(path, kinds[kind][0])
        return kinds[kind][1]

    return spoil


@pytest.mark.parametrize("kind", [*OF_MAPS, *OF_PREDICTIONS, *OF_TRUTHS])
def test_an_error_gives_one_message(tiny, predictions, spoilt, capsys, kind):
    expected = spoilt(kind)

    assert run(["score", str(tiny.annotations), str(predictions)]) == 1

    sentence = stderr_line(capsys)
    assert expected in sentence
    assert "101" in sentence or "annotations[1]" in sentence
    assert ".json" in sentence or ".png" in sentence


@pytest.mark.parametrize("kind", [*OF_MAPS, *OF_PREDICTIONS, *OF_TRUTHS])
def test_invalid_images_can_be_skipped(tiny, predictions, spoilt, tmp_path, capsys, kind):
    expected = spoilt(kind)
    out = tmp_path / "q.json"

    code = run(
        ["score", str(tiny.annotations), str(predictions), "--keep-going", "--json", str(out)]
    )

    result = json.loads(out.read_text())
    assert code == 1
    assert [image["image_id"] for image in result["images"]] == [100, 102, 103, 104, 105]
    assert any(expected in fault for fault in result["faults"])
    assert "Scored 5 images" in capsys.readouterr().out


@pytest.mark.parametrize("kind", WHOLE)
def test_an_invalid_file_gives_one_message(tiny, predictions, capsys, kind):
    spoil, expected = WHOLE[kind]
    spoil(predictions)

    assert run(["score", str(tiny.annotations), str(predictions), "--keep-going"]) == 1

    assert expected in stderr_line(capsys)


def test_a_missing_folder_of_maps_is_named(tiny, predictions, capsys):
    predictions.with_suffix("").rename(predictions.parent / "elsewhere")

    assert run(["score", str(tiny.annotations), str(predictions)]) == 1

    assert "predictions, does not exist" in stderr_line(capsys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_no_files(tmp_path, number):
    size = (2000, 3000)
    rows = np.arange(size[0] * size[1], dtype=np.int32).reshape(size) // 40 % 2 + 1
    panoptic = factories.panoptic_map([[1, 2]], *(factories.segment(label) for label in (3, 4)))
    object.__setattr__(panoptic, "ids", rows)
    path = tmp_path / "truth.json"
    with coco.writing(path, CATEGORIES) as writer:
        writer.add(panoptic, image_id=0, image_name="0.jpg")
    edit(
        path,
        lambda content: content["annotations"].extend(
            content["annotations"][0] | {"image_id": image_id} for image_id in range(1, 5000)
        ),
    )
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, "-m", "jsisnet", "score", str(path), str(path), "--json"]
    with subprocess.Popen(
        [*command, str(tmp_path / "out.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_the_categories_are_those_of_the_truth(tiny, predictions, capsys):
    entries = category_entries()
    entries[0]["id"] = 3
    edit(tiny.annotations, lambda content: content.update(categories=entries))

    assert run(["score", str(tiny.annotations), str(predictions)]) == 1

    assert "panoptic_tiny.json: duplicate category id 3" in stderr_line(capsys)


def test_json_on_standard_output_is_alone_there(tiny, capsys):
    files = [str(tiny.annotations)] * 2

    assert run(["score", "--json", "-", *files]) == 0

    streams = capsys.readouterr()
    assert json.loads(streams.out)["all"]["pq"] == 100
    assert "100.00" in streams.err


def test_json_on_standard_output_follows_in_a_pipe(tiny):
    command = [sys.executable, "-m", "jsisnet", "score", *2 * [str(tiny.annotations)]]

    done = subprocess.run([*command, "--json", "-"], capture_output=True, check=True)

    assert json.loads(done.stdout)["all"]["pq"] == 100
    assert b"Scored" in done.stderr
