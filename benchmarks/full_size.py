"""Peak memory of each stage for a photo of the size of Mapillary Vistas.

The photo is a generated scene of 22 megapixels in the folders of that data set: a JPEG, a 16-bit
PNG, and a configuration of 65 evaluated classes, as many as the data set has. Each stage runs in
its own process, whose peak memory includes its imports.

The network is the lite one. Training freezes its first stages, as the README recommends for own
data, and processes both photos of a step at once. Prediction is at full size from random weights,
which are drawn so that 100 things are detected and the semantic class changes from pixel to pixel,
the hardest case for the merge. A last process, without torch, predicts with the built-in model and
its 100 best guesses. With --quick the photo has 1 megapixel and the input is smaller.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from harness import Memory, Promise, finish, in_own_process, memory_of, options
from PIL import Image
from torch import nn

from jsisnet.categories import Categories
from jsisnet.data.sample import collate
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream
from jsisnet.datatools.convert import convert
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.evaluation.compared_files import ComparedFiles
from jsisnet.evaluation.score import score
from jsisnet.files.photos import read_image
from jsisnet.files.png import write_values
from jsisnet.formats import coco, vistas
from jsisnet.formats.coco import coco_target
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.inference.evaluator import evaluate
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.model.engine import TorchEngine
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.training.config import RunConfig, read_config
from jsisnet.training.devices import DeviceLayout, create_fabric
from jsisnet.training.loop import steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

SIZE, QUICK_SIZE = (4000, 5500), (1000, 1375)
INPUT, QUICK_INPUT = (512, 1024), (256, 512)
"""Height and width of the network input; the first is that of the paper."""

BATCH = 2
"""Photos per step, as in the paper."""

THINGS, STUFF = 37, 28
"""Numbers of evaluated classes in Mapillary Vistas 1.2."""

SCENE_THINGS = 5
"""Number of thing classes of a generated scene; their labels come first."""

SPREAD = 4
"""Spacing of a scene's classes among the 65."""

FOUND = 100
"""Number of detected things."""

PHOTO = "scene"
GOAL = 2
"""Most gigabytes that a stage may need."""

ALONE_GOAL = 700
"""Most megabytes that a prediction without torch may need."""

ALONE = """
import json, sys, time
sys.modules["torch"] = None
from jsisnet import Predictor
from jsisnet.files.processes import process_peak_memory
guesses = {"min_score": 0.0, "max_overlap": 1.0, "one_class_per_region": False}
predictor = Predictor("coco", threads=1, max_detections=100, canvas="original", **guesses)
result = predictor(sys.argv[1])
result.save(sys.argv[2], overlay=False)
megabytes, seconds = process_peak_memory(), time.process_time()
print(json.dumps([megabytes, seconds, len(predictor.outputs(result.image).instances)]))
"""
"""Program that segments a photo; prints its memory, its CPU time and the number of instances."""


def label_of(label: int) -> int:
    """Return the index of a scene's class in the configuration."""
    return SPREAD * label + (THINGS - SPREAD * SCENE_THINGS if label >= SCENE_THINGS else 0)


def write_data(folder: Path, size: tuple[int, int]) -> None:
    """Write the split ``training`` of a data set of version 1.2 with one photo."""
    for name in ("images", "instances"):
        (folder / "training" / name).mkdir(parents=True)
    labels = [
        {
            "name": f"made-up--{'thing' if i < THINGS else 'stuff'}--{i}",
            "readable": f"Class {i}",
            "instances": i < THINGS,
            "evaluate": i < THINGS + STUFF,
        }
        for i in range(THINGS + STUFF + 1)
    ]
    (folder / "config_v1.2.json").write_text(json.dumps({"labels": labels}))
    scene = Scene((0, 0, 0), size)
    Image.fromarray(scene.photo()).save(folder / f"training/images/{PHOTO}.jpg", quality=90)
    drawn = scene.panoptic()
    values = [256 * (THINGS + STUFF)]
    values += [256 * label_of(segment.label) + i for i, segment in enumerate(drawn.segments)]
    pixels = np.array(values, np.uint16)[drawn.ids]
    write_values(pixels, folder / f"training/instances/{PHOTO}.png")


def data(folder: Path) -> DataConfig:
    """Return the settings of the data."""
    return DataConfig(
        images=str(folder / "training/images"),
        annotations=str(folder / "training"),
        kind="vistas",
    )


def settings(size: tuple[int, int]) -> RunConfig:
    """Read the settings of the lite network, with frozen stages to save memory."""
    nowhere = ["--data.images=none", "--data.annotations=none"]
    frozen = ["--network.trunk.frozen-stages=3", "--network.trunk.freeze-norm"]
    inputs = ["--augment.size", *map(str, size)]
    return read_config(Path("lite.yaml"), [*nowhere, *frozen, *inputs])


def predictor(categories: Categories, size: tuple[int, int]) -> Predictor:
    """Create a network with random weights whose maps are as fragmented as possible."""
    network = settings(size).network
    detection = replace(network.detection, min_score=0.0, max_detections=FOUND)
    config = ModelConfig(
        size=size,
        network=replace(network, detection=detection),
        merge=MergeConfig(canvas="original", min_score=0.0, min_mask=0.3),
    )
    torch.manual_seed(0)
    drawn = JSISNet(config.network, categories)
    assert drawn.semantic is not None
    nn.init.normal_(drawn.semantic.classify.weight)
    return Predictor(TorchEngine(SavedModel(config, categories, drawn)))


def read_data(folder: Path, _: tuple[int, int]) -> None:
    """Read photo and map, as a training does."""
    PanopticDataset(data(folder))[0]


def convert_data(folder: Path, _: tuple[int, int]) -> None:
    """Write the map in COCO's format."""
    source = vistas.source(vistas.Split(root=folder, name="training"))
    convert(source, coco_target(folder / "converted", source.categories))


def train_two_steps(folder: Path, size: tuple[int, int]) -> None:
    """Run two training steps; the second one includes the optimiser's state."""
    config = settings(size)
    stream = Stream(Sources([data(folder)]), config.augment)
    fabric = create_fabric(DeviceLayout.detect(config.devices), config.train.precision)
    network = JSISNet(config.network, stream.samples.categories).to(fabric.device)
    objective, sgd = fabric.setup(
        Objective(network, config.objective),
        optimizer(network, config.optim, config.objective.weights.l2),
    )
    batches = (
        [collate([stream[position] for position in range(step * BATCH, (step + 1) * BATCH)])]
        for step in range(2)
    )
    for _ in steps(fabric, objective, sgd, batches, config.optim, first=0, length=2, seed=0):
        pass


def predict(folder: Path, size: tuple[int, int]) -> None:
    """Segment the photo at full size and write the map."""
    categories = vistas.read_categories(vistas.Split(root=folder, name="training"))
    photo = read_image(folder / f"training/images/{PHOTO}.jpg")
    drawn = predictor(categories, size).panoptic(photo)
    with coco.writing(folder / "predicted.json", categories) as writer:
        writer.add(drawn, image_id=PHOTO, image_name=f"{PHOTO}.jpg")


def score_files(folder: Path, _: tuple[int, int]) -> None:
    """Score the predicted file."""
    score(ComparedFiles(folder / "converted/panoptic.json", folder / "predicted.json"))


def evaluate_data(folder: Path, size: tuple[int, int]) -> None:
    """Evaluate as a training does: predict, and compare maps, labels and proposals."""
    dataset = PanopticDataset(data(folder))
    evaluate(predictor(dataset.categories, size), dataset)


STAGES = {
    "read": read_data,
    "convert": convert_data,
    "training step": train_two_steps,
    "predict": predict,
    "score": score_files,
    "evaluate": evaluate_data,
}
"""Stages in the order of their dependencies."""


def measure(name: str, folder: Path, size: tuple[int, int]) -> tuple[Memory, float]:
    """Run a stage and return its memory and its seconds, without imports."""
    torch.set_num_threads(2)
    began = time.perf_counter()
    memory = memory_of(partial(STAGES[name], folder, size))
    return memory, time.perf_counter() - began


def measure_alone(folder: Path) -> tuple[float, float]:
    """Predict in a process without torch; return its megabytes and seconds."""
    photo, out = folder / f"training/images/{PHOTO}.jpg", folder / "alone"
    command = [sys.executable, "-c", ALONE, str(photo), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    megabytes, seconds, instances = json.loads(done.stdout)
    if instances != FOUND:
        sys.exit(f"the built-in model found {instances} things; expected {FOUND}")
    return megabytes, seconds


def main() -> None:
    """Measure all stages."""
    chosen = options(__doc__ or "")
    size, seen = (QUICK_SIZE, QUICK_INPUT) if chosen.quick else (SIZE, INPUT)
    promises, figures = [], {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        in_own_process(write_data, folder, size)
        print(
            f"photo of {size[0]}x{size[1]}, network input of {seen[0]}x{seen[1]}, "
            f"{THINGS + STUFF} classes"
        )
        for stage in STAGES:
            memory, seconds = in_own_process(measure, stage, folder, seen)
            print(
                f"{stage:<16} {memory.whole:7.0f} MB, {memory.increase:7.0f} above imports, "
                f"{seconds:6.1f} s"
            )
            gigabytes = memory.whole / 2**10
            promises.append(Promise(f"gigabytes of {stage}", gigabytes, GOAL, lower_is_better=True))
            figures[stage] = {**asdict(memory), "seconds": seconds}
        megabytes, seconds = measure_alone(folder)
    print(f"{'without torch':<16} {megabytes:7.0f} MB, {seconds:37.1f} s of CPU time")
    promises.append(Promise("megabytes without torch", megabytes, ALONE_GOAL, True))
    figures["without torch"] = {"whole": megabytes, "seconds": seconds}
    finish(promises, {"size": size, "input": seen, "stages": figures}, chosen.json)


if __name__ == "__main__":
    main()
