"""Small networks as ONNX files, built node by node."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import factories
from jsisnet.formats import categories_json

SIZE = (16, 24)
"""Height and width of the input."""

CELL = 4
"""Side in pixels of a cell of the semantic logits."""

SCORES = (0.9, 0.6, 0.3)
"""Scores of the detections, the same for every picture: three cars, from left to right."""

DESCRIPTION = {
    "size": list(SIZE),
    "network": {
        "proposals": {"max_candidates": 10, "max_overlap": 0.5, "max_proposals": 3},
        "detection": {
            "min_score": 0.5,
            "max_overlap": 0.5,
            "one_class_per_region": True,
            "max_detections": 3,
        },
    },
    "merge": {"min_score": 0.5, "min_stuff_area": 0.0},
    "categories": categories_json.entries(factories.CATEGORIES),
}
"""Description of the network, as in `model.json`."""

METADATA = {"format": 1, "version": "0.1.0", "weights": None, **DESCRIPTION}
"""What an exported network says of itself."""

_STUFF_CHANNELS = {0: factories.ROAD, 2: factories.SKY}
"""Label that each colour channel speaks for: red for road, blue for sky."""


def network(
    metadata: dict[str, object] | None = METADATA, *, instances: bool = True, fixed: bool = False
) -> onnx.ModelProto:
    """Build a network that calls red pixels road and blue ones sky, and detects three cars.

    Args:
        metadata: Its metadata; ``None`` for none.
        instances: Whether it has an instance branch.
        fixed: Whether the thresholds are fixed instead of optional inputs.
    """
    labels = len(factories.CATEGORIES)
    weights = np.zeros((labels, 3, CELL, CELL), np.float32)
    for channel, label in _STUFF_CHANNELS.items():
        weights[label, channel] = 1
    constants = {"weights": weights}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["semantic"], strides=[CELL, CELL]),
    ]
    grid = [SIZE[0] // CELL, SIZE[1] // CELL]
    outputs = [_tensor("semantic", TensorProto.FLOAT, [labels, *grid])]
    inputs = [_tensor("images", TensorProto.UINT8, [*SIZE, 3])]
    if instances:
        nodes += _instance_nodes(constants)
        outputs += [
            _tensor("boxes", TensorProto.FLOAT, [3, 4]),
            _tensor("labels", TensorProto.INT64, [3]),
            _tensor("scores", TensorProto.FLOAT, [3]),
            _tensor("masks", TensorProto.FLOAT, [3, 2, 2]),
            _tensor("valid", TensorProto.BOOL, [3]),
        ]
        if not fixed:
            inputs += [
                helper.make_tensor_value_info(name, kind, [])
                for name, kind in (
                    ("min_score", TensorProto.FLOAT),
                    ("max_overlap", TensorProto.FLOAT),
                    ("one_class_per_region", TensorProto.BOOL),
                )
            ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {"jsisnet": json.dumps(metadata)})
    onnx.checker.check_model(model)
    return model


def write(path: Path, model: onnx.ModelProto | None = None) -> Path:
    """Write a network to a file."""
    path.write_bytes((model or network()).SerializeToString())
    return path


def write_folder(folder: Path, model: onnx.ModelProto | None = None, **changed: object) -> Path:
    """Write a model folder without weights: a description, and the exported network."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(DESCRIPTION | changed))
    write(folder / "model.onnx", model)
    return folder


def _tensor(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


def _instance_nodes(constants: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Repeat the detections for each picture; those above the threshold are valid."""
    width = SIZE[1] // 3
    boxes = [[i * width, 0, i * width + width, SIZE[0] / 2] for i in range(3)]
    constants |= {
        "all_boxes": np.array([boxes], np.float32),
        "all_labels": np.full((1, 3), factories.CAR),
        "all_scores": np.array([SCORES], np.float32),
        "all_masks": np.ones((1, 3, 2, 2), np.float32),
        "first": np.array([0]),
        "min_score": np.array(0.5, np.float32),
        "max_overlap": np.array(0.5, np.float32),
        "one_class_per_region": np.array(True),
        "one": np.array(1, np.float32),
        "far": np.array(9, np.float32),
    }
    nodes = [
        helper.make_node("Shape", ["images"], ["shape"], start=0, end=1),
        helper.make_node("Mul", ["max_overlap", "one"], ["overlap"]),
        helper.make_node("Where", ["one_class_per_region", "overlap", "overlap"], ["either"]),
        helper.make_node("Less", ["either", "far"], ["always"]),
    ]
    for name, rank in (("boxes", 2), ("labels", 1), ("scores", 1), ("masks", 3)):
        constants[f"ones_{name}"] = np.ones(rank, np.int64)
        nodes += [
            helper.make_node("Concat", ["shape", f"ones_{name}"], [f"shape_{name}"], axis=0),
            helper.make_node("Expand", [f"all_{name}", f"shape_{name}"], [name]),
        ]
    nodes += [
        helper.make_node("GreaterOrEqual", ["scores", "min_score"], ["sure"]),
        helper.make_node("And", ["sure", "always"], ["valid"]),
    ]
    constants.pop("first")
    return nodes
