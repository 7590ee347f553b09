from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

import factories
from factories import CAR, PERSON, ROAD, SKY, TREE
from jsisnet.data.sample import Batch
from jsisnet.evaluation.panoptic_quality import count_matches
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.engine import TorchEngine
from jsisnet.model.rpn import AnchorConfig
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.training.fabric import Fabric
from jsisnet.training.loop import Average, NonFiniteLossError, StepReport, steps
from jsisnet.training.losses import Losses, kernels
from jsisnet.training.objective import Objective, ObjectiveConfig, Totals
from jsisnet.training.optim import OptimConfig, optimizer
from networks import NARROW, TINY, network, streets


class Poisoned(nn.Module):
    """An objective whose mask term is not a number from the third step on."""

    def __init__(self, objective: Objective, value: float = float("nan")) -> None:
        super().__init__()
        self.objective = objective
        self.value = value
        self.calls = 0

    def forward(self, batch: Batch, totals: Totals) -> Losses:
        self.calls += 1
        losses = self.objective(batch, totals)
        return losses._replace(masks=losses.masks * self.value) if self.calls > 2 else losses


class Steep(nn.Module):
    """An objective whose gradient is infinite though its terms are finite."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Batch, totals: Totals) -> Losses:
        losses = self.objective(batch, totals)
        return losses._replace(boxes=(losses.boxes - losses.boxes.detach()).abs().sqrt())


def drawing(parts: list[Batch], length: int, seed: int) -> Iterator[list[Batch]]:
    """Repeat the parts of a step, each time with new seeds, as a stream does."""
    for step in range(length):
        yield [
            replace(part, seeds=tuple(100_000 * seed + 10 * step + n for n in part.seeds))
            for part in parts
        ]


def trained(
    length: int, optim: OptimConfig, *, config=TINY, numbers=(0, 1), wrap=None, parts=None, **start
):
    """Return the reports of some steps and the trained network."""
    made = network(config)
    objective = Objective(made, ObjectiveConfig())
    fabric = Fabric(accelerator="cpu", devices=1)
    objective, sgd = fabric.setup(
        objective if wrap is None else wrap(objective), optimizer(made, optim, 5.5e-5)
    )
    start = {"first": 0, "length": 1000, "seed": 0} | start
    batches = drawing([streets(*numbers)] if parts is None else parts, length, start["seed"])
    return made, steps(fabric, objective, sgd, batches, optim, **start)


def test_a_step_reports_its_terms_total_gradient_and_rate():
    _, reports = trained(1, OptimConfig(lr=0.05))

    (report,) = reports

    assert isinstance(report, StepReport)
    assert report.step == 1
    assert list(report.terms) == list(Losses._fields)
    assert report.total == pytest.approx(sum(report.terms.values()), rel=1e-6)
    assert report.gradient > 0
    assert report.lr == 0.05


@pytest.mark.parametrize("config", [TINY, NARROW], ids=["lite", "paper"])
def test_steps_lower_the_loss(config):
    _, reports = trained(12, OptimConfig(lr=0.02), config=config)

    totals = [report.total for report in reports]

    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.slow
def test_a_network_overfits_a_street_and_detects_its_things():
    config = replace(TINY, anchors=AnchorConfig(sizes=(16.0, 32.0), ratios=(0.5, 1.0, 2.0, 4.0)))
    made, reports = trained(
        90,
        OptimConfig(lr=0.1, warmup=10, milestones=(75,), gamma=0.2),
        config=config,
        numbers=(1, 1),
    )
    truth = factories.tiny_map(1)

    losses = [report.total for report in reports]
    settings = ModelConfig(size=(64, 96), network=config, merge=MergeConfig(min_stuff_area=100.0))
    predictor = Predictor(TorchEngine(SavedModel(settings, factories.CATEGORIES, made)))
    found = predictor.panoptic(np.array(factories.photo_of(truth, seed=1)))

    assert losses[-1] < 0.1 * losses[0]
    assert {segment.label for segment in found.segments} == {CAR, PERSON, SKY, ROAD, TREE}
    quality = count_matches(truth, found, len(factories.CATEGORIES))
    assert np.nanmin(quality.pq) > 0.6


def test_the_rate_follows_the_schedule_from_the_first_step_on():
    _, reports = trained(4, OptimConfig(lr=0.01, milestones=(11,), warmup=10), first=8)

    assert [(r.step, r.lr) for r in reports] == [
        (9, pytest.approx(0.009)),
        (10, 0.01),
        (11, 0.01),
        (12, 0.005),
    ]


def test_random_numbers_of_a_step_do_not_depend_on_earlier_draws():
    (_, first), (_, second), (_, other) = (
        trained(1, OptimConfig(lr=0.01), seed=seed) for seed in (1, 1, 2)
    )

    once = next(first)
    torch.rand(100)
    again, another = next(second), next(other)

    assert once == replace(again, memory=once.memory)
    assert once.terms["rpn_objectness"] != another.terms["rpn_objectness"]


def test_two_micro_batches_equal_one_batch():
    """Batch normalisation is the exception, so it is frozen here."""
    config = replace(
        TINY,
        trunk=replace(TINY.trunk, freeze_norm=True, norm="group"),
        semantic=replace(TINY.semantic, norm="group"),
    )
    both, one, other = (streets(*numbers) for numbers in ((0, 1, 4, 3), (0, 1), (4, 3)))
    optim = OptimConfig(lr=0.02)

    whole, reports = trained(2, optim, config=config, parts=[both])
    expected = list(reports)
    pieces, reports = trained(2, optim, config=config, parts=[one, other])
    found = list(reports)

    assert found[0].terms == pytest.approx(expected[0].terms, rel=1e-5)
    assert found[1].terms == pytest.approx(expected[1].terms, rel=1e-4)
    assert found[1].gradient == pytest.approx(expected[1].gradient, rel=1e-4)
    for name, value in pieces.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_and_their_norm_before_is_reported():
    before = network().state_dict()
    made, reports = trained(1, OptimConfig(lr=1.0, momentum=0.0, max_gradient=1e-3))

    (report,) = reports

    moved = [
        made.state_dict()[name] - before[name]
        for name, p in made.named_parameters()
        if p.requires_grad and p.ndim == 1
    ]
    assert report.gradient > 1
    assert torch.cat(moved).norm() <= 1.001e-3


def test_weight_decay_is_added_after_clipping_and_is_not_the_l2_term_then():
    limit, decay = 1e-3, 5.5e-5
    before = {name: p.detach().clone() for name, p in network().named_parameters()}
    made, reports = trained(1, OptimConfig(lr=1.0, momentum=0.0, max_gradient=limit))

    (report,) = reports

    decaying = {id(kernel) for kernel in kernels(made)}
    steps = {name: before[name] - p.detach() for name, p in made.named_parameters()}
    data = {
        name: steps[name] - decay * before[name] if id(p) in decaying else steps[name]
        for name, p in made.named_parameters()
    }
    norm, whole = (
        torch.cat([step.flatten() for step in parts.values()]).norm().item()
        for parts in (data, steps)
    )
    assert report.gradient > limit
    assert norm == pytest.approx(limit, rel=0.01)
    assert whole > 1.5 * limit  # with the term in the loss, the whole step would have this norm


def test_clipping_can_be_turned_off():
    _, reports = trained(1, OptimConfig(lr=0.01, max_gradient=0.0))

    assert next(reports).gradient == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_advice(value):
    _, reports = trained(5, OptimConfig(lr=0.0125), wrap=lambda o: Poisoned(o, value))

    done = list(islice(reports, 2))
    with pytest.raises(NonFiniteLossError) as caught:
        next(reports)

    assert [report.step for report in done] == [1, 2]
    for part in ("step 3", "masks", str(value), "learning rate 0.0125"):
        assert part in str(caught.value)


def test_a_loss_that_is_not_finite_leaves_the_parameters_as_they_were():
    made, reports = trained(5, OptimConfig(lr=0.0125), wrap=Poisoned)
    list(islice(reports, 2))
    before = [p.clone() for p in made.parameters()]

    with pytest.raises(NonFiniteLossError):
        next(reports)

    assert all(torch.equal(p, old) for p, old in zip(made.parameters(), before, strict=True))


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    made, reports = trained(1, OptimConfig(lr=0.01), wrap=Steep)
    before = [p.clone() for p in made.parameters()]

    with pytest.raises(NonFiniteLossError, match="step 1: gradient became"):
        next(reports)

    assert all(torch.equal(p, old) for p, old in zip(made.parameters(), before, strict=True))


def test_an_error_of_the_loss_is_a_value_error():
    assert issubclass(NonFiniteLossError, ValueError)


def test_no_batches_mean_no_steps():
    _, reports = trained(0, OptimConfig())

    assert list(reports) == []


def test_the_moving_average_follows_the_weights_slowly():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = Average(layer, 0.75)
    nn.init.ones_(layer.weight)

    values = []
    for step in (1000, 1001):
        average.update(layer, step)
        values.append(average.state["weight"].item())

    assert values == [0.25, 0.4375]


def test_the_moving_average_forgets_the_start_quickly():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = Average(layer, 0.999)
    nn.init.ones_(layer.weight)

    average.update(layer, 1)

    assert average.state["weight"].item() == pytest.approx(1 - 2 / 11)


def test_the_moving_average_follows_statistics_and_copies_counts():
    layer = nn.BatchNorm1d(1)
    average = Average(layer, 0.5)
    layer.running_mean.fill_(4)
    layer.num_batches_tracked.fill_(7)

    average.update(layer, 1000)

    assert average.state["running_mean"].item() == 2
    assert average.state["num_batches_tracked"].item() == 7


def test_a_saved_moving_average_can_be_loaded():
    layer = nn.Linear(2, 2)
    average = Average(layer, 0.9)
    saved = {name: value + 1 for name, value in average.state.items()}

    average.load(saved)

    assert all(torch.equal(average.state[name], value) for name, value in saved.items())
    assert average.state["weight"] is not saved["weight"]


def test_the_moving_average_does_not_change_the_network():
    layer = nn.Linear(2, 2)
    average = Average(layer, 0.5)

    nn.init.zeros_(layer.weight)

    assert average.state["weight"].abs().max() > 0
    assert not average.state["weight"].requires_grad
