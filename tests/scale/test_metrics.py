"""Partial sums of metrics, as the actors of a cluster compute them."""

import operator
import pickle
from functools import reduce

import factories
import toy_engine
from jsisnet.evaluation.compared_files import ComparedFiles
from jsisnet.evaluation.score import score
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference.evaluator import evaluate
from jsisnet.inference.predictor import Predictor
from jsisnet.scale.metrics import _Evaluate


def shared_out(share, count, _=1):
    """Compute each result by a copy of the share, as actors do."""
    copies = (pickle.loads(pickle.dumps(share)) for _ in range(count))
    return (result for number, copy in enumerate(copies) for result in copy([number]))


def test_the_scores_of_chunks_add_up_to_the_score_of_all(tmp_path):
    tiny = factories.tiny_dataset(tmp_path)
    files = ComparedFiles(tiny.annotations, tiny.annotations)

    assert score(files, share_out=shared_out).summary() == score(files).summary()


def test_the_evaluations_of_shares_add_up_to_that_of_all(tmp_path):
    tiny = factories.tiny_dataset(tmp_path)
    config = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    predictor = Predictor(toy_engine.Toy())
    dataset = PanopticDataset(config, predictor.categories)

    parts = shared_out(_Evaluate(predictor, dataset, 3, ap=False), 3)

    total, whole = reduce(operator.add, parts), evaluate(predictor, dataset)
    categories = predictor.categories
    assert total.summary(categories) == whole.summary(categories)
    assert total.summary_of_images(categories) == whole.summary_of_images(categories)
