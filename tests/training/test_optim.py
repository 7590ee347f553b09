from dataclasses import replace

import pytest
import torch

from jsisnet.training.losses import kernels
from jsisnet.training.objective import Objective, ObjectiveConfig
from jsisnet.training.optim import OptimConfig, optimizer, set_learning_rate
from networks import TINY, network, streets

DECAY = 0.1


def test_the_paper_on_coco():
    config = OptimConfig()

    assert (config.lr, config.momentum, config.gamma, config.warmup) == (0.075, 0.9, 0.5, 0)
    assert config.milestones == (4 * 23_658, 7 * 23_658)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.075), (62_999, 0.075), (63_000, 0.0375), (116_999, 0.0375), (117_000, 0.01875)],
)
def test_the_learning_rate_is_halved_twice(step, rate):
    config = OptimConfig(milestones=(63_000, 117_000))

    assert config.lr * config.factor(step, 171_000) == pytest.approx(rate)


def test_warmup_rises_linearly_to_the_full_rate():
    config = OptimConfig(warmup=4, milestones=(6,))

    assert [config.factor(step, 8) for step in range(8)] == [0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5]


def test_a_cosine_falls_slowly_at_both_ends():
    config = OptimConfig(schedule="cosine")

    factors = [config.factor(step, 4) for step in range(5)]

    assert factors == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_a_polynomial_is_a_power_of_what_is_left():
    config = OptimConfig(schedule="poly", power=2.0)

    assert [config.factor(step, 4) for step in range(5)] == [1, 0.5625, 0.25, 0.0625, 0]


@pytest.mark.parametrize("schedule", ["step", "cosine", "poly"])
def test_every_schedule_warms_up(schedule):
    config = OptimConfig(schedule=schedule, warmup=10)

    assert config.factor(0, 10**6) == pytest.approx(0.1, rel=1e-4)


def test_without_milestones_the_rate_stays():
    assert OptimConfig(milestones=()).factor(10**6, 10**7) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("trunk_lr_scale", -1.0),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("milestones", (5, 3)),
        ("milestones", (3, 3)),
        ("gamma", 0.0),
        ("power", 0.0),
        ("weight_decay", -1.0),
        ("warmup", -1),
        ("max_gradient", -1.0),
        ("average", 1.0),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=rf"optim\.{name} is "):
        OptimConfig(**{name: value})


def test_kernels_decay_and_nothing_else():
    made = network()

    groups = optimizer(made, OptimConfig(), DECAY).param_groups

    decaying = [p for group in groups if group["weight_decay"] == DECAY for p in group["params"]]
    assert {id(p) for p in decaying} == {id(p) for p in kernels(made)}
    assert {group["weight_decay"] for group in groups} == {0.0, DECAY}


def test_every_trained_parameter_is_optimised_once():
    frozen = replace(TINY, trunk=replace(TINY.trunk, frozen_stages=3))
    made = network(frozen)

    optimised = [
        id(p)
        for group in optimizer(made, OptimConfig(), DECAY).param_groups
        for p in group["params"]
    ]

    trained = [id(p) for p in made.parameters() if p.requires_grad]
    assert sorted(optimised) == sorted(trained)
    assert len(trained) < len(list(made.parameters()))


def test_the_trunk_may_learn_slower_than_the_rest():
    made = network()

    groups = optimizer(made, OptimConfig(lr=0.1, trunk_lr_scale=0.5), DECAY).param_groups

    slow = [p for group in groups if group["lr"] == 0.05 for p in group["params"]]
    assert {id(p) for p in slow} == {id(p) for p in made.trunk.stages.parameters()}


def test_all_rates_follow_the_schedule():
    made = optimizer(network(), OptimConfig(lr=0.1, trunk_lr_scale=0.5), DECAY)

    for factor in (0.5, 0.25):
        set_learning_rate(made, factor)

    assert {group["lr"] for group in made.param_groups} == {0.025, 0.0125}


def test_it_is_sgd_with_momentum_as_the_paper_says():
    made = optimizer(network(), OptimConfig(), DECAY)

    assert isinstance(made, torch.optim.SGD)
    for group in made.param_groups:
        assert (group["momentum"], group["dampening"], group["nesterov"]) == (0.9, 0, False)


@pytest.mark.parametrize("steps", [1, 3])
def test_an_explicit_l2_term_equals_weight_decay_while_nothing_is_clipped(steps):
    batch = streets(0, 1)
    results = []
    for explicit in (True, False):
        made = network().train()
        objective = Objective(made, ObjectiveConfig())
        sgd = optimizer(made, OptimConfig(lr=0.01), 0.0 if explicit else DECAY)
        for step in range(steps):
            torch.manual_seed(step)
            loss = objective(batch).total()
            if explicit:
                loss = loss + DECAY * sum(p.square().sum() for p in kernels(made)) / 2
            loss.backward()
            sgd.step()
            sgd.zero_grad()
        results.append(made.state_dict())

    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-4, atol=1e-6)


def test_adam_decays_kernels_by_itself():
    made = network()

    adam = optimizer(made, OptimConfig(kind="adamw", lr=1e-3, weight_decay=0.05), 0.0)

    assert isinstance(adam, torch.optim.AdamW)
    decays = {id(p): g["weight_decay"] for g in adam.param_groups for p in g["params"]}
    decaying = {id(kernel) for kernel in kernels(made)}
    assert all(decay == (0.05 if p in decaying else 0) for p, decay in decays.items())


@pytest.mark.parametrize(
    ("config", "l2", "message"),
    [
        (
            OptimConfig(weight_decay=0.1),
            0.1,
            "optim.weight_decay is 0.1, but SGD's decay is a term",
        ),
        (OptimConfig(kind="adamw"), 0.1, "objective.weights.l2 is 0.1, but AdamW's decay is no"),
    ],
)
def test_decay_that_the_optimiser_does_not_do_is_refused(config, l2, message):
    with pytest.raises(ValueError, match=message):
        optimizer(network(), config, l2)
