"""Export to ONNX, for prediction without torch, compared with the original before it is written."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from jsisnet import __version__
from jsisnet.arrays import Bool, Float, UInt8
from jsisnet.files.atomic import replacing
from jsisnet.files.checksum import NAME, UNSET, seal
from jsisnet.formats import categories_json
from jsisnet.inference.exported import (
    FORMAT,
    IMAGES,
    INSTANCES,
    METADATA,
    MIN_DETECTIONS,
    SEMANTIC,
    THRESHOLDS,
)
from jsisnet.inference.model_folder import EXPORTED, WEIGHTS
from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.model.agreement import disagreement
from jsisnet.model.detection import TensorThresholds
from jsisnet.model.folding import folded
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import SavedModel
from jsisnet.model.suppression import MIN_CANDIDATE

OPSET = 20
"""Version of ONNX's operators."""

MAX_BATCH = 4096
"""Upper limit of the batch that the tracer is told; no file depends on it."""

SMALL = 1024
"""Number of values up to which a weight is stored in single precision."""


def export(
    model: SavedModel, path: Path, *, weights: str | None = None, half: bool = False
) -> None:
    """Write a network as an ONNX file, complete or not at all.

    The file takes 8-bit RGB images of the network's size in batches of any size, and optionally the
    thresholds of the detections, and returns what the branches predict. It says by itself which
    classes and settings the model has.

    Args:
        model: Trained network, with its classes and settings.
        path: File to write.
        weights: SHA-256 of the model's weights file, by which a model folder recognises its own
            exported network.
        half: Store the weights in half precision. The file computes in single precision, and
            equals the network if its weights have half precision already.

    Raises:
        ValueError: If the file's predictions differ from the network's; nothing is written then.
    """
    network, size = model.network, model.config.size
    ready = _rounded(network) if half else folded(network)
    traced = Exported(ready).eval()
    file = _converted(traced, size)
    _strip(file.graph)
    _add_defaults(file, network.config.detection)
    about = {METADATA: json.dumps(_description(model, weights)), NAME: UNSET}
    for name, value in about.items():
        file.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(file)
    content = file.SerializeToString()
    original = ready if half else network
    difference = disagreement(content, original, size, traced.max_detections)
    if difference is not None:
        raise ValueError(
            f"{path}: not written, because the exported network differs from the original "
            f"({difference})"
        )
    _write(file, path)


def share_weights(folder: Path) -> None:
    """Let the exported network of a model folder take its weights from the folder's weights file.

    Each weight that is there, byte for byte, becomes external data, as ONNX calls it. So the two
    files of a built-in model hold its weights once, and any program can run the network where it
    lies.

    Args:
        folder: Model folder whose network was exported in half precision, as its weights are.
    """
    file = onnx.load(folder / EXPORTED)
    places = _places(folder / WEIGHTS)
    for weight in file.graph.initializer:
        place = places.get(weight.raw_data)
        if weight.data_type == onnx.TensorProto.FLOAT16 and place is not None:
            values = {"location": WEIGHTS, "offset": place, "length": len(weight.raw_data)}
            for key, value in values.items():
                weight.external_data.add(key=key, value=str(value))
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.ClearField("raw_data")
    _write(file, folder / EXPORTED)


def _write(network: onnx.ModelProto, path: Path) -> None:
    """Write a network with its checksum, complete or not at all."""
    for entry in network.metadata_props:
        if entry.key == NAME:
            entry.value = UNSET
    with replacing(path) as temporary, temporary.open("w+b") as file:
        file.write(network.SerializeToString())
        seal(file)


def _places(weights: Path) -> dict[bytes, int]:
    """Return the content of each tensor in a file of safetensors, and where it begins."""
    content = weights.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    entries.pop("__metadata__", None)
    spans = [entry["data_offsets"] for entry in entries.values()]
    return {content[start + first : start + last]: start + first for first, last in spans}


class Exported(nn.Module):
    """A network as the exported file holds it: pixels in, named arrays out."""

    def __init__(self, network: JSISNet):
        super().__init__()
        self.network = network
        self.max_detections = max(network.config.detection.max_detections, MIN_DETECTIONS)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return (IMAGES,) if self.network.instance is None else (IMAGES, *THRESHOLDS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        semantic = () if self.network.semantic is None else (SEMANTIC,)
        return semantic if self.network.instance is None else (*semantic, *INSTANCES)

    def forward(
        self,
        images: UInt8[Tensor, "b h w 3"],
        *thresholds: Float[Tensor, ""] | Bool[Tensor, ""],
    ) -> tuple[Tensor, ...]:
        """Predict for RGB images.

        Args:
            images: Images of the network's size.
            thresholds: Minimum score, maximum overlap, and whether a region has one class.
        """
        network = self.network
        maps = network.trunk(images.permute(0, 3, 1, 2).float() / 255)
        semantic = () if network.semantic is None else (network.semantic(maps),)
        if network.instance is None:
            return semantic
        size = (images.shape[1], images.shape[2])
        proposals, candidates = network.instance.candidates(maps, size)
        min_score, max_overlap, one_class_per_region = thresholds
        config = TensorThresholds(
            min_score=min_score,
            max_overlap=max_overlap,
            one_class_per_region=one_class_per_region,
            max_detections=self.max_detections,
        )
        found = network.instance.detections(candidates, proposals, config)
        return (*semantic, found.boxes, found.labels, found.scores, found.masks, found.valid)


def _description(model: SavedModel, weights: str | None) -> dict[str, object]:
    """Describe a model as `model.json` does, for the metadata of the file."""
    return {
        "format": FORMAT,
        "version": __version__,
        **asdict(model.config),
        "categories": categories_json.entries(model.categories),
        "weights": weights,
    }


class _Halved(nn.Module):
    """Parametrization of a weight that is stored in half precision."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.float()


def _rounded(network: JSISNet) -> JSISNet:
    """Return a copy with weights in half precision, which computes in single precision.

    Batch norm is not folded: a folded weight would not fit into half precision, and the programs
    that run the file fold it as they load it.
    """
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(ready.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            rounded = parameter.half()
            if parameter.numel() > SMALL:
                setattr(module, name, nn.Parameter(rounded, requires_grad=False))
                parametrize.register_parametrization(module, name, _Halved(), unsafe=True)
            else:
                parameter.copy_(rounded)
    return ready


def _converted(traced: Exported, size: tuple[int, int]) -> onnx.ModelProto:
    """Trace a network and translate it to ONNX."""
    images = torch.zeros(2, *size, 3, dtype=torch.uint8)
    thresholds = (torch.tensor(0.5), torch.tensor(0.5), torch.tensor(True))
    arguments = (images, *thresholds[: len(traced.inputs) - 1])
    batch = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    scalars = tuple(None for _ in arguments[1:])
    shapes = (batch, scalars) if scalars else (batch,)
    suppress = torch.ops.jsisnet.suppress.default
    with torch.no_grad(), _silence():
        program = torch.export.export(traced, arguments, dynamic_shapes=shapes, strict=False)
        made: Any = torch.onnx.export(
            program,
            dynamo=True,
            custom_translation_table={suppress: _suppression},
            opset_version=OPSET,
            input_names=list(traced.inputs),
            output_names=list(traced.outputs),
            verbose=False,
        )
        return made.model_proto


def _suppression(boxes: Any, scores: Any, max_overlap: Any, limit: int) -> Any:  # noqa: ANN401 - values of a graph
    """Translate `suppression.suppress` to ONNX's operator, whose results are a list of triples."""
    op: Any = onnxscript.opset20
    one = op.Constant(value_ints=[1])
    triples = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, one),
        op.Constant(value_ints=[limit]),
        op.Reshape(max_overlap, one),
        op.Constant(value_floats=[MIN_CANDIDATE]),
    )
    image = op.Gather(triples, op.Constant(value_int=0), axis=1)
    box = op.Gather(triples, op.Constant(value_int=2), axis=1)
    batch = op.Shape(scores, start=0, end=1)
    ones = op.Expand(op.Constant(value_int=1), op.Shape(image))
    zero = op.Constant(value_int=0)
    counts = op.ScatterElements(op.Expand(zero, batch), image, ones, axis=0, reduction="add")
    first = op.CumSum(counts, zero, exclusive=1)
    total = op.Squeeze(op.Shape(image))
    rank = op.Sub(op.Range(zero, total, op.Constant(value_int=1)), op.Gather(first, image))
    place = op.Concat(op.Unsqueeze(image, one), op.Unsqueeze(rank, one), axis=1)
    empty = op.Expand(zero, op.Concat(batch, op.Constant(value_ints=[limit]), axis=0))
    kept = op.ScatterND(empty, place, box)
    valid = op.Cast(op.ScatterND(empty, place, ones), to=onnx.TensorProto.BOOL)
    return kept, valid


def _strip(graph: onnx.GraphProto) -> None:
    """Remove what the exporter notes for debugging, such as lines of source code."""
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    del graph.value_info[:]


def _add_defaults(model: onnx.ModelProto, config: DetectionConfig) -> None:
    """Make the thresholds optional inputs: an initializer of the same name is the default."""
    for value in model.graph.input:
        if value.name in THRESHOLDS:
            default = getattr(config, value.name)
            array = np.array(default, bool if isinstance(default, bool) else np.float32)
            tensor = onnx.numpy_helper.from_array(array, value.name)
            model.graph.initializer.append(tensor)


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what torch's exporter prints, logs and warns of; the comparison is what counts."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        logging.disable(before)
