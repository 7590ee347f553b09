"""A photo as large as Mapillary Vistas has them, through everything, each stage's memory measured.

The photo is a generated scene of 20 megapixels, in the data set's own folders: a JPEG, a PNG of 16
bits, and a configuration of 65 classes that count, made up but as many as the data set's. What is
measured is the most that a whole process needs, its imports included; each stage has a process of
its own.

The network is the small one. It trains as the README says for one's own photos, its first stages as
they are, and both photos of a step at once. It predicts at the size of the photo, from
random weights, and is made to find 100 things and to change its mind from pixel to pixel, which is
the hardest case for the merge. With --quick the photo has 1 megapixel, and the network sees less.
"""

import json
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
from jsisnet.data.dataset import DataConfig, PanopticDataset, Sources
from jsisnet.data.sample import collate
from jsisnet.data.stream import Stream
from jsisnet.datatools.convert import convert
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.evaluation.compared_files import ComparedFiles
from jsisnet.evaluation.score import score
from jsisnet.files.photos import read_image
from jsisnet.files.png import write_values
from jsisnet.formats import coco, vistas
from jsisnet.formats.coco import coco_target
from jsisnet.inference.evaluator import evaluate
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig
from jsisnet.inference.saved_model import ModelConfig, SavedModel
from jsisnet.model.network import JSISNet
from jsisnet.training.config import RunConfig, read_config
from jsisnet.training.devices import Layout, fabric
from jsisnet.training.loop import steps
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

SIZE, QUICK_SIZE = (4000, 5000), (1000, 1250)
INPUT, QUICK_INPUT = (512, 1024), (256, 512)
"""Height and width that the network sees; the first is the paper's."""

BATCH = 2
"""Photos of a step, as in the paper."""

THINGS, STUFF = 37, 28
"""Classes that count, as many as in Mapillary Vistas 1.2."""

SCENE_THINGS = 5
"""Classes of generated scenes that are things; their labels come first."""

SPREAD = 4
"""Distance of the labels of two classes of a scene among the 65."""

FOUND = 100
"""Things that the network finds."""

PHOTO = "scene"
GOAL = 2
"""Most gigabytes of a process."""


def label_of(label: int) -> int:
    """Give the place of a scene's class in the configuration."""
    return SPREAD * label + (THINGS - SPREAD * SCENE_THINGS if label >= SCENE_THINGS else 0)


def write(folder: Path, size: tuple[int, int]) -> None:
    """Write the part ``training`` of a data set with one photo, for version 1.2."""
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
    """Give the data as a training names it."""
    return DataConfig(
        images=str(folder / "training/images"),
        annotations=str(folder / "training"),
        kind="vistas",
    )


def settings(size: tuple[int, int]) -> RunConfig:
    """Read the small network's settings, for a training that needs little memory."""
    nowhere = ["--data.images=none", "--data.annotations=none"]
    spared = ["--network.trunk.frozen-stages=3", "--network.trunk.freeze-norm"]
    inputs = ["--augment.size", *map(str, size)]
    return read_config(Path("lite.yaml"), [*nowhere, *spared, *inputs])


def predictor(categories: Categories, size: tuple[int, int]) -> Predictor:
    """Draw a network whose maps are as busy as they can be."""
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
    return Predictor(SavedModel(config, categories, drawn))


def read(folder: Path, _: tuple[int, int]) -> None:
    """Read photo and map as a training does."""
    PanopticDataset(data(folder))[0]


def converted(folder: Path, _: tuple[int, int]) -> None:
    """Write the map in COCO's format."""
    source = vistas.source(folder, "training")
    convert(source, coco_target(folder / "converted", source.categories))


def trained(folder: Path, size: tuple[int, int]) -> None:
    """Take two training steps; the second one has all that an optimiser keeps."""
    config = settings(size)
    stream = Stream(Sources([data(folder)]), config.augment)
    company = fabric(Layout.of(config.devices), config.train.precision)
    network = JSISNet(config.network, stream.samples.categories).to(company.device)
    objective, moves = company.setup(
        Objective(network, config.objective),
        optimizer(network, config.optim, config.objective.weights.l2),
    )
    batches = (
        [collate([stream[position] for position in range(step * BATCH, (step + 1) * BATCH)])]
        for step in range(2)
    )
    for _ in steps(company, objective, moves, batches, config.optim, first=0, length=2, seed=0):
        pass


def predicted(folder: Path, size: tuple[int, int]) -> None:
    """Segment the photo at its own size, and write the map."""
    categories = vistas.read_categories(vistas.Split(root=folder, name="training"))
    drawn = predictor(categories, size)(read_image(folder / f"training/images/{PHOTO}.jpg"))
    with coco.writing(folder / "predicted.json", categories) as writer:
        writer.add(drawn, image_id=PHOTO, image_name=f"{PHOTO}.jpg")


def scored(folder: Path, _: tuple[int, int]) -> None:
    """Compare the two files."""
    score(ComparedFiles(folder / "converted/panoptic.json", folder / "predicted.json"))


def evaluated(folder: Path, size: tuple[int, int]) -> None:
    """Measure as a training does: predict, compare maps, labels and proposals."""
    dataset = PanopticDataset(data(folder))
    evaluate(predictor(dataset.categories, size), dataset)


STAGES = {
    "read": read,
    "convert": converted,
    "training step": trained,
    "predict": predicted,
    "score": scored,
    "evaluate": evaluated,
}
"""In the order in which one needs the files of the other."""


def measured(name: str, folder: Path, size: tuple[int, int]) -> tuple[Memory, float]:
    """Run a stage; give its memory and its seconds, imports left out."""
    torch.set_num_threads(2)
    began = time.perf_counter()
    memory = memory_of(partial(STAGES[name], folder, size))
    return memory, time.perf_counter() - began


def main() -> None:
    """Send a photo through all stages."""
    chosen = options(__doc__ or "")
    size, seen = (QUICK_SIZE, QUICK_INPUT) if chosen.quick else (SIZE, INPUT)
    promises, figures = [], {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        in_own_process(write, folder, size)
        print(
            f"a photo of {size[0]}x{size[1]}, of which the network sees {seen[0]}x{seen[1]}; "
            f"{THINGS + STUFF} classes"
        )
        for stage in STAGES:
            memory, seconds = in_own_process(measured, stage, folder, seen)
            print(
                f"{stage:<16} {memory.whole:7.0f} MB, {memory.increase:7.0f} above imports, "
                f"{seconds:6.1f} s"
            )
            gigabytes = memory.whole / 2**10
            promises.append(Promise(f"gigabytes of {stage}", gigabytes, GOAL, lower_is_better=True))
            figures[stage] = {**asdict(memory), "seconds": seconds}
    finish(promises, {"size": size, "input": seen, "stages": figures}, chosen.json)


if __name__ == "__main__":
    main()
