"""Stochastic gradient descent with the paper's schedule."""

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import nn

from jsisnet.training.losses import kernels


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """How the loss goes down; the defaults are the paper's for COCO."""

    lr: float = 0.075
    """Learning rate for the whole batch, before the first milestone."""

    trunk_lr_scale: float = 1.0
    """Factor of the learning rate for the trunk's pre-trained stages."""

    momentum: float = 0.9
    """Momentum of the gradients."""

    milestones: tuple[int, ...] = (94_632, 165_606)
    """Steps after which the learning rate is multiplied by `gamma`, ascending."""

    gamma: float = 0.5
    """Factor at each milestone."""

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
            ("warmup", self.warmup >= 0, "0 or more"),
            ("max_gradient", self.max_gradient >= 0, "0 or more"),
            ("average", 0 <= self.average < 1, "0 or more, below 1"),
        ):
            if not isright:
                raise ValueError(f"optim.{name} is {getattr(self, name)}; expected {expected}")

    def factor(self, step: int) -> float:
        """Give the factor of the learning rate in a step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return warm * self.gamma ** bisect_right(self.milestones, step)


def optimizer(network: nn.Module, config: OptimConfig, decay: float) -> torch.optim.SGD:
    """Give the optimiser of a network's trained parameters.

    Args:
        network: A network with a `trunk.stages`.
        config: Rates.
        decay: Weight decay of kernels; biases and normalisation have none. It equals the weight of
            half their sum of squares in the loss.
    """
    decaying = {id(parameter) for parameter in kernels(network)}
    pretrained = {id(parameter) for parameter in network.get_submodule("trunk.stages").parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            scale = config.trunk_lr_scale if id(parameter) in pretrained else 1.0
            key = (config.lr * scale, decay if id(parameter) in decaying else 0.0)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": weight_decay}
            for (lr, weight_decay), parameters in groups.items()
        ],
        momentum=config.momentum,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Multiply each group's first learning rate by a factor."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["initial_lr"]
