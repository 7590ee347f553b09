"""Convolution blocks shared by the branches."""

from functools import partial
from typing import Any, Literal

import torch
from timm.models.resnet import Bottleneck
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d

NormKind = Literal["batch", "batch_fixed_affine", "frozen", "group", "none"]
"""Normalisation of activations: batch norm, batch norm whose scale and shift are not trained, batch
norm with neither trained parameters nor statistics of the batch, group norm, or none."""

OF_THE_BATCH = ("batch", "batch_fixed_affine")
"""Normalisations with statistics of the batch."""

MAX_GROUPS = 32
"""Largest number of groups of a group norm."""


def norm(kind: NormKind, channels: int) -> nn.Module:
    """Build a normalisation layer for maps with the given number of channels."""
    match kind:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "batch_fixed_affine":
            return nn.BatchNorm2d(channels).requires_grad_(False)
        case "frozen":
            return FrozenBatchNorm2d(channels)
        case "group":
            # One channel per group would have no statistics in a map pooled to a single cell.
            most = max(min(MAX_GROUPS, channels // 2), 1)
            groups = next(n for n in range(most, 0, -1) if channels % n == 0)
            return nn.GroupNorm(groups, channels)
        case "none":
            return nn.Identity()


def init_kaiming(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """Initialise weights by He et al. for a following ReLU, and biases with 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def init_small(layer: nn.Conv2d | nn.Linear) -> None:
    """Initialise weights near 0, so that the first predictions are undecided, and biases with 0."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class InPlaceReLU6(nn.ReLU6):
    """In-place ReLU6 that saves its output for the gradient, which is the same.

    PyTorch's copies its input before it overwrites it.
    """

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        """Clamp the values to 0 to 6."""
        if torch.is_grad_enabled() and input.requires_grad:
            output: Tensor = _ReLU6.apply(input)
            return output
        return super().forward(input)


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.mark_dirty(values)
        functional.relu6(values, inplace=True)
        ctx.save_for_backward(values)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upper: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        (output,) = ctx.saved_tensors
        gradient: Tensor = torch.ops.aten.hardtanh_backward(upper, output, 0, 6)
        return gradient


class ConvNormAct(nn.Sequential):
    """Same-size convolution, normalisation and ReLU."""

    def __init__(self, channels: int, out_channels: int, *, kernel: int, norm_kind: NormKind):
        bias = norm_kind == "none"
        convolution = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        init_kaiming(convolution)
        super().__init__(convolution, norm(norm_kind, out_channels), nn.ReLU(inplace=True))


class LastStage(nn.Sequential):
    """Last stage of ResNet-50 at stride 1, with the parameter names of ImageNet's `layer4`.

    Args:
        channels: Input channels. ImageNet's weights fit the first unit only if there are 1024.
        width: Width of the bottlenecks, 512 in ImageNet's; the output has four times as many
            channels.
        dilation: Dilation of the 3x3 kernels, 4 after a trunk that stays at stride 8. The first
            unit uses half of it, because the stage originally halved the map there.
        norm_kind: Normalisation.
    """

    def __init__(
        self, channels: int, *, width: int = 512, dilation: int = 1, norm_kind: NormKind = "batch"
    ):
        self.out_channels = width * Bottleneck.expansion
        self.norm_kind = norm_kind
        shortcut = nn.Sequential(
            nn.Conv2d(channels, self.out_channels, 1, bias=False),
            norm(norm_kind, self.out_channels),
        )

        def norm_layer(width: int, **_: object) -> nn.Module:
            return norm(norm_kind, width)  # timm names a device and a type besides

        unit: Any = partial(Bottleneck, dilation=dilation, norm_layer=norm_layer)  # type: ignore[arg-type]
        super().__init__(
            unit(channels, width, downsample=shortcut, first_dilation=max(dilation // 2, 1)),
            unit(self.out_channels, width),
            unit(self.out_channels, width),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_kaiming(module)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load what fits of an ImageNet classifier's last stage.

        Args:
            state: State dictionary of a ResNet with torchvision's or timm's names.
        """
        found = {name: state.get(f"layer4.{name}") for name in self.state_dict()}
        own = self.state_dict()
        fitting = {
            name: value
            for name, value in found.items()
            if value is not None and value.shape == own[name].shape
        }
        if self.norm_kind == "frozen":
            # Statistics that are never updated must not outlive the convolution they describe.
            for layer, normalisation in (("conv1", "bn1"), ("downsample.0", "downsample.1")):
                if f"0.{layer}.weight" not in fitting:
                    prefix = f"0.{normalisation}."
                    fitting = {k: v for k, v in fitting.items() if not k.startswith(prefix)}
        self.load_state_dict(fitting, strict=False)
