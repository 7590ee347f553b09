"""Panoptic quality of random files equals that of hotcoco, which follows the official script."""

import json

import numpy as np
import pytest
from hotcoco import panoptic as hotcoco

from factories import CATEGORIES, category_entries
from jsisnet.evaluation.compared_files import ComparedFiles
from jsisnet.evaluation.panoptic_quality import summary
from jsisnet.evaluation.score import score
from jsisnet.files.png import write_ids

IMAGES = 1000
THINGS = [category.id for category in CATEGORIES if category.isthing]
ALL = [category.id for category in CATEGORIES]


def blobs(random, count, size):
    """Return each pixel the number of the nearest of some random points: 0 to count."""
    points = random.uniform(0, 1, (count + 1, 2)) * size
    pixels = np.stack(np.mgrid[: size[0], : size[1]], axis=-1)
    return np.linalg.norm(pixels[:, :, None] - points, axis=-1).argmin(-1)


def true_segments(random, count):
    for _ in range(count):
        category_id = int(random.choice(ALL))
        crowd = category_id in THINGS and random.random() < 0.3
        yield {"category_id": category_id, "iscrowd": int(crowd)}


def disturbed(random, ids, segments):
    """Shift a map, change some classes, split one segment and drop another one."""
    ids = np.roll(ids, random.integers(-2, 3, 2), (0, 1))
    described = {
        number: int(random.choice(ALL)) if random.random() < 0.2 else info["category_id"]
        for number, info in enumerate(segments, 1)
    }
    split, dropped = random.integers(1, len(segments) + 1, 2)
    ids[(ids == split) & (random.random() < 0.5) & (np.arange(ids.shape[1]) % 7 < 2)] = 99
    described[99] = described[split]
    ids[(ids == dropped) & (random.random() < 0.3)] = 0
    if random.random() < 0.5:
        ids[ids == 0] = 98
        described[98] = int(random.choice(ALL))
    return ids, {number: described[number] for number in np.unique(ids).tolist() if number}


def write(path, annotations, extra):
    path.write_text(json.dumps({"annotations": annotations, **extra}))
    return path


def annotation(folder, name, ids, segments):
    numbers = np.array([0, *(int(number * 16_001 % 2**24) for number in range(1, 100))], np.uint32)
    write_ids(numbers[ids], folder / f"{name}.png")
    infos = [{"id": int(numbers[number]), **info} for number, info in segments.items()]
    return {"image_id": name, "file_name": f"{name}.png", "segments_info": infos}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random pairs with void and crowds, several crowds of one class among them."""
    folder = tmp_path_factory.mktemp("parity")
    random = np.random.default_rng(0)
    truths, predictions = [], []
    for name in range(IMAGES):
        size = random.integers(12, 40, 2)
        ids = blobs(random, int(random.integers(2, 12)), size)
        ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape)
        segments = list(true_segments(random, int(ids.max()) or 1))
        areas = np.bincount(ids.ravel(), minlength=len(segments) + 1).tolist()
        true = {number: info | {"area": areas[number]} for number, info in enumerate(segments, 1)}
        predicted, described = disturbed(random, ids.copy(), segments)
        wanted = {number: {"category_id": value} for number, value in described.items()}
        truths.append(annotation(folder / "truth", name, ids, true))
        predictions.append(annotation(folder / "predictions", name, predicted, wanted))
    images = [{"id": name, "file_name": f"{name}.jpg"} for name in range(IMAGES)]
    extra = {"categories": category_entries(), "images": images}
    return write(folder / "truth.json", truths, extra), write(
        folder / "predictions.json", predictions, {}
    )


def test_the_random_files_hold_every_case(files):
    crowds = [
        [info["category_id"] for info in entry["segments_info"] if info["iscrowd"]]
        for entry in json.loads(files[0].read_text())["annotations"]
    ]

    assert sum(map(bool, crowds)) > 100
    assert sum(len(set(classes)) < len(classes) for classes in crowds) > 50


def test_panoptic_quality_equals_hotcoco(files, capsys):
    theirs = hotcoco.pq_compute(*files)
    capsys.readouterr()

    total = score(ComparedFiles(*files))
    quality, categories = total.quality, total.categories

    ours = summary(quality, categories)
    for group, name in (("all", "All"), ("things", "Things"), ("stuff", "Stuff")):
        expected = {key: 100 * theirs[name][key] for key in ("pq", "sq", "rq")}
        assert ours[group] == pytest.approx(expected | {"n": theirs[name]["n"]}, abs=1e-7)
        assert 10 < ours[group]["pq"] < 90
    for label, category in enumerate(categories):
        per_class = theirs["per_class"][category.id]
        assert quality.iou[label] == pytest.approx(per_class["iou"], abs=1e-7)
        assert {key: ours["classes"][label][key] for key in ("tp", "fp", "fn")} == {
            key: per_class[key] for key in ("tp", "fp", "fn")
        }
