"""Optimisers, and how their learning rate changes."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from jsisnet.training.losses import kernels


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """How the loss goes down; the defaults are the paper's for COCO."""

    kind: Literal["sgd", "adamw"] = "sgd"
    """Stochastic gradient descent with momentum, or Adam with decoupled weight decay."""

    lr: float = 0.075
    """Learning rate for the whole batch, before it falls."""

    trunk_lr_scale: float = 1.0
    """Factor of the learning rate for the trunk's pre-trained stages."""

    momentum: float = 0.9
    """Momentum of the gradients; of AdamW the first beta."""

    weight_decay: float = 0.0
    """AdamW's decay of kernels; that of SGD is `objective.weights.l2`, a term of the loss."""

    schedule: Literal["step", "cosine", "poly"] = "step"
    """How the learning rate falls: by `gamma` at each milestone, as half a cosine to 0, or as the
    rest of the training to the power of `power`."""

    milestones: tuple[int, ...] = (94_632, 165_606)
    """Steps after which the learning rate is multiplied by `gamma`, ascending."""

    gamma: float = 0.5
    """Factor at each milestone."""

    power: float = 0.9
    """Exponent of the schedule ``poly``."""

    warmup: int = 0
    """Steps in which the learning rate rises from 0, linearly."""

    max_gradient: float = 10.0
    """Longer gradients, over all parameters, are shortened to this norm; 0 for never."""

    average: float = 0.0
    """Decay of the moving average of the weights that is saved as the model; 0 for none."""

    def __post_init__(self) -> None:
        for name, isright, expected in (
            ("lr", self.lr > 0, "a positive number"),
            ("trunk_lr_scale", self.trunk_lr_scale >= 0, "0 or more"),
            ("momentum", 0 <= self.momentum < 1, "0 or more, below 1"),
            (
                "milestones",
                list(self.milestones) == sorted(set(self.milestones)),
                "ascending steps",
            ),
            ("gamma", self.gamma > 0, "a positive number"),
            ("power", self.power > 0, "a positive number"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("max_gradient", self.max_gradient >= 0, "0 or more"),
            ("average", 0 <= self.average < 1, "0 or more, below 1"),
        ):
            if not isright:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected {expected}")

    def factor(self, step: int, length: int) -> float:
        """Give the factor of the learning rate in a step, counted from 0, of a training."""
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
    """Give the optimiser of a network's trained parameters.

    Args:
        network: A network with a `trunk.stages`.
        config: Kind and rates.
        l2: Weight of half the kernels' sum of squares in the loss, to which SGD's weight decay is
            equal. Biases and normalisation do not decay.

    Raises:
        ValueError: If the kind of optimiser can't do justice to `l2` or to its weight decay.
    """
    if config.kind == "sgd" and config.weight_decay:
        raise ValueError(
            f"optim.weight_decay is {config.weight_decay}, but SGD's decay is a term of the loss; "
            "expected --objective.weights.l2 instead"
        )
    if config.kind == "adamw" and l2:
        raise ValueError(
            f"objective.weights.l2 is {l2}, but AdamW's decay is no term of the loss; "
            "expected 0, and --optim.weight-decay instead"
        )
    groups = _groups(network, config, l2 or config.weight_decay)
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, betas=(config.momentum, 0.999))
    return torch.optim.SGD(groups, momentum=config.momentum)


def _groups(network: nn.Module, config: OptimConfig, decay: float) -> list[dict[str, object]]:
    """Part the parameters by learning rate and decay."""
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
    """Multiply each group's first learning rate by a factor."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]
