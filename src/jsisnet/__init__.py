"""Panoptic segmentation with one network: a class and an instance id for every pixel."""

from importlib import import_module
from typing import TYPE_CHECKING

from jsisnet.categories import Categories, Category
from jsisnet.panoptic import VOID, PanopticMap, Segment

if TYPE_CHECKING:
    from jsisnet.evaluation.metric import PanopticQualityMetric
    from jsisnet.evaluation.panoptic_quality import PanopticQuality, count
    from jsisnet.inference.merge import merge
    from jsisnet.inference.predictor import Predictor
    from jsisnet.inference.rules import MergeConfig
    from jsisnet.model.instances import Instances
    from jsisnet.model.network import JSISNet, NetworkConfig
    from jsisnet.visualize.overlay import draw

__all__ = [
    "VOID",
    "Categories",
    "Category",
    "Instances",
    "JSISNet",
    "MergeConfig",
    "NetworkConfig",
    "PanopticMap",
    "PanopticQuality",
    "PanopticQualityMetric",
    "Predictor",
    "Segment",
    "count",
    "draw",
    "merge",
]

_HOMES = {
    "Instances": "jsisnet.model.instances",
    "JSISNet": "jsisnet.model.network",
    "MergeConfig": "jsisnet.inference.rules",
    "NetworkConfig": "jsisnet.model.network",
    "PanopticQuality": "jsisnet.evaluation.panoptic_quality",
    "PanopticQualityMetric": "jsisnet.evaluation.metric",
    "Predictor": "jsisnet.inference.predictor",
    "count": "jsisnet.evaluation.panoptic_quality",
    "draw": "jsisnet.visualize.overlay",
    "merge": "jsisnet.inference.merge",
}
"""Modules that are imported when a name of theirs is first asked for: torch takes seconds."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
