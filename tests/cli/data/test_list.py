import json

import numpy as np
import pytest
from PIL import Image

import factories
from jsisnet.cli.app import run
from jsisnet.formats import image_list


def photos(folder, *names, size=(20, 30)):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
    return folder


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"categories": factories.category_entries(), "images": "any"}))
    return path


def listed(folder, classes, out):
    options = ["--images", str(folder), "--categories", str(classes), "--out", str(out)]
    code = run(["data", "list", *options])
    return code, image_list.read(out) if out.exists() else None


def test_a_list_has_the_photos_of_a_folder_with_their_sizes(tmp_path, classes, capsys):
    folder = photos(tmp_path / "photos", "b.png", "more/a.jpg", ".hidden.jpg", size=(20, 30))
    (folder / "notes.txt").write_text("none")

    code, wanted = listed(folder, classes, tmp_path / "list.json")

    assert code == 0
    assert wanted.categories == factories.CATEGORIES
    assert {number: (i.name, i.size) for number, i in wanted.images.items()} == {
        "b": ("b.png", (20, 30)),
        "more/a": ("more/a.jpg", (20, 30)),
    }
    assert "2 images, 3 thing and 3 stuff classes" in capsys.readouterr().out


def test_photos_whose_names_are_all_numbers_have_numbers_as_ids(tmp_path, classes):
    folder = photos(tmp_path / "photos", "000000000139.jpg", "000000000285.jpg")

    _, wanted = listed(folder, classes, tmp_path / "list.json")

    assert list(wanted.images) == [139, 285]


def test_the_classes_may_be_those_of_a_configuration_of_vistas(tmp_path):
    factories.tiny_vistas(tmp_path, count=1)
    config = next(tmp_path.rglob("config*.json"))

    _, wanted = listed(photos(tmp_path / "photos", "x.jpg"), config, tmp_path / "list.json")

    labels = json.loads(config.read_text())["labels"]
    assert len(wanted.categories) == sum(label["evaluate"] for label in labels)


def test_a_list_is_what_submit_takes(tmp_path, classes, capsys):
    folder = photos(tmp_path / "photos", "x.jpg")
    listed(folder, classes, tmp_path / "list.json")

    command = ["submit", "--image-info", str(tmp_path / "list.json"), "--check", "missing.zip"]
    assert run(command) == 1

    assert "missing.zip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "contains no photo"), (("a.jpg", "a.png"), "a.jpg and a.png would share a map")],
)
def test_a_folder_that_gives_no_list_is_refused(tmp_path, classes, capsys, names, message):
    folder = photos(tmp_path / "photos", *names)
    folder.mkdir(exist_ok=True)

    code, wanted = listed(folder, classes, tmp_path / "list.json")

    assert (code, wanted) == (1, None)
    assert message in capsys.readouterr().err


def test_a_damaged_photo_is_named(tmp_path, classes, capsys):
    folder = photos(tmp_path / "photos", "a.jpg")
    (folder / "b.jpg").write_bytes(b"no photo")

    code, wanted = listed(folder, classes, tmp_path / "list.json")

    assert (code, wanted) == (1, None)
    assert "b.jpg" in capsys.readouterr().err


def test_the_size_is_that_of_the_stored_pixels(tmp_path, classes):
    folder = tmp_path / "photos"
    folder.mkdir()
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)

    _, wanted = listed(folder, classes, tmp_path / "list.json")

    assert wanted.images["turned"].size == (20, 30)
