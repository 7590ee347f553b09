"""Initial weights from torchvision's Mask R-CNN on a ResNet-50 pyramid, trained on COCO."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.hub import download_url_to_file, get_dir
from torchvision.models import get_model_weights

from jsisnet.categories import Categories, Category
from jsisnet.checks import nearest
from jsisnet.model.imagenet import read_file
from jsisnet.model.network import JSISNet
from jsisnet.model.start import (
    COUNTERS,
    DELTAS,
    OF_THINGS,
    OF_THINGS_AND_BACKGROUND,
    STAGES,
    TakenOver,
    take_over_weights,
)

_log = logging.getLogger(__name__)

PREFIX = "torchvision:"
"""What stands before the name of a network of torchvision."""

BACKGROUND, ABSENT = "__background__", "N/A"
"""Names in torchvision's list of classes that are none: the first one, and ids that COCO leaves
out."""

OBJECTNESS = "instance.rpn.objectness"
"""Layer with two logits for each anchor, of which torchvision has one."""

OF_ANCHORS = {OBJECTNESS: 2, "instance.rpn.deltas": 4}
"""Layers with rows for each anchor of a cell, and their number."""

EPSILON = 1e-5
"""What our batch norms add to variances, frozen ones too."""

_BATCH = ("batch", "batch_fixed_affine", "frozen")

_ALIASES = (
    (re.compile(r"^(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
    (re.compile(r"^rpn\.head\.conv\.(weight|bias)$"), r"rpn.head.conv.0.0.\1"),
    *(
        (re.compile(rf"^(roi_heads\.mask_head)\.mask_fcn{number + 1}\."), rf"\1.{number}.0.")
        for number in range(4)
    ),
)
"""Names of torchvision's first releases, and those of today."""

_Settings = Mapping[str, tuple[object, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """Settings and names that a network of torchvision has of its own."""

    trunk: _Settings
    """Values that settings of the trunk may have."""

    instance: _Settings
    """Values that settings of the instance branch may have."""

    names: Mapping[str, str]
    """Beginnings of torchvision's names by those of ours."""


_TRUNK: _Settings = {
    "trunk.neck": ("pyramid",),
    "trunk.channels": (256,),
    "trunk.channel_order": ("rgb",),
}

_INSTANCE: _Settings = {
    "rpn_channels": (256,),
    "roi.head": ("fpn",),  # before the other settings of the head, which only this one has
    "roi.crop": (7,),
    "roi.hidden": (1024,),
    "roi.class_agnostic_boxes": (False,),
    "roi.mask_convolutions": (4,),
    "roi.mask_channels": (256,),
}

_NAMES = {
    STAGES: "body.",
    "trunk.neck.laterals.": "fpn.inner_blocks.",
    "trunk.neck.outputs.": "fpn.layer_blocks.",
    "instance.rpn.objectness.": "rpn.head.cls_logits.",
    "instance.rpn.deltas.": "rpn.head.bbox_pred.",
    "instance.roi.classify.": "roi_heads.box_predictor.cls_score.",
    "instance.roi.deltas.": "roi_heads.box_predictor.bbox_pred.",
    "instance.roi.mask.convolutions.": "roi_heads.mask_head.",
    "instance.roi.mask.upsample.": "roi_heads.mask_predictor.conv5_mask.",
    "instance.roi.mask.classify.": "roi_heads.mask_predictor.mask_fcn_logits.",
}

FIRST, SECOND = "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"
"""Names of torchvision's networks."""

VERSIONS = {
    FIRST: Version(
        trunk={**_TRUNK, "trunk.norm": ("none",), "trunk.freeze_norm": (True,)},
        instance={
            **_INSTANCE,
            "rpn_convolutions": (1,),
            "roi.convolutions": (0,),
            "roi.layers": (2,),
            "roi.mask_norm": ("none",),
        },
        names={
            **_NAMES,
            "instance.rpn.hidden.": "rpn.head.conv.0.0.",
            "instance.roi.summary.0.": "roi_heads.box_head.fc6.",
            "instance.roi.summary.2.": "roi_heads.box_head.fc7.",
        },
    ),
    SECOND: Version(
        trunk={**_TRUNK, "trunk.norm": _BATCH},
        instance={
            **_INSTANCE,
            "rpn_convolutions": (2,),
            "roi.convolutions": (4,),
            "roi.width": (256,),
            "roi.norm": _BATCH,
            "roi.layers": (1,),
            "roi.mask_norm": _BATCH,
        },
        names={
            **_NAMES,
            "instance.rpn.hidden.0.": "rpn.head.conv.0.0.",
            "instance.rpn.hidden.2.": "rpn.head.conv.1.0.",
            "instance.roi.convolutions.": "roi_heads.box_head.",
            "instance.roi.summary.0.": "roi_heads.box_head.5.",
        },
    ),
}
"""Networks of torchvision that a training can start from, by their names there."""

_IN_BOTH, _ONLY_IN_SECOND = "fpn.inner_blocks.0.0.weight", "fpn.inner_blocks.0.1.weight"


def take_over(network: JSISNet, categories: Categories, start: str) -> TakenOver:
    """Initialise a network with the weights of torchvision's, of which it has the architecture.

    With the classes that COCO has, and the same limits, it then detects what torchvision's detects.
    Classes of other names and the semantic branch stay as they are.

    Args:
        network: Network to initialise, in place.
        categories: Its classes.
        start: `PREFIX` and the name of the network, for the weights of torch's hub, or that with
            ``=`` and the path of a state dictionary.

    Raises:
        ValueError: If the architectures differ, the weights can't be downloaded or read, or they
            are those of other classes or of another network.
    """
    name, given, path = start.removeprefix(PREFIX).partition("=")
    if name not in VERSIONS:
        raise ValueError(
            f"torchvision's {name} is none that a training can start from; expected "
            f"{' or '.join(VERSIONS)}.{nearest(name, VERSIONS)}"
        )
    if given and not path:
        raise ValueError(f"{name} has no path after =; expected {PREFIX}{name}=FILE")
    _check_settings(network, name)
    file = Path(path) if given else downloaded(name)
    _check_checksum(file, name)
    state = {_of_today(key): value for key, value in read_file(file).items()}
    try:
        weights, used = _converted(state, network, name)
        taken = take_over_weights(network, categories, weights, coco_things())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return replace(taken, unused=_summary(set(state) - used, used))


def coco_things() -> Categories:
    """Return the classes that torchvision's networks know, in their order."""
    things = [
        (id_, name) for id_, name in enumerate(_classes()) if name not in (BACKGROUND, ABSENT)
    ]
    return Categories(tuple(Category(id=id_, name=name, isthing=True) for id_, name in things))


def downloaded(name: str) -> Path:
    """Return the file with the weights of a network, from the cache of torch's hub or its server.

    Raises:
        ValueError: If it can't be downloaded.
    """
    url = _url(name)
    path = Path(get_dir(), "checkpoints", Path(url).name)
    if path.is_file():
        return path
    _log.warning("downloading %s to %s", url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(url, str(path), _checksum(url), progress=False)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"could not download {url} ({type(error).__name__}); without a network, copy that file "
            f"and give its path: {PREFIX}{name}=FILE"
        ) from error
    return path


def _trained(name: str) -> Any:  # noqa: ANN401 - an entry of an enumeration of torchvision's
    return get_model_weights(name)["COCO_V1"]


def _classes() -> list[str]:
    classes: list[str] = _trained(FIRST).meta["categories"]
    return classes


def _url(name: str) -> str:
    return str(_trained(name).url)


def _checksum(url: str) -> str:
    """Return the first digits of the SHA-256 of a file, which torchvision's names end in."""
    return Path(url).stem.rpartition("-")[2]


def _check_checksum(file: Path, name: str) -> None:
    """Check the content of a file that has the name of torchvision's."""
    url = _url(name)
    if file.name != Path(url).name or not file.is_file():
        return
    with file.open("rb") as content:
        if not file_digest(content, "sha256").hexdigest().startswith(_checksum(url)):
            raise ValueError(f"{file}: damaged, as its checksum does not match; download it again")


def _check_settings(network: JSISNet, name: str) -> None:
    """Check that a network has the architecture of torchvision's."""
    config, version = network.config, VERSIONS[name]
    trunk = config.trunk.name
    if trunk.partition(".")[0] != "resnet50":
        raise ValueError(f"network.trunk.name is {trunk}; expected resnet50")
    settings = dict(version.trunk)
    if network.instance is not None:
        settings |= version.instance
    for setting, values in settings.items():
        value: Any = reduce(getattr, setting.split("."), config)
        if value not in values:
            expected = " or ".join(str(each).lower() for each in values)
            raise ValueError(
                f"network.{setting} is {str(value).lower()}; expected {expected}, as {name} has it"
            )


def _of_today(key: str) -> str:
    for old, new in _ALIASES:
        key = old.sub(new, key)
    return key


def _converted(
    state: Mapping[str, Tensor], network: JSISNet, name: str
) -> tuple[dict[str, Tensor], set[str]]:
    """Return weights under our names and in our order, and the names of those that were used.

    Raises:
        ValueError: If one is missing or has another shape.
    """
    found = SECOND if _ONLY_IN_SECOND in state else FIRST
    if found != name and _IN_BOTH in state:
        raise ValueError(f"its layers are those of {found}; expected {name}")
    weights: dict[str, Tensor] = {}
    used: set[str] = set()
    for own, tensor in network.state_dict().items():
        if not own.startswith(("trunk.", "instance.")):
            continue
        key = _their_name(own, VERSIONS[name].names)
        if key in state:
            _check_shape(own, tensor, key, state[key])
            weights[own] = _rearranged(own, state[key].float())
            used.add(key)
        elif not own.endswith(COUNTERS):
            raise ValueError(f"{key} is missing; expected the whole network, {name}")
    if name == FIRST and not any(key.endswith(COUNTERS) for key in state):
        _absorb_variances(weights)
    return weights, used


def _their_name(own: str, names: Mapping[str, str]) -> str:
    ours = next(beginning for beginning in names if own.startswith(beginning))
    return names[ours] + own.removeprefix(ours)


def _check_shape(own: str, tensor: Tensor, key: str, found: Tensor) -> None:
    """Check that a tensor of a file has the rows of COCO's classes, and otherwise our shape."""
    layer = own.rpartition(".")[0]
    expected = tuple(tensor.shape)
    if layer in OF_ANCHORS:
        each = 1 if layer == OBJECTNESS else 4
        anchors = tensor.shape[0] // OF_ANCHORS[layer]
        expected = (each * anchors, *expected[1:])
        problem = f"anchors for each cell; network.anchors has {anchors} on each map"
    elif layer in OF_THINGS + OF_THINGS_AND_BACKGROUND:
        each, classes = 4 if layer == DELTAS else 1, len(_classes())
        expected = (each * classes, *expected[1:])
        problem = f"classes; expected {classes}, those of COCO's list and the background"
    else:
        each, problem = 1, ""
    if found.shape == expected:
        return
    if problem and found.dim() == len(expected) and found.shape[1:] == expected[1:]:
        raise ValueError(f"{key} has {found.shape[0] // each} {problem}")
    raise ValueError(f"{key} has the shape {tuple(found.shape)}; expected {expected}")


def _rearranged(own: str, value: Tensor) -> Tensor:
    """Return rows in our order: logits of anchors as pairs, and the background last."""
    layer = own.rpartition(".")[0]
    if layer == OBJECTNESS:
        # The softmax of (0, x) is the sigmoid of x.
        return torch.stack([torch.zeros_like(value), value], dim=1).flatten(0, 1)
    things = [category.id for category in coco_things()]
    if layer in OF_THINGS_AND_BACKGROUND:
        return value[[*things, 0]]
    if layer in OF_THINGS:
        return value.unflatten(0, (len(_classes()), -1))[things].flatten(0, 1)
    return value


def _absorb_variances(weights: dict[str, Tensor]) -> None:
    """Put the variances of the trunk's batch norms into their weights.

    torchvision's first network has frozen batch norms, whose state has no counters, and adds no
    epsilon to their variances, some of which are far smaller than ours.
    """
    for name, variance in weights.items():
        if name.startswith(STAGES) and name.endswith("running_var"):
            scale = name.replace("running_var", "weight")
            weights[scale] = weights[scale] * variance.rsqrt()
            weights[name] = torch.full_like(variance, 1 - EPSILON)


def _summary(unused: set[str], used: set[str]) -> tuple[str, ...]:
    """List names, counters by their number and parts that are not used at all as one."""
    counters = [key for key in unused if key.endswith(COUNTERS)]
    parts = {key.partition(".")[0] for key in used}
    others = sorted(
        {
            key if (part := key.partition(".")[0]) in parts else f"{part}.*"
            for key in unused.difference(counters)
        }
    )
    return (*others, *([f"{len(counters)} counters ({COUNTERS})"] if counters else []))
