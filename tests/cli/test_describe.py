import json

import pytest

import factories
from jsisnet.cli.app import run

LITE = "lite.yaml"


@pytest.fixture
def described(capsys):
    """Return a function that describes a network and returns the words of each line."""

    def called(*tokens):
        assert run(["describe", *tokens]) == 0
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return called


def test_every_branch_has_its_costs(described):
    lines = described(LITE)

    branches = [line[0] for line in lines[lines.index([]) :] if len(line) == 5]
    assert branches == ["trunk", "semantic", "rpn", "roi", "masks", "all"]


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ((), "80 things and 53 stuff, from COCO"),
        (("--data.merge", "supercategory"), "12 things and 15 stuff, from COCO"),
        (("--things", "37", "--stuff", "28"), "37 things and 28 stuff, from the options"),
        (("--things", "37"), "37 things and 53 stuff, from the options"),
    ],
)
def test_without_data_the_classes_are_those_of_coco_or_the_options(described, options, counts):
    assert " ".join(described(LITE, *options)[-1]).startswith(f"classes: {counts}")


def test_with_data_the_classes_are_those_of_its_annotations(described, tiny, tmp_path):
    config = tmp_path / "street.yaml"
    config.write_text(f"base: {LITE}\nroot: {tiny.images.parent}\n")
    data = ("--data.images", "photos", "--data.annotations", tiny.annotations.name)

    assert described(str(config), *data)[-1][1:6] == ["3", "things", "and", "3", "stuff,"]
    assert described(str(config), *data, "--data.merge", "supercategory")[-1][1] == "2"


def test_with_several_data_sets_the_classes_are_those_of_all(described, tiny, tmp_path):
    things = factories.tiny_instances(tmp_path / "things").annotations
    things.write_text(things.read_text().replace('"name": "bus"', '"name": "tram"'))
    data = ("--data.images", "photos", "--data.annotations", str(tiny.annotations))
    more = ("--more-data.things.images", "photos", "--more-data.things.kind", "instances")

    last = described(LITE, *data, *more, "--more-data.things.annotations", str(things))[-1]

    assert " ".join(last).startswith("classes: 4 things and 3 stuff, from ")


def test_classes_of_vistas_are_those_of_its_configuration(described, tmp_path):
    part = factories.tiny_vistas(tmp_path, count=1)
    data = ("--data.kind", "vistas", "--data.images", "x", "--data.annotations", str(part))

    assert described(LITE, *data)[-1][1:6] == ["3", "things", "and", "2", "stuff,"]


def test_settings_change_the_shapes(described):
    lines = described(LITE, "--augment.size", "64", "96", "--network.trunk.channels", "32")

    assert [word for line in lines for word in line if word == "32x8x12"] == ["32x8x12"]


def test_shapes_are_those_of_prediction(described):
    lines = described(LITE, "--augment.size", "64", "96", "--size", "128", "192")

    assert lines[0][-3:] == ["128", "x", "192"]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml: does not exist"),
        (["nowhere"], "No model named 'nowhere'"),
        ([LITE, "--things", "-1"], "expected 0 or more"),
        ([LITE, "--network.trunk.name", "unicorn"], "unicorn"),
    ],
)
def test_an_unknown_network_is_named(tokens, message, capsys):
    assert run(["describe", *tokens]) == 1

    assert message in capsys.readouterr().err


def test_annotations_without_categories_are_named(tmp_path, capsys):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"images": []}))

    assert run(["describe", LITE, "--data.images", ".", "--data.annotations", str(truth)]) == 1

    assert f"{truth}: missing 'categories'" in capsys.readouterr().err
