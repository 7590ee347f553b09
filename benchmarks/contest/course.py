"""What all contestants have in common: photos, augmentation, and the loop that trains them."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jsisnet.categories import Categories
from jsisnet.data.sample import Batch, collate
from jsisnet.data.sources import Sources
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig
from jsisnet.evaluation import PanopticQuality, count_matches
from jsisnet.evaluation.panoptic_quality import summary
from jsisnet.files.atomic import replacing
from jsisnet.formats import DataConfig, PanopticDataset, Sample
from jsisnet.panoptic import PanopticMap
from jsisnet.training.loop import Average
from jsisnet.training.optim import set_learning_rate

WARMUP = 20
"""Steps in which the learning rate rises."""

DECAY = 0.997
"""Decay of the moving average of the weights, which is what is measured."""

POWER = 0.9
"""Exponent of the learning rate's polynomial decay, by the CPU time that is used up."""

MIN_SCORES, MIN_STUFF = (0.3, 0.5, 0.7), (1000, 4096)
"""Scores of things and smallest areas of stuff, in pixels of the photo, that are tried of networks
with the paper's kind of merge."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """Photos to train on, photos to measure with, and how the former are varied."""

    images: Path
    annotations: Path
    """JSON file in COCO panoptic format of the photos to train on; its maps lie in `pngs`."""

    held_out: Path
    """JSON file of the photos to measure with."""

    pngs: Path

    size: tuple[int, int] = (256, 352)
    """Height and width of all networks' input."""

    batch: int = 4
    seconds: float = 500.0
    """CPU time of a training."""

    photos: int | None = None
    """Number of photos that are measured; ``None`` for all."""

    def _data(self, annotations: Path, *, cache: bool) -> DataConfig:
        return DataConfig(
            images=str(self.images), annotations=str(annotations), pngs=str(self.pngs), cache=cache
        )

    @cached_property
    def samples(self) -> Sources:
        """The photos to train on."""
        return Sources((self._data(self.annotations, cache=True),))

    @property
    def categories(self) -> Categories:
        """Their classes."""
        return self.samples.categories

    def batches(self, seed: int) -> Iterator[Batch]:
        """Yield the batches of a training; all contestants see the same ones."""
        variation = TransformConfig(
            size=self.size,
            min_scale=0.7,
            max_scale=2.0,
            brightness=0.3,
            contrast=0.3,
            saturation=0.3,
            hue=0.05,
        )
        stream = Stream(self.samples, variation, seed=seed)
        position = 0
        while True:
            yield collate([stream[position + number] for number in range(self.batch)])
            position += self.batch

    def measured(self) -> Iterator[Sample]:
        """Yield the photos that no contestant has been trained on."""
        photos = PanopticDataset(self._data(self.held_out, cache=False), self.categories)
        count = len(photos) if self.photos is None else min(self.photos, len(photos))
        for index in range(count):
            yield photos[index]


def leave_out(annotations: Path, prefix: str, folder: Path) -> tuple[Path, Path]:
    """Write the annotations of the photos whose names begin with a prefix, and of all others.

    Returns:
        The file of the others, and that of the photos that are left out.

    Raises:
        ValueError: If no photo or every photo is left out.
    """
    given = json.loads(annotations.read_text(encoding="utf-8"))
    paths = folder / "train.json", folder / "held_out.json"
    for path, wanted in zip(paths, (False, True), strict=True):
        images = [
            image
            for image in given["images"]
            if Path(image["file_name"]).name.startswith(prefix) == wanted
        ]
        if not images:
            raise ValueError(f"{annotations}: {'no' if wanted else 'every'} photo is a {prefix}*")
        numbers = {image["id"] for image in images}
        kept = [entry for entry in given["annotations"] if entry["image_id"] in numbers]
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({**given, "images": images, "annotations": kept}))
    return paths


class Contestant(Protocol):
    """A network, how it is trained, and how its predictions become a map."""

    network: nn.Module
    max_gradient: float
    """Norm at which gradients are clipped."""

    def optimizer(self) -> torch.optim.Optimizer:
        """Return its optimiser, whose groups have an ``initial_lr``."""

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""

    def segment(self, image: np.ndarray) -> dict[str, PanopticMap]:
        """Segment a photo of any size with each of the thresholds that are tried, by name."""


Build = Callable[[Course], Contestant]
"""Function that builds a contestant with ImageNet's weights, initialised by PyTorch's seed."""


def run(build: Build, course: Course, seed: int, weights: Path) -> dict[str, object]:
    """Train a contestant for the course's CPU time in one thread, and measure it.

    Args:
        build: What builds the contestant.
        course: Photos and time.
        seed: Number that decides initial weights and batches.
        weights: File that keeps what was trained; if it is there, the contestant is only measured.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    contestant = build(course)
    if not weights.is_file():
        steps, seconds = _train(contestant, course, seed)
        state = contestant.network.state_dict()
        with replacing(weights) as temporary:
            torch.save({"steps": steps, "seconds": seconds, "state": state}, temporary)
    trained = torch.load(weights, weights_only=True)
    contestant.network.load_state_dict(trained["state"])
    contestant.network.eval()
    return {
        "steps": trained["steps"],
        "seconds": trained["seconds"],
        "parameters": sum(weight.numel() for weight in contestant.network.parameters()),
        **_measure(contestant, course),
    }


def _train(contestant: Contestant, course: Course, seed: int) -> tuple[int, float]:
    """Train until the time is used up, and return the number of steps and the time."""
    network, optimizer = contestant.network, contestant.optimizer()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    average = Average(network, DECAY)
    network.train()
    began, used = time.process_time(), 0.0
    for step, batch in enumerate(course.batches(seed)):
        rate = (1 - used / course.seconds) ** POWER * min(1.0, (step + 1) / WARMUP)
        set_learning_rate(optimizer, rate)
        contestant.loss(batch).backward()
        nn.utils.clip_grad_norm_(weights, contestant.max_gradient, error_if_nonfinite=True)
        optimizer.step()
        optimizer.zero_grad()
        average.update(network, step)
        used = time.process_time() - began
        if used >= course.seconds:
            break
    network.load_state_dict(average.state)
    return step + 1, used


@torch.inference_mode()
def _measure(contestant: Contestant, course: Course) -> dict[str, object]:
    """Measure a contestant with the best of the thresholds that it tries."""
    categories, began = course.categories, time.process_time()
    number, photos = len(categories), 0
    quality: dict[str, PanopticQuality] = {}
    for sample in course.measured():
        photos += 1
        for name, found in contestant.segment(sample.image).items():
            counted = count_matches(sample.panoptic, found, number)
            quality[name] = quality.get(name, PanopticQuality.zero(number)) + counted
    best = max(quality, key=lambda name: quality[name].mean().pq)
    return {
        "thresholds": best,
        "photos": photos,
        "seconds a photo": (time.process_time() - began) / photos,
        **summary(quality[best], categories),
    }
