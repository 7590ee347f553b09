import json
import shutil
from dataclasses import replace

import pytest

from jsisnet.cli.app import run
from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.experiments import coco_mini
from jsisnet.experiments.coco_mini import PARTS, choose
from jsisnet.files.links import RefusedLinkError
from jsisnet.formats import coco


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
    parts = [replace(part, ids=ids) for part, ids in zip(PARTS, chosen, strict=True)]
    monkeypatch.setattr(coco_mini, "PARTS", parts)
    return root, chosen


def listed(path):
    return json.loads(path.read_text())


def image_ids(path):
    return [image["id"] for image in listed(path)["images"]]


def test_the_chosen_photos_are_valid_data_sets_in_the_order_of_their_ids(downloaded, tmp_path):
    root, (train, val, _) = downloaded

    choose(root, tmp_path / "out")

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

    choose(root, tmp_path / "out")

    mini = tmp_path / "out/coco-instances-mini"
    path = mini / "annotations/instances_train2017.json"
    content = listed(path)
    assert image_ids(path) == [fourth, sixth, second]
    assert [each["id"] for each in content["annotations"]] == [fourth, sixth, second]
    assert {image["file_name"] for image in content["images"]} == {
        photo.name for photo in (mini / "train2017").iterdir()
    }


def test_choosing_again_completes_the_data_sets(downloaded, tmp_path):
    root, (train, *_) = downloaded
    out = tmp_path / "out"
    choose(root, out)
    lost = min((out / "coco-mini/train2017").iterdir())
    lost.unlink()
    calls = []

    choose(root, out, on_photo=lambda *done: calls.append(done))

    assert lost.is_file()
    assert image_ids(out / "coco-mini/annotations/panoptic_train2017.json") == list(train)
    assert calls == [(done, 6) for done in range(1, 7)]


def edit(path, change):
    content = listed(path)
    change(content)
    path.write_text(json.dumps(content))


def rename_image(content):
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = 999


def list_another(content):
    content["images"].append({**content["images"][0], "id": 103})


def rename_class(content):
    content["categories"][0]["name"] = "lorry"


def leave_folder(content):
    content["images"][0]["file_name"] = "../secret.jpg"


def drop_annotation(content):
    del content["annotations"][0]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "instances_val2017",
            rename_image,
            "image 105 is listed 0 times; expected COCO's own",
        ),
        ("instances_val2017", list_another, "image 103 is listed 2 times"),
        ("instances_val2017", rename_class, "instances_val2017.json: other categories than in "),
        ("panoptic_train2017", leave_folder, "panoptic_train2017.json: image 100: 'file_name'"),
        ("panoptic_train2017", drop_annotation, "image 100 has no annotation"),
    ],
)
def test_annotations_that_are_not_cocos_are_refused_before_anything_is_written(
    downloaded, tmp_path, capsys, file, change, message
):
    root, _ = downloaded
    edit(root / f"annotations/{file}.json", change)

    assert run(["reproduce", "data", "--coco", str(root), "--out", str(tmp_path / "out")]) == 1

    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("val2017", "no such photo; "),
        ("annotations/panoptic_val2017", "panoptic_val2017, does not exist"),
        ("annotations", "no such file; expected COCO 2017 as unpacked"),
    ],
)
def test_missing_files_are_noticed_before_anything_is_written(
    downloaded, tmp_path, missing, message
):
    root, _ = downloaded
    shutil.rmtree(root / missing)

    with pytest.raises(ValueError, match=message):
        choose(root, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_photo_elsewhere_is_not_followed(downloaded, tmp_path):
    root, _ = downloaded
    photo = min((root / "train2017").iterdir())
    photo.rename(tmp_path / "elsewhere.jpg")
    photo.symlink_to(tmp_path / "elsewhere.jpg")

    with pytest.raises(RefusedLinkError):
        choose(root, tmp_path / "out")


def test_data_sets_of_another_download_are_left_alone(downloaded, tmp_path):
    root, _ = downloaded
    choose(root, tmp_path / "out")
    other = root.rename(tmp_path / "other")

    with pytest.raises(ValueError, match=r"coco-mini: holds the result of another command"):
        choose(other, tmp_path / "out")


def test_files_of_others_are_left_alone(downloaded, tmp_path):
    root, _ = downloaded
    foreign = tmp_path / "out/coco-mini/annotations/panoptic_train2017.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")

    with pytest.raises(ValueError, match=r"coco-mini: not empty; choose a new or empty folder"):
        choose(root, tmp_path / "out")

    assert foreign.read_text() == "mine"


def test_the_download_itself_is_left_alone(downloaded, tmp_path, capsys):
    root, _ = downloaded
    download = root.rename(tmp_path / "coco-mini")

    assert run(["reproduce", "data", "--coco", str(download), "--out", str(tmp_path)]) == 1

    assert "is an input and would be replaced" in capsys.readouterr().err
    assert len(image_ids(download / "annotations/panoptic_train2017.json")) == 5


def test_the_photos_are_those_that_the_documentation_counts():
    train, val, instances = (part.ids for part in PARTS)

    assert (len(train), len(val), len(instances)) == (100, 40, 193)
    assert len({*train, *val, *instances}) == 333
