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


@pytest.fixture
def shown(show, tmp_path):
    """Return a function that draws the first street with options and returns the picture."""

    def called(*options):
        assert show("--out", str(tmp_path / "shown.png"), *options) == 0
        with Image.open(tmp_path / "shown.png") as picture:
            return np.asarray(picture).astype(int)

    return called


def test_opacity_fades_the_colours(tiny, shown):
    with Image.open(tiny.images / "street0.jpg") as image:
        photo = np.asarray(image).astype(int)

    changes = [
        abs(shown("--no-names", "--opacity", opacity) - photo).mean() for opacity in ("0.1", "0.9")
    ]

    assert changes[0] < changes[1]
    assert (shown() == shown("--opacity", "0.4")).all()


def test_names_can_be_left_out_of_the_picture_and_listed_below_it(shown):
    bare, listed = shown("--no-names"), shown("--no-names", "--legend")

    assert (shown()[: len(bare)] != bare).any()
    assert (listed[: len(bare)] == bare).all()
    assert len(listed) > len(bare)


def test_only_some_classes_are_drawn(tiny, shown):
    names = [entry["name"] for entry in json.loads(tiny.annotations.read_text())["categories"]]

    every, some = shown("--only", ",".join(names)), shown("--only", f"{names[0]}, {names[1]}")

    assert (
        every == shown("--only", names[0], *(x for n in names[1:] for x in ("--only", n)))
    ).all()
    assert (some != every).any()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--only", "zeppelin"), 1, "no class is named 'zeppelin'"),
        (("--only", ","), 1, "no class is named ''"),
        (("--opacity", "40"), 2, "--opacity"),
    ],
)
def test_unknown_classes_and_opacities_are_refused(show, tmp_path, capsys, options, code, message):
    assert show("--out", str(tmp_path / "look.jpg"), *options) == code

    assert message in capsys.readouterr().err
    assert not (tmp_path / "look.jpg").exists()


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
