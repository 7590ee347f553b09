"""The training loop."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from jsisnet.data.sample import Batch
from jsisnet.training.optim import OptimConfig, set_learning_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one step did."""

    step: int
    """Steps done, this one included."""

    terms: dict[str, float]
    """The seven weighted terms."""

    total: float
    """Their sum."""

    gradient: float
    """Norm of the gradient before it was shortened; 0 if it is never shortened."""

    lr: float
    """Learning rate of the new layers."""


class NonFiniteLossError(ValueError):
    """The loss is infinite or not a number; the parameters are still those before the step."""


def steps(  # noqa: PLR0913 - the moving parts of a training, each by name
    fabric: Fabric,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    config: OptimConfig,
    *,
    first: int,
    seed: int,
) -> Iterator[StepReport]:
    """Train, one step for each item taken.

    Args:
        fabric: Device and precision.
        objective: An `Objective`, set up by `fabric`.
        optimizer: Set up by `fabric`.
        batches: Batches from step `first` on.
        config: Schedule.
        first: Steps done before.
        seed: Seed of what is drawn at random inside a step, together with its number; so a resumed
            training draws the same.

    Raises:
        NonFiniteLossError: If a term is infinite or not a number.
    """
    objective.train()
    for step, batch in enumerate(batches, first):
        torch.manual_seed(seed * 1_000_003 + step)
        set_learning_rate(optimizer, config.factor(step))
        losses = objective(batch)
        total = losses.total()
        terms = {name: term.item() for name, term in losses._asdict().items()}
        lr = max(group["lr"] for group in optimizer.param_groups)
        _check_finite(terms, step, lr)
        fabric.backward(total)
        gradient = 0.0
        if config.max_gradient:
            norm = fabric.clip_gradients(
                objective, optimizer, max_norm=config.max_gradient, error_if_nonfinite=False
            )
            assert norm is not None  # it is for limits of single values only
            gradient = norm.item()
            _check_finite({"gradient": gradient}, step, lr)
        optimizer.step()
        optimizer.zero_grad()
        yield StepReport(step=step + 1, terms=terms, total=total.item(), gradient=gradient, lr=lr)


def _check_finite(terms: dict[str, float], step: int, lr: float) -> None:
    bad = [name for name, value in terms.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteLossError(
            f"step {step + 1}: {', '.join(bad)} became {terms[bad[0]]} at learning rate {lr:g}; "
            "begin a new run with a lower --optim.lr or with --optim.warmup 500 "
            "(with --network.trunk.freeze-norm, the learning rate has to be lower than without)"
        )


class Average:
    """Moving average of a network's weights and statistics."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network after a step; the first steps move faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)
