"""A small, seeded part of `benchmarks/reliability.py`."""

import itertools
import os
import shutil
from pathlib import Path

import pytest
from reliability import commands, fuzz, kills, mutations, trees, twice
from reliability.corpus import Target
from reliability.workshop import Workshop

import factories
from jsisnet.cli.app import run

CASES = 24
"""Damaged files for each command."""

TRUTH = ("--annotations", "in/val/predictions.json", "--pngs", "in/val")
TARGETS = (
    Target(
        "score",
        (
            *("score", "in/val/predictions.json", "in/val/predictions.json", "--processes", "1"),
            *("--truth-pngs", "in/val", "--prediction-pngs", "in/val", "--json", "out/a.json"),
        ),
        ("in/val/predictions.json", "in/val/map1.png"),
    ),
    Target(
        "convert coco",
        (
            *("data", "convert", "--from", "coco", *TRUTH, "--to", "two-channel"),
            *("--processes", "1", "--out", "out/maps"),
        ),
        ("in/val/predictions.json", "in/val/map0.png"),
    ),
)
QUICK = ("swollen", "bomb", "nested")
"""Kinds of damage that take too long for tests."""


class Here:
    """Runs commands in this process."""

    def run(self, tokens, room):
        before = Path.cwd()
        os.chdir(room)
        try:
            code = run(tokens)
        finally:
            os.chdir(before)
        printed = self.capsys.readouterr()
        (room / "log.out").write_text(printed.out)
        (room / "log.err").write_text(printed.err)
        return {"code": code, "signal": 0, "seconds": 0, "memory": 0, "hangs": False}


@pytest.fixture
def workshop(tmp_path):
    data = factories.tiny_dataset(tmp_path / "tiny", count=3, size=(24, 36))
    shutil.copytree(data.pngs, tmp_path / "in/val")
    shutil.copy(data.annotations, tmp_path / "in/val/predictions.json")
    shutil.copytree(data.images, tmp_path / "in/scenes/val")
    return Workshop(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data convert to two-channel"])
def test_a_killed_command_that_is_rerun_writes_the_same_files(workshop, name):
    command = next(each for each in commands.COMMANDS if each.name == name)
    reference = kills.reference(command, workshop)
    tally = kills.kill_and_compare(command, reference, workshop, "0")
    again = twice.one_after_the_other(command, reference, workshop)

    assert tally.reruns == 1
    assert tally.examples == []
    assert again.fault == ""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damaged_files_are_refused_or_read_as_an_independent_reader_does(
    workshop, target, tmp_path, capsys
):
    here = Here()
    here.capsys = capsys
    fuzzer = fuzz.Fuzzer(workshop, 0, tmp_path / "kept", here)
    kinds = [
        (file, mutation)
        for file in target.damaged
        for mutation in mutations.of(file)
        if mutation not in QUICK
    ]

    for number, (file, mutation) in zip(range(CASES), itertools.cycle(kinds), strict=False):
        fuzzer.run(fuzz.Case(target, file, mutation, number))

    tally = fuzzer.tallies[target.name]
    assert fuzzer.faults == []
    assert tally.refused > CASES / 3
    assert tally.right > 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"a": 1'),
        ("a.json", b'{"a": 1, "a": 2}'),
        ("a.png", b"\x89PNG"),
        ("a.csv", b""),
    ],
)
def test_the_independent_readers_notice_half_written_files(name, content):
    assert len(trees.half_written({name: content})) == 1


def test_differences_of_trees_are_named():
    before, after = {"a": b"1", "b": b"1", "d": None}, {"b": b"2", "c": b"1", "d": None}

    assert trees.differences(before, after) == ["lost: a", "left over: c", "differs: b"]
    assert trees.differences(before, before) == []
