"""The training loop."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from jsisnet.data.sample import Batch
from jsisnet.training.devices import peak_memory
from jsisnet.training.fabric import Fabric
from jsisnet.training.losses import Losses
from jsisnet.training.objective import Totals
from jsisnet.training.optim import OptimConfig, set_learning_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """Losses and statistics of one training step, equal on all devices."""

    step: int
    """Number of completed steps, including this one."""

    terms: dict[str, float]
    """The seven weighted loss terms."""

    total: float
    """Their sum."""

    gradient: float
    """Gradient norm before clipping; 0 if clipping is off."""

    lr: float
    """Highest learning rate: that of the new layers."""

    memory: float
    """Peak memory so far in megabytes, of the GPU or else of this process."""


class NonFiniteLossError(ValueError):
    """The loss is infinite or NaN; the parameters are still those before the step."""


def steps(  # noqa: PLR0913 - the state of a training, each part by name
    fabric: Fabric,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Sequence[Batch]],
    config: OptimConfig,
    *,
    first: int,
    length: int,
    seed: int,
) -> Iterator[StepReport]:
    """Train lazily: each item that the caller takes runs one step.

    Args:
        fabric: Lightning Fabric (device, precision, process group).
        objective: An `Objective`, set up by `fabric`.
        optimizer: Set up by `fabric`.
        batches: Micro-batches of this device, at least one, for each step from `first` on.
        config: Schedule and gradient clipping.
        first: Number of steps already completed.
        length: Number of steps of the whole training.
        seed: Seed of random layers such as dropout. Combined with the step and the rank, so that a
            resumed training draws the same numbers.

    Raises:
        NonFiniteLossError: If a term is infinite or NaN on any device.
    """
    objective.train()
    for step, parts in enumerate(batches, first):
        torch.manual_seed((seed * 1_000_003 + step) * fabric.world_size + fabric.global_rank)
        set_learning_rate(optimizer, config.factor(step, length))
        lr = max(group["lr"] for group in optimizer.param_groups)
        terms = _add_gradients(fabric, objective, parts)
        _check_finite(terms, step, lr)
        gradient = _clip_gradient(fabric, objective, optimizer, config.max_gradient)
        if gradient is not None and not _skips_overflow(fabric):
            _check_finite({"gradient": gradient}, step, lr)
        optimizer.step()
        optimizer.zero_grad()
        yield StepReport(
            step=step + 1,
            terms=terms,
            total=sum(terms.values()),
            gradient=gradient or 0.0,
            lr=lr,
            memory=peak_memory(fabric.device),
        )


def _add_gradients(
    fabric: Fabric, objective: nn.Module, parts: Sequence[Batch]
) -> dict[str, float]:
    """Accumulate the gradients of the micro-batches and return the terms of the whole step."""
    totals = _reduced(Totals.of(parts), fabric)
    added = torch.zeros(len(Losses._fields), device=fabric.device)
    for number, part in enumerate(parts, 1):
        is_last = number == len(parts)
        with fabric.no_backward_sync(objective, enabled=not is_last):  # type: ignore[arg-type]
            losses = objective(part.to(fabric.device), totals)
            fabric.backward(losses.total())
        added += torch.stack(tuple(losses)).detach()
    mean = fabric.all_reduce(added, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return dict(zip(Losses._fields, mean.tolist(), strict=True))


def _reduced(totals: Totals, fabric: Fabric) -> Totals:
    """Sum the counts of all devices."""
    if fabric.world_size == 1:
        return totals
    counts = torch.tensor([totals.pixels, totals.images], device=fabric.device)
    added = fabric.all_reduce(counts, reduce_op="sum")
    assert isinstance(added, Tensor)
    pixels, images = added.tolist()
    return replace(totals, pixels=pixels, images=images, devices=fabric.world_size)


def _clip_gradient(
    fabric: Fabric, objective: nn.Module, optimizer: torch.optim.Optimizer, limit: float
) -> float | None:
    """Clip the gradient and return its norm before clipping; ``None`` if clipping is off."""
    if not limit:
        return None
    norm = fabric.clip_gradients(objective, optimizer, max_norm=limit, error_if_nonfinite=False)
    assert norm is not None  # only clipping by value returns None
    return norm.item()


def _skips_overflow(fabric: Fabric) -> bool:
    """Return whether a loss scaler skips steps whose gradient overflows."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1


def _check_finite(values: dict[str, float], step: int, lr: float) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteLossError(
            f"step {step + 1}: {', '.join(bad)} became {values[bad[0]]} at learning rate {lr:g}"
        )


class Average:
    """Exponential moving average of a network's weights and buffers."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Update after a step; the decay is lower in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        averaged = [name for name, value in state.items() if value.is_floating_point()]
        own, new = ([values[name] for name in averaged] for values in (self.state, state))
        torch._foreach_lerp_(own, new, 1 - decay)
        for name in state.keys() - averaged:
            self.state[name].copy_(state[name])

    def load(self, state: dict[str, Tensor]) -> None:
        """Load a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)
