"""Export of every embedded model and preset, and its prediction in a process without PyTorch.

Presets have random weights: what is shown is that each architecture can be exported, which compares
the file's predictions with the network's, and that ONNX Runtime, NumPy and Pillow alone run it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
from harness import CATEGORIES, Promise, finish, options

from jsisnet.inference.model_folder import embedded_names
from jsisnet.model import saved_model
from jsisnet.model.export import export
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.training.config import BUILT_IN, read_config, read_values

QUICK = ("lite.yaml", "tiny.yaml", "table3_camvid.yaml")
"""Presets of a quick run; the paper's take minutes each."""

MAX_MEGABYTES, MAX_LOAD = 14.0, 0.2
"""Size of an embedded model's file, and CPU seconds to load it."""

WITHOUT_TORCH = """
import json, sys, time
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
began = time.process_time()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
load = time.process_time() - began
height, width = session.get_inputs()[0].shape[1:3]
images = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
runs = []
for _ in range(int(sys.argv[2])):
    began = time.process_time()
    session.run(None, {"images": images})
    runs.append(time.process_time() - began)
json.dump({"load": load, "runs": runs}, sys.stdout)
"""
"""Program that loads a file and predicts where PyTorch cannot be imported."""


def main() -> None:
    """Export each network and run its file alone."""
    chosen = options(__doc__)
    presets = QUICK if chosen.quick else sorted(path.name for path in BUILT_IN.glob("*.yaml"))
    figures: dict[str, object] = {}
    promises: list[Promise] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (*embedded_names(), *presets):
            path = Path(folder, f"{name}.onnx")
            embedded = name in embedded_names()
            began = time.process_time()
            export(saved_model.read(name) if embedded else untrained(name), path, half=embedded)
            exported = time.process_time() - began
            nodes, size = len(onnx.load(path).graph.node), path.stat().st_size / 1e6
            alone = run_alone(path, 5 if embedded else 1)
            print(
                f"{name:<22} {nodes:4} nodes {size:6.1f} MB  exported {exported:5.0f} s CPU  "
                f"loaded {alone['load']:.2f} s  predicted {statistics.median(alone['runs']):.3f} s"
            )
            figures[name] = {"nodes": nodes, "megabytes": size, "exported": exported, **alone}
            promises.append(Promise(f"{name} runs without PyTorch", len(alone["runs"]), 1))
            if embedded:
                promises.append(Promise(f"{name}, megabytes", size, MAX_MEGABYTES, True))
                promises.append(Promise(f"{name}, seconds to load", alone["load"], MAX_LOAD, True))
            path.unlink()
    finish(promises, figures, chosen.json)


def untrained(preset: str) -> SavedModel:
    """Return the network of a preset with random weights and COCO's number of classes."""
    data = ["--data.images", ".", "--data.annotations", "."]
    overrides = [] if "data" in read_values(BUILT_IN / preset) else data
    settings = read_config(BUILT_IN / preset, overrides)
    config = ModelConfig(
        size=settings.prediction_size, network=settings.network, merge=settings.merge
    )
    return SavedModel(config, CATEGORIES, JSISNet(config.network, CATEGORIES).eval())


def run_alone(path: Path, runs: int) -> dict:
    """Run a file in a process where PyTorch cannot be imported; return its CPU seconds."""
    command = [sys.executable, "-c", WITHOUT_TORCH, str(path), str(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, check=True, env=environment)
    return json.loads(ended.stdout)


if __name__ == "__main__":
    main()
