"""Feature extractor shared by both branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import timm
import torch
from timm.layers import freeze_batch_norm_2d
from timm.models import is_model, list_models
from torch import Tensor, nn
from torch.nn import functional

from jsisnet.arrays import Float
from jsisnet.model.blocks import ConvNormAct, NormKind

STRIDE = 8
"""Stride of the shared map, in pixels of the network's input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkConfig:
    """Backbone, neck and initial weights."""

    name: str = "resnet50"
    """Name of a timm model."""

    neck: Literal["reduce", "none", "top_down"] = "reduce"
    """How the stages become the shared map. ``reduce``: the last stage, dilated to stride 8, and a
    3x3 convolution. ``none``: the last stage but one, dilated to stride 8. ``top_down``: the stages
    at strides 8, 16 and 32, undilated, added from coarse to fine."""

    channels: int = 512
    """Channels of the shared map; ignored without a neck."""

    norm: NormKind = "batch"
    """Normalisation of the neck."""

    freeze_norm: bool = False
    """Whether the stages' batch norms keep ImageNet's statistics and affine parameters."""

    frozen_stages: int = 0
    """Number of stages, from the first, whose weights are not trained."""

    weights: str | None = None
    """Initial weights of the stages: ``imagenet``, the path of a state dictionary, or ``None``."""


class TopDown(nn.Module):
    """Top-down neck: adds coarse stages to finer ones."""

    def __init__(self, widths: Sequence[int], channels: int, norm_kind: NormKind):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = ConvNormAct(channels, channels, kernel=3, norm_kind=norm_kind)

    def forward(self, stages: list[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b c h w"]:
        """Fuse stages, given from fine to coarse."""
        maps = [lateral(stage) for lateral, stage in zip(self.laterals, stages, strict=True)]
        joined = maps.pop()
        while maps:
            finer = maps.pop()
            joined = finer + functional.interpolate(joined, size=finer.shape[-2:], mode="nearest")
        return self.smooth(joined)


class Trunk(nn.Module):
    """Stages of an image classifier, and a neck that fuses them to one map at stride 8.

    Raises:
        ValueError: If timm has no such model, or it lacks the stages that the neck needs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TrunkConfig):
        super().__init__()
        stages = _stages(config)
        for name in ("mean", "std"):
            values = torch.tensor(stages.pretrained_cfg[name])[:, None, None]
            self.register_buffer(name, values, persistent=False)
        widths = stages.feature_info.channels()
        depth = stages.feature_info.out_indices[-1] + 1
        if not 0 <= config.frozen_stages <= depth:
            raise ValueError(
                f"network.trunk.frozen_stages is {config.frozen_stages}; expected 0 to {depth}"
            )
        if config.frozen_stages:
            end = stages.feature_info[config.frozen_stages - 1]["module"]
            _freeze_up_to(stages, end)
        self.stages = freeze_batch_norm_2d(stages) if config.freeze_norm else stages

        self.channels = widths[-1] if config.neck == "none" else config.channels
        self.neck: nn.Module
        match config.neck:
            case "reduce":
                self.neck = ConvNormAct(widths[0], config.channels, kernel=3, norm_kind=config.norm)
            case "top_down":
                self.neck = TopDown(widths, config.channels, config.norm)
            case "none":
                self.neck = nn.Identity()
        self._joins_stages = config.neck == "top_down"

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        """Compute the shared map of RGB images with values in [0, 1]."""
        stages = self.stages((images - self.mean) / self.std)
        return self.neck(stages if self._joins_stages else stages[0])

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load the stages from a classifier's state dictionary, torchvision's or timm's.

        Raises:
            ValueError: If a weight is missing or has another shape; the message names the first.
        """
        wanted = self.stages.state_dict()
        for name, value in wanted.items():
            if name.endswith("num_batches_tracked"):
                continue
            if name not in state or state[name].shape != value.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(
                    f"ImageNet weights: {name} should be {tuple(value.shape)}, found {found}"
                )
        self.stages.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def _stages(config: TrunkConfig) -> Any:  # noqa: ANN401 - timm is untyped
    """Create the timm model without its last layers.

    Raises:
        ValueError: If there is no such model, or it lacks the strides that the neck needs.
    """
    if not is_model(config.name):
        near = get_close_matches(config.name, list_models(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"network.trunk.name is {config.name!r}, which timm does not have{hint}")
    options: dict[str, Any]
    match config.neck:
        case "top_down":
            strides, options = [8, 16, 32], {"out_indices": (2, 3, 4)}
        case "reduce":
            strides, options = [STRIDE], {"out_indices": (4,), "output_stride": STRIDE}
        case "none":
            strides, options = [STRIDE], {"out_indices": (3,), "output_stride": STRIDE}
    try:
        stages: Any = timm.create_model(config.name, features_only=True, **options)
    except (AssertionError, IndexError, NotImplementedError, RuntimeError, TypeError) as error:
        raise ValueError(f"{config.name} can't be the trunk of this network ({error})") from error
    if stages.feature_info.reduction() != strides:
        raise ValueError(
            f"{config.name} has stages of strides {stages.feature_info.reduction()}; "
            f"expected {strides} for --network.trunk.neck {config.neck}"
        )
    return stages


def _freeze_up_to(stages: nn.Module, end: str) -> None:
    """Exclude the parameters of all modules up to the one called `end` from training."""
    names = [name for name, _ in stages.named_modules()]
    last = max(i for i, name in enumerate(names) if name == end or name.startswith(f"{end}."))
    for name in names[: last + 1]:
        for parameter in stages.get_submodule(name).parameters(recurse=False):
            parameter.requires_grad_(False)
