import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from jsisnet.cli.app import run
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.experiments import small_data
from jsisnet.experiments.small_data import COCO_PARTS, choose_coco, convert_camvid, split_things
from jsisnet.formats import coco
from jsisnet.panoptic import VOID

CAR, ROAD, POLE, UNLABELLED = 8, 3, 2, 11


@pytest.fixture
def downloaded(tiny, tmp_path, monkeypatch):
    """A COCO of six photos, five of train2017; of each part one or two photos are chosen."""
    root = tmp_path / "coco"
    content = json.loads(tiny.annotations.read_text())
    categories = [each for each in content["categories"] if each["isthing"]]
    for split, kept in (("train2017", content["images"][:5]), ("val2017", content["images"][5:])):
        shutil.copytree(tiny.images, root / split)
        shutil.copytree(tiny.annotations.with_suffix(""), root / f"annotations/panoptic_{split}")
        ids = [image["id"] for image in kept]
        annotations = [each for each in content["annotations"] if each["image_id"] in ids]
        panoptic = {**content, "images": kept, "annotations": annotations}
        (root / f"annotations/panoptic_{split}.json").write_text(json.dumps(panoptic))
        things = [{"id": i, "image_id": i, "category_id": categories[0]["id"]} for i in ids]
        instances = {"images": kept, "annotations": things, "categories": categories}
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(instances))
    first, second, third, fourth, _, sixth = (image["id"] for image in content["images"])
    chosen = ((third, first), (sixth,), (fourth, sixth, second))
    parts = [replace(part, ids=ids) for part, ids in zip(COCO_PARTS, chosen, strict=True)]
    monkeypatch.setattr(small_data, "COCO_PARTS", parts)
    return root, chosen


def listed(path):
    return json.loads(path.read_text())


def image_ids(path):
    return [image["id"] for image in listed(path)["images"]]


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


def test_the_chosen_photos_are_valid_data_sets_in_the_order_of_their_ids(downloaded, tmp_path):
    root, (train, val, _) = downloaded

    choose_coco(root, tmp_path / "out")

    mini = tmp_path / "out/coco-mini"
    for split, ids in (("train2017", train), ("val2017", val)):
        path = mini / f"annotations/panoptic_{split}.json"
        assert image_ids(path) == list(ids)
        assert check(DatasetPaths(images=mini / split, annotations=path)).valid
        assert len(list((mini / split).iterdir())) == len(ids)
        whole = {r.image_id: r for r in coco.source(root / path.relative_to(mini)).records}
        for record in coco.source(path).records:
            assert (record.read().ids == whole[record.image_id].read().ids).all()


def test_instances_are_found_in_both_splits(downloaded, tmp_path):
    root, (_, _, (fourth, sixth, second)) = downloaded

    choose_coco(root, tmp_path / "out")

    mini = tmp_path / "out/coco-instances-mini"
    path = mini / "annotations/instances_train2017.json"
    content = listed(path)
    assert image_ids(path) == [fourth, second, sixth]
    assert [each["id"] for each in content["annotations"]] == [fourth, second, sixth]
    assert {image["file_name"] for image in content["images"]} == {
        photo.name for photo in (mini / "train2017").iterdir()
    }


def test_choosing_again_completes_the_data_sets(downloaded, tmp_path):
    root, (train, *_) = downloaded
    out = tmp_path / "out"
    choose_coco(root, out)
    lost = min((out / "coco-mini/train2017").iterdir())
    lost.unlink()
    calls = []

    choose_coco(root, out, on_photo=lambda *done: calls.append(done))

    assert lost.is_file()
    assert image_ids(out / "coco-mini/annotations/panoptic_train2017.json") == list(train)
    assert calls == [(done, 6) for done in range(1, 7)]


def test_annotations_without_a_chosen_photo_are_refused(downloaded, tmp_path, monkeypatch):
    root, _ = downloaded
    monkeypatch.setattr(small_data, "COCO_PARTS", [replace(COCO_PARTS[2], ids=(100, 987))])

    with pytest.raises(ValueError, match=r"1 of 2 chosen images are not listed, such as 987"):
        choose_coco(root, tmp_path / "out")


def test_a_missing_photo_is_named(downloaded, tmp_path):
    root, _ = downloaded
    shutil.rmtree(root / "val2017")

    with pytest.raises(ValueError, match=r"val2017/.*: no such photo"):
        choose_coco(root, tmp_path / "out")


def test_the_photos_are_those_that_the_documentation_counts():
    train, val, instances = (part.ids for part in COCO_PARTS)

    assert (len(train), len(val), len(instances)) == (100, 40, 193)
    assert len({*train, *val, *instances}) == 333


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

    convert_camvid(root, tmp_path / "out")

    for split in ("train", "val"):
        path = tmp_path / f"out/camvid/annotations/panoptic_{split}.json"
        images = tmp_path / "out/camvid" / split
        assert [image["file_name"] for image in listed(path)["images"]] == [
            "0001TP_1.png",
            "0016E5_2.png",
        ]
        assert check(DatasetPaths(images=images, annotations=path)).valid
        for record in coco.source(path).records:
            assert (record.read().ids == split_things(street()).ids).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "val"), "val: no PNGs; expected CamVid"),
        (lambda root: (root / "trainannot/a.png").unlink(), "a.png: can't be read"),
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
    root = class_maps(tmp_path / "CamVid", {"a": street()})
    change(root)

    command = ["reproduce", "data", "--camvid", str(root), "--out", str(tmp_path / "out")]

    assert run(command) == 1
    assert message in capsys.readouterr().err


def test_no_data_at_all_is_refused(tmp_path, capsys):
    assert run(["reproduce", "data", "--out", str(tmp_path / "out")]) == 1
    assert "use --coco or --camvid" in capsys.readouterr().err
