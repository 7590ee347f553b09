from pathlib import Path

import pytest
import torch
import yaml

import networks
from jsisnet.settings import from_dict
from jsisnet.training.config import RunConfig, read_config, to_yaml
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

FOLDER = Path(__file__).parent.parent / "src" / "jsisnet" / "configs"
COMPLETE = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "lite.yaml")
COCO = networks.numbered(things=80, stuff=53)
DATA = ("--data.images", "photos", "--data.annotations", "truth.json")


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: path.stem)
def test_a_configuration_survives_being_written_and_read(path):
    config = read_config(path)

    assert from_dict(RunConfig, yaml.safe_load(to_yaml(config)), source="text") == config


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_configuration_builds_its_network(path):
    config = read_config(path, DATA)

    network = networks.shapes_only(config.network, COCO)

    assert network.semantic is not None
    assert network.instance is not None


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_configuration_takes_a_step(path):
    config = read_config(path, (*DATA, "--objective.regions.samples", "8"))
    network = networks.network(config.network)
    objective = Objective(network, config.objective).train()
    optimiser = optimizer(network, config.optim, config.objective.weights.l2)
    before = network.trunk.neck.state_dict()
    before = {name: value.clone() for name, value in before.items()}

    losses = objective(networks.streets(0, 3, size=(64, 64)))
    losses.total().backward()
    optimiser.step()

    assert all(term.isfinite() and term > 0 for term in losses[:-1])
    assert (losses.l2 > 0) == (config.optim.kind == "sgd")  # AdamW's decay is no term
    assert any(not torch.equal(v, before[n]) for n, v in network.trunk.neck.state_dict().items())


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
