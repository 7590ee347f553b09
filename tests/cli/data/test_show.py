import json

import numpy as np
import pytest
from PIL import Image

from jsisnet.cli.app import run


@pytest.fixture
def show(tiny, tmp_path):
    """Return a function that draws streets and returns the exit code and the picture."""

    def shown(*tokens, images=tiny.images):
        out = tmp_path / "look.png"
        out.unlink(missing_ok=True)
        photos = [] if images is None else ["--images", str(images)]
        files = ["--annotations", str(tiny.annotations), *photos, "--out", str(out)]
        assert run(["data", "show", *files, *tokens]) == 0
        with Image.open(out) as picture:
            return np.asarray(picture)

    return shown


@pytest.fixture
def refused(tiny, tmp_path, capsys):
    """Run a command that must fail, and return its message."""

    def sentence(*tokens, code=1):
        out = [] if "--out" in tokens else ["--out", str(tmp_path / "look.png")]
        files = ["--annotations", str(tiny.annotations), *out]
        assert run(["data", "show", *files, *tokens]) == code
        assert not (tmp_path / "look.png").exists()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return sentence


def same(one, other):
    return one.shape == other.shape and bool((one == other).all())


def test_images_are_spread_evenly_unless_the_first_are_wanted(show):
    assert same(show("--count", "2"), show("--image", "100", "--image", "103"))
    assert same(show("--count", "2", "--first"), show("--image", "100", "--image", "101"))


def test_a_data_set_smaller_than_the_count_is_shown_whole(show):
    assert same(show(), show("--count", "6", "--first"))


def test_an_image_can_be_named_by_its_file(show):
    assert same(show("--image", "street1.png"), show("--image", "101"))


def test_a_seed_always_chooses_the_same_images(show):
    first, again, other = (show("--count", "3", "--random", seed) for seed in ("1", "1", "3"))

    assert same(first, again)
    assert not same(first, other)


def test_the_first_images_of_a_class_are_shown(show):
    assert same(show("--class", "bus"), show("--image", "100", "--image", "103"))
    assert same(show("--class", "tree", "--count", "1"), show("--image", "101"))


def test_a_class_and_a_seed_choose_among_the_images_of_the_class(show):
    seen = [show("--class", "bus", "--count", "1", "--random", str(seed)) for seed in range(6)]

    one, other = show("--image", "100"), show("--image", "103")
    assert {(same(each, one), same(each, other)) for each in seen} == {(True, False), (False, True)}


def test_the_photos_beside_the_truth_are_left_out_on_demand(show):
    assert show("--overlay", "--first", "--count", "1").shape[1] < show("--count", "1").shape[1]


def test_without_photos_the_maps_are_drawn_alone(show):
    alone = show("--count", "1", images=None)

    assert alone.shape == show("--count", "1", "--overlay").shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--count", "61"), "at most 60 images fit into one picture"),
        (("--first", "--random", "1"), "--first, --random and --image can't be combined"),
        (("--image", "100", "--class", "bus"), "can't be combined, nor can --image and --class"),
        (("--image", "99"), "no image has the id or name '99'"),
        (("--class", "buss"), "the data set has no class 'buss'; did you mean 'bus'?"),
        (("--class", "xyz"), "the data set has no class 'xyz'"),
        (("--images", "nowhere"), "6 of 6 images are missing, such as nowhere/street0.jpg"),
        (("--image", "101", "--images", "."), "1 of 1 image is missing, such as street1.png"),
        (("--out", "look.txt"), "look.txt: expected a name that ends in .jpg or .png"),
        (("--root", "x"), "--root is not used by the format coco"),
    ],
)
def test_invalid_input_gives_one_message(refused, options, message):
    assert message in refused(*options)


def test_a_missing_image_of_several_is_counted(refused, tiny, tmp_path):
    photos = tmp_path / "some"
    photos.mkdir()
    (tiny.images / "street0.jpg").rename(photos / "street0.jpg")

    error = refused("--first", "--count", "2", "--images", str(photos))

    assert "1 of 2 images are missing, such as " in error


def test_a_count_below_1_is_refused(refused):
    assert "--count" in refused("--count", "0", code=2)


def test_files_of_the_data_set_are_not_overwritten(refused, tiny):
    photo = tiny.images / "street0.jpg"
    before = photo.read_bytes(), tiny.annotations.read_bytes()

    assert "is an input" in refused("--out", str(tiny.annotations))
    assert "is a file of the data set" in refused("--images", str(tiny.images), "--out", str(photo))
    assert before == (photo.read_bytes(), tiny.annotations.read_bytes())


def test_a_class_without_images_is_reported(refused, tiny):
    content = json.loads(tiny.annotations.read_text())
    content["categories"].append({"id": 7, "name": "unicorn", "isthing": 1})
    tiny.annotations.write_text(json.dumps(content))

    assert "no image has the class 'unicorn'" in refused("--class", "unicorn")


def test_a_data_set_without_images_is_refused(refused, tiny):
    content = json.loads(tiny.annotations.read_text())
    tiny.annotations.write_text(json.dumps({**content, "images": [], "annotations": []}))

    assert "the data set has no image" in refused()


def test_the_help_has_an_example(capsys):
    assert run(["data", "show", "--help"]) == 0

    text = capsys.readouterr().out
    assert text.startswith("Usage: jsisnet data show [--format FORMAT] --out FILE [OPTIONS]")
    assert "--random SEED" in text


@pytest.fixture
def damaged(tiny):
    """Return a data set with one broken map and one missing photo."""
    maps = sorted(tiny.annotations.with_suffix("").iterdir())
    maps[0].write_bytes(b"no PNG")
    sorted(tiny.images.iterdir())[1].unlink()
    return tiny


@pytest.mark.parametrize("options", [[], ["--class", "sky", "--count", "60"]])
def test_images_with_errors_are_skipped_and_listed(options, damaged, tmp_path, capsys):
    location = ["--annotations", str(damaged.annotations), "--images", str(damaged.images)]
    command = ["data", "show", *location, *options, "--out", str(tmp_path / "look.png")]

    assert run(command) == 1
    assert not (tmp_path / "look.png").exists()
    assert run([*command, "--keep-going"]) == 1

    assert (tmp_path / "look.png").is_file()
    error = capsys.readouterr().err
    assert "not a PNG" in error
    assert "not a file; expected an image" in error
    assert error.endswith("jsisnet: skipped 2 images with errors\n")
