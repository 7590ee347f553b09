"""The training loop."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from jsisnet.data.sample import Batch
from jsisnet.training.devices import peak_memory
from jsisnet.training.losses import Losses
from jsisnet.training.objective import Totals
from jsisnet.training.optim import OptimConfig, set_learning_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one step did; the same on all devices."""

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

    memory: float
    """Most memory so far in megabytes: of this process, or of its GPU."""


class NonFiniteLossError(ValueError):
    """The loss is infinite or not a number; the parameters are still those before the step."""


def steps(  # noqa: PLR0913 - the moving parts of a training, each by name
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
    """Train, one step for each item taken.

    Args:
        fabric: Device, precision and company.
        objective: An `Objective`, set up by `fabric`.
        optimizer: Set up by `fabric`.
        batches: For each step from `first` on, the parts that this device goes through; at least
            one, on any device.
        config: Schedule.
        first: Steps done before.
        length: Steps of the whole training.
        seed: Seed of what layers draw at random, such as dropout, together with the step's number
            and the device's; so a resumed training draws the same.

    Raises:
        NonFiniteLossError: If a term is infinite or not a number, on whatever device.
    """
    objective.train()
    for step, parts in enumerate(batches, first):
        torch.manual_seed((seed * 1_000_003 + step) * fabric.world_size + fabric.global_rank)
        set_learning_rate(optimizer, config.factor(step, length))
        lr = max(group["lr"] for group in optimizer.param_groups)
        terms = _add_gradients(fabric, objective, parts)
        _check_finite(terms, step, lr)
        gradient = _shorten_gradient(fabric, objective, optimizer, config.max_gradient)
        if gradient is not None and not _scales(fabric):
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
    """Go through the parts of a step, and give the terms of the whole step."""
    totals = _shared(Totals.of(parts), fabric)
    added = torch.zeros(len(Losses._fields), device=fabric.device)
    for number, part in enumerate(parts, 1):
        later = number < len(parts)
        with fabric.no_backward_sync(objective, enabled=later):  # type: ignore[arg-type]
            losses = objective(part.to(fabric.device), totals)
            fabric.backward(losses.total())
        added += torch.stack(tuple(losses)).detach()
    mean = fabric.all_reduce(added, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return dict(zip(Losses._fields, mean.tolist(), strict=True))


def _shared(totals: Totals, fabric: Fabric) -> Totals:
    """Add what the other devices count."""
    if fabric.world_size == 1:
        return totals
    counts = torch.tensor([totals.pixels, totals.images], device=fabric.device)
    added = fabric.all_reduce(counts, reduce_op="sum")
    assert isinstance(added, Tensor)
    pixels, images = added.tolist()
    return replace(totals, pixels=pixels, images=images, devices=fabric.world_size)


def _shorten_gradient(
    fabric: Fabric, objective: nn.Module, optimizer: torch.optim.Optimizer, limit: float
) -> float | None:
    """Give the norm of the gradient before it was shortened; ``None`` if there is no limit."""
    if not limit:
        return None
    norm = fabric.clip_gradients(objective, optimizer, max_norm=limit, error_if_nonfinite=False)
    assert norm is not None  # it is for limits of single values only
    return norm.item()


def _scales(fabric: Fabric) -> bool:
    """Tell whether steps of too large a gradient are left out, and the next ones scaled down."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1


def _check_finite(values: dict[str, float], step: int, lr: float) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteLossError(
            f"step {step + 1}: {', '.join(bad)} became {values[bad[0]]} at learning rate {lr:g}"
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
