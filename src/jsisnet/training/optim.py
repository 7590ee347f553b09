"""Optimisers and learning rate schedules."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from jsisnet.training.losses import kernels

MOST_EPOCHS = 1_000_000
"""Most passes through the training data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Optimiser and learning rate schedule; the defaults are the paper's for COCO."""

    kind: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW."""

    lr: float = 0.075
    """Initial learning rate, for the whole batch."""

    trunk_lr_scale: float = 1.0
    """Learning rate multiplier of the trunk's pre-trained stages."""

    momentum: float = 0.9
    """Momentum of SGD, or beta1 of AdamW."""

    weight_decay: float = 0.0
    """Weight decay of AdamW. That of SGD is objective.weights.l2, a term of the loss."""

    schedule: Literal["step", "cosine", "poly"] = "step"
    """Decay of the learning rate: by gamma at each milestone, as half a cosine to 0, or
    polynomially with exponent power."""

    milestones: tuple[int, ...] = (94_632, 165_606)
    """Steps after which the learning rate is multiplied by gamma, in ascending order."""

    milestone_epochs: tuple[float, ...] = ()
    """Milestones in passes through the training data, which replace `milestones`."""

    gamma: float = 0.5
    """Learning rate multiplier at each milestone."""

    power: float = 0.9
    """Exponent of the poly schedule."""

    warmup: int = 0
    """Steps of linear warmup from 0."""

    max_gradient: float = 10.0
    """Global gradient norm above which gradients are clipped; 0 turns clipping off. The gradient of
    the L2 term is not a part of it: the optimiser adds it afterwards, as weight decay."""

    average: float = 0.0
    """Decay of the moving average of the weights, which is saved as the model; 0 for none."""

    def __post_init__(self) -> None:
        for name, is_valid, expected in (
            ("lr", self.lr > 0, "a positive number"),
            ("trunk_lr_scale", self.trunk_lr_scale >= 0, "0 or more"),
            ("momentum", 0 <= self.momentum < 1, "0 or more, below 1"),
            (
                "milestones",
                list(self.milestones) == sorted(set(self.milestones)),
                "ascending steps",
            ),
            (
                "milestone_epochs",
                list(self.milestone_epochs) == sorted(set(self.milestone_epochs))
                and max(self.milestone_epochs, default=0) <= MOST_EPOCHS,
                f"ascending numbers up to {MOST_EPOCHS:,}",
            ),
            ("gamma", self.gamma > 0, "a positive number"),
            ("power", self.power > 0, "a positive number"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("max_gradient", self.max_gradient >= 0, "0 or more"),
            ("average", 0 <= self.average < 1, "0 or more, below 1"),
        ):
            if not is_valid:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected {expected}")

    def factor(self, step: int, length: int) -> float:
        """Return the learning rate multiplier of a step, counted from 0, out of `length`."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        left = 1 - step / length
        match self.schedule:
            case "step":
                return warm * self.gamma ** bisect_right(self.milestones, step)
            case "cosine":
                return warm * (1 - math.cos(math.pi * left)) / 2
            case "poly":
                return warm * left**self.power


def optimizer(network: nn.Module, config: OptimConfig, l2: float) -> torch.optim.Optimizer:
    """Return the optimiser of a network's trainable parameters.

    Args:
        network: A network with a `trunk.stages`.
        config: Optimiser and rates.
        l2: Weight of the L2 term, half the sum of the squared kernels, which SGD implements as
            weight decay: equal in steps that are not clipped, and not scaled in those that are.
            Biases and normalisation do not decay.

    Raises:
        ValueError: If the optimiser does not support `l2` or `config.weight_decay`.
    """
    if config.kind == "sgd" and config.weight_decay:
        raise ValueError(
            f"optim.weight_decay is {config.weight_decay}, but SGD's decay is a term of the loss; "
            "set --objective.weights.l2 instead"
        )
    if config.kind == "adamw" and l2:
        raise ValueError(
            f"objective.weights.l2 is {l2}, but AdamW's decay is not a term of the loss; "
            "expected 0, and --optim.weight-decay instead"
        )
    groups = _groups(network, config, l2 or config.weight_decay)
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, betas=(config.momentum, 0.999))
    return torch.optim.SGD(groups, momentum=config.momentum)


def _groups(network: nn.Module, config: OptimConfig, decay: float) -> list[dict[str, object]]:
    """Group the parameters by learning rate and decay."""
    decaying = {id(parameter) for parameter in kernels(network)}
    pretrained = {id(parameter) for parameter in network.get_submodule("trunk.stages").parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            scale = config.trunk_lr_scale if id(parameter) in pretrained else 1.0
            key = (config.lr * scale, decay if id(parameter) in decaying else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": weight_decay}
        for (lr, weight_decay), parameters in groups.items()
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to its initial one times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]
