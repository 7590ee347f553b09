import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import factories
from jsisnet.datatools import split as splitting
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.datatools.parts import Files
from jsisnet.datatools.split import SplitConfig, parse_shares, sizes, split
from jsisnet.files import follow_links
from jsisnet.formats import coco

CONFIG = SplitConfig(shares=parse_shares(["train=4", "val=2"]))


@pytest.fixture
def files(tiny):
    return Files(annotations=tiny.annotations)


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def listed(path):
    return json.loads(path.read_text())


def names(path):
    return [image["file_name"] for image in listed(path)["images"]]


def stop(done, _):
    if done == 3:
        raise KeyboardInterrupt


def test_every_image_is_in_one_part(files, tiny, tmp_path):
    result = split(files, tmp_path / "out", CONFIG)

    train, val = (names(tmp_path / f"out/{part}.json") for part in ("train", "val"))
    assert [(part.name, part.images) for part in result.parts] == [("train", 4), ("val", 2)]
    assert (len(train), len(val)) == (4, 2)
    assert sorted(train + val) == names(tiny.annotations)


def test_a_part_is_a_valid_data_set_with_the_same_maps(files, tiny, tmp_path):
    split(files, tmp_path / "out", CONFIG)

    whole = {r.image_id: r for r in coco.source(tiny.annotations).records}
    for part in ("train", "val"):
        path = tmp_path / f"out/{part}.json"
        assert check(DatasetPaths(images=tiny.images, annotations=path)).valid
        for record in coco.source(path).records:
            assert (record.read().ids == whole[record.image_id].read().ids).all()
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [
        *("train", "train.json", "val", "val.json")
    ]


def test_maps_are_links_and_copies_where_links_are_impossible(files, tiny, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    split(files, tmp_path / "links", CONFIG)
    monkeypatch.setattr(os, "link", refuse)
    split(files, tmp_path / "copies", CONFIG)

    for link in (tmp_path / "links").rglob("*.png"):
        copy = tmp_path / "copies" / link.relative_to(tmp_path / "links")
        assert link.samefile(tiny.pngs / link.name)
        assert not copy.samefile(link)
        assert copy.read_bytes() == link.read_bytes()


def test_a_link_to_a_map_elsewhere_becomes_the_map(files, tiny, tmp_path):
    (tiny.pngs / "map1.png").rename(tmp_path / "elsewhere.png")
    (tiny.pngs / "map1.png").symlink_to(tmp_path / "elsewhere.png")

    with follow_links():
        split(files, tmp_path / "out", CONFIG)

    (made,) = (tmp_path / "out").rglob("map1.png")
    assert not made.is_symlink()
    assert made.read_bytes() == (tmp_path / "elsewhere.png").read_bytes()


def test_an_expression_that_takes_years_is_refused_in_time(files, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(splitting, "_MAX_MATCHING", 0.1)
    change(tiny.annotations, lambda it: it["images"][0].update(file_name=60 * "a" + "!"))

    with pytest.raises(ValueError, match=r"takes more than 0\.1 seconds to match the 6 names"):
        split(files, tmp_path / "out", replace(CONFIG, group="((a|a)+)$"))


def test_unknown_fields_are_kept(files, tiny, tmp_path):
    def add(content):
        content["info"] = {"year": 2031, "ratio": 0.10}
        for name in ("images", "annotations", "categories"):
            for entry in content[name]:
                entry["note"] = "é"

    change(tiny.annotations, add)

    split(files, tmp_path / "out", CONFIG)

    content = listed(tmp_path / "out/val.json")
    assert content["info"] == {"year": 2031, "ratio": 0.10}
    assert content["categories"] == listed(tiny.annotations)["categories"]
    assert {entry["note"] for entry in content["images"] + content["annotations"]} == {"é"}


def test_images_of_a_group_stay_together(files, tiny, tmp_path):
    def rename(content):
        for i, image in enumerate(content["images"]):
            image["file_name"] = f"{'abc'[i // 2]}_{i}.jpg"

    change(tiny.annotations, rename)

    result = split(files, tmp_path / "out", replace(CONFIG, group=r"(.*)_\d+\.jpg"))

    train, val = (
        {name[0] for name in names(tmp_path / f"out/{part}.json")} for part in ("train", "val")
    )
    assert result.groups == 3
    assert (len(train), len(val), len(train | val)) == (2, 1, 3)


def test_an_image_whose_name_fits_no_group_is_alone(files, tmp_path):
    assert split(files, tmp_path / "out", replace(CONFIG, group=r"street([01])\..*")).groups == 6


def test_missing_classes_are_reported(files, tiny, tmp_path):
    def add(content):
        content["categories"].append({"id": 77, "name": "dog", "isthing": 1})

    change(tiny.annotations, add)

    result = split(files, tmp_path / "out", SplitConfig(shares=parse_shares(["a=1", "b=rest"])))

    (alone,) = listed(tmp_path / "out/a.json")["annotations"]
    seen = {info["category_id"] for info in alone["segments_info"]}
    expected = [c["name"] for c in factories.category_entries() if c["id"] not in seen]
    assert list(result.parts[0].missing) == expected
    assert result.unseen == ("dog",)


def test_an_image_without_annotation_has_a_part_too(files, tiny, tmp_path):
    change(tiny.annotations, lambda content: content["annotations"].clear())

    result = split(files, tmp_path / "out", CONFIG)

    assert [(part.images, part.annotations) for part in result.parts] == [(4, 0), (2, 0)]
    assert (tmp_path / "out/val").is_dir()


def test_instances_stay_with_their_images(tmp_path):
    things = factories.tiny_instances(tmp_path / "things")
    files = Files(annotations=things.annotations, kind="coco-instances")

    split(files, tmp_path / "out", SplitConfig(shares=parse_shares(["a=0.5", "b=0.5"])))

    parts = [listed(tmp_path / f"out/{part}.json") for part in "ab"]
    for part in parts:
        own = {image["id"] for image in part["images"]}
        assert {one["image_id"] for one in part["annotations"]} == own
    counts = [len(part["annotations"]) for part in parts]
    assert sum(counts) == len(listed(things.annotations)["annotations"])
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["a.json", "b.json"]


def test_a_complete_split_is_brought_up_to_date(files, tiny, tmp_path):
    first = split(files, tmp_path / "out", CONFIG)
    png = next(tiny.pngs.iterdir())
    content = png.read_bytes()
    png.unlink()
    png.write_bytes(content + b"changed")

    assert split(files, tmp_path / "out", CONFIG) == first

    (copy,) = (tmp_path / "out").rglob(png.name)
    assert copy.read_bytes().endswith(b"changed")
    with pytest.raises(ValueError, match="the result of another command"):
        split(files, tmp_path / "out", replace(CONFIG, seed=1))


def test_an_interrupted_run_resumes(files, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        split(files, tmp_path / "out", CONFIG, on_map=stop)
    assert not list((tmp_path / "out").glob("*.json"))

    with pytest.raises(ValueError, match="unfinished work of another"):
        split(files, tmp_path / "out", replace(CONFIG, seed=1))
    split(files, tmp_path / "out", CONFIG)
    split(files, tmp_path / "whole", CONFIG)

    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (tmp_path / "out", tmp_path / "whole")
    )
    assert first == second


def test_a_split_may_be_repeated_with_its_paths_spelled_otherwise(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files.annotations.parent)
    split(replace(files, annotations=Path(files.annotations.name)), tmp_path / "out", CONFIG)

    assert split(files, tmp_path / "out", CONFIG).parts


def test_a_folder_with_other_files_is_refused(files, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.json").write_text("precious")

    with pytest.raises(ValueError, match="not empty; choose a new or empty folder"):
        split(files, tmp_path / "out", CONFIG)


def _nothing(content):
    content["images"].clear()
    content["annotations"].clear()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_nothing, "no images are listed"),
        (lambda c: c.pop("images"), "missing 'images'"),
        (lambda c: c["images"].append({}), r"images\[6\]: missing 'id'"),
        (lambda c: c["images"].append(c["images"][0]), "image 100: listed twice"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "image 100: two annotations"),
        (lambda c: c["annotations"][0].update(image_id=5), "image 5: annotated, but not listed"),
        (lambda c: c["annotations"][1].update(file_name="../x.png"), "inside its folder"),
        (lambda c: c["annotations"][1].update(file_name="x.png"), "x.png does not exist"),
        (lambda c: c["categories"].pop(0), "'category_id' is 1; expected one of the 5"),
    ],
)
def test_a_damaged_file_gives_one_message(files, tiny, tmp_path, edit, reason):
    change(tiny.annotations, edit)

    with pytest.raises(ValueError, match=reason):
        split(files, tmp_path / "out", CONFIG)


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ("(", "is not a valid regular expression"),
        ("street.*", "has no parentheses"),
        ("(x).*", "matches no photo; the first is 'street0.jpg'"),
        ("(street).*", "1 images or groups .* can't be split into 2 parts"),
    ],
)
def test_an_invalid_group_is_refused(files, tmp_path, group, reason):
    with pytest.raises(ValueError, match=reason):
        split(files, tmp_path / "out", replace(CONFIG, group=group))


def test_maps_may_be_in_another_folder(files, tiny, tmp_path):
    tiny.pngs.rename(tmp_path / "maps")

    with pytest.raises(ValueError, match="the folder of its PNGs"):
        split(files, tmp_path / "out", CONFIG)
    split(replace(files, pngs=tmp_path / "maps"), tmp_path / "out", CONFIG)

    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


@pytest.mark.parametrize(
    ("texts", "images", "expected"),
    [
        (["train=0.8", "val=0.2"], 10, (8, 2)),
        (["a=0.1", "b=0.2", "c=0.7"], 10, (1, 2, 7)),
        (["a=1/3", "b=1/3", "c=1/3"], 10, (4, 3, 3)),
        (["a=.5", "b=.5"], 3, (2, 1)),
        (["train=rest", "val=500"], 1200, (700, 500)),
        (["train=0.9", "val=rest"], 20, (18, 2)),
        (["a=3", "b=4"], 7, (3, 4)),
        (["all=1.0"], 5, (5,)),
        (["all=rest"], 5, (5,)),
    ],
)
def test_shares_become_numbers_of_images(texts, images, expected):
    assert sizes(parse_shares(texts), images) == expected


def test_fractions_are_exact():
    assert parse_shares(["a=0.1", "b=0.9"])[0].amount == Fraction(1, 10)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "no parts; expected"),
        (["train"], "expected NAME=SHARE"),
        (["../x=0.5", "b=0.5"], "the part name '../x'"),
        (["a/b=1.0"], "the part name 'a/b'"),
        (["a.json=1.0"], "the part name 'a.json'"),
        (["-a=1.0"], "the part name '-a'"),
        (["=1.0"], "the part name ''"),
        ([f"{'x' * 51}=1.0"], "of up to 50 letters"),
        (["CON=1.0"], "expected a folder name"),
        (["lpt1=1.0"], "expected a folder name"),
        (["a=0.5", "A=0.5"], "duplicate part 'A'"),
        (["a=0.5", "b=0.6"], "the fractions add up to 1.1; expected 1"),
        (["a=0.5", "b=0.4"], "the fractions add up to 0.9; expected 1"),
        (["a=0.5", "b=0.6", "c=rest"], "the fractions add up to 1.1"),
        (["a=rest", "b=rest"], "two parts have the share 'rest'"),
        (["a=0.5", "b=5"], "mix fractions and numbers"),
        (["a=nan"], "the share of 'a' is 'nan'"),
        (["a=-1"], "the share of 'a' is '-1'"),
        (["a=1/0"], "the share of 'a' is '1/0'"),
        (["a=0"], "the share of 'a' is '0'"),
        (["a=1e9999999"], "the share of 'a' is '1e9999999'"),
    ],
)
def test_an_invalid_share_gives_one_message(texts, reason):
    with pytest.raises(ValueError, match=reason.replace(".", r"\.").replace("/", r"\/")):
        parse_shares(texts)


@pytest.mark.parametrize(
    ("texts", "images", "reason"),
    [
        (["a=0.5", "b=0.5"], 1, "the part 'b' would have none of the 1 images"),
        (["a=0.01", "b=0.99"], 10, "the part 'a' would have none of the 10 images"),
        (["a=0.0", "b=1.0"], 10, "the part 'a' would have none"),
        (["a=3", "b=3"], 7, "6 images in total; expected 7"),
        (["a=9", "b=rest"], 7, "the part 'b' would have none"),
        (["a=8"], 7, "8 images in total; expected 7"),
    ],
)
def test_shares_that_do_not_fit_are_refused(texts, images, reason):
    with pytest.raises(ValueError, match=reason):
        sizes(parse_shares(texts), images)
