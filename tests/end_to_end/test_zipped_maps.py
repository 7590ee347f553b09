"""COCO's maps as they are downloaded: a zip beside the JSON file."""

import json
import shutil

import pytest

from jsisnet.cli.app import run


@pytest.fixture
def zipped(tiny):
    """The maps in a zip, in a folder that is named like it."""
    shutil.make_archive(str(tiny.pngs), "zip", tiny.pngs.parent, tiny.pngs.name)
    shutil.rmtree(tiny.pngs)
    return tiny


def test_zipped_maps_are_checked_counted_and_shown(zipped, tmp_path, capsys):
    places = ["--images", str(zipped.images), "--annotations", str(zipped.annotations)]
    picture = tmp_path / "look.png"

    assert run(["data", "check", *places]) == 0
    assert run(["data", "stats", *places, "--processes", "2"]) == 0
    assert run(["data", "show", *places, "--count", "2", "--out", str(picture)]) == 0

    assert picture.is_file()
    assert "6 images" in capsys.readouterr().out


def test_zipped_maps_are_repaired_into_a_folder(zipped, tmp_path):
    content = json.loads(zipped.annotations.read_text())
    content["annotations"][0]["segments_info"][0]["area"] += 1
    zipped.annotations.write_text(json.dumps(content))
    places = ["--images", str(zipped.images), "--annotations", str(zipped.annotations)]
    copy = tmp_path / "copy"

    assert run(["data", "check", *places, "--fix", str(copy)]) == 0

    assert len(list((copy / zipped.pngs.name).iterdir())) == 6
    own = ["--images", str(zipped.images), "--annotations", str(copy / zipped.annotations.name)]
    assert run(["data", "check", *own]) == 0


def test_zipped_maps_are_scored_and_converted(zipped, tmp_path, capsys):
    out = tmp_path / "converted"
    source = ["--annotations", str(zipped.annotations)]

    assert run(["data", "convert", "--from", "coco", *source, "--out", str(out)]) == 0
    assert run(["score", str(zipped.annotations), str(out / "panoptic.json")]) == 0

    shown = capsys.readouterr().out.splitlines()
    assert next(line.split()[1:4] for line in shown if line.startswith("All")) == ["100.00"] * 3


def test_zipped_maps_are_not_split(zipped, tmp_path, capsys):
    out = tmp_path / "parts"
    command = ["data", "split", "--annotations", str(zipped.annotations), "--out", str(out)]

    assert run([*command, "--parts", "a=0.5", "b=0.5"]) == 1

    assert f"{zipped.pngs}.zip: unpack the zip first" in capsys.readouterr().err
    assert not out.exists()


def test_a_map_that_the_zip_lacks_is_named(zipped, capsys):
    with zipped.annotations.open() as file:
        content = json.load(file)
    content["annotations"][2]["file_name"] = "nowhere.png"
    zipped.annotations.write_text(json.dumps(content))

    assert run(["data", "stats", "--annotations", str(zipped.annotations)]) == 1

    assert "nowhere.png: image 102: does not exist" in capsys.readouterr().err
