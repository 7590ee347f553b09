import json

import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.cli.errors import STOPPED
from jsisnet.datatools import convert
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.formats import coco

MAPPING = """
vehicle: [car, bus]
above: {members: [sky, tree], isthing: false}
void: [person]
"""

BOMB = "&l0 [lol], " + ", ".join(f"&l{i + 1} [{f'*l{i}, ' * 9}]" for i in range(30))
"""YAML aliases that expand exponentially."""


@pytest.fixture
def merge(tiny, tmp_path):
    """Join the classes of the tiny data set, by a mapping if one is given."""

    def called(mapping, *more):
        tokens = ["--annotations", tiny.annotations, "--out", tmp_path / "out", "--processes", 1]
        if mapping is not None:
            (tmp_path / "classes.yaml").write_text(mapping)
            tokens += ["--mapping", tmp_path / "classes.yaml"]
        return run(["data", "merge-classes", *map(str, (*tokens, *more))])

    return called


def test_a_mapping_gives_a_valid_data_set(merge, tiny, tmp_path, capsys):
    assert merge(MAPPING) == 0

    assert capsys.readouterr().out.splitlines() == [
        "vehicle (things): car, bus",
        "above (stuff): sky, tree",
        "void: person",
        f"Wrote {tmp_path}/out/panoptic.json: 6 maps, 3 classes",
    ]
    made = tmp_path / "out/panoptic.json"
    assert check(DatasetPaths(images=tiny.images, annotations=made)).valid
    assert [c.name for c in coco.source(made).categories] == ["vehicle", "above", "road"]


def test_a_merged_data_set_scores_100_against_itself(merge, tmp_path, capsys):
    assert merge(MAPPING) == 0
    made = str(tmp_path / "out/panoptic.json")

    assert run(["score", made, made, "--json", str(tmp_path / "score.json")]) == 0

    capsys.readouterr()
    assert json.loads((tmp_path / "score.json").read_text())["all"]["pq"] == 100


def test_supercategories_are_merged(merge, tmp_path, capsys):
    assert merge(None, "--by", "supercategory") == 0

    entries = json.loads((tmp_path / "out/panoptic.json").read_text())["categories"]
    assert [(entry["id"], entry["name"]) for entry in entries] == [
        *((1, "person"), (2, "vehicle"), (3, "outdoor"), (4, "ground"))
    ]
    assert [entry["supercategory"] for entry in entries] == [entry["name"] for entry in entries]
    assert ": 6 maps, 4 classes" in capsys.readouterr().out


def test_only_drops_classes_that_are_not_named(merge, tmp_path, capsys):
    assert merge("way: [road]", "--only") == 0

    (entry,) = json.loads((tmp_path / "out/panoptic.json").read_text())["categories"]
    assert entry["name"] == "way"
    assert "void: person, car, bus, sky, tree" in capsys.readouterr().out


def test_other_formats_are_merged_too(tmp_path):
    things = factories.tiny_instances(tmp_path / "things")
    (tmp_path / "classes.yaml").write_text("vehicle: [car, bus]")
    out = ["--mapping", str(tmp_path / "classes.yaml"), "--out", str(tmp_path / "out")]

    source = ["--from", "coco-instances", "--annotations", str(things.annotations)]
    assert run(["data", "merge-classes", *source, *out]) == 0

    made = coco.source(tmp_path / "out/panoptic.json")
    assert [category.name for category in made.categories] == ["person", "vehicle"]


@pytest.mark.parametrize(
    ("mapping", "more", "reason"),
    [
        (None, (), "give either --by supercategory or --mapping FILE"),
        (MAPPING, ("--by", "supercategory"), "give either --by supercategory or --mapping"),
        (None, ("--by", "supercategory", "--only"), "--only requires --mapping FILE"),
        (None, ("--mapping", "nowhere.yaml"), "nowhere.yaml: can't be read"),
        ("a: [car", (), "classes.yaml: invalid YAML"),
        (
            "a: [car]\na: [bus]",
            (),
            "invalid YAML: line 2, column 1: duplicate key 'a'",
        ),
        ("a: {members: [car], members: [bus]}", (), "line 1, column 21: duplicate key 'members'"),
        ("a: &a [*a]", (), "line 1, column 4: a value that contains itself"),
        ("a: [" + BOMB + "]", (), "stands for more than 100,000 values"),
        ("a: 2001-01-01", (), "classes.yaml: 'a': 'members' is \"2001-01-01\"; expected a list"),
        ("a: {car: !!bool x}", (), "classes.yaml: invalid YAML: a value does not match its tag"),
        ("a: !!timestamp x", (), "classes.yaml: invalid YAML: a value does not match its tag"),
        ("? [a, b]\n: [car]", (), "classes.yaml: invalid YAML"),
        ("!!python/name:os.system {}", (), "classes.yaml: invalid YAML"),
        ("[car]", (), "expected names of new classes with their members"),
        ("", (), "expected names of new classes with their members"),
        ("a: " + "[" * 5000, (), "classes.yaml: invalid YAML: nested too deeply"),
        ("a: [carr]", (), "did you mean 'car'"),
        (MAPPING, ("--root", "x"), "--root is not used by the format coco"),
    ],
)
def test_invalid_input_gives_one_message_and_writes_nothing(
    merge, tmp_path, capsys, mapping, more, reason
):
    assert merge(mapping, *more) == 1

    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_resumes_with_the_same_mapping(merge, tmp_path, capsys, monkeypatch):
    convert_data = convert.convert

    def stopped(*args, **options):
        def stop(done, _):
            if done == 2:
                raise KeyboardInterrupt

        return convert_data(*args, **options | {"on_image": stop})

    monkeypatch.setattr(convert, "convert", stopped)
    assert merge(MAPPING) == STOPPED
    assert "rerun the same command to resume" in capsys.readouterr().err
    monkeypatch.undo()

    assert merge("vehicle: [car, bus]") == 1
    assert "unfinished work of another" in capsys.readouterr().err
    assert merge(MAPPING) == 0
    assert len(coco.source(tmp_path / "out/panoptic.json").records) == 6
