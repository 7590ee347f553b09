from dataclasses import replace

import numpy as np
import pytest

import toy_engine
from factories import BUS, CAR, CATEGORIES, PERSON, tiny_dataset
from jsisnet.formats import image_list
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference.branch_files import IMAGES
from jsisnet.inference.evaluator import evaluate
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.raw_outputs import collect_outputs
from jsisnet.inference.tuning import TuneConfig, tune
from jsisnet.panoptic import PanopticMap
from knowing_engine import Knowing

SCORES = {PERSON: 0.6, CAR: 0.8, BUS: 0.3}
FALSE = ((CAR, 0.7), (PERSON, 0.35), (CAR, 0.55))


@pytest.fixture
def dataset(tmp_path):
    tiny = tiny_dataset(tmp_path / "tiny", count=8)
    return PanopticDataset(DataConfig(images=str(tiny.images), annotations=str(tiny.annotations)))


def predicting(dataset, scores=SCORES, false=FALSE, **merge):
    return Predictor(Knowing(dataset, scores, false, **merge))


def test_each_class_gets_the_score_that_tells_its_true_things_from_false_ones(dataset, tmp_path):
    predictor = predicting(dataset)
    steps = []

    tuned = tune(
        collect_outputs(predictor, dataset, tmp_path / "raw"),
        TuneConfig(folds=3, min_examples=3),
        on_step=lambda *step: steps.append(step),
    )

    lowest = dict(zip(("person", "car", "bus"), tuned.config.min_scores(CATEGORIES), strict=False))
    assert 0.35 < lowest["person"] <= 0.6
    assert 0.7 < lowest["car"] <= 0.8
    assert lowest["bus"] <= 0.3
    assert tuned.before.mean().pq < 0.8
    assert 0.98 < tuned.left_out.mean().pq <= tuned.after.mean().pq
    assert all(each.gain_left_out > 0 for each in tuned.changes)
    assert tuned.too_rare == ()
    assert steps[-1] == (len(steps), len(steps))
    tuned_engine = predicting(dataset)
    tuned_engine.engine.config = replace(
        predictor.config,
        merge=tuned.config,
        network=replace(
            predictor.config.network,
            detection=replace(
                predictor.config.network.detection, min_score=tuned.config.lowest_score
            ),
        ),
    )
    assert np.array_equal(evaluate(tuned_engine, dataset).panoptic.sums, tuned.after.sums)
    assert np.array_equal(evaluate(predictor, dataset).panoptic.sums, tuned.before.sums)


def test_what_helps_on_few_photos_by_chance_is_not_chosen(dataset, tmp_path):
    class Lucky(Knowing):
        """A network that detects a false bus in one photo, and nothing else wrong."""

        def _instances(self, image, min_score):
            found = super()._instances(image, min_score)
            if image.tobytes() == next(iter(self.truth)):
                return found
            return found.chosen(np.flatnonzero(found.labels != BUS))

    everything_right = {PERSON: 0.9, CAR: 0.9, BUS: 0.9}
    predictor = Predictor(Lucky(dataset, everything_right, ((BUS, 0.6),)))

    tuned = tune(
        collect_outputs(predictor, dataset, tmp_path / "raw"), TuneConfig(folds=3, min_examples=1)
    )

    assert tuned.too_rare == ()
    assert tuned.config.min_scores(CATEGORIES) == tuned.start.min_scores(CATEGORIES)


def test_the_network_runs_once_for_each_photo_and_model(dataset, tmp_path):
    predictor = predicting(dataset)
    collect_outputs(predictor, dataset, tmp_path / "raw")
    (tmp_path / "raw" / "street3.npz").unlink()

    raw = collect_outputs(predictor, dataset, tmp_path / "raw")

    assert predictor.engine.calls == len(dataset) + 1
    assert len(image_list.read(tmp_path / "raw" / IMAGES).images) == len(dataset)
    for number in (0, 3):
        sample = dataset[number]
        expected = predictor.outputs(sample.image)
        found = raw.outputs(number)
        assert np.array_equal(found.semantic, expected.semantic)
        assert len(found.instances) > len(expected.instances)
        high = np.flatnonzero(found.instances.scores >= 0.5)
        assert np.array_equal(found.instances.chosen(high).boxes, expected.instances.boxes)
    other = predicting(dataset, false=())
    collect_outputs(other, dataset, tmp_path / "raw")
    assert other.engine.calls == len(dataset)


def test_networks_without_things_and_rare_classes_are_no_obstacle(dataset, tmp_path):
    class Half(Knowing):
        predicts = frozenset(["semantic"])

        def __call__(self, images, extras=None):
            found = super().__call__(images, extras)
            return [replace(each, instances=None, ranked=None) for each in found]

    raw = collect_outputs(Predictor(Half(dataset, SCORES)), dataset, tmp_path / "raw")

    tuned = tune(raw, TuneConfig(folds=3, min_examples=5))

    assert tuned.too_rare == ("bus", "tree")
    assert tuned.config.min_scores(CATEGORIES) == tuned.start.min_scores(CATEGORIES)


def nothing():
    return PanopticMap(np.zeros((64, 96), np.int32), ())


def test_a_damaged_file_of_outputs_can_be_deleted(dataset, tmp_path):
    predictor = predicting(dataset)
    raw = collect_outputs(predictor, dataset, tmp_path / "raw")
    (tmp_path / "raw/street3.npz").write_text("damaged")

    for read in (raw.outputs, raw.instances):
        with pytest.raises(ValueError, match=r"street3.npz: .*; delete it, and rerun the same"):
            read(3)


def test_sets_on_which_nothing_can_be_checked_are_refused(dataset, tmp_path):
    class Part(PanopticDataset):
        def __init__(self, count):
            self.__dict__ |= dataset.__dict__
            self._records = dataset.records[:count]

    for count, found in ((0, "0 photos"), (1, "1 photo")):
        raw = collect_outputs(predicting(dataset), Part(count), tmp_path / "raw")
        with pytest.raises(ValueError, match=f"panoptic_tiny.json: {found}; expected at least 3"):
            tune(raw)
    empty = Part(len(dataset))
    empty._records = tuple(replace(each, read=nothing) for each in dataset.records)
    raw = collect_outputs(predicting(dataset), empty, tmp_path / "raw")
    with pytest.raises(ValueError, match=r"panoptic_tiny.json: no photo has a true segment"):
        tune(raw)
    with pytest.raises(ValueError, match="predicts panoptic maps at once"):
        collect_outputs(Predictor(toy_engine.Toy()), dataset, tmp_path / "other")
