import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hotcoco import COCO
from PIL import Image

import factories
import litter
from jsisnet.cli.app import run
from jsisnet.formats import coco

CONVERT = ["data", "convert"]


def converted(*tokens):
    return run([*CONVERT, *map(str, tokens)])


def from_coco(tiny, out, *more):
    return converted("--from", "coco", "--annotations", tiny.annotations, "--out", out, *more)


def contents(path):
    return sorted(
        (record.image_id, record.name, record.read().areas().tolist())
        for record in coco.source(path).records
    )


def test_a_data_set_survives_a_round_trip_through_every_format(tiny, tmp_path, capsys):
    first, second, third, last = (tmp_path / name for name in ("1", "2", "3", "4"))

    assert from_coco(tiny, first, "--to", "semantic-instance") == 0
    maps = ("--semantic", first / "semantic", "--instances", first / "instances")
    listed = ("--categories", first / "index.json")
    pair = ("--from", "semantic-instance", *maps, *listed)
    assert converted(*pair, "--to", "cityscapes", "--out", second) == 0
    street = ("--from", "cityscapes", "--root", second, "--split", "all")
    assert converted(*street, "--categories", second / "index.json", "--out", third) == 0
    assert from_coco(tiny, last) == 0

    names = [name for _, name, _ in contents(third / "panoptic.json")]
    assert names == [f"street{i}{factories.SUFFIXES[i % 3]}" for i in range(6)]
    for ours, theirs in zip(
        contents(third / "panoptic.json"), contents(last / "panoptic.json"), strict=True
    ):
        assert (ours[:2], sorted(ours[2])) == (theirs[:2], sorted(theirs[2]))
    out, told = capsys.readouterr()
    assert out.splitlines()[0] == f"Wrote {first}/index.json: 6 maps, 6 classes"
    assert told == "jsisnet: the class ids don't fit the format; renumbered them 1 to 6\n"


def test_information_that_a_format_cannot_represent_is_counted(tiny, tmp_path, capsys):
    assert from_coco(tiny, tmp_path / "out", "--to", "two-channel") == 0

    told = capsys.readouterr().err
    assert told == "jsisnet: not converted: crowd regions, which became void (1)\n"
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert [c["id"] for c in index["categories"]] == [1, 3, 6, 92, 100, 150]
    assert [image["id"] for image in index["images"]] == list(range(100, 106))


def test_outlines_of_things_become_maps(tmp_path):
    things = factories.tiny_instances(tmp_path / "tiny")

    code = converted(
        "--from", "coco-instances", "--annotations", things.annotations, "--out", tmp_path / "out"
    )

    assert code == 0
    source = coco.source(tmp_path / "out/panoptic.json")
    assert len(source.records) == 4
    assert {category.isthing for category in source.categories} == {True}
    assert (source.records[0].read().ids == 0).any()


def test_a_data_set_survives_a_round_trip_through_outlines_over_classes(tiny, tmp_path, capsys):
    tool, back, plain = (tmp_path / name for name in ("tool", "back", "plain"))

    assert from_coco(tiny, tool, "--to", "coco-instances") == 0
    told = capsys.readouterr().out.splitlines()
    outlines = ("--from", "coco-instances", "--annotations", tool / "instances.json")
    classes = ("--semantic", tool / "semantic", "--categories", tool / "index.json")
    assert converted(*outlines, *classes, "--out", back) == 0
    assert converted(*outlines, "--out", plain) == 0

    assert told[1] == f"Wrote {tool}/instances.json: the things"
    truth = coco.source(tiny.annotations)
    for folder, thingness in ((back, {True, False}), (plain, {True})):
        found = coco.source(folder / "panoptic.json")
        assert [r.name for r in found.records] == [r.name for r in truth.records]
        for ours, theirs in zip(found.records, truth.records, strict=True):
            kinds = [
                sorted(
                    (source.categories[s.label].name, s.iscrowd, int(area))
                    for s, area in zip(panoptic.segments, panoptic.areas(), strict=True)
                    if s.isthing in thingness
                )
                for source, panoptic in ((found, ours.read()), (truth, theirs.read()))
            ]
            assert kinds[0] == kinds[1]


def test_an_instances_file_has_the_fields_that_other_programs_expect(tiny, tmp_path):
    assert from_coco(tiny, tmp_path / "out", "--to", "coco-instances") == 0

    content = json.loads((tmp_path / "out/instances.json").read_text())
    assert [entry["name"] for entry in content["categories"]] == ["person", "car", "bus"]
    ids = [entry["id"] for entry in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    for entry in content["annotations"]:
        assert entry.keys() == {
            *("id", "image_id", "category_id", "iscrowd"),
            *("area", "bbox", "segmentation"),
        }
    opened = COCO(str(tmp_path / "out/instances.json"))
    masks = [opened.ann_to_mask(entry) for entry in content["annotations"]]
    assert [int(mask.sum()) for mask in masks] == [e["area"] for e in content["annotations"]]


def test_vistas_and_two_channels_are_read(tmp_path):
    labels = [{"name": "a", "readable": "A", "instances": True, "evaluate": True}]
    pngs = tmp_path / "vistas/training/v2.0/instances"
    pngs.mkdir(parents=True)
    (tmp_path / "vistas/config_v2.0.json").write_text(json.dumps({"labels": labels}))
    Image.fromarray(np.array([[0, 1, 1]], np.uint16)).save(pngs / "x.png")
    vistas = ("--from", "vistas", "--root", tmp_path / "vistas", "--split", "training")

    code = converted(
        *vistas, "--version", "2.0", "--to", "two-channel", "--out", tmp_path / "channels"
    )
    channels = ("--pngs", tmp_path / "channels/maps")
    listed = ("--categories", tmp_path / "channels/index.json", "--void", 0)
    again = converted("--from", "two-channel", *channels, *listed, "--out", tmp_path / "out")

    assert (code, again) == (0, 0)
    assert contents(tmp_path / "out/panoptic.json") == [("x", "x.jpg", [1, 2])]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--from", "vistas", "--root", "x"], "--split is required by the format vistas"),
        (["--from", "coco", "--root", "x"], "--annotations is required by the format coco"),
        (
            ["--from", "coco", "--annotations", "x", "--void", "1"],
            "--void is not used by the format coco",
        ),
        (
            ["--from", "coco-instances", "--annotations", "x", "--pngs", "y"],
            "--pngs is not used by the format coco-instances",
        ),
        (
            ["--from", "coco-instances", "--annotations", "x", "--semantic", "y"],
            "--categories is required by --semantic",
        ),
        (
            [
                *("--from", "coco-instances", "--annotations", "x", "--categories", "y"),
                *("--void", "1"),
            ],
            "--semantic is required by --void",
        ),
        (["--from", "coco", "--annotations", "x.json"], "x.json: can't be read"),
        (["--from", "two-channel", "--pngs", "x", "--categories", "y.json"], "y.json: can't be"),
    ],
)
def test_an_invalid_option_gives_one_message(tokens, message, tmp_path, capsys):
    assert converted(*tokens, "--out", tmp_path / "out") == 1

    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_damaged_map_gives_one_message_and_the_command_resumes_once_it_is_repaired(
    tiny, tmp_path, capsys
):
    png = tiny.pngs / "map3.png"
    content = png.read_bytes()
    png.write_bytes(content[:100])

    assert from_coco(tiny, tmp_path / "out", "--processes", "1") == 1

    told = capsys.readouterr().err
    assert "map3.png" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out/panoptic.json").exists()
    png.write_bytes(content)
    assert from_coco(tiny, tmp_path / "out", "--processes", "1") == 0
    assert len(contents(tmp_path / "out/panoptic.json")) == 6


def test_maps_are_not_written_into_the_input_folder(tiny, tmp_path, capsys):
    assert from_coco(tiny, tmp_path / "out", "--to", "two-channel") == 0
    maps = tmp_path / "out" / "maps"
    before = sorted(maps.rglob("*"))
    capsys.readouterr()

    read = "--from", "two-channel", "--pngs", maps, "--categories", tmp_path / "out/index.json"
    assert converted(*read, "--out", maps / "new") == 1

    assert capsys.readouterr().err == (
        f"jsisnet: {maps / 'new'} lies in {maps}, which is an input; choose another folder\n"
    )
    assert sorted(maps.rglob("*")) == before


def test_too_many_processes_are_refused(tiny, tmp_path, capsys):
    assert from_coco(tiny, tmp_path / "out", "--processes", "100000") == 2

    assert "expected at most 1024" in capsys.readouterr().err


def test_a_finished_conversion_is_complete_already_and_no_other_one(tiny, tmp_path, capsys):
    assert from_coco(tiny, tmp_path / "out") == 0
    assert "Wrote" in capsys.readouterr().out

    assert from_coco(tiny, tmp_path / "out") == 0
    assert "already complete" in capsys.readouterr().out
    assert from_coco(tiny, tmp_path / "out", "--crowds-as-things") == 1
    assert "holds the result of another command" in capsys.readouterr().err


def many_streets(folder, times=60):
    """Write a data set that takes a second: a few streets, listed many times each."""
    tiny = factories.tiny_dataset(folder / "tiny", count=3, size=(200, 300))
    content = json.loads(tiny.annotations.read_text())
    images, annotations = [], []
    for turn in range(times):
        for image, annotation in zip(content["images"], content["annotations"], strict=True):
            image_id, name = f"{turn}_{image['id']}", f"{turn}_{annotation['file_name']}"
            (tiny.pngs / name).hardlink_to(tiny.pngs / annotation["file_name"])
            images.append(image | {"id": image_id, "file_name": name})
            annotations.append(annotation | {"image_id": image_id, "file_name": name})
    content |= {"images": images, "annotations": annotations}
    tiny.annotations.write_text(json.dumps(content))
    return tiny.annotations


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_conversion_resumes(how, tmp_path):
    annotations = many_streets(tmp_path)
    options = ["--from", "coco", "--annotations", str(annotations), "--processes", "2"]
    command = [sys.executable, "-m", "jsisnet", *CONVERT, *options]
    journal = tmp_path / "out/.journal.jsonl"
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL, stderr=-3
    )
    while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
        time.sleep(0.005)
        assert process.poll() is None
    os.kill(process.pid, how)
    process.wait()
    assert not (tmp_path / "out/panoptic.json").exists()

    assert run([*CONVERT, *options, "--out", str(tmp_path / "out")]) == 0
    assert run([*CONVERT, *options, "--out", str(tmp_path / "whole")]) == 0

    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (tmp_path / "out", tmp_path / "whole")
    )
    assert first == second


def test_the_help_has_an_example_for_each_format(capsys):
    assert run([*CONVERT, "--help"]) == 0

    text = capsys.readouterr().out
    kinds = ("coco", "coco-instances", "vistas", "cityscapes", "two-channel")
    for kind in (*kinds, "semantic-instance"):
        assert f"jsisnet data convert --from {kind}" in text


def test_crowds_can_become_things(tiny, tmp_path):
    source = coco.source(tiny.annotations)
    assert any(s.iscrowd for record in source.records for s in record.read().segments)

    assert from_coco(tiny, tmp_path / "out", "--crowds-as-things") == 0

    written = coco.source(tmp_path / "out" / "panoptic.json")
    assert contents(tiny.annotations) == contents(tmp_path / "out" / "panoptic.json")
    assert not any(s.iscrowd for record in written.records for s in record.read().segments)


def test_areas_of_any_kind_are_recounted(tiny, tmp_path, capsys):
    content = json.loads(tiny.annotations.read_text())
    content["annotations"][0]["segments_info"][0]["area"] = "63.5"
    tiny.annotations.write_text(json.dumps(content))

    assert from_coco(tiny, tmp_path / "out") == 1
    assert "'area' is \"63.5\"; expected the number of pixels (--recount" in capsys.readouterr().err
    assert from_coco(tiny, tmp_path / "out", "--recount-areas") == 0


def test_exactly_the_broken_entries_of_a_litter_data_set_are_left_out(tmp_path, capsys):
    broken = litter.write(tmp_path, images=20, objects=100, size=(120, 160))
    files = ("--annotations", broken.annotations, "--out", tmp_path / "out")

    assert converted("--from", "coco-instances", *files) == 1
    refused = capsys.readouterr().err
    assert converted("--from", "coco-instances", *files, "--keep-going") == 0
    told = capsys.readouterr().err

    assert f"without an outline ({len(broken.boxes)}), such as" in refused
    assert f"that can't be read ({len(broken.bogus)}), such as" in refused
    assert f"left out: annotations without an outline ({len(broken.boxes)}), such" in told
    assert f"left out: annotations with an outline that can't be read ({len(broken.bogus)})" in told
    assert f"missing or duplicate id ({len(broken.duplicates)}), such" in told
    written = sum(len(areas) for *_, areas in contents(tmp_path / "out" / "panoptic.json"))
    assert written == 100 - len(broken.boxes) - len(broken.bogus)
