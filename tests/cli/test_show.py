import json

import numpy as np
import pytest
from PIL import Image

from jsisnet.cli.app import run


@pytest.fixture
def show(tiny):
    """Return a function that draws the first street and returns the exit code."""

    def called(*options, json=tiny.annotations, photo=tiny.images / "street0.jpg"):
        return run(["show", str(photo), str(tiny.pngs / "map0.png"), str(json), *options])

    return called


@pytest.mark.parametrize("name", ["look.jpg", "look.png", "new/look.PNG"])
def test_a_truth_is_drawn_on_its_photo(show, tiny, tmp_path, name):
    assert show("--out", str(tmp_path / name)) == 0

    with Image.open(tmp_path / name) as drawn, Image.open(tiny.images / "street0.jpg") as photo:
        assert drawn.size == photo.size
        assert not np.array_equal(np.asarray(drawn), np.asarray(photo))


def test_categories_may_come_from_another_file(show, tiny, tmp_path):
    content = json.loads(tiny.annotations.read_text())
    del content["categories"]
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(content))
    out = ("--out", str(tmp_path / "look.jpg"))

    assert show(*out, json=bare) == 1
    assert show(*out, "--categories", str(tiny.annotations), json=bare) == 0


def test_a_map_that_the_file_does_not_describe_is_named(show, tiny, tmp_path, capsys):
    content = json.loads(tiny.annotations.read_text())
    del content["annotations"][0]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))

    assert show("--out", str(tmp_path / "look.jpg"), json=other) == 1
    assert "no annotation with file_name 'map0.png'" in capsys.readouterr().err


def test_a_photo_of_another_size_is_refused(show, tmp_path, capsys):
    photo = tmp_path / "small.png"
    Image.new("RGB", (10, 20)).save(photo)

    assert show("--out", str(tmp_path / "look.jpg"), photo=photo) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "look.jpg").exists()


@pytest.mark.parametrize("name", ["look", "look.txt"])
def test_an_unknown_image_format_is_refused(show, tmp_path, capsys, name):
    assert show("--out", str(tmp_path / name)) == 1
    assert ".jpg or .png" in capsys.readouterr().err
