"""Parameters, multiply-adds and tensor shapes of a network, stage by stage."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode

from jsisnet.categories import Categories
from jsisnet.model.methods import Maps, Step
from jsisnet.model.network import InstanceBranch, JSISNet, NetworkConfig

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
        trunk, meter = network.trunk, _Meter()
        images = torch.empty(1, 3, *size)
        fused = "shared map" if len(trunk.shape.strides) == 1 else "shared maps"
        stages = meter.measure("trunk", Step(config.trunk.name, trunk.stage_maps), images)
        maps = meter.measure("trunk", Step(fused, trunk.fuse), stages)
        if network.semantic is not None:
            _measure_semantic(network.semantic, maps, meter)
        if network.instance is not None:
            _measure_instance(network.instance, maps, meter)
    return tuple(meter.stages)


def _measure_semantic(branch: nn.Module, maps: Maps, meter: "_Meter") -> None:
    listed: Callable[[], tuple[Step, ...]] | None = getattr(branch, "steps", None)
    value: Any = maps
    for step in (Step("logits", branch),) if listed is None else listed():
        value = meter.measure("semantic", step, value)


def _measure_instance(branch: InstanceBranch, maps: Maps, meter: "_Meter") -> None:
    config, roi = branch.config, branch.roi
    proposals, detections = config.proposals.max_proposals, config.detection.max_detections
    region = torch.zeros(1, 5)
    meter.measure("rpn", Step("objectness, offsets", branch.rpn), maps)
    read = Step("proposals read", lambda maps: roi.extract(maps, region))
    features = meter.measure("roi", read, maps, regions=proposals)
    refine = Step("classes, offsets", roi.classify_and_refine)
    meter.measure("roi", refine, features, regions=proposals)
    read = Step("detections read", lambda maps: roi.extract_for_masks(maps, region))
    features = meter.measure("masks", read, maps, regions=detections)
    meter.measure("masks", Step("masks", roi.mask), features, regions=detections)


class _Meter:
    """Stages measured so far, and the parameters that they counted."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self._counted: set[nn.Parameter] = set()

    def measure(
        self, branch: str, step: Step, inputs: object, *, regions: int | None = None
    ) -> Any:  # noqa: ANN401
        """Run a step, count its operations and the parameters of the modules that it calls."""
        called: set[nn.Parameter] = set()
        hook = register_module_forward_pre_hook(
            lambda module, _: called.update(module.parameters())
        )
        with hook, torch.no_grad(), FlopCounterMode(display=False) as counter:
            outputs = step.run(inputs)
        self.stages.append(
            Stage(
                branch=branch,
                name=step.name,
                outputs=tuple(tuple(output.shape[1:]) for output in _tensors(outputs)),
                parameters=sum(each.numel() for each in called - self._counted),
                multiply_adds=counter.get_total_flops() // 2,
                regions=regions,
            )
        )
        self._counted |= called
        return outputs


def _tensors(outputs: Any) -> Iterable[Tensor]:  # noqa: ANN401 - whatever a step returns
    if isinstance(outputs, Tensor):
        return [outputs]
    return outputs.values() if isinstance(outputs, dict) else outputs
