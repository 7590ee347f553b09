import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, CATEGORIES, SKY, panoptic_map, segment
from jsisnet.evaluation import score as score_module
from jsisnet.evaluation.compared_files import ComparedFiles, CompareRules
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches, summary
from jsisnet.evaluation.score import score
from jsisnet.files import pixels
from jsisnet.files.png import write_ids
from jsisnet.formats import coco
from jsisnet.panoptic import PanopticMap

SKY_ONE = segment(SKY)
TRUTH = panoptic_map([[1, 1, 1, 2, 2]], segment(CAR), segment(SKY))
BETTER = panoptic_map([[1, 1, 1, 2, 2]], segment(CAR, score=0.9), segment(SKY))
WORSE = panoptic_map([[1, 1, 1, 2, 2]], segment(BUS, score=0.9), segment(SKY))


def write(path, maps):
    """Write maps by image id."""
    with coco.writing(path, CATEGORIES) as writer:
        for image_id, panoptic in maps.items():
            writer.add(panoptic, image_id=image_id, image_name=f"{image_id}.jpg")
    return path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first(content):
    """Return the first segment of a file."""
    return content["annotations"][0]["segments_info"][0]


def measured(truth, predictions, *, truth_pngs=None, prediction_pngs=None, **rules):
    files = ComparedFiles(
        truth,
        predictions,
        truth_pngs=truth_pngs,
        prediction_pngs=prediction_pngs,
        rules=CompareRules(**rules),
    )
    return score(files)


def quality_of_files(truth, predictions, **rules):
    return measured(truth, predictions, **rules).quality


@pytest.fixture
def truth(tmp_path):
    return write(tmp_path / "truth.json", {1: TRUTH, 2: TRUTH})


@pytest.fixture
def predictions(tmp_path):
    return write(tmp_path / "predictions.json", {1: BETTER, 2: BETTER})


def test_a_truth_scores_100_against_itself(tiny):
    result = measured(tiny.annotations, tiny.annotations, prediction_pngs=tiny.pngs).summary()

    assert result["all"] == {"pq": 100, "sq": 100, "rq": 100, "n": 6}


def test_files_give_the_same_numbers_as_maps(tmp_path, tiny):
    maps = [factories.tiny_map(index) for index in range(6)]
    shifted = dict(enumerate([*maps[1:], maps[0]], 100))
    path = write(tmp_path / "predictions.json", shifted)
    expected = PanopticQuality.zero(len(CATEGORIES))
    for panoptic, other in zip(maps, shifted.values(), strict=True):
        expected += count_matches(panoptic, other, len(CATEGORIES))

    total = measured(tiny.annotations, path)

    assert 0 < total.quality.tp.sum() < 25
    assert summary(total.quality, total.categories) == summary(expected, CATEGORIES)


def test_images_are_paired_by_id(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {2: BETTER, 1: WORSE})

    quality = quality_of_files(truth, path)

    assert (quality.tp[CAR], quality.fn[CAR], quality.fp[BUS]) == (1, 1, 1)


def test_an_image_without_prediction_is_named(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {1: BETTER, 3: BETTER})

    with pytest.raises(ValueError, match=r"predictions\.json: no prediction for image 2"):
        measured(truth, path)


def test_predictions_for_other_images_are_ignored(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {0: WORSE, 1: BETTER, 2: BETTER})
    (tmp_path / "predictions" / "0.png").unlink()

    assert quality_of_files(truth, path).tp[CAR] == 2


def test_the_last_of_several_predictions_counts(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {0: WORSE, 1: BETTER, 2: BETTER})
    edit(path, lambda content: content["annotations"][0].update(image_id=2))
    assert quality_of_files(truth, path).tp[CAR] == 2

    edit(path, lambda content: content["annotations"].reverse())
    assert quality_of_files(truth, path).tp[CAR] == 1


def test_a_predicted_id_that_is_not_listed_is_named(truth, predictions):
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].pop())

    with pytest.raises(ValueError, match=r"2\.png: image 2: segment 2: in the PNG, but not"):
        measured(truth, predictions)


def test_a_predicted_segment_without_pixels_is_named(truth, predictions):
    extra = {"id": 9, "category_id": 1}
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].append(extra))

    with pytest.raises(ValueError, match=r"2\.png: image 2: segment 9: .* has no pixels"):
        measured(truth, predictions)


def test_an_unknown_category_of_a_prediction_is_named(truth, predictions):
    edit(predictions, lambda content: first(content).update(category_id=4))

    with pytest.raises(
        ValueError, match=r"predictions\.json: image 1: segment 1: 'category_id' is 4"
    ):
        measured(truth, predictions)


def test_category_ids_of_predictions_mean_what_they_mean_in_the_truth(truth, predictions):
    edit(predictions, lambda content: content["categories"][1].update(name="lorry"))

    with pytest.raises(ValueError, match=r"predictions\.json: .*'lorry'; expected 'car'"):
        measured(truth, predictions)


def test_wrong_true_areas_are_refused_unless_they_are_recounted(truth, predictions):
    edit(truth, lambda content: content["annotations"][0]["segments_info"][0].update(area=30))

    with pytest.raises(ValueError, match=r"1\.png: image 1: segment 1: 3 pixels, but .* 30"):
        measured(truth, predictions)
    assert quality_of_files(truth, predictions, recount_areas=True).tp[CAR] == 2


@pytest.mark.parametrize("area", [30, 63.5, "80", float("nan"), -1, [3], True, None, 10**30])
def test_areas_of_any_kind_are_recounted(truth, predictions, area):
    edit(truth, lambda content: content["annotations"][0]["segments_info"][0].update(area=area))

    assert quality_of_files(truth, predictions, recount_areas=True).tp[CAR] == 2
    if area is not None:
        with pytest.raises(ValueError, match=r"image 1: segment 1: .*--recount-areas"):
            measured(truth, predictions)


def test_whole_floats_are_integers(truth, predictions):
    expected = quality_of_files(truth, predictions)

    def widen(content):
        for entry in content["annotations"]:
            entry["image_id"] = float(entry["image_id"])
            for info in entry["segments_info"]:
                info |= {key: float(info[key]) for key in ("id", "category_id", "iscrowd", "area")}
        for category in content.get("categories", ()):
            category |= {"id": float(category["id"]), "isthing": float(category["isthing"])}

    for path in (truth, predictions):
        edit(path, widen)

    found = quality_of_files(truth, predictions)
    assert (found.tp.tolist(), found.iou.tolist()) == (expected.tp.tolist(), expected.iou.tolist())


@pytest.mark.parametrize("missing", ["error", "void"])
@pytest.mark.parametrize("swapped", [False, True])
def test_image_ids_of_the_other_type_are_named(truth, predictions, missing, swapped):
    def quote(content):
        for entry in content["annotations"]:
            entry["image_id"] = str(entry["image_id"])

    edit(truth if swapped else predictions, quote)

    text = r"image '1': it has 1 \(a number\)" if swapped else r'image 1: it has "1" \(a string\)'
    with pytest.raises(ValueError, match=rf"predictions\.json: no prediction for {text}"):
        measured(truth, predictions, missing=missing)


def test_category_ids_of_the_other_type_are_named(truth, predictions):
    def quote(content):
        info = content["annotations"][0]["segments_info"][0]
        info["category_id"] = str(info["category_id"])

    edit(predictions, quote)

    with pytest.raises(ValueError, match=r"'category_id' is '3'; .*: it has 3 \(a number\)"):
        measured(truth, predictions)


def test_classes_with_only_crowds_are_known(tmp_path):
    crowds = panoptic_map(
        [[1, 2, 3]], segment(CAR, iscrowd=True), segment(BUS, iscrowd=True), SKY_ONE
    )
    both = panoptic_map([[1, 2, 2]], segment(BUS), SKY_ONE)
    truth = write(tmp_path / "truth.json", {1: crowds, 2: both})

    assert measured(truth, truth, mode="all-crowds").only_crowds() == ["car"]


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 1)])
def test_maps_of_different_sizes_are_named(truth, predictions, shape):
    png = predictions.with_suffix("") / "2.png"
    Image.fromarray(np.array([1, 0, 0], np.uint8) * np.ones((*shape, 3), np.uint8)).save(png)
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].pop())

    with pytest.raises(ValueError, match=r"2\.png: image 2: the predicted map is .* expected 1x5"):
        measured(truth, predictions)


def test_a_grey_png_is_refused(truth, predictions):
    Image.new("L", (5, 1)).save(predictions.with_suffix("") / "1.png")

    with pytest.raises(ValueError, match=r"1\.png: image 1: PNG with 8-bit grey pixels"):
        measured(truth, predictions)


def test_a_prediction_may_be_all_void(tmp_path, truth):
    empty = panoptic_map([[0, 0, 0, 0, 0]])

    quality = quality_of_files(truth, write(tmp_path / "predictions.json", {1: empty, 2: empty}))

    assert quality.fn.sum() == 4
    assert quality.fp.sum() == 0


def test_a_truth_without_images_has_no_quality(tmp_path):
    path = write(tmp_path / "truth.json", {})

    assert measured(path, path).summary()["all"] == {"pq": None, "sq": None, "rq": None, "n": 0}


def test_scoring_needs_no_torch():
    code = "import sys, jsisnet.evaluation.score; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


OVERLOOKED_ERRORS = {
    "segment twice": (
        "truth",
        lambda content: content["annotations"][0]["segments_info"].append(
            {"id": 1, "category_id": 6, "area": 3}
        ),
        "truth.json: image 1: segment 1: listed twice",
    ),
    "predicted twice": (
        "predictions",
        lambda content: content["annotations"][0]["segments_info"].insert(
            0, {"id": 1, "category_id": 6}
        ),
        "predictions.json: image 1: segment 1: listed twice",
    ),
    "unknown true category": (
        "truth",
        lambda content: first(content).update(category_id=4),
        "truth.json: image 1: segment 1: 'category_id' is 4; expected one of the 6 categories",
    ),
    "unlisted true segment": (
        "truth",
        lambda content: content["annotations"][0]["segments_info"].pop(0),
        "1.png: image 1: segment 1: in the PNG, but not in the JSON file",
    ),
    "no area": (
        "truth",
        lambda content: first(content).pop("area"),
        "1.png: image 1: segment 1: missing 'area'",
    ),
    "true image twice": (
        "truth",
        lambda content: content["annotations"].append(content["annotations"][0]),
        "truth.json: image 1: two annotations",
    ),
    "predicted image twice": (
        "predictions",
        lambda content: content["annotations"].append(content["annotations"][0]),
        "predictions.json: image 1: two annotations",
    ),
    "other image": (
        "predictions",
        lambda content: content["annotations"].append(content["annotations"][0] | {"image_id": 7}),
        "predictions.json: 1 predictions are for images that are not in the ground truth",
    ),
}
"""Errors that the official script overlooks: the file, how to introduce them, and the message."""

OVERLOOKED = {
    "segment twice": {CAR: (1, 1, 0), BUS: (0, 0, 1), SKY: (2, 0, 0)},
    "predicted twice": {CAR: (2, 0, 0), SKY: (2, 0, 0)},
    "unknown true category": {CAR: (1, 1, 0), SKY: (2, 0, 0)},
    "unlisted true segment": {CAR: (1, 1, 0), SKY: (2, 0, 0)},
    "no area": {CAR: (2, 0, 0), SKY: (2, 0, 0)},
    "true image twice": {CAR: (3, 0, 0), SKY: (3, 0, 0)},
    "predicted image twice": {CAR: (2, 0, 0), SKY: (2, 0, 0)},
    "other image": {CAR: (2, 0, 0), SKY: (2, 0, 0)},
}
"""TP, FP and FN of the official script despite these errors."""


@pytest.mark.parametrize("kind", OVERLOOKED_ERRORS)
def test_overlooked_errors_keep_the_official_numbers_and_give_warnings(truth, predictions, kind):
    which, change, said = OVERLOOKED_ERRORS[kind]
    edit({"truth": truth, "predictions": predictions}[which], change)

    total = measured(truth, predictions)

    quality = total.quality
    assert {
        label: (int(quality.tp[label]), int(quality.fp[label]), int(quality.fn[label]))
        for label in np.flatnonzero(quality.seen).tolist()
    } == OVERLOOKED[kind]
    assert len(total.warnings) == 1
    assert said in total.warnings[0]
    assert total.errors == []


@pytest.mark.parametrize("kind", OVERLOOKED_ERRORS)
def test_strict_mode_refuses_overlooked_errors(truth, predictions, kind):
    which, change, said = OVERLOOKED_ERRORS[kind]
    edit({"truth": truth, "predictions": predictions}[which], change)

    with pytest.raises(ValueError, match=re.escape(said)):
        measured(truth, predictions, mode="strict")


def test_strict_mode_gives_the_same_numbers_for_valid_files(truth, predictions):
    assert quality_of_files(truth, predictions, mode="strict").tp.sum() == 4


def test_pixels_of_an_unlisted_true_segment_stay_in_the_union(tmp_path):
    truth = write(tmp_path / "truth.json", {1: panoptic_map([[1, 1, 1, 2]], *TRUTH.segments)})
    edit(truth, lambda content: content["annotations"][0]["segments_info"].pop(1))
    path = write(tmp_path / "predictions.json", {1: panoptic_map([[1, 1, 1, 1]], segment(CAR))})

    assert quality_of_files(truth, path).iou[CAR] == 0.75


def test_segment_zero_may_be_predicted(truth, predictions):
    """Networks with 100 query slots number their segments from 0, which is not void then."""
    png = predictions.with_suffix("") / "1.png"
    write_ids(np.array([[0, 0, 0, 2, 2]], np.uint32), png)
    edit(predictions, lambda content: first(content).update(id=0))

    quality = quality_of_files(truth, predictions)

    assert (quality.tp[CAR], quality.iou[CAR]) == (2, 2)


def test_all_crowds_can_excuse_predictions(tmp_path):
    crowd = segment(CAR, iscrowd=True)
    truth = write(tmp_path / "truth.json", {1: panoptic_map([[1, 1, 2, 3]], crowd, crowd, SKY_ONE)})
    path = write(tmp_path / "predictions.json", {1: panoptic_map([[1] * 4], segment(CAR))})

    assert quality_of_files(truth, path).fp[CAR] == 1
    assert quality_of_files(truth, path, mode="all-crowds").fp[CAR] == 0


def test_an_image_without_prediction_can_count_as_void(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {1: BETTER})

    total = measured(truth, path, missing="void")

    assert total.missing == 1
    assert (total.quality.tp[CAR], total.quality.fn[CAR], total.quality.fp.sum()) == (1, 1, 0)


def test_every_image_has_its_own_quality(tmp_path, truth):
    total = measured(truth, write(tmp_path / "predictions.json", {1: BETTER, 2: WORSE}))

    images = total.summary()["images"]
    assert [image["image_id"] for image in images] == [1, 2]
    assert (images[0]["pq"], images[0]["tp"]) == (100, 2)
    # The car is a false negative and the bus a false positive, so two classes have no match.
    assert images[1]["pq"] == pytest.approx(100 / 3)
    assert images[1]["classes"] == [
        {"name": "car", "iou": 0.0, "tp": 0, "fp": 0, "fn": 1},
        {"name": "bus", "iou": 0.0, "tp": 0, "fp": 1, "fn": 0},
        {"name": "sky", "iou": 1.0, "tp": 1, "fp": 0, "fn": 0},
    ]


def test_confused_classes_are_counted(tmp_path, truth):
    predictions = {1: WORSE, 2: panoptic_map([[0, 0, 0, 1, 1]], segment(SKY))}

    total = measured(truth, write(tmp_path / "predictions.json", predictions))

    assert total.summary()["confusion"] == [
        {"truth": "car", "prediction": "bus", "count": 1},
        {"truth": "car", "prediction": None, "count": 1},
    ]


def test_boundaries_are_measured_on_demand(tmp_path):
    # A line is all boundary; a large square has an interior.
    size = 60
    ids = np.ones((size, size), np.int32)
    ids[20:40, 20:40] = 2
    shifted = np.roll(ids, 2, axis=1)
    truth = write(tmp_path / "truth.json", {1: PanopticMap(ids, (SKY_ONE, segment(CAR)))})
    path = write(tmp_path / "predictions.json", {1: PanopticMap(shifted, (SKY_ONE, segment(CAR)))})

    total = measured(truth, path, boundary=True)

    # 2 % of the diagonal are two pixels: a frame of 144, of which 68 are shared.
    assert total.quality.iou[CAR] == pytest.approx(360 / 440, abs=1e-9)
    assert total.boundary.tp[CAR] == 0
    assert total.summary()["boundary"]["all"]["n"] == 2


@pytest.mark.parametrize("processes", [2, 5, 50])
def test_the_number_of_processes_does_not_change_the_numbers(tiny, processes):
    files = ComparedFiles(tiny.annotations, tiny.annotations)

    assert score(files, processes=processes).summary() == score(files).summary()


@pytest.mark.parametrize("most", [1, 2, 4, 16])
@pytest.mark.parametrize("processes", [1, 2])
def test_images_arrive_in_order_whatever_the_chunks(tiny, monkeypatch, most, processes):
    monkeypatch.setattr(score_module, "_MOST", most)
    monkeypatch.setattr(score_module, "_CHUNKS", 1)
    files = ComparedFiles(tiny.annotations, tiny.annotations)
    ids, done = [], []

    total = score(
        files,
        processes=processes,
        on_image=lambda image: ids.append(image.image_id),
        on_progress=lambda number, _: done.append(number),
    )

    assert ids == [image.image_id for image in files.images()]
    assert [image.image_id for image in total.images] == ids
    assert done == list(range(1, len(files) + 1))


def test_the_compiled_loops_and_the_plain_ones_agree(tmp_path, tiny, monkeypatch):
    maps = [factories.tiny_map(index) for index in range(6)]
    path = write(tmp_path / "p.json", dict(enumerate([*maps[1:], maps[0]], 100)))
    compiled = measured(tiny.annotations, path).summary()

    monkeypatch.setattr(pixels, "_pixels", None)

    assert measured(tiny.annotations, path).summary() == compiled


@pytest.mark.parametrize("swapped", ["truth", "mine"])
def test_swapped_channels_are_named_as_the_cause(tmp_path, swapped):
    files = {name: write(tmp_path / f"{name}.json", {1: BETTER}) for name in ("truth", "mine")}
    png = tmp_path / swapped / "1.png"
    with Image.open(png) as image:
        Image.fromarray(np.asarray(image)[..., ::-1].copy()).save(png)

    with pytest.raises(ValueError, match="its channels seem to be in BGR order"):
        measured(files["truth"], files["mine"])


def test_maps_with_a_palette_score_as_those_without(tmp_path):
    files = {name: write(tmp_path / f"{name}.json", {1: BETTER}) for name in ("truth", "mine")}
    with Image.open(tmp_path / "mine" / "1.png") as image:
        image.quantize(4).save(tmp_path / "mine" / "1.png")

    assert measured(files["truth"], files["mine"]).quality.mean().pq == 1


def test_many_segments_or_pixels_are_refused_before_they_take_too_much_memory(
    truth, predictions, monkeypatch
):
    monkeypatch.setattr("jsisnet.evaluation.compared_files._BOUNDARY", 2**40)
    measured(truth, predictions)
    with pytest.raises(ValueError, match=r"boundaries of \d+x\d+ pixels would take .* limit is"):
        measured(truth, predictions, boundary=True)

    monkeypatch.setattr("jsisnet.evaluation.compared_files._TABLE", 2**40)
    with pytest.raises(ValueError, match=r"comparing \d segments with \d would take .* limit is"):
        measured(truth, predictions)
