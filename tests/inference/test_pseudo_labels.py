import json
from dataclasses import replace

import numpy as np
import pytest

import toy_engine
from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, TREE
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.pseudo_labels import PseudoConfig, fill, pseudo_target
from jsisnet.panoptic import VOID, PanopticMap
from knowing_engine import Knowing

SCORES = {PERSON: 0.9, CAR: 0.6, BUS: 0.8}
THINGS, STUFF = ([label < SKY for label in range(6)], [label >= SKY for label in range(6)])
EVERYTHING = [True] * 6


@pytest.fixture
def dataset(tiny):
    return PanopticDataset(DataConfig(images=str(tiny.images), annotations=str(tiny.annotations)))


def without(panoptic, labels):
    """Return a map in which segments of some labels are void."""
    kept = [VOID] + [
        VOID if segment.label in labels else number
        for number, segment in enumerate(panoptic.segments, 1)
    ]
    return PanopticMap.compact(np.array(kept, np.int32)[panoptic.ids], panoptic.segments)


def test_stuff_is_filled_around_true_things(dataset):
    sample = dataset[0]
    truth = without(sample.panoptic, {SKY, ROAD, TREE})

    filled = fill(truth, sample.image, Predictor(Knowing(dataset, SCORES)), STUFF, PseudoConfig())

    assert np.array_equal(filled.ids[truth.ids != VOID], truth.ids[truth.ids != VOID])
    assert filled.segments[: len(truth.segments)] == truth.segments
    added = filled.segments[len(truth.segments) :]
    assert {segment.label for segment in added} == {SKY, ROAD}
    assert all(0.99 < segment.score <= 1 for segment in added)
    differs = filled.labels() != sample.panoptic.labels()
    assert differs.mean() < 0.02  # along edges of things, which are unsure
    assert (filled.ids[differs] == VOID).all()


def test_only_what_is_sure_and_not_labelled_is_filled(dataset):
    sample = dataset[0]
    network = Predictor(Knowing(dataset, SCORES))
    nothing = PanopticMap(np.zeros_like(sample.panoptic.ids), ())

    filled = fill(nothing, sample.image, network, EVERYTHING, PseudoConfig())

    assert [(s.label, s.score) for s in filled.segments if s.isthing] == [
        (PERSON, pytest.approx(0.9)),
        (BUS, pytest.approx(0.8)),
    ]
    car = sample.panoptic.labels() == CAR
    assert (filled.ids[car] == VOID).mean() > 0.9  # neither a thing nor stuff is sure there
    for unsure in (PseudoConfig(min_score=1.0, min_probability=1.0), PseudoConfig(min_area=1.0)):
        assert not fill(nothing, sample.image, network, EVERYTHING, unsure).segments
    things = fill(nothing, sample.image, network, THINGS, PseudoConfig())
    assert {segment.label for segment in things.segments} == {PERSON, BUS}


def test_things_are_filled_from_a_lower_score_on_than_the_models_own(dataset):
    sample = dataset[0]
    nothing = PanopticMap(np.zeros_like(sample.panoptic.ids), ())
    network = Predictor(Knowing(dataset, {PERSON: 0.9, CAR: 0.2, BUS: 0.8}))
    assert network.config.network.detection.min_score > 0.2

    filled = fill(nothing, sample.image, network, THINGS, PseudoConfig(min_score=0.1))

    assert CAR in {segment.label for segment in filled.segments}


def test_a_thing_that_the_truth_covers_is_not_filled_again(dataset):
    sample = dataset[0]
    truth = without(sample.panoptic, {SKY, ROAD})
    shifted = replace_label(truth, BUS, CAR)

    filled = fill(
        shifted, sample.image, Predictor(Knowing(dataset, SCORES)), EVERYTHING, PseudoConfig()
    )

    assert BUS not in {segment.label for segment in filled.segments}
    assert all(segment.score is None for segment in filled.segments if segment.isthing)


def replace_label(panoptic, old, new):
    segments = (replace(s, label=new) if s.label == old else s for s in panoptic.segments)
    return PanopticMap(panoptic.ids, tuple(segments))


def test_engines_without_probabilities_are_refused():
    truth = PanopticMap(np.zeros((8, 8), np.int32), ())
    image = np.zeros((8, 8, 3), np.uint8)

    with pytest.raises(ValueError, match="predicts panoptic maps at once, without"):
        fill(truth, image, Predictor(toy_engine.Toy()), EVERYTHING, PseudoConfig())


def test_filled_segments_are_marked_in_the_file(dataset, tmp_path):
    sample = dataset[0]
    truth = without(sample.panoptic, {SKY, ROAD, TREE, BUS, PERSON})
    network = Predictor(Knowing(dataset, SCORES))
    filled = fill(truth, sample.image, network, EVERYTHING, PseudoConfig())

    written = pseudo_target(tmp_path, CATEGORIES).write(filled, "map")

    entries = json.loads(json.dumps(written.annotation))["segments_info"]
    car = CATEGORIES[CAR].id
    assert len(entries) == len(filled.segments) > 3
    assert all(each.get("pseudo", False) == (each["category_id"] != car) for each in entries)
    assert (tmp_path / written.files[0]).is_file()
