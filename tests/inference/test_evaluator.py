import json
import operator
import pickle
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch
from hotcoco import mask as run_lengths

import factories
import networks
from jsisnet.evaluation.compared_files import ComparedFiles
from jsisnet.evaluation.panoptic_quality import summary
from jsisnet.evaluation.proposal_recall import true_boxes
from jsisnet.evaluation.score import score
from jsisnet.files.atomic import lock_folder
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference.engine import Extras, resize
from jsisnet.inference.evaluator import PROPOSED, RANKED, TRUTH, evaluate
from jsisnet.inference.predictor import Predictor, semantic_labels
from jsisnet.inference.results_folder import PREDICTIONS
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import boxes
from jsisnet.model.engine import TorchEngine
from jsisnet.model.rpn import propose
from jsisnet.model.saved_model import ModelConfig, SavedModel

SIZE = (64, 96)


@pytest.fixture(params=[None, "supercategory"])
def dataset(tiny, request):
    config = DataConfig(
        images=str(tiny.images), annotations=str(tiny.annotations), merge=request.param
    )
    return PanopticDataset(config)


def predicting(categories, **settings):
    """Return a predictor whose network detects things, with these settings."""
    made = replace(networks.TINY, **settings)
    config = ModelConfig(size=SIZE, network=made, merge=MergeConfig(min_stuff_area=0.0))
    network = networks.network(made, categories)
    if network.instance is not None:
        network.instance.roi.classify.weight.data *= 100
    return Predictor(TorchEngine(SavedModel(config, categories, network)))


@pytest.fixture
def predictor(dataset):
    return predicting(dataset.categories)


@pytest.fixture
def streets(tiny):
    config = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    return PanopticDataset(config)


def test_every_true_segment_is_matched_or_missed(dataset, predictor):
    quality = evaluate(predictor, dataset).panoptic

    truths = [dataset[index].panoptic for index in range(len(dataset))]
    things = sum(not segment.iscrowd for truth in truths for segment in truth.segments)
    assert (quality.tp + quality.fn).sum() == things


def test_the_written_files_score_the_same_to_the_last_digit(dataset, predictor, tmp_path):
    quality = evaluate(predictor, dataset, out=tmp_path).panoptic

    total = score(ComparedFiles(tmp_path / TRUTH, tmp_path / PREDICTIONS))
    scored, categories = total.quality, total.categories

    assert categories == dataset.categories
    assert summary(scored, categories) == summary(quality, categories)


def test_a_second_evaluation_replaces_the_files_of_the_first(dataset, predictor, tmp_path):
    out = tmp_path / "out"
    evaluate(predictor, dataset, out=out)
    whole = contents(out)
    (out / "truth" / "mine.png").write_text("mine")

    with pytest.raises(KeyboardInterrupt):
        evaluate(predictor, dataset, out=out, on_image=interrupt)
    assert not {TRUTH, PREDICTIONS, "truth/street5.png"} & set(contents(out))

    evaluate(predictor, dataset, out=out)
    assert contents(out) == whole | {"truth/mine.png": b"mine"}


def interrupt(*_):
    raise KeyboardInterrupt


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_an_evaluation_replaces_no_other_files(dataset, predictor, tmp_path):
    out = tmp_path / "out"
    (out / "truth").mkdir(parents=True)
    (out / "truth" / "street5.png").write_text("mine")

    with pytest.raises(ValueError, match=r"street5\.png is a file that no earlier run has written"):
        evaluate(predictor, dataset, out=out)

    assert contents(out) == {"truth/street5.png": b"mine"}


def test_two_evaluations_do_not_write_to_one_folder(dataset, predictor, tmp_path):
    with (
        lock_folder(tmp_path / "out"),
        pytest.raises(ValueError, match="out: another command is writing to it"),
    ):
        evaluate(predictor, dataset, out=tmp_path / "out")


def test_the_written_truth_scores_100_against_itself(dataset, predictor, tmp_path):
    evaluate(predictor, dataset, out=tmp_path)

    scored = score(ComparedFiles(tmp_path / TRUTH, tmp_path / TRUTH)).quality

    assert np.nanmin(scored.pq) == 1


def test_each_photo_has_its_part_of_the_panoptic_quality(dataset, predictor, tmp_path):
    result = evaluate(predictor, dataset, out=tmp_path)

    values = result.summary_of_images(dataset.categories)

    scored = score(ComparedFiles(tmp_path / TRUTH, tmp_path / PREDICTIONS)).summary()
    assert values == {"mode": scored["mode"], "images": scored["images"]}
    assert [image["image_id"] for image in values["images"]] == list(range(100, 106))


def test_progress_is_reported_after_each_image(dataset, predictor):
    told = []

    evaluate(predictor, dataset, on_image=lambda done, total: told.append((done, total)))

    assert told == [(done, 6) for done in range(1, 7)]


def test_the_mean_iou_is_that_of_the_semantic_branch(streets):
    predictor = predicting(streets.categories)

    confusion = evaluate(predictor, streets).semantic.confusion

    truths = [streets[number].panoptic.labels() for number in range(len(streets))]
    photo = streets[1].image
    labels = semantic_labels(predictor.outputs(photo), SIZE)
    alone = evaluate(predictor, streets, share=(1, 6)).semantic.confusion
    assert confusion.sum() == sum((truth != 255).sum() for truth in truths)
    assert alone.sum(0).tolist() == np.bincount(labels.ravel(), minlength=6).tolist()


def test_average_precision_is_measured_on_demand(streets):
    predictor = predicting(streets.categories)

    assert evaluate(predictor, streets).instances is None
    collected = evaluate(predictor, streets, ap=True).instances
    assert [photo.number for photo in collected.images] == list(range(6))
    assert sum(len(photo.truth.labels) for photo in collected.images) == 6 + 6 + 2 + 1
    assert sum(photo.iscrowd.sum() for photo in collected.images) == 1


def test_average_precision_ranks_more_detections_than_the_map_shows(streets):
    predictor = predicting(streets.categories)

    result = evaluate(predictor, streets, ap=True)

    counts = [len(photo.scores) for photo in result.instances.images]
    assert min(counts) > networks.TINY.detection.max_detections
    assert max(counts) <= RANKED.max_detections
    assert all(photo.scores.min() >= RANKED.min_score for photo in result.instances.images)


def test_average_precision_does_not_change_the_other_metrics(streets):
    predictor = predicting(streets.categories)

    without = evaluate(predictor, streets).summary(streets.categories)
    result = evaluate(predictor, streets, ap=True).summary(streets.categories)

    assert {name: result[name] for name in without} == without
    assert set(result) - set(without) == {"mask_ap", "mask_ap50", "box_ap", "box_ap50", "instances"}


def test_boxes_and_masks_are_those_of_the_photo_not_of_the_networks_input(tmp_path):
    tiny = factories.tiny_dataset(tmp_path, count=1, size=(128, 144))
    data = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    predictor = predicting(factories.CATEGORIES)

    (photo,) = evaluate(predictor, PanopticDataset(data), ap=True).instances.images

    image = PanopticDataset(data)[0].image
    found = predictor.outputs(image, Extras(detection=RANKED)).ranked.boxes
    assert photo.size == (128, 144)
    assert photo.prediction.boxes == pytest.approx(found * [1.5, 2, 1.5, 2])
    for mask, (x0, y0, x1, y1) in zip(photo.prediction.masks, photo.prediction.boxes, strict=True):
        rows, columns = run_lengths.decode({"size": photo.size, "counts": mask}).nonzero()
        inside = (rows + 0.5 > y0) & (rows + 0.5 < y1) & (columns + 0.5 > x0) & (columns + 0.5 < x1)
        assert inside.all()


def test_the_recall_of_the_proposals_is_measured_on_the_things_of_every_photo(streets):
    predictor = predicting(streets.categories)

    recall = evaluate(predictor, streets).proposals

    # A car of the generated streets is 23 x 16 pixels, a person 12 x 38, a bus 31 x 25: all small.
    assert recall.images[:4].tolist() == [6, 6, 0, 0]
    assert 0 < recall.mean[3, 0] < recall.mean[2, 0] < 1
    assert recall.proposals[3] == 6 * networks.TINY.proposals.max_proposals


def test_recall_does_not_depend_on_the_networks_own_limits(streets):
    few = replace(networks.TINY.proposals, max_candidates=3, max_proposals=2)

    one = evaluate(predicting(streets.categories), streets).proposals
    other = evaluate(predicting(streets.categories, proposals=few), streets).proposals

    assert other.recall[:3].tolist() == one.recall[:3].tolist()
    assert other.recall[3, 0] < one.recall[3, 0]
    assert other.proposals[3] == 6 * 2


def test_a_network_with_the_limits_of_recall_uses_the_best_1000(streets):
    predictor = predicting(streets.categories, proposals=PROPOSED)

    recall = evaluate(predictor, streets).proposals

    assert recall.recall[3].tolist() == recall.recall[2].tolist()
    assert recall.proposals[3] == recall.proposals[2]


def test_proposals_are_compared_in_the_photo_not_in_the_networks_input(tmp_path):
    tiny = factories.tiny_dataset(tmp_path, count=1, size=(640, 192))
    data = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    dataset = PanopticDataset(data)
    predictor = predicting(factories.CATEGORIES)

    recall = evaluate(predictor, dataset).proposals

    truth, image = dataset[0].panoptic, dataset[0].image
    pixels = torch.from_numpy(resize(image, predictor.config.size).copy()).permute(2, 0, 1)
    with torch.inference_mode():
        scored = predictor.engine.network(pixels[None] / 255).candidates
    proposals = propose(
        scored.objectness, scored.anchor_deltas, scored.anchors, scored.size, PROPOSED
    ).of_image(0)
    objects = torch.from_numpy(true_boxes(truth)).float() / torch.tensor([2.0, 10.0, 2.0, 10.0])
    expected = (boxes.iou(objects, proposals) >= 0.5).any(dim=1).double().mean()
    assert recall.images[:4].tolist() == [1, 0, 1, 1]
    assert recall.mean[2, 0] == pytest.approx(float(expected))


@pytest.mark.parametrize("processes", [1, 2, 4, 7])
def test_the_shares_of_all_processes_add_up_to_the_whole(streets, processes):
    predictor = predicting(streets.categories)
    shares = [
        evaluate(predictor, streets, share=(rank, processes), ap=True) for rank in range(processes)
    ]

    sent = [pickle.loads(pickle.dumps(share)) for share in shares]
    total = reduce(operator.add, reversed(sent))

    whole = evaluate(predictor, streets, ap=True)
    assert total.summary(streets.categories) == whole.summary(streets.categories)
    assert total.summary_of_images(streets.categories) == whole.summary_of_images(
        streets.categories
    )


def test_a_share_reports_its_own_progress(streets):
    told = []

    evaluate(
        predicting(streets.categories),
        streets,
        share=(1, 4),
        on_image=lambda done, total: told.append((done, total)),
    )

    assert told == [(1, 2), (2, 2)]


def test_a_share_is_not_written(streets, tmp_path):
    predictor = predicting(streets.categories)

    with pytest.raises(ValueError, match="predictions can't be written with 2 processes"):
        evaluate(predictor, streets, out=tmp_path, share=(0, 2))


def test_without_a_semantic_branch_there_is_no_mean_iou(streets):
    predictor = predicting(streets.categories, branches="instance")

    result = evaluate(predictor, streets, ap=True).summary(streets.categories)

    assert "miou" not in result
    assert {"mask_ap", "rpn_recall"} <= set(result)


def test_without_an_instance_branch_there_is_no_average_precision_and_no_recall(streets):
    predictor = predicting(streets.categories, branches="semantic")

    result = evaluate(predictor, streets, ap=True).summary(streets.categories)

    assert not {"mask_ap", "rpn_recall"} & set(result)
    assert result["miou"] >= 0


def test_a_summary_is_plain_json(streets):
    result = evaluate(predicting(streets.categories), streets, ap=True).summary(streets.categories)

    assert json.loads(json.dumps(result, allow_nan=False)) == result
