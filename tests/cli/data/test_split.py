import json
import os
import signal
import subprocess
import sys
import time

import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.cli.errors import STOPPED
from jsisnet.datatools import split as splitting


@pytest.fixture
def split(tiny, tmp_path):
    """Split the tiny data set."""

    def called(*more):
        tokens = "--annotations", tiny.annotations, "--out", tmp_path / "out"
        return run(["data", "split", *map(str, (*tokens, *more))])

    return called


def test_parts_are_listed_with_the_classes_they_lack(split, capsys):
    assert split("--parts", "train=5", "val=1", "--seed", "3") == 0

    head, _, train, val, _, wrote, *lacking = capsys.readouterr().out.splitlines()
    assert head.split() == ["part", "images", "share", "annotations", "classes", "missing"]
    assert train.split() == ["train", "5", "83.3%", "5", "0"]
    assert val.split()[:4] == ["val", "1", "16.7%", "1"]
    assert wrote.startswith("Wrote the parts to ")
    assert [line.split(" lacks ")[0] for line in lacking] == ["val"]


def test_a_class_without_segments_is_reported_once(split, tiny, capsys):
    content = json.loads(tiny.annotations.read_text())
    content["categories"].append({"id": 77, "name": "dog", "isthing": 1})
    tiny.annotations.write_text(json.dumps(content))

    assert split("--parts", "all=rest") == 0

    assert capsys.readouterr().out.splitlines()[-1] == "no image shows dog"


def test_instances_are_split_too(tmp_path, capsys):
    things = factories.tiny_instances(tmp_path / "things")
    tokens = ["--format", "coco-instances", "--annotations", str(things.annotations)]

    code = run(["data", "split", *tokens, "--out", str(tmp_path / "out"), "--parts", "a=1", "b=3"])

    assert code == 0
    assert (tmp_path / "out/a.json").is_file()
    assert "part   images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--parts", "a=0.5", "b=0.6"), "the fractions add up to 1.1"),
        (("--parts", "../a=1.0"), "the part name '../a'"),
        (("--parts", "a=1", "b=2"), "3 images in total; expected 6"),
        (("--parts", "all=rest", "--group", "("), "is not a valid regular expression"),
        (("--parts", "all=rest", "--pngs", "nowhere"), "the folder of its PNGs, nowhere, does not"),
        (
            ("--parts", "all=rest", "--pngs", ".", "--format", "coco-instances"),
            "--pngs applies only to the format coco",
        ),
    ],
)
def test_invalid_input_gives_one_message_and_writes_nothing(split, tmp_path, capsys, more, reason):
    assert split(*more) == 1

    told = capsys.readouterr().err
    assert reason in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_says_how_to_resume(split, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(splitting, "split", stopped)

    assert split("--parts", "all=rest") == STOPPED

    assert "rerun the same command to resume" in capsys.readouterr().err


@pytest.mark.slow
def test_a_terminated_run_resumes(tiny, tmp_path):
    content = json.loads(tiny.annotations.read_text())
    for name, key in (("images", "id"), ("annotations", "image_id")):
        content[name] = [
            entry | {key: f"{turn}_{entry[key]}"} for turn in range(250) for entry in content[name]
        ]
    for turn, annotation in enumerate(content["annotations"]):
        annotation["file_name"] = f"{turn}.png"
        (tiny.pngs / f"{turn}.png").touch()
    tiny.annotations.write_text(json.dumps(content))
    tokens = ["--annotations", str(tiny.annotations), "--parts", "a=0.5", "b=0.5", "--out"]
    command = ["data", "split", *tokens]
    begun = subprocess.Popen([sys.executable, "-m", "jsisnet", *command, str(tmp_path / "out")])
    while not list((tmp_path / "out").glob("?/*.png")):
        time.sleep(0.001)
        assert begun.poll() is None
    os.kill(begun.pid, signal.SIGTERM)

    assert begun.wait() == 128 + signal.SIGTERM
    assert not list((tmp_path / "out").glob("*.json"))
    assert run([*command, str(tmp_path / "out")]) == 0
    assert run([*command, str(tmp_path / "whole")]) == 0
    for name in ("a.json", "b.json"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("out", "whole"))
        assert first == second
    assert len(list((tmp_path / "out").glob("?/*.png"))) == 1500
