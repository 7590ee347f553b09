"""Small made-up inputs of all commands, and running commands on a copy of them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from reliability import trees

ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONWARNINGS": "ignore",
}
"""Environment of all commands."""

LIMIT = 300
"""Seconds after which a command that is not killed has failed."""

CONFIG = """\
base: lite.yaml
root: in/scenes
data: {images: train, annotations: panoptic_train.json}
validation: {images: val, annotations: panoptic_val.json}
augment: {size: [48, 64]}
network:
  trunk: {name: test_resnet, neck: top_down, channels: 8, weights: null}
  semantic: {channels: 8}
  anchors: {sizes: [16, 32]}
  rpn_channels: 8
  proposals: {max_candidates: 50, max_proposals: 5}
  roi: {width: 8, hidden: 16, mask_channels: 8}
  detection: {max_detections: 3}
merge: {min_stuff_area: 0.004, area_unit: image}
train:
  {steps: 6, batch_size: 2, workers: 0, log_every: 1, checkpoint_every: 2, evaluate_every: 2,
   pictures: 2, keep: {best: pq, every: 2}, export: false}
"""
"""Settings of a training of seconds."""

MAPPING = "moving: [pedestrian, bicyclist]\nvoid: [building]\n"

_SEGMENTS = ["--min-score", "0.02", "--merge.min-stuff-area", "10"]
"""Options that make maps of many segments from scenes that the model has never seen."""


@dataclass(frozen=True)
class Ended:
    """Exit code and messages of a command."""

    code: int
    output: str
    error: str

    @property
    def is_refused(self) -> bool:
        """Whether the command failed with one sentence."""
        lines = self.error.strip().splitlines()
        return self.code == 1 and len(lines) == 1 and "Traceback" not in self.error


@dataclass(frozen=True)
class Workshop:
    """Folder of inputs, of which each run gets a copy by hard links."""

    folder: Path
    _locks: defaultdict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock)
    )

    @property
    def inputs(self) -> Path:
        """Folder of the inputs."""
        return self.folder / "in"

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """Yield a folder in which a command finds the inputs as ``in`` and writes to ``out``.

        It has the same path each time, as some results depend on it, and is deleted at the end.
        """
        room = self.folder / name.replace(" ", "-")
        with self._locks[name]:
            self.furnish(room)
            try:
                yield room
            finally:
                shutil.rmtree(room)

    def furnish(self, room: Path) -> None:
        """Make a folder with the inputs."""
        room.mkdir()
        shutil.copytree(self.inputs, room / "in", copy_function=os.link)

    def make(self, *, photos: int, trained: bool) -> None:
        """Write the inputs.

        Args:
            photos: Number of photos.
            trained: Whether to train a network for seconds, for the commands that need a run.
        """
        self.inputs.mkdir(parents=True)
        (self.inputs / "config.yaml").write_text(CONFIG)
        for tokens in _inputs(photos):
            self._checked(tokens)
            if tokens[0] == "predict":
                _number_images(self.folder / tokens[tokens.index("-o") + 1] / "predictions.json")
        (self.inputs / "mapping.yaml").write_text(MAPPING)
        _break_some_areas(self.inputs / "val")
        if trained:
            self._checked(["train", "in/config.yaml", "--out", "in/run"])

    def _checked(self, tokens: Sequence[str]) -> None:
        ended = run(tokens, self.folder)
        if ended.code:
            raise SystemExit(f"jsisnet {' '.join(tokens)}: {ended.error}")


def _inputs(photos: int) -> list[list[str]]:
    sizes = ["--train", f"{photos}", "--val", f"{photos}", "--size", "48x64"]
    maps = ["--no-overlay", "-q", "--model", "street", *_SEGMENTS]
    truth = ["--annotations", "in/val/predictions.json"]
    convert = ["data", "convert", "--from", "coco", *truth]
    scored = ["score", "in/val/predictions.json"]
    return [
        ["data", "generate", "--out", "in/scenes", *sizes],
        ["predict", "in/scenes/val", "-o", "in/val", *maps],
        ["predict", "in/scenes/val", "-o", "in/other", *maps, "--size", "96", "128"],
        ["predict", "in/scenes/val", "-o", "in/rough", *maps, "--raw", "in/raw"],
        [*convert, "--pngs", "in/val", "--to", "two-channel", "--out", "in/two"],
        [*convert, "--pngs", "in/val", "--to", "semantic-instance", "--out", "in/pairs"],
        [*convert, "--pngs", "in/val", "--to", "coco-instances", "--out", "in/things"],
        [*scored, "in/val/predictions.json", *_pngs("val", "val"), "--json", "in/a.json"],
        [*scored, "in/other/predictions.json", *_pngs("val", "other"), "--json", "in/b.json"],
    ]


def _pngs(truth: str, prediction: str) -> list[str]:
    return ["--truth-pngs", f"in/{truth}", "--prediction-pngs", f"in/{prediction}"]


def _number_images(file: Path) -> None:
    """Make the ids of images numbers, as hotcoco expects them."""
    content = json.loads(file.read_text())
    for image in content["images"]:
        image["id"] = int(image["id"])
    for annotation in content["annotations"]:
        annotation["image_id"] = int(annotation["image_id"])
    file.write_text(json.dumps(content))


def _break_some_areas(folder: Path) -> None:
    """Write a second JSON file whose wrong areas `data check --fix` repairs."""
    content = trees.strict_json((folder / "predictions.json").read_bytes())
    assert isinstance(content, dict)
    for annotation in content["annotations"][::2]:
        annotation["segments_info"][0]["area"] += 1
    (folder / "broken.json").write_text(json.dumps(content))


def command(tokens: Sequence[str]) -> list[str]:
    """Return the command line of a new process."""
    return [sys.executable, "-m", "jsisnet", *tokens]


def start(tokens: Sequence[str], room: Path, output: IO[str], error: IO[str]) -> subprocess.Popen:
    """Start a command in a session of its own, so that all its processes can be killed."""
    return subprocess.Popen(
        command(tokens),
        cwd=room,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=error,
        start_new_session=True,
    )


def run(tokens: Sequence[str], room: Path) -> Ended:
    """Run a command to its end."""
    try:
        done = subprocess.run(
            command(tokens),
            cwd=room,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(-1, "", f"did not end within {LIMIT} seconds")
    return Ended(done.returncode, done.stdout, done.stderr)
