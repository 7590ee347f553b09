import shutil

import numpy as np
import pytest
from PIL import Image

from jsisnet.cli.app import run
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.experiments import camvid
from jsisnet.experiments.camvid import convert, split_things
from jsisnet.files.links import RefusedLinkError
from jsisnet.formats import coco
from jsisnet.panoptic import VOID

CAR, ROAD, POLE, UNLABELLED = 8, 3, 2, 11


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A CamVid of two frames in each split."""
    monkeypatch.setattr(camvid, "FRAMES", {"train": 2, "val": 2})


def class_maps(folder, maps):
    """Write a photo and a class map for each name."""
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        (folder / f"{split}annot").mkdir()
        for name, classes in maps.items():
            grey = Image.new("RGB", classes.shape[::-1], "grey")
            grey.save(folder / split / f"{name}.png")
            Image.fromarray(classes).save(folder / f"{split}annot" / f"{name}.png")
    return folder


def street():
    classes = np.full((20, 40), ROAD, np.uint8)
    classes[:, 38] = POLE
    classes[:, 39] = UNLABELLED
    classes[2:8, 2:8] = classes[10:16, 20:26] = CAR
    return classes


def test_components_of_things_are_things_unless_they_are_small():
    classes = street()
    classes[8:10, 8:10] = CAR  # touches the first car at a corner
    classes[0, 20:30] = CAR

    panoptic = split_things(classes)

    labels = [segment.label for segment in panoptic.segments]
    assert labels == [POLE, ROAD, CAR, CAR]
    assert panoptic.areas().tolist() == [20, 39 * 20 - 20 - 2 * 36 - 4 - 10, 40, 36]
    assert panoptic.ids[9, 9] == panoptic.ids[2, 2] != panoptic.ids[10, 20]
    assert (panoptic.ids[0, 20:30] == VOID).all()
    assert (panoptic.ids[:, 39] == VOID).all()


def test_camvid_becomes_a_valid_data_set(tmp_path):
    root = class_maps(tmp_path / "CamVid", {"0001TP_1": street(), "0016E5_2": street()})

    convert(root, tmp_path / "out")

    for split in ("train", "val"):
        path = tmp_path / f"out/camvid/annotations/panoptic_{split}.json"
        images = tmp_path / "out/camvid" / split
        assert [each.name for each in coco.source(path).records] == ["0001TP_1.png", "0016E5_2.png"]
        assert check(DatasetPaths(images=images, annotations=path)).valid
        for record in coco.source(path).records:
            assert (record.read().ids == split_things(street()).ids).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "val"), "val: 0 PNGs; expected the 2 of CamVid"),
        (lambda root: (root / "train/b.png").unlink(), "train: 1 PNGs; expected the 2 of CamVid"),
        (lambda root: (root / "trainannot/a.png").unlink(), "trainannot has no such file"),
        (lambda root: (root / "train/a.png").write_bytes(b""), "train/a.png"),
        (
            lambda root: Image.new("L", (30, 20)).save(root / "trainannot/a.png"),
            "trainannot/a.png: not as large as ",
        ),
        (
            lambda root: Image.new("L", (40, 20), 12).save(root / "trainannot/a.png"),
            "a.png: found the class 12; expected 0 to 11",
        ),
        (
            lambda root: Image.new("RGB", (40, 20)).save(root / "trainannot/a.png"),
            "a.png: has colours; expected a class in each pixel",
        ),
    ],
)
def test_a_camvid_of_another_kind_is_refused_in_one_line(change, message, tmp_path, capsys):
    root = class_maps(tmp_path / "CamVid", {"a": street(), "b": street()})
    change(root)

    command = ["reproduce", "data", "--camvid", str(root), "--out", str(tmp_path / "out")]

    assert run(command) == 1
    assert message in capsys.readouterr().err


def test_a_class_map_elsewhere_is_not_followed(tmp_path):
    root = class_maps(tmp_path / "CamVid", {"a": street(), "b": street()})
    classes = root / "trainannot/a.png"
    classes.rename(tmp_path / "elsewhere.png")
    classes.symlink_to(tmp_path / "elsewhere.png")

    with pytest.raises(RefusedLinkError):
        convert(root, tmp_path / "out")


def test_files_of_others_are_left_alone(tmp_path):
    root = class_maps(tmp_path / "CamVid", {"a": street(), "b": street()})
    foreign = tmp_path / "out/camvid/train/a.png"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")

    with pytest.raises(ValueError, match=r"camvid: not empty; choose a new or empty folder"):
        convert(root, tmp_path / "out")

    assert foreign.read_text() == "mine"


def test_no_data_at_all_is_refused(tmp_path, capsys):
    assert run(["reproduce", "data", "--out", str(tmp_path / "out")]) == 1
    assert "use --coco or --camvid" in capsys.readouterr().err
