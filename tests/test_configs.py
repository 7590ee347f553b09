from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.utils import clip_grad_norm_

import networks
from jsisnet.settings import from_dict
from jsisnet.training.config import RunConfig, read_config, to_yaml
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

FOLDER = Path(__file__).parent.parent / "src" / "jsisnet" / "configs"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.startswith("ablation"))
COMPLETE = [path for path in FILES if not path.name.startswith("lite")]
DISTINCT = [
    path
    for path in FILES
    if path.stem not in ("vistas_17_epochs", "vistas_2")  # the network of vistas
]
COCO = networks.numbered(things=80, stuff=53)


def configured(path: Path, *overrides: str):
    """Read a configuration; the lite ones say nothing of their data."""
    data = ("--data.images", "photos", "--data.annotations", "truth.json")
    return read_config(path, (*(data if path not in COMPLETE else ()), *overrides))


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: path.stem)
def test_a_configuration_survives_being_written_and_read(path):
    config = read_config(path)

    assert from_dict(RunConfig, yaml.safe_load(to_yaml(config)), source="text") == config


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_builds_its_network(path):
    config = configured(path)

    network = networks.shapes_only(config.network, COCO)

    assert network.semantic is not None
    assert network.instance is not None


@pytest.mark.slow
@pytest.mark.parametrize("path", DISTINCT, ids=lambda path: path.stem)
def test_a_configuration_takes_a_step_or_two(path):
    config = configured(path, "--objective.regions.samples", "8")
    network = networks.network(config.network)
    # Weights are those of the classes of the data, which these scenes do not have.
    objective = Objective(network, replace(config.objective, semantic_weights=())).train()
    optimiser = optimizer(network, config.optim, config.objective.weights.l2)
    before = network.semantic.classify.weight.clone()

    for _ in range(2 if path.stem in ("authors2019", "tfapi") else 1):
        losses = objective(networks.streets(0, 3, size=(64, 64)))
        losses.total().backward()
        clip_grad_norm_(network.parameters(), config.optim.max_gradient or 10.0)
        optimiser.step()
        optimiser.zero_grad()

    assert losses.total().isfinite()
    without_positives = (
        set() if config.objective.add_true_boxes else {"rpn_boxes", "boxes", "masks"}
    )
    terms = losses._asdict()
    assert all(terms[name] > 0 for name in terms.keys() - {"l2"} - without_positives)
    assert (losses.l2 > 0) == (config.objective.weights.l2 > 0)
    assert not torch.equal(network.semantic.classify.weight, before)


@pytest.mark.parametrize(
    ("name", "size", "batch", "steps", "milestones", "per_cell"),
    [
        ("coco", (400, 400), 5, 8 * 23_658, (4 * 23_658, 7 * 23_658), 18),
        ("vistas", (512, 1024), 2, 19 * 9_000, (7 * 9_000, 13 * 9_000), 30),
        ("vistas_17_epochs", (512, 1024), 2, 17 * 9_000, (7 * 9_000, 13 * 9_000), 30),
    ],
)
def test_the_papers_settings_are_those_of_its_section_3(
    name, size, batch, steps, milestones, per_cell
):
    config = read_config(FOLDER / f"{name}.yaml")

    assert config.augment.size == size
    assert (config.train.batch_size, config.train.steps) == (batch, steps)
    assert config.optim.milestones == milestones
    assert (config.optim.lr, config.optim.momentum, config.optim.gamma) == (0.075, 0.9, 0.5)
    assert config.network.anchors.per_cell == per_cell
    assert config.augment.hflip == 0.5


def test_the_papers_loss_weights_are_those_of_table_2():
    weights = read_config(FOLDER / "coco.yaml").objective.weights

    assert (weights.rpn_objectness, weights.rpn_boxes, weights.classes) == (1.0, 1.0, 1.0)
    assert (weights.boxes, weights.masks, weights.semantic) == (0.15, 0.3, 1.0)
    assert weights.l2 == 5.5e-5


@pytest.mark.parametrize("name", ["coco", "vistas", "authors2019", "tfapi"])
def test_the_papers_settings_name_their_imagenet_weights(name):
    trunk = read_config(FOLDER / f"{name}.yaml").network.trunk

    assert (trunk.name, trunk.weights) == ("resnet50.tv_in1k", "imagenet")


def test_the_authors_settings_of_2019_are_those_of_the_specification():
    config = read_config(FOLDER / "authors2019.yaml")
    network, weights = config.network, config.objective.weights

    assert (network.trunk.neck, network.trunk.freeze_affine) == ("reduce", True)
    assert network.trunk.mean == network.trunk.std == (0.5, 0.5, 0.5)
    assert network.anchors.per_cell == 30
    assert not config.objective.anchors.match_every_object
    assert (network.proposals.max_overlap, network.proposals.max_proposals) == (0.5, 1000)
    assert (network.roi.width, network.roi.mask_size) == (256, 28)
    assert (config.optim.lr, config.optim.schedule, config.optim.power) == (0.01, "poly", 0.9)
    assert (weights.boxes, weights.masks, weights.semantic, weights.l2) == (0.2, 0.2, 1.0, 0.002)
    assert (config.train.steps, config.train.batch_size) == (40_001, 2)


def test_the_settings_of_the_tensorflow_api_are_those_of_the_specification():
    config = read_config(FOLDER / "tfapi.yaml")
    network, weights = config.network, config.objective.weights

    assert (network.trunk.neck, network.semantic.own_last_stage) == ("none", True)
    assert network.anchors.sizes == (64, 128, 256, 512)
    assert (network.anchors.per_cell, network.anchors.outside) == (12, "prune")
    matching = config.objective.anchors
    assert (matching.min_positive, matching.max_negative) == (0.7, 0.3)
    assert matching.match_every_object
    assert (network.proposals.max_overlap, network.proposals.max_proposals) == (0.7, 300)
    assert (network.roi.width, network.roi.norm, network.roi.mask_size) == (512, "frozen", 33)
    assert (config.optim.lr, config.optim.max_gradient, config.train.batch_size) == (3e-4, 10, 1)
    assert (weights.rpn_boxes, weights.boxes, weights.masks) == (2.0, 2.0, 4.0)
