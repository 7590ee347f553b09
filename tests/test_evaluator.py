import numpy as np
import pytest

import networks
from jsisnet.data.dataset import DataConfig, PanopticDataset
from jsisnet.evaluation.panoptic_quality import summary
from jsisnet.evaluation.score import score
from jsisnet.evaluator import PREDICTIONS, TRUTH, evaluate
from jsisnet.inference.merge import MergeConfig
from jsisnet.predictor import Predictor
from jsisnet.saved_model import ModelConfig, SavedModel

SIZE = (64, 96)


@pytest.fixture(params=[None, "supercategory"])
def dataset(tiny, request):
    config = DataConfig(
        images=str(tiny.images), annotations=str(tiny.annotations), merge=request.param
    )
    return PanopticDataset(config)


@pytest.fixture
def predictor(dataset):
    config = ModelConfig(size=SIZE, network=networks.TINY, merge=MergeConfig(min_stuff_area=0.0))
    network = networks.network(networks.TINY, dataset.categories)
    return Predictor(SavedModel(config, dataset.categories, network))


def test_every_segment_of_the_truth_is_found_or_missed(dataset, predictor):
    quality = evaluate(predictor, dataset)

    truths = [dataset[index].panoptic for index in range(len(dataset))]
    things = sum(not segment.iscrowd for truth in truths for segment in truth.segments)
    assert (quality.tp + quality.fn).sum() == things


def test_the_written_files_score_the_same_to_the_last_digit(dataset, predictor, tmp_path):
    quality = evaluate(predictor, dataset, out=tmp_path)

    scored, categories = score(tmp_path / TRUTH, tmp_path / PREDICTIONS)

    assert categories == dataset.categories
    assert summary(scored, categories) == summary(quality, categories)


def test_the_written_truth_scores_a_hundred_against_itself(dataset, predictor, tmp_path):
    evaluate(predictor, dataset, out=tmp_path)

    scored, _ = score(tmp_path / TRUTH, tmp_path / TRUTH)

    assert np.nanmin(scored.pq) == 1


def test_progress_is_told_photo_by_photo(dataset, predictor):
    told = []

    evaluate(predictor, dataset, on_image=lambda done, total: told.append((done, total)))

    assert told == [(done, 6) for done in range(1, 7)]
