"""Methods: semantic branches and region heads that can be exchanged, chosen by name in settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from jsisnet.arrays import Float
from jsisnet.sections import Choice

Maps = dict[int, Float[Tensor, "b c _ _"]]
"""Shared maps of a trunk by their stride in pixels, from fine to coarse, all with the same number
of channels."""

SEMANTIC_METHODS = Choice(
    tag="method",
    built_in={
        "psp": "jsisnet.model.psp:PSPConfig",
        "fpn": "jsisnet.model.semantic_fpn:SemanticFPNConfig",
    },
    group="jsisnet.semantic_methods",
)
"""Settings of the semantic branches, by the name of the method."""

REGION_HEADS = Choice(
    tag="head",
    built_in={
        "last_stage": "jsisnet.model.roi_last_stage:LastStageConfig",
        "c5": "jsisnet.model.roi_last_stage:LastStageConfig",
        "light": "jsisnet.model.roi_light:LightConfig",
        "fpn": "jsisnet.model.roi_fpn:RoIFPNConfig",
    },
    group="jsisnet.region_heads",
)
"""Settings of the region heads, by the name of the head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrunkShape:
    """What a method must know of a trunk to read its maps."""

    channels: int
    """Channels of each map."""

    strides: tuple[int, ...]
    """Strides of the maps, from fine to coarse."""

    stride: int
    """Stride of the map for methods that read a single one."""

    def pyramid(self, reader: str) -> tuple[int, ...]:
        """Return the strides of a pyramid's maps, without the last one, which is for anchors only.

        Args:
            reader: Setting that needs a pyramid, for messages.

        Raises:
            ValueError: If there is a single map.
        """
        if len(self.strides) == 1:
            raise ValueError(
                f"--{reader} reads maps of several strides, but the trunk has one of stride "
                f"{self.stride}; expected --network.trunk.neck pyramid"
            )
        return self.strides[:-1]


class Step(NamedTuple):
    """Step of a branch in the table of its costs."""

    name: str
    run: Callable[[Any], Any]
    """The first step takes the maps, each other one what the one before it returns."""


@runtime_checkable
class SemanticMethod(Protocol):
    """Settings of a semantic branch; a frozen dataclass, which `SEMANTIC_METHODS` finds.

    It may also have a property `norms`, the normalisation of each part for messages, and a method
    `check_photos`, which raises a ValueError if so few photos at a time can't train it.
    """

    @property
    def method(self) -> str:
        """Name of the method, by which settings choose it."""

    def build(self, trunk: TrunkShape, labels: int) -> nn.Module:
        """Create the branch.

        A layer `classify` with a row for each label can be taken over by the names of the classes
        from a model with others; see `start`.

        Args:
            trunk: Maps that the branch reads.
            labels: Number of classes.

        Returns:
            A module that maps `Maps` to logits, batch x labels x height x width, at any stride. It
            may have a method `steps`, which returns each `Step` of its forward pass.

        Raises:
            ValueError: If the branch can't read the maps; the message says what to set.
        """


@runtime_checkable
class RegionHead(Protocol):
    """Module that classifies and refines regions and predicts their masks."""

    def extract(self, maps: Maps, regions: Float[Tensor, "r 5"]) -> Float[Tensor, "r *features"]:
        """Extract the features of regions that their class and box are predicted from.

        Args:
            maps: Shared maps of a batch.
            regions: Number of the image in the batch, and a box in pixels of the network's input.
        """

    def classify_and_refine(
        self, features: Float[Tensor, "r *features"]
    ) -> tuple[Float[Tensor, "r t_and_background"], Float[Tensor, "r t 4"]]:
        """Return class logits, the background last, and box offsets of each thing class."""

    def extract_for_masks(
        self,
        maps: Maps,
        regions: Float[Tensor, "r 5"],
        features: Float[Tensor, "r *features"] | None = None,
    ) -> Float[Tensor, "r *features_for_masks"]:
        """Extract the features that masks are predicted from.

        Args:
            maps: Shared maps of a batch.
            regions: As for `extract`.
            features: What `extract` returned for them, if it was called, to be used again.
        """

    def mask(self, features: Float[Tensor, "r *features_for_masks"]) -> Float[Tensor, "r t m m"]:
        """Return mask logits of each thing class on a grid that spans the region."""


@runtime_checkable
class RegionMethod(Protocol):
    """Settings of a region head; a frozen dataclass, which `REGION_HEADS` finds.

    It may also have a property `norms`, the normalisation of each part for messages.
    """

    @property
    def head(self) -> str:
        """Name of the head, by which settings choose it."""

    def build(self, trunk: TrunkShape, things: int) -> RegionHead:
        """Create the head, a module.

        Layers `classify`, `deltas` and `mask.classify` with rows for each thing class can be taken
        over by the names of the classes from a model with others; see `start`.

        Args:
            trunk: Maps that the head reads.
            things: Number of thing classes.

        Raises:
            ValueError: If the head can't read the maps; the message says what to set.
        """
