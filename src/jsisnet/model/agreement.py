"""Agreement of an exported network with the original, measured on pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jsisnet.arrays import Bool, Shaped, UInt8
from jsisnet.datatools.scenes.scene import SIDE_LIMITS, Scene
from jsisnet.inference.exported import IMAGES, INSTANCES, SEMANTIC, import_onnxruntime
from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.model.detection import Detections, TensorThresholds
from jsisnet.model.network import JSISNet, Outputs

PHOTOS = ("astronaut.png", "coffee.png")
"""Photos of scikit-image that are used where it is installed."""

MAX_LOGIT, MAX_PIXELS, MAX_SCORE, MAX_MASK = 1e-3, 0.1, 1e-3, 1e-2
"""Largest differences accepted: logits relative to the largest one, box corners, scores, masks."""

MAX_MISSING = 0.05
"""Largest share of detections without a counterpart: rounding may swap boxes of equal scores."""

NOTHING, EVERYTHING = 2.0, 100
"""Minimum score that no box has; number of detections above the lowest minimum score tried."""

Arrays = Mapping[str, Shaped[np.ndarray, "b *rest"]]
"""Outputs of a network by name."""


def disagreement(
    content: bytes, network: JSISNet, size: tuple[int, int], max_detections: int
) -> str | None:
    """Compare an exported network with the original, in batches of one and three.

    Args:
        content: The ONNX file.
        network: Original network, in evaluation mode, on the CPU.
        size: Height and width of the network's input.
        max_detections: Number of detections that the file returns per image.

    Returns:
        What differs, and where; ``None`` if nothing does beyond rounding.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    images = pictures(size)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
        for case in _cases(network, outputs, max_detections):
            inputs = {IMAGES: images[: case.batch], **case.thresholds}
            made = dict(zip(names, session.run(None, inputs), strict=True))
            difference = _difference(made, _expected(network, outputs, case))
            if difference is not None:
                return f"{case.name}: {difference}"
    return None


def pictures(size: tuple[int, int]) -> UInt8[np.ndarray, "3 h w 3"]:
    """Return pictures of a size: generated scenes, and photos where scikit-image is installed."""
    low, high = SIDE_LIMITS
    drawn = [min(max(side, low), high) for side in size]
    package = find_spec("skimage")
    folders = [] if package is None else package.submodule_search_locations or []
    paths = [Path(folder, "data", name) for folder in folders for name in PHOTOS]
    found = [Image.open(path).convert("RGB") for path in paths if path.is_file()]
    scenes = (Scene((0, number), (drawn[0], drawn[1])) for number in range(3 - len(found)))
    found += [Image.fromarray(scene.photo()) for scene in scenes]
    return np.stack([np.asarray(image.resize((size[1], size[0]))) for image in found])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """Thresholds to compare with."""

    name: str
    batch: int
    detection: DetectionConfig | TensorThresholds
    given: bool = True
    """Whether the thresholds are given to the file, which otherwise uses its own."""

    @property
    def thresholds(self) -> dict[str, Shaped[np.ndarray, ""]]:
        if not self.given:
            return {}
        return {
            "min_score": np.array(float(self.detection.min_score), np.float32),
            "max_overlap": np.array(float(self.detection.max_overlap), np.float32),
            "one_class_per_region": np.array(bool(self.detection.one_class_per_region)),
        }


def _cases(network: JSISNet, outputs: Outputs, max_detections: int) -> Iterator[_Case]:
    own = replace(network.config.detection, max_detections=max_detections)
    yield _Case(name="batch of 3", batch=3, detection=own, given=False)
    if outputs.candidates is None:
        yield _Case(name="batch of 1", batch=1, detection=own, given=False)
        return
    scores = outputs.candidates.class_logits[0].softmax(dim=-1)[:, :-1].flatten()
    lowest = scores.topk(min(EVERYTHING, len(scores))).values[-1].item()
    for one_class in (True, False):
        name = f"batch of 1, {'one class' if one_class else 'all classes'} per region"
        low = replace(own, min_score=lowest, max_overlap=0.5, one_class_per_region=one_class)
        yield _Case(name=name, batch=1, detection=low)
    nothing = TensorThresholds(
        min_score=torch.tensor(NOTHING),
        max_overlap=torch.tensor(own.max_overlap),
        one_class_per_region=torch.tensor(own.one_class_per_region),
        max_detections=max_detections,
    )
    yield _Case(name="no detection", batch=1, detection=nothing)


def _expected(network: JSISNet, outputs: Outputs, case: _Case) -> Arrays:
    expected: dict[str, np.ndarray] = {}
    if outputs.semantic is not None:
        expected[SEMANTIC] = outputs.semantic[: case.batch].numpy()
    candidates, proposals = outputs.candidates, outputs.proposals
    if network.instance is None or candidates is None or proposals is None:
        return expected

    def first(values: Tensor) -> Tensor:
        return values[: case.batch]

    found: Detections = network.instance.detections(
        replace(
            candidates,
            maps={stride: first(values) for stride, values in candidates.maps.items()},
            class_logits=first(candidates.class_logits),
            box_deltas=first(candidates.box_deltas),
            objectness=first(candidates.objectness),
            anchor_deltas=first(candidates.anchor_deltas),
        ),
        replace(proposals, boxes=first(proposals.boxes), valid=first(proposals.valid)),
        case.detection,
    )
    return expected | {name: getattr(found, name).numpy() for name in INSTANCES}


def _difference(made: Arrays, expected: Arrays) -> str | None:
    """Say what differs between two sets of outputs."""
    for name, values in expected.items():
        if name not in made or made[name].shape != values.shape:
            shape = made[name].shape if name in made else "missing"
            return f"{name} is {shape} instead of {values.shape}"
    if SEMANTIC in expected:
        logits = expected[SEMANTIC]
        distance = np.abs(made[SEMANTIC] - logits).max()
        if not distance <= MAX_LOGIT * np.abs(logits).max():
            return f"semantic logits differ by {distance:.2g}"
    if "valid" not in expected:
        return None
    for one, other in ((made, expected), (expected, made)):
        found = sum(
            int(_counterparts(one, other, image).sum()) for image in range(len(one["valid"]))
        )
        total = int(one["valid"].sum())
        if total - found > MAX_MISSING * total:
            return f"{total - found} of {total} detections have no counterpart"
    return None


def _counterparts(one: Arrays, other: Arrays, image: int) -> Bool[np.ndarray, " n"]:
    """For each detection of an image, whether there is the same one among others."""
    mine, theirs = (
        {name: outputs[name][image][outputs["valid"][image]] for name in INSTANCES}
        for outputs in (one, other)
    )
    same = (
        (mine["labels"][:, None] == theirs["labels"])
        & (np.abs(mine["boxes"][:, None] - theirs["boxes"]).max(axis=-1, initial=0) <= MAX_PIXELS)
        & (np.abs(mine["scores"][:, None] - theirs["scores"]) <= MAX_SCORE)
    )
    for row, column in np.argwhere(same).tolist():
        same[row, column] = np.abs(mine["masks"][row] - theirs["masks"][column]).max() <= MAX_MASK
    return same.any(axis=1)
