import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, CATEGORIES, SKY, panoptic_map, segment
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count, summary
from jsisnet.evaluation.score import score
from jsisnet.formats import coco

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


@pytest.fixture
def truth(tmp_path):
    return write(tmp_path / "truth.json", {1: TRUTH, 2: TRUTH})


@pytest.fixture
def predictions(tmp_path):
    return write(tmp_path / "predictions.json", {1: BETTER, 2: BETTER})


def test_a_truth_scores_100_against_itself(tiny):
    result = summary(*score(tiny.annotations, tiny.annotations, prediction_pngs=tiny.pngs))

    assert result["all"] == {"pq": 100, "sq": 100, "rq": 100, "n": 6}


def test_files_give_the_same_numbers_as_maps(tmp_path, tiny):
    maps = [factories.tiny_map(index) for index in range(6)]
    shifted = dict(enumerate([*maps[1:], maps[0]], 100))
    path = write(tmp_path / "predictions.json", shifted)
    expected = PanopticQuality.zero(len(CATEGORIES))
    for panoptic, other in zip(maps, shifted.values(), strict=True):
        expected += count(panoptic, other, len(CATEGORIES))

    quality, categories = score(tiny.annotations, path)

    assert 0 < quality.tp.sum() < 25
    assert summary(quality, categories) == summary(expected, CATEGORIES)


def test_images_are_paired_by_id(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {2: BETTER, 1: WORSE})

    quality, _ = score(truth, path)

    assert (quality.tp[CAR], quality.fn[CAR], quality.fp[BUS]) == (1, 1, 1)


def test_an_image_without_prediction_is_named(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {1: BETTER, 3: BETTER})

    with pytest.raises(ValueError, match=r"predictions\.json: has no prediction for image 2"):
        score(truth, path)


def test_predictions_for_other_images_are_ignored(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {0: WORSE, 1: BETTER, 2: BETTER})
    (tmp_path / "predictions" / "0.png").unlink()

    assert score(truth, path)[0].tp[CAR] == 2


def test_the_last_of_several_predictions_counts(tmp_path, truth):
    path = write(tmp_path / "predictions.json", {0: WORSE, 1: BETTER, 2: BETTER})
    edit(path, lambda content: content["annotations"][0].update(image_id=2))
    assert score(truth, path)[0].tp[CAR] == 2

    edit(path, lambda content: content["annotations"].reverse())
    assert score(truth, path)[0].tp[CAR] == 1


def test_a_predicted_id_that_is_not_listed_is_named(truth, predictions):
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].pop())

    with pytest.raises(ValueError, match=r"2\.png: image 2: segment 2: is in the PNG, but not"):
        score(truth, predictions)


def test_a_predicted_segment_without_pixels_is_named(truth, predictions):
    extra = {"id": 9, "category_id": 1}
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].append(extra))

    with pytest.raises(ValueError, match=r"2\.png: image 2: segment 9: .* owns no pixel"):
        score(truth, predictions)


@pytest.mark.parametrize("which", ["truth", "predictions"])
def test_an_unknown_category_is_named(truth, predictions, which):
    path = {"truth": truth, "predictions": predictions}[which]
    edit(
        path,
        lambda content: content["annotations"][1]["segments_info"][0].update(category_id=4),
    )

    with pytest.raises(ValueError, match=rf"{which}\.json: .*image 2: .*segment 1: 'category_id'"):
        score(truth, predictions)


def test_category_ids_of_predictions_mean_what_they_mean_in_the_truth(truth, predictions):
    edit(predictions, lambda content: content["categories"][1].update(name="lorry"))

    with pytest.raises(ValueError, match=r"predictions\.json: .*'lorry', expected 'car'"):
        score(truth, predictions)


def test_wrong_true_areas_are_refused_unless_they_are_recounted(truth, predictions):
    edit(truth, lambda content: content["annotations"][0]["segments_info"][0].update(area=30))

    with pytest.raises(ValueError, match=r"1\.png: image 1: segment 1: has 3 pixels, but .* 30"):
        score(truth, predictions)
    assert score(truth, predictions, recount_areas=True)[0].tp[CAR] == 2


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 1)])
def test_maps_of_different_sizes_are_named(truth, predictions, shape):
    png = predictions.with_suffix("") / "2.png"
    Image.fromarray(np.array([1, 0, 0], np.uint8) * np.ones((*shape, 3), np.uint8)).save(png)
    edit(predictions, lambda content: content["annotations"][1]["segments_info"].pop())

    with pytest.raises(ValueError, match=r"2\.png: image 2: the predicted map is .* expected 1x5"):
        score(truth, predictions)


def test_a_grey_png_is_refused(truth, predictions):
    Image.new("L", (5, 1)).save(predictions.with_suffix("") / "1.png")

    with pytest.raises(ValueError, match=r"1\.png: image 1: is a PNG with 8-bit grey pixels"):
        score(truth, predictions)


def test_a_prediction_may_be_all_void(tmp_path, truth):
    empty = panoptic_map([[0, 0, 0, 0, 0]])

    quality, _ = score(truth, write(tmp_path / "predictions.json", {1: empty, 2: empty}))

    assert quality.fn.sum() == 4
    assert quality.fp.sum() == 0


def test_a_truth_without_images_has_no_quality(tmp_path):
    path = write(tmp_path / "truth.json", {})

    assert summary(*score(path, path))["all"] == {"pq": None, "sq": None, "rq": None, "n": 0}


def test_progress_is_told_after_each_image(truth, predictions):
    told = []

    score(truth, predictions, on_image=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


def test_scoring_needs_no_torch():
    code = "import sys, jsisnet.evaluation.score; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
