"""The trunk of the peers: the stages of an image classifier, of which the first are frozen."""

from collections.abc import Collection

from torch import nn

NAME = "tf_efficientnet_lite0"
"""Name of the timm model."""

FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2")
"""Modules that are not trained: those of our trunk's first three stages."""


def freeze(trunk: nn.Module, names: Collection[str]) -> None:
    """Exclude modules from training."""
    for name, weight in trunk.named_parameters():
        if any(name.startswith(f"{frozen}.") for frozen in names):
            weight.requires_grad_(False)


def groups(
    network: nn.Module,
    trunk: nn.Module,
    rate: float,
    trunk_scale: float,
    decay: float,
    undecayed: Collection[int] = (),
) -> list[dict[str, object]]:
    """Group the trained weights by learning rate and decay; vectors do not decay."""
    inside = {id(weight) for weight in trunk.parameters()}
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in network.parameters():
        if weight.requires_grad:
            scale = trunk_scale if id(weight) in inside else 1.0
            decays = weight.ndim > 1 and id(weight) not in undecayed
            found.setdefault((rate * scale, decay if decays else 0.0), []).append(weight)
    return [
        {"params": weights, "lr": lr, "initial_lr": lr, "weight_decay": each}
        for (lr, each), weights in found.items()
    ]
