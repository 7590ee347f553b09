import json

import pytest

import factories
import faulty_datasets
from jsisnet.cli.app import run
from jsisnet.cli.errors import STOPPED
from jsisnet.datatools.check import check as checking


@pytest.fixture
def streets(tmp_path):
    return faulty_datasets.Streets(tmp_path / "streets")


def command(streets, *more):
    options = ("--images", str(streets.photos), "--annotations", str(streets.json))
    return ["data", "check", *options, "--processes", "1", *more]


def spoil(streets, *names):
    for name in names:
        faulty_datasets.DEFECTS[name][1](streets)
    streets.write()


def test_a_valid_data_set_exits_with_0(streets, capsys):
    assert run(command(streets)) == 0

    expected = f"{streets.json}: 3 images, 15 segments: 0 errors, 0 warnings, 0 notes\n"
    assert capsys.readouterr().out == expected


def test_warnings_alone_exit_with_0(streets, capsys):
    spoil(streets, "a_bbox_of_corners")

    assert run(command(streets)) == 0

    assert "0 errors, 1 warning, 0 notes" in capsys.readouterr().out


def test_errors_are_listed_with_examples_and_exit_with_1(streets, capsys):
    for info in streets.infos():
        info["area"] += 1
    spoil(streets, "a_shared_color")

    assert run(command(streets, "--examples", "1")) == 1

    assert capsys.readouterr().out.splitlines() == [
        "error area: area is not the number of pixels (5 cases)",
        "    image 102: segment 70002: 2807 pixels, but the JSON file says 2808",
        "    and 4 more",
        "warning color-shared: two categories have the same color (1 case)",
        "    category 3: same color as 'person'",
        f"{streets.json}: 3 images, 15 segments: 5 errors, 1 warning, 0 notes",
    ]


def test_findings_are_written_to_a_json_file(streets, tmp_path):
    spoil(streets, "a_wrong_area")

    assert run(command(streets, "--json", str(tmp_path / "new" / "found.json"))) == 1

    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert [found[name] for name in ("images", "segments", "errors", "warnings")] == [3, 15, 1, 0]
    assert [fault["rule"] for fault in found["faults"]] == ["area"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["found.json"]


def test_a_repaired_copy_passes_the_check(streets, tmp_path, capsys):
    spoil(streets, "stuff_in_two_segments", "a_wrong_area")
    copy = tmp_path / "copy"

    assert run(command(streets, "--fix", str(copy))) == 0
    again = ["--images", str(streets.photos), "--annotations", str(copy / streets.json.name)]
    assert run(["data", "check", *again]) == 0

    assert f"Wrote {copy / streets.json.name}; " in capsys.readouterr().out
    changes = (copy / "changes.txt").read_text().splitlines()
    assert "stuff-twice: image 102: 'sky' has 2 segments: segments merged" in changes


def test_a_copy_overwrites_no_other_data_set(streets, tmp_path, capsys):
    other = tmp_path / "other" / streets.json.name
    other.parent.mkdir()
    other.write_text("precious")

    assert run(command(streets, "--fix", str(other.parent))) == 1

    assert f"{other} already exists; expected a new folder" in capsys.readouterr().err
    assert [path.name for path in other.parent.iterdir()] == [other.name]
    assert other.read_text() == "precious"


def test_a_copy_with_errors_left_exits_with_1(streets, tmp_path, capsys):
    spoil(streets, "a_category_without_isthing")

    assert run(command(streets, "--fix", str(tmp_path / "copy"))) == 1

    assert "some errors cannot be repaired automatically" in capsys.readouterr().err


def test_a_damaged_file_writes_nothing(streets, tmp_path, capsys):
    streets.json.write_text("{")

    assert run(command(streets, "--fix", str(tmp_path / "copy"))) == 1

    assert "was not written: no image is usable" in capsys.readouterr().err


def test_an_interrupted_check_says_how_to_resume(streets, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "check", stopped)

    assert run(command(streets, "--json", str(tmp_path / "found.json"))) == STOPPED

    assert "rerun the same command to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--other-images", "."), "--other and --other-images must be given together"),
        (("--fix", "{streets}"), "the copy would overwrite"),
        (("--json", "{json}"), "is an input"),
        (("--pngs", "nowhere"), "the folder of its PNGs, nowhere, does not exist"),
    ],
)
def test_contradictory_options_are_refused(streets, capsys, more, reason):
    given = [text.format(streets=streets.json.parent, json=streets.json) for text in more]

    assert run(command(streets, *given)) == 1

    assert reason in capsys.readouterr().err


def test_other_formats_are_checked(tmp_path, capsys):
    things = factories.tiny_instances(tmp_path / "tiny")
    (things.images / "other1.png").unlink()
    files = ("--annotations", str(things.annotations), "--images", str(things.images))

    code = run(["data", "check", "--format", "coco-instances", *files, "--json", f"{tmp_path}/f"])

    out = capsys.readouterr().out.splitlines()
    assert code == 1
    assert out[0] == "error photo-missing: photo file not found (1 case)"
    assert out[-1].startswith(f"{things.annotations}: 4 images, ")
    found = json.loads((tmp_path / "f").read_text())
    assert found["faults"][0]["rule"] == "photo-missing"


def test_boxes_without_an_outline_may_be_left_out(tmp_path, capsys):
    things = factories.tiny_instances(tmp_path / "tiny")
    content = json.loads(things.annotations.read_text())
    content["annotations"][0]["segmentation"] = []
    things.annotations.write_text(json.dumps(content))
    kind = ("data", "check", "--format", "coco-instances")
    files = (*kind, "--annotations", str(things.annotations))

    assert run([*files]) == 1
    assert run([*files, "--keep-going"]) == 0
    assert "error outline-missing: object has no outline" in capsys.readouterr().out
    assert run([*files, "--fix", f"{tmp_path}/fixed"]) == 0
    fixed = json.loads((tmp_path / "fixed" / things.annotations.name).read_text())
    ids = [entry["id"] for entry in fixed["annotations"]]
    assert ids == [entry["id"] for entry in content["annotations"][1:]]


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (("--annotations", "x"), "--images DIR is required to check the format coco"),
        (("--images", "x"), "--annotations is required"),
        (("--images", "x", "--annotations", "y", "--root", "z"), "--root is not used by the"),
        (("--format", "vistas", "--root", "x"), "--split is required by the format vistas"),
        (
            ("--format", "vistas", "--root", "x", "--split", "y", "--fix", "z"),
            "without --categories, coco-instances; convert with `jsisnet data convert --from vis",
        ),
        (
            ("--format", "coco-instances", "--other", "x", "--other-images", "y"),
            "--other applies only to the format coco",
        ),
    ],
)
def test_options_that_do_not_fit_the_format_are_refused(capsys, tokens, reason):
    assert run(["data", "check", *tokens]) == 1

    assert reason in capsys.readouterr().err


def test_a_missing_json_file_is_blamed_before_its_pngs(tmp_path, capsys):
    files = ["--images", str(tmp_path), "--annotations", str(tmp_path / "no.json")]

    assert run(["data", "check", *files]) == 1
    error = capsys.readouterr().err
    assert error.endswith("no.json: no such file; expected a JSON file of annotations\n")

    (tmp_path / "no.json").write_text("{}")
    assert run(["data", "check", *files]) == 1
    assert capsys.readouterr().err.endswith("the format coco-instances\n")
