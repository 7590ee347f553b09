"""Parameters, multiply-adds and tensor shapes of a network, stage by stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from jsisnet.categories import Categories
from jsisnet.model.network import InstanceBranch, JSISNet, NetworkConfig
from jsisnet.model.semantic import SemanticBranch

Shape = tuple[int, ...]
"""Shape of a tensor without its batch axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Cost of one stage of the network at inference."""

    branch: str
    """Part of the network: trunk, semantic, rpn, roi or masks."""

    name: str
    """Name of the stage."""

    outputs: tuple[Shape, ...]
    """Shapes of its outputs, for one image or one region."""

    parameters: int
    """Number of parameters, trained or not; 0 if an earlier stage counted them."""

    multiply_adds: int
    """Multiply-adds of its convolutions and matrix products, for one image or one region."""

    regions: int | None = None
    """Number of regions processed per image; ``None`` if the stage processes whole images."""

    @property
    def multiply_adds_of_image(self) -> int:
        """Multiply-adds for one image."""
        return self.multiply_adds * (1 if self.regions is None else self.regions)


def stages(
    config: NetworkConfig, categories: Categories, size: tuple[int, int]
) -> tuple[Stage, ...]:
    """Measure the stages of a network, in the order in which they run.

    Runs on torch's meta device, so nothing is computed and no weights are allocated. Proposals and
    detections are padded to fixed numbers, so every image costs the same.

    Args:
        config: Settings of the network.
        categories: Its classes.
        size: Height and width of its input.

    Raises:
        ValueError: If the settings are invalid.
    """
    with torch.device("meta"):
        network = JSISNet(config, categories).eval()
        images = torch.empty(1, 3, *size)
        maps, found = _measure(
            "trunk",
            config.trunk.name,
            [network.trunk.stages],
            images,
            function=network.trunk.maps,
        )
        measured = [found]
        features = maps if config.trunk.neck == "top_down" else maps[0]
        features, found = _measure("trunk", "shared map", [network.trunk.neck], features)
        measured.append(found)
        if network.semantic is not None:
            measured += _semantic(network.semantic, features)
        if network.instance is not None:
            measured += _instance(network.instance, features)
    return tuple(measured)


def _semantic(branch: SemanticBranch, features: Tensor) -> list[Stage]:
    context, first = _measure(
        "semantic", "pyramid pooling", [branch.last_stage, branch.reduce, branch.pool], features
    )
    _, second = _measure("semantic", "logits", [branch.classify, branch.upsample], context)
    return [first, second]


def _instance(branch: InstanceBranch, features: Tensor) -> list[Stage]:
    config, roi = branch.config, branch.roi
    proposals, detections = config.proposals.max_proposals, config.detection.max_detections

    def read(shared: Tensor) -> Tensor:
        return roi.extract(shared, [torch.empty(1, 4)])

    _, rpn = _measure("rpn", "objectness, offsets", [branch.rpn], features)
    region, first = _measure(
        "roi", "proposals read", [roi.stage], features, regions=proposals, function=read
    )
    _, second = _measure(
        "roi",
        "classes, offsets",
        [roi.summary, roi.classify, roi.deltas],
        region,
        regions=proposals,
        function=roi.classify_and_refine,
    )
    _, third = _measure("masks", "detections read", [], features, regions=detections, function=read)
    _, last = _measure("masks", "masks", [roi.mask], region, regions=detections)
    return [rpn, first, second, third, last]


def _measure(
    branch: str,
    name: str,
    modules: Sequence[nn.Module],
    inputs: Tensor | list[Tensor],
    *,
    regions: int | None = None,
    function: Callable[[Any], Any] | None = None,
) -> tuple[Any, Stage]:
    """Run modules, or a function that calls them, and count its operations."""
    run = nn.Sequential(*modules) if function is None else function
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = run(inputs)
    listed = [outputs] if isinstance(outputs, Tensor) else outputs
    return outputs, Stage(
        branch=branch,
        name=name,
        outputs=tuple(tuple(output.shape[1:]) for output in listed),
        parameters=sum(p.numel() for module in modules for p in module.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        regions=regions,
    )
