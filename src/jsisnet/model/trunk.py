"""Feature extractor shared by both branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import product
from typing import Any, Literal

import timm
import torch
from timm.layers import freeze_batch_norm_2d
from timm.models import get_pretrained_cfg, is_model, list_models
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from jsisnet.arrays import Float
from jsisnet.checks import MOST_CHANNELS, check_ranges
from jsisnet.model.blocks import ConvNormAct, InPlaceReLU6, NormKind
from jsisnet.model.methods import Maps, TrunkShape
from jsisnet.model.pyramid import Pyramid

LAST_STRIDE = 32
"""Stride of an image classifier's last stage."""

Neck = Literal["reduce", "none", "top_down", "pyramid"]
"""How stages become the shared maps; see `TrunkConfig`."""

UNDILATED = ("top_down", "pyramid")
"""Necks that read several stages, as they are."""

PYRAMID_STRIDES = (4, 8, 16, 32)
"""Strides of the stages that a pyramid reads."""

Stride = Literal[8, 16]
"""Stride of the shared map, in pixels of the network's input."""

Colour = tuple[float, float, float]
"""A value each for red, green and blue, where 1 is the brightest."""

PROBE = (65, 97)
"""Height and width of the picture on which a model is tried; no stride divides them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkConfig:
    """Backbone, neck and initial weights."""

    name: str = "resnet50"
    """Name of a timm model, which may end in the tag of its ImageNet weights, as in
    ``resnet50.tv_in1k``; without one they are timm's default."""

    neck: Neck = "reduce"
    """How the stages become the shared map. ``reduce``: the last stage, dilated to `stride`, and a
    3x3 convolution. ``none``: the last stage but one, dilated to `stride`. ``top_down``: the stages
    from `stride` to 32, undilated, added from coarse to fine. ``pyramid``: a map for each of the
    strides 4, 8, 16 and 32, each with what the coarser ones add, and one of stride 64 for
    anchors."""

    stride: Stride = 8
    """Stride of the shared map; in a pyramid, of the map for methods that read a single one."""

    channels: int = 512
    """Channels of the shared maps; ignored without a neck."""

    norm: NormKind = "batch"
    """Normalisation of the neck."""

    freeze_norm: bool = False
    """Whether the stages' batch norms keep ImageNet's statistics and affine parameters."""

    freeze_affine: bool = False
    """Whether the stages' batch norms keep ImageNet's affine parameters alone, and normalise with
    the statistics of the batch."""

    frozen_stages: int = 0
    """Number of stages, from the first, whose weights are not trained and whose batch norms keep
    their statistics."""

    weights: str | None = None
    """Initial weights of the stages: ``imagenet``, the path of a state dictionary, or ``None``."""

    mean: Colour | None = None
    """Colour that is subtracted from photos: red, green and blue, from 0 to 1. Default: the one
    that timm records for the model. 0.5 for each, and the same `std`, map values to -1 to 1."""

    std: Colour | None = None
    """Values by which the colours are then divided; 1/255 for each gives a range of 255. Default:
    the ones that timm records."""

    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the colours that the stages expect; ``bgr`` for weights that come from Caffe."""

    def __post_init__(self) -> None:
        check_ranges(self, "network.trunk", channels=(1, MOST_CHANNELS), frozen_stages=(0, 16))
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"network.trunk.std is {self.std}; expected positive numbers")

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the shared maps, from fine to coarse."""
        pyramid = (*PYRAMID_STRIDES, 2 * LAST_STRIDE)
        return pyramid if self.neck == "pyramid" else (self.stride,)


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
    """Stages of an image classifier, and a neck that fuses them to the shared maps.

    Raises:
        ValueError: If timm has no such model, or it lacks the stages that the neck needs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TrunkConfig):
        super().__init__()
        self.config = config
        self._reading = _reading(config.name, config.neck, config.stride)
        stages = _timm_model(config.name, config.neck, config.stride, self._reading.indices)
        for name in ("mean", "std"):
            own = getattr(config, name)
            values = torch.tensor(stages.pretrained_cfg[name] if own is None else own)
            self.register_buffer(name, values[:, None, None], persistent=False)
        self._fixed_norms = _freeze(stages, config)
        _save_outputs_of_relu6(stages)
        self.stages: nn.Module = freeze_batch_norm_2d(stages) if config.freeze_norm else stages

        self._strides = config.strides
        widths = stages.feature_info.channels()
        self.channels = widths[-1] if config.neck == "none" else config.channels
        self.neck: nn.Module
        match config.neck:
            case "reduce":
                self.neck = ConvNormAct(widths[0], config.channels, kernel=3, norm_kind=config.norm)
            case "top_down":
                self.neck = TopDown(widths, config.channels, config.norm)
            case "pyramid":
                self.neck = Pyramid(widths, config.channels, config.norm)
            case "none":
                self.neck = nn.Identity()

    @property
    def shape(self) -> TrunkShape:
        """What the methods must know to read the shared maps."""
        stride = self.config.stride
        return TrunkShape(channels=self.channels, strides=self._strides, stride=stride)

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Maps:
        """Compute the shared maps of RGB images with values in [0, 1]."""
        return self.fuse(self.stage_maps(images))

    def fuse(self, stages: list[Float[Tensor, "b _ _ _"]]) -> Maps:
        """Compute the shared maps from those of the stages."""
        fused = self.neck(stages if self.config.neck in UNDILATED else stages[0])
        maps = fused if self.config.neck == "pyramid" else [fused]
        return dict(zip(self._strides, maps, strict=True))

    def stage_maps(self, images: Float[Tensor, "b 3 H W"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Compute the maps of the stages that the neck needs, from fine to coarse.

        Incomplete cells at the right and lower border count as cells.
        """
        pixels = (images - self.mean) / self.std
        if self.config.channel_order == "bgr":
            pixels = pixels.flip(1)
        if self.training and pixels.device.type == "cpu":
            # The order in which a CPU trains depthwise convolutions and batch norms faster. Layers
            # keep that of their input.
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return self._reading.maps(self.stages, pixels)

    def train(self, mode: bool = True) -> "Trunk":
        """Switch between training and prediction; the batch norms of frozen stages stay fixed."""
        super().train(mode)
        for name in self._fixed_norms if mode else ():
            self.stages.get_submodule(name).eval()
        return self

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load the stages from a classifier's state dictionary, torchvision's or timm's.

        Raises:
            ValueError: If a weight is missing or has another shape; the message names the first.
        """
        # timm renames the modules of some models as it takes out their stages: a.0.b to a_0.b.
        values = {name.replace(".", "_"): value for name, value in state.items()}
        loaded: dict[str, Tensor] = {}
        for name, own in self.stages.state_dict().items():
            value = values.get(name.replace(".", "_"))
            if value is not None and value.shape == own.shape:
                loaded[name] = value
            elif not name.endswith("num_batches_tracked"):
                found = "nothing" if value is None else tuple(value.shape)
                raise ValueError(
                    f"ImageNet weights: {name} should be {tuple(own.shape)}, found {found}"
                )
        self.stages.load_state_dict(loaded, strict=False)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the maps that a neck needs are read from a timm model."""

    indices: tuple[int, ...]
    """Stages of the model that have the strides."""

    strides: tuple[int, ...]
    """Strides of the maps, from fine to coarse."""

    padded: bool = False
    """Whether images are padded to multiples of the last stride, for models that refuse other
    sizes or drop incomplete cells."""

    channels_last: bool = False
    """Whether the model's maps have their channels in the last axis."""

    def maps(
        self, model: nn.Module, pixels: Float[Tensor, "b 3 H W"]
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Run the model; its maps have a cell for every `strides` pixels, rounded up."""
        size = pixels.shape[-2:]
        if self.padded:
            rest = (0, -size[1] % LAST_STRIDE, 0, -size[0] % LAST_STRIDE)
            pixels = functional.pad(pixels, rest)
        maps: list[Tensor] = model(pixels)
        if self.channels_last:
            maps = [made.permute(0, 3, 1, 2) for made in maps]
        if self.padded:
            cells = [tuple(-(-side // stride) for side in size) for stride in self.strides]
            pairs = zip(maps, cells, strict=True)
            maps = [made[..., :rows, :columns] for made, (rows, columns) in pairs]
        return maps


@lru_cache
def _reading(name: str, neck: Neck, stride: Stride) -> _Reading:
    """Find out how a timm model is read, by trying one without weights.

    Raises:
        ValueError: If there is no such model, or it can't be the trunk.
    """
    with torch.device("meta"), torch.no_grad():
        info = _timm_model(name, neck, stride).feature_info
        found = dict(zip(info.out_indices, info.reduction(), strict=True))
        wanted = tuple(of for of in PYRAMID_STRIDES if of >= stride or neck == "pyramid")
        if neck in UNDILATED:
            indices = tuple({of: index for index, of in found.items() if of in wanted}.values())
        else:
            wanted, place = (stride,), -1 if neck == "reduce" else -2
            indices = tuple(found)[place:][:1]
        if tuple(found[index] for index in indices) != wanted:
            raise ValueError(
                f"{name} has stages of strides {', '.join(map(str, found.values()))}; expected "
                f"{', '.join(map(str, wanted))} for --network.trunk.neck {neck}"
            )
        model = _timm_model(name, neck, stride, indices).eval()
        pixels = torch.empty(1, 3, *PROBE)
        expected = [
            (1, width, *(-(-side // of) for side in PROBE))
            for width, of in zip(model.feature_info.channels(), wanted, strict=True)
        ]
        reason = "its maps do not have the sizes that their strides imply"
        for padded, channels_last in product((False, True), repeat=2):
            reading = _Reading(indices, wanted, padded, channels_last)
            try:
                maps = reading.maps(model, pixels)
            except (AssertionError, RuntimeError) as error:
                reason = str(error) or reason
                continue
            if [tuple(made.shape) for made in maps] == expected:
                return reading
    raise ValueError(f"{name} can't be the trunk of this network ({reason})")


def _timm_model(
    name: str, neck: Neck, stride: Stride, indices: tuple[int, ...] | None = None
) -> Any:  # noqa: ANN401 - timm is untyped
    """Create a timm model without its last layers, for images of any size.

    Args:
        name: Name of the model.
        neck: Neck, all but one of which need stages dilated to `stride`.
        stride: Stride of the shared map.
        indices: Stages whose maps it returns. Default: all.

    Raises:
        ValueError: If there is no such model, or it lacks one of these abilities.
    """
    if not is_model(name):
        near = get_close_matches(name, list_models(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"network.trunk.name is {name!r}, which timm does not have{hint}")
    options: dict[str, Any] = {} if indices is None else {"out_indices": indices}
    if neck not in UNDILATED:
        options["output_stride"] = stride
    known = None
    try:
        known = get_pretrained_cfg(name)
        if known is not None and known.fixed_input_size:
            options["strict_img_size"] = False
        return timm.create_model(name, features_only=True, **options)
    except (AssertionError, IndexError, NotImplementedError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        if "strict_img_size" in reason and known is not None:
            height, width = known.input_size[1:]
            reason = f"it takes images of {height}x{width} pixels alone"
        elif "output_stride" in reason or not reason:
            reason = (
                f"its stages can't be dilated to stride {stride}, as --network.trunk.neck {neck} "
                "needs; top_down does without"
            )
        raise ValueError(f"{name} can't be the trunk of this network ({reason})") from error


def _freeze(stages: Any, config: TrunkConfig) -> tuple[str, ...]:  # noqa: ANN401 - timm is untyped
    """Exclude parameters from training, and return the names of the batch norms to keep fixed.

    Raises:
        ValueError: If there are fewer stages than `frozen_stages`, or they can't be told apart.
    """
    depth = stages.feature_info.out_indices[-1] + 1
    if not 0 <= config.frozen_stages <= depth:
        raise ValueError(
            f"network.trunk.frozen_stages is {config.frozen_stages}; expected 0 to {depth}"
        )
    norms = {name: module for name, module in stages.named_modules() if _is_batch_norm(module)}
    if config.freeze_affine:
        for norm in norms.values():
            norm.requires_grad_(False)
    if not config.frozen_stages:
        return ()
    frozen = _modules_up_to(stages, stages.feature_info[config.frozen_stages - 1]["module"])
    for name in frozen:
        for parameter in stages.get_submodule(name).parameters(recurse=False):
            parameter.requires_grad_(False)
    return tuple(name for name in frozen if name in norms)


def _save_outputs_of_relu6(stages: nn.Module) -> None:
    """Replace each in-place `nn.ReLU6`, in place."""
    for module in list(stages.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6) and child.inplace:
                setattr(module, name, InPlaceReLU6())


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm)


def _modules_up_to(stages: nn.Module, end: str) -> list[str]:
    """Return the names of all modules up to the last one inside `end`, in their order."""
    names = [name for name, _ in stages.named_modules()]
    # timm renames modules: see `Trunk.load_imagenet`.
    plain = [f"{name.replace('.', '_')}_" for name in names]
    inside = [i for i, name in enumerate(plain) if name.startswith(f"{end.replace('.', '_')}_")]
    if not inside:
        raise ValueError(
            "network.trunk.frozen_stages is not 0, but the stages of this trunk are not modules of "
            "their own; expected 0"
        )
    return names[: inside[-1] + 1]
