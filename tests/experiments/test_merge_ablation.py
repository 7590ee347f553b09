from dataclasses import fields, replace

import pytest

import factories
import networks
from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.experiments.merge_ablation import UNCHANGED, ablate, alternatives, variants
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference import kirillov
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.engine import TorchEngine
from jsisnet.model.saved_model import ModelConfig, SavedModel

RULES = MergeConfig(min_stuff_area=7000.0, min_score=0.1)
"""Area that no stuff class reaches in maps of 64x96."""


@pytest.fixture
def predictor():
    return predictor_with(RULES)


def predictor_with(rules):
    settings = ModelConfig(size=(64, 96), network=networks.TINY, merge=rules)
    network = networks.network(networks.TINY)
    network.instance.roi.classify.weight.data *= 100
    return Predictor(TorchEngine(SavedModel(settings, factories.CATEGORIES, network)))


@pytest.fixture
def dataset(tiny):
    data = DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))
    return PanopticDataset(data, factories.CATEGORIES)


@pytest.mark.parametrize("rules", [RULES, MergeConfig(), MergeConfig(owner="score", min_score=0.4)])
def test_every_variant_changes_one_rule(rules):
    for name, variant in variants(rules).items():
        changed = [
            field.name
            for field in fields(MergeConfig)
            if getattr(variant, field.name) != getattr(rules, field.name)
        ]
        assert len(changed) == (name != UNCHANGED)


def test_variants_are_measured_as_if_each_were_the_models_rules(predictor, dataset):
    found = ablate(predictor, dataset)

    assert set(found) == {*variants(RULES), *alternatives(RULES, (64, 96))}
    settings = ModelConfig(
        size=(64, 96), network=networks.TINY, merge=replace(RULES, min_stuff_area=0.0)
    )
    other = Predictor(
        TorchEngine(SavedModel(settings, factories.CATEGORIES, predictor.engine.network))
    )
    total = PanopticQuality.zero(len(factories.CATEGORIES))
    for sample in (dataset[number] for number in range(len(dataset))):
        prediction = other.panoptic(sample.image)
        total += count_matches(sample.panoptic, prediction, len(factories.CATEGORIES))
    assert found["small stuff stays"].fp.tolist() == total.fp.tolist()
    assert found["small stuff stays"].fp.sum() > found[UNCHANGED].fp.sum()


def test_kirillovs_rules_have_the_thresholds_of_the_models_own():
    rules = MergeConfig(min_score=0.3, min_mask=0.4, min_stuff_area=0.01, area_unit="image")

    script, with_stuff = alternatives(rules, (50, 60)).values()

    assert script == KirillovConfig(min_score=0.3, min_mask=0.4, min_stuff_area=30.0)
    assert with_stuff == replace(script, replace_things=True)


def test_kirillovs_rules_are_measured_on_the_same_outputs(dataset):
    rules = MergeConfig(min_stuff_area=100.0, min_score=0.1)
    predictor = predictor_with(rules)

    found = ablate(predictor, dataset)

    config = alternatives(rules, (64, 96))["Kirillov's rules"]
    total = PanopticQuality.zero(len(factories.CATEGORIES))
    for sample in (dataset[number] for number in range(len(dataset))):
        outputs = predictor.outputs(sample.image)
        prediction = kirillov.merge(
            outputs.instances,
            outputs.semantic,
            frame=(64, 96),
            size=(64, 96),
            stuff_labels=factories.CATEGORIES.stuff_labels,
            config=config,
        )
        total += count_matches(sample.panoptic, prediction, len(factories.CATEGORIES))
    assert found["Kirillov's rules"].fp.tolist() == total.fp.tolist()
    assert found["Kirillov's rules"].fp.sum() != found[UNCHANGED].fp.sum()


def test_progress_is_reported_after_each_photo(predictor, dataset):
    told = []

    ablate(predictor, dataset, on_image=lambda done, total: told.append((done, total)))

    assert told == [(done, 6) for done in range(1, 7)]
