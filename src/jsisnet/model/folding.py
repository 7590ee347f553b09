"""Batch norm folded into the convolutions before it, for prediction or for another network."""

import copy
from collections.abc import Container
from itertools import pairwise
from typing import Any

import torch
from timm.layers import BatchNormAct2d, FrozenBatchNormAct2d
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from jsisnet.arrays import Float
from jsisnet.model.network import JSISNet

NORMS = (nn.BatchNorm2d, BatchNormAct2d, FrozenBatchNormAct2d, FrozenBatchNorm2d)
"""Normalisations with fixed statistics at prediction; the first covers its subclasses."""

CHECKED_SIDE = 64
"""Side of the picture on which a folded backbone is compared with the original."""

MAX_DIFFERENCE = 1e-3
"""Largest difference accepted there, relative to the largest value."""


def folded(network: JSISNet) -> JSISNet:
    """Return a copy of a network that predicts the same in less time.

    Batch norm is folded into the convolutions, and the backbone computes in the memory format that
    its kernels prefer. The copy cannot be trained, and its state dictionary is not the network's.

    Args:
        network: Trained network; unchanged.
    """
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    stages = ready.trunk.stages
    ready.trunk.stages = nn.Identity()
    _fold(ready)
    ready.trunk.stages = _folded_backbone(stages).to(memory_format=torch.channels_last)
    return ready


def folded_like(network: JSISNet, other: JSISNet) -> JSISNet:
    """Return a copy of a network without the batch norms in whose place another network has none.

    Args:
        network: Trained network; unchanged. With the statistics that it has learnt, the copy
            computes the same.
        other: Network whose layers decide, and which has the copy's names there.
    """
    ready = copy.deepcopy(network)
    _fold(ready, {name for name, layer in other.named_modules() if isinstance(layer, nn.Identity)})
    return ready


def _folded_backbone(stages: nn.Module) -> nn.Module:
    """Fold a timm model, or return it as it is if its norms do not follow its convolutions."""
    ready = copy.deepcopy(stages)
    _fold(ready)
    device = next(stages.parameters()).device
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, CHECKED_SIDE, CHECKED_SIDE, generator=draw).to(device)
    with torch.inference_mode():
        for made, expected in zip(ready(image), stages(image), strict=True):
            if (made - expected).abs().max() > MAX_DIFFERENCE * expected.abs().max():
                return stages
    return ready


def _fold(network: nn.Module, places: Container[str] | None = None) -> None:
    """Fold each norm, or those with the given names, into the convolution registered before it."""
    for path, module in list(network.named_modules()):
        for (_, layer), (name, norm) in pairwise(list(module.named_children())):
            if places is not None and f"{path}.{name}" not in places:
                continue
            convolution = layer[-1] if isinstance(layer, nn.Sequential) and len(layer) else layer
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, NORMS):
                scale, shift = _affine(norm)
                if len(scale) == convolution.out_channels:
                    _rescale(convolution, scale, shift)
                    setattr(module, name, _activation(norm))


def _affine(norm: Any) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:  # noqa: ANN401 - `NORMS`
    """Return the factor and the summand of each channel, in double precision."""
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _rescale(layer: nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    """Scale and shift the outputs of a convolution, in place."""
    weight = layer.weight.double() * scale[:, None, None, None]
    bias = shift if layer.bias is None else shift + layer.bias.double() * scale
    for name, values in (("weight", weight), ("bias", bias)):
        setattr(layer, name, nn.Parameter(values.to(layer.weight.dtype), requires_grad=False))


def _activation(norm: nn.Module) -> nn.Module:
    """Return the activation that timm's norms contain."""
    return getattr(norm, "act", nn.Identity())
