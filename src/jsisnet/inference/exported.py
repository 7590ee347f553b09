"""Engines for exported networks: ONNX Runtime, and OpenVINO as an extra."""

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import Any

import numpy as np

from jsisnet.arrays import Shaped, UInt8
from jsisnet.categories import Categories
from jsisnet.files.checksum import check_intact
from jsisnet.inference.engine import (
    AUTO,
    GPU_BATCH,
    EngineOptions,
    EngineUnavailableError,
    Extras,
    Outputs,
    Prediction,
)
from jsisnet.inference.merge import Instances
from jsisnet.inference.model_folder import (
    COPY_AGAIN,
    EXPORTED,
    WEIGHTS,
    ModelDescription,
    PredictionConfig,
    find,
    parse_description,
    read_description,
    weights_digest,
)
from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.lazy import install_hint

METADATA = "jsisnet"
"""Key of the metadata that describes an exported network: the content of a model's description as
JSON, with the `FORMAT`, the version of jsisnet, and the SHA-256 of the weights."""

FORMAT = 1
"""Version of the inputs, outputs and metadata."""

IMAGES = "images"
"""Input: RGB images of the network's size as 8-bit integers, batch x height x width x 3."""

THRESHOLDS = ("min_score", "max_overlap", "one_class_per_region")
"""Optional inputs: scalars that override the thresholds of the detections."""

SEMANTIC = "semantic"
"""Output of the semantic branch: logits, batch x labels x height x width."""

INSTANCES = ("boxes", "labels", "scores", "masks", "valid")
"""Outputs of the instance branch, padded to a fixed number of detections, best score first."""

MIN_DETECTIONS = 100
"""Detections per image that a file has room for, whatever the settings; average precision needs
them."""

Arrays = dict[str, Shaped[np.ndarray, "..."]]
Run = Callable[[Arrays, Sequence[str]], Arrays]
"""Run a network: the inputs, and the names of the wanted outputs."""

_CUDA = "CUDAExecutionProvider"
"""ONNX Runtime's name of what runs a network on a GPU."""

_MAX_REASON = 200
"""Length to which a runtime's message is shortened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Runtime:
    """An exported network that a library has loaded."""

    run: Run
    inputs: Mapping[str, Sequence[Any]]
    """Name and shape of each input; named axes are strings."""

    outputs: Mapping[str, Sequence[Any]]
    """Name and shape of each output."""

    metadata: str | None
    """Value of the `METADATA`."""

    device: str


_Load = Callable[[Path, EngineOptions], _Runtime]


class ExportedEngine:
    """An exported network. It can be pickled, and is loaded again where it is unpickled."""

    def __init__(self, name: str, load: _Load, model: str | Path, options: EngineOptions) -> None:
        """Load a network.

        Args:
            name: Name of the engine.
            load: Function that loads a file with a library.
            model: Name of a built-in model, a model or run folder, or an exported network.
            options: How the network is to run.

        Raises:
            EngineUnavailableError: If the network was not exported, or with other settings than
                are wanted.
            ValueError: If a file is damaged, or the exported network is not that of its folder.
        """
        path = find(model)
        file = path / EXPORTED if path.is_dir() else path
        if not file.is_file():
            raise EngineUnavailableError(
                f"{path} has no {EXPORTED}; write it with `jsisnet export {path}`"
            )
        if options.precision == "bfloat16" and name != "openvino":
            raise EngineUnavailableError(f"{name} has no bfloat16; use torch or openvino")
        self._arguments = (name, load, model, options)
        self._file, self._precision = file, options.precision
        self.name = name
        self._runtime = _loaded(file, load, options)
        described, weights = _described(self._runtime, file)
        if path.is_dir():
            _check_folder(path, file, described, weights)
            described = replace(read_description(path), source=str(path))
        elif WEIGHTS.encode() in file.read_bytes():
            _check_weights(file, weights)
        own = described.config()
        chosen = bool(options.overrides or options.settings)
        self.config = described.config(options.overrides, options.settings) if chosen else own
        self.categories: Categories = described.categories
        self.device = self._runtime.device
        self.batch_size = 1 if self.device == "cpu" else GPU_BATCH
        _check_graph(self._runtime, file, own.size, len(self.categories))
        _check_settings(self._runtime, own, self.config)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments

    def __call__(
        self, images: UInt8[np.ndarray, "b h w 3"], extras: Extras | None = None
    ) -> list[Outputs]:
        """Run the network on images of the size in `config`; see `Engine`."""
        own = self.config.network.detection
        wanted = None if extras is None or not self._can_select_again else extras.detection
        # With a lower minimum score alone, the network's own detections are the best of them.
        first = wanted if wanted is not None and _holds(wanted, own) else own
        found = self._run(images, first, tuple(self._runtime.outputs))
        again = found if wanted in (None, first) else self._run(images, wanted or own, INSTANCES)
        semantic = found.get(SEMANTIC)
        return [
            Outputs(
                semantic=None if semantic is None else semantic[i],
                instances=self._instances(found, i, own),
                ranked=None if wanted is None else self._instances(again, i, wanted),
            )
            for i in range(len(images))
        ]

    @property
    def predicts(self) -> frozenset[Prediction]:
        """Predictions of the branches that were exported."""
        outputs: dict[Prediction, str] = {"semantic": SEMANTIC, "instances": INSTANCES[0]}
        return frozenset(name for name, key in outputs.items() if key in self._runtime.outputs)

    @property
    def _can_select_again(self) -> bool:
        return INSTANCES[0] in self._runtime.outputs and set(THRESHOLDS) <= set(
            self._runtime.inputs
        )

    def fingerprint(self) -> str:
        """Return a hash of the file and the engine; see `Engine`."""
        how = f"{self.name} {self._precision}".encode()
        return sha256(how + self._file.read_bytes()).hexdigest()

    def _run(
        self,
        images: UInt8[np.ndarray, "b h w 3"],
        detection: DetectionConfig,
        outputs: Sequence[str],
    ) -> Arrays:
        thresholds = {
            "min_score": np.array(detection.min_score, np.float32),
            "max_overlap": np.array(detection.max_overlap, np.float32),
            "one_class_per_region": np.array(detection.one_class_per_region),
        }
        known = {name: value for name, value in thresholds.items() if name in self._runtime.inputs}
        try:
            found = self._runtime.run({IMAGES: np.ascontiguousarray(images), **known}, outputs)
        except Exception as error:  # the libraries raise classes of their own
            reason = shorten(str(error), _MAX_REASON)
            raise ValueError(f"{self._file}: the network can't be run ({reason})") from error
        for name, values in found.items():
            if len(values) != len(images):
                raise ValueError(
                    f"{self._file}: {name} has {len(values)} entries for {len(images)} images; "
                    "expected one for each"
                )
        return found

    def _instances(self, found: Arrays, index: int, config: DetectionConfig) -> Instances | None:
        """Return the detections of one image, without padding."""
        if INSTANCES[0] not in found:
            return None
        isgood = found["valid"][index] & (found["scores"][index] >= np.float32(config.min_score))
        rows = np.flatnonzero(isgood)[: config.max_detections]
        boxes, labels, scores, masks = (found[name][index][rows] for name in INSTANCES[:-1])
        if labels.dtype.kind not in "iu":
            raise ValueError(f"{self._file}: the labels are {labels.dtype}; expected integers")
        # ONNX Runtime's 64-bit integers are of C's type long long, which NumPy tells apart.
        labels = labels.astype(np.int64)
        return Instances(boxes=boxes, labels=labels, scores=scores, masks=masks)


def _holds(wanted: DetectionConfig, own: DetectionConfig) -> bool:
    """Return whether detections hold the network's own, as they differ in the least score alone."""
    return wanted.min_score < own.min_score and replace(wanted, min_score=own.min_score) == own


def open_onnxruntime(model: str | Path, options: EngineOptions) -> ExportedEngine:
    """Open an exported network with ONNX Runtime: on the CPU, or with CUDA where its package is."""
    return ExportedEngine("onnxruntime", _load_onnxruntime, model, options)


def open_openvino(model: str | Path, options: EngineOptions) -> ExportedEngine:
    """Open an exported network with OpenVINO, on the CPU."""
    return ExportedEngine("openvino", _load_openvino, model, options)


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime without its telemetry.

    Otherwise it writes an identifier of the machine into the user's home, and reports to Microsoft.
    A value that the user has set for the variable stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    import onnxruntime

    return onnxruntime


def _load_onnxruntime(file: Path, options: EngineOptions) -> _Runtime:
    try:
        onnxruntime = import_onnxruntime()
    except ImportError as error:
        raise EngineUnavailableError(f"ONNX Runtime can't be imported ({error})") from error
    wanted, providers = _onnxruntime_device(options.device, onnxruntime.get_available_providers())
    session = _session(onnxruntime, file, options.cpu_threads(), providers)
    device = wanted if _CUDA in session.get_providers() else "cpu"
    if device != wanted and options.device != AUTO:
        raise EngineUnavailableError(
            f"onnxruntime can't use {wanted} here: CUDA's libraries or the GPU are missing"
        )
    run_options = onnxruntime.RunOptions()
    run_options.log_severity_level = 4
    run_options.only_execute_path_to_fetches = True

    def run(inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        found = session.run(list(outputs), inputs, run_options)
        return dict(zip(outputs, found, strict=True))

    optional = {item.name: item.shape for item in session.get_overridable_initializers()}
    return _Runtime(
        run=run,
        inputs={item.name: item.shape for item in session.get_inputs()} | optional,
        outputs={item.name: item.shape for item in session.get_outputs()},
        metadata=session.get_modelmeta().custom_metadata_map.get(METADATA),
        device=device,
    )


def _session(onnxruntime: ModuleType, file: Path, threads: int, providers: list[Any]) -> Any:  # noqa: ANN401 - ONNX Runtime has no types
    """Open a session of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A plan of the memory for each size of a batch takes 20 MB, and saves no time.
    options.enable_mem_pattern = False
    # Threads that spin while they wait are fast alone, and many times slower on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = file.read_bytes()
    weights = _shared_weights(file, content)
    # With this table, ONNX Runtime reads no other file that a foreign network may name.
    options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    session = onnxruntime.InferenceSession(content, options, providers=providers)
    session.disable_fallback()  # it would load the network again, when the weights are gone
    return session


def _shared_weights(file: Path, content: bytes) -> mmap.mmap | bytes:
    """Map the weights that a network shares with PyTorch's; empty if it has its own.

    Args:
        file: The exported network; the weights lie beside it.
        content: Its content, which names the weights if it takes any from there.
    """
    path = file.with_name(WEIGHTS)
    shares = WEIGHTS.encode() in content and path.is_file()
    if not shares or path.stat().st_size == 0:  # an empty file can't be mapped
        return b""
    with path.open("rb") as weights:
        return mmap.mmap(weights.fileno(), 0, access=mmap.ACCESS_READ)


def _onnxruntime_device(wanted: str, available: Sequence[str]) -> tuple[str, list[Any]]:
    """Return a device and the providers that run it.

    Raises:
        EngineUnavailableError: If the installed package does not support the device.
    """
    kind, _, index = wanted.partition(":")
    if kind == "cuda" or (kind == AUTO and _CUDA in available):
        if _CUDA not in available:
            raise EngineUnavailableError(
                "the installed onnxruntime has no CUDA; install onnxruntime-gpu, or use cpu"
            )
        if index and not index.isdecimal():
            raise EngineUnavailableError(f"device is {wanted!r}; expected a number, as in cuda:1")
        cuda = (_CUDA, {"device_id": int(index or 0)})
        return "cuda" if kind == AUTO else wanted, [cuda, "CPUExecutionProvider"]
    if wanted in ("cpu", AUTO):
        return "cpu", ["CPUExecutionProvider"]
    raise EngineUnavailableError(f"onnxruntime has no device {wanted!r}; use cpu or cuda")


def _load_openvino(file: Path, options: EngineOptions) -> _Runtime:
    try:
        import openvino
    except ModuleNotFoundError as error:
        hint = install_hint("the engine openvino", "openvino")
        raise EngineUnavailableError(hint) from error
    if options.device not in ("cpu", AUTO):
        raise EngineUnavailableError(f"openvino has no device {options.device!r}; use cpu")
    core = openvino.Core()
    network = core.read_model(file)  # which refuses weights from outside the file's folder
    metadata = _openvino_metadata(network)
    _free_thresholds(network)
    precision = {"float32": "f32", "bfloat16": "bf16"}[options.precision]
    settings = {
        "INFERENCE_NUM_THREADS": options.cpu_threads(),
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(network, "CPU", settings)

    def run(inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        found = compiled.create_infer_request().infer(inputs)
        return {name: found[name].copy() for name in outputs}

    return _Runtime(
        run=run,
        inputs={port.any_name: _shape(port) for port in compiled.inputs},
        outputs={port.any_name: _shape(port) for port in compiled.outputs},
        metadata=metadata,
        device="cpu",
    )


def _openvino_metadata(network: Any) -> str | None:  # noqa: ANN401 - OpenVINO is an extra
    try:
        return str(network.get_rt_info(["framework", METADATA]).value)
    except RuntimeError:
        return None


def _free_thresholds(network: Any) -> None:  # noqa: ANN401 - OpenVINO is an extra
    """Turn the default values of the optional inputs, which OpenVINO fixes, into inputs again."""
    from openvino import opset13

    constants = [op for op in network.get_ops() if op.get_type_name() == "Constant"]
    for constant in constants:
        name = constant.get_friendly_name()
        if name in THRESHOLDS and not constant.get_output_partial_shape(0).rank.get_length():
            freed = opset13.parameter([], constant.get_element_type(), name)
            freed.output(0).set_names({name})
            for reader in constant.output(0).get_target_inputs():
                reader.replace_source_output(freed.output(0))
            network.add_parameters([freed])


def _shape(port: Any) -> list[Any]:  # noqa: ANN401 - OpenVINO is an extra
    """Return the shape of a port of OpenVINO; axes of any length are strings."""
    return [axis.get_length() if axis.is_static else str(axis) for axis in port.get_partial_shape()]


def _loaded(file: Path, load: _Load, options: EngineOptions) -> _Runtime:
    try:
        check_intact(file, f"{COPY_AGAIN}, or write it with `jsisnet export`")
    except OSError as error:
        raise ValueError(f"{file}: can't be read ({error.strerror})") from error
    try:
        return load(file, options)
    except EngineUnavailableError:
        raise
    except Exception as error:  # the libraries raise classes of their own
        reason = shorten(str(error), _MAX_REASON)
        hint = ""
        if "external" in str(error).lower():
            hint = f"; weights outside the file must be in {WEIGHTS} beside it"
        raise ValueError(
            f"{file}: can't be loaded as an exported network ({reason}){hint}"
        ) from error


def _described(runtime: _Runtime, file: Path) -> tuple[ModelDescription, str | None]:
    """Return the description of an exported network, and the SHA-256 of its weights.

    Raises:
        ValueError: If there is none, or a newer version of jsisnet wrote it.
    """
    if runtime.metadata is None:
        raise ValueError(
            f"{file}: not exported by jsisnet (no metadata {METADATA!r}); expected a file that "
            "`jsisnet export` wrote"
        )
    described = parse_description(runtime.metadata, str(file))
    values = dict(described.values)
    version, writer = values.pop("format", None), values.pop("version", "another version")
    weights = values.pop("weights", None)
    if version != FORMAT:
        raise ValueError(
            f"{file}: exported by jsisnet {writer} in format {version!r}; expected {FORMAT}, so "
            "upgrade jsisnet or export again"
        )
    return replace(described, values=values), weights


def _check_folder(
    folder: Path, file: Path, described: ModelDescription, weights: str | None
) -> None:
    """Check that the exported network of a folder is that of its weights and description.

    Raises:
        ValueError: If it is not.
    """
    _check_weights(file, weights)
    own = read_description(folder)
    if own.categories != described.categories:
        raise _differs(file, "classes")
    if not _agree(own.fixed, described.fixed):
        raise _differs(file, "settings")


def _check_weights(file: Path, weights: str | None) -> None:
    """Check that the weights beside an exported network are those that it was exported from.

    Args:
        file: The exported network.
        weights: SHA-256 of its weights, if it says so.

    Raises:
        ValueError: If they are not, or they are damaged.
    """
    digest = weights_digest(file.parent)
    if weights is not None and digest is not None and weights != digest:
        check_intact(file.with_name(WEIGHTS), COPY_AGAIN)
        raise _differs(file, "weights")


def _differs(file: Path, what: str) -> ValueError:
    return ValueError(
        f"{file}: has other {what} than the model in its folder; export it again with "
        f"`jsisnet export {file.parent}`"
    )


def _agree(own: object, exported: object) -> bool:
    """Return whether settings are the same; what one of them lacks has its default there.

    The description of a folder may be older than the version that exported its network.
    """
    if isinstance(own, Mapping) and isinstance(exported, Mapping):
        return all(_agree(own[name], exported[name]) for name in own.keys() & exported.keys())
    return own == exported


def _check_graph(runtime: _Runtime, file: Path, size: tuple[int, int] | None, labels: int) -> None:
    """Check that inputs and outputs are those that the description promises.

    Raises:
        ValueError: If they are not.
    """
    fits = (
        size is not None
        and (SEMANTIC in runtime.outputs or INSTANCES[0] in runtime.outputs)
        and _has_shape(runtime.inputs.get(IMAGES), (*size, 3))
        and _has_shape(runtime.outputs.get(SEMANTIC), (labels, None, None), optional=True)
        and _has_instances(runtime.outputs)
    )
    if not fits:
        shapes = {**runtime.inputs, **runtime.outputs}
        found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(
            f"{file}: inputs and outputs ({shorten(found, 2 * _MAX_REASON)}) are not those of a "
            f"network of {size} with {labels} classes; expected a file that `jsisnet export` wrote"
        )


def _has_shape(
    shape: Sequence[Any] | None, expected: tuple[int | None, ...], *, optional: bool = False
) -> bool:
    """Return whether a shape is a batch of what is expected; ``None`` stands for any length."""
    if shape is None:
        return optional
    return len(shape) == 1 + len(expected) and all(
        wanted in (None, length) for length, wanted in zip(shape[1:], expected, strict=True)
    )


def _has_instances(outputs: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether the outputs of the instance branch fit together, or are all missing."""
    if not set(INSTANCES) & set(outputs):
        return True
    room = (*outputs.get("valid", ()), None, None)[1]
    shapes = {"boxes": (room, 4), "labels": (room,), "scores": (room,), "valid": (room,)}
    return isinstance(room, int) and all(
        _has_shape(outputs.get(name), shape)
        for name, shape in (shapes | {"masks": (room, None, None)}).items()
    )


def _check_settings(runtime: _Runtime, own: PredictionConfig, config: PredictionConfig) -> None:
    """Check that the settings can be chosen without another export.

    Raises:
        EngineUnavailableError: If they can't.
    """
    if config.size != own.size:
        what = f"a size of {own.size}, not {config.size}"
    elif config.network.proposals != own.network.proposals:
        what = "other limits of the proposals"
    elif INSTANCES[0] in runtime.outputs and (
        config.network.detection.max_detections > runtime.outputs["boxes"][1]
    ):
        what = f"room for {runtime.outputs['boxes'][1]} detections"
    elif config.network.detection != own.network.detection and not (
        set(THRESHOLDS) <= set(runtime.inputs)
    ):
        what = "its thresholds of the detections fixed"
    else:
        return
    raise EngineUnavailableError(
        f"the exported network has {what}; use the engine torch, or export it with these settings"
    )
