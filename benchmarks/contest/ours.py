"""JSIS-Net, with the methods of a preset."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from contest.course import MIN_SCORES, MIN_STUFF, Build, Contestant, Course
from jsisnet.data.sample import Batch
from jsisnet.inference.predictor import Predictor
from jsisnet.model import imagenet, saved_model
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig
from jsisnet.panoptic import PanopticMap
from jsisnet.training.config import read_config
from jsisnet.training.objective import Objective
from jsisnet.training.optim import optimizer

FOLDER = Path(__file__).parent
"""Folder of the settings."""


class Ours:
    """One of our networks, trained with our objective."""

    def __init__(self, course: Course, settings: str) -> None:
        """Build the network that a file of settings beside this one describes."""
        config = read_config(FOLDER / settings)
        self.config, self.categories, self.size = config, course.categories, course.size
        self.max_gradient = config.optim.max_gradient
        self.network = JSISNet(config.network, course.categories)
        name = config.network.trunk.name
        self.network.load_imagenet(imagenet.read(name, "imagenet"))
        self.objective = Objective(self.network, config.objective)
        self.predictor: Predictor | None = None

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of the settings."""
        return optimizer(self.network, self.config.optim, self.config.objective.weights.l2)

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the seven terms."""
        total: Tensor = self.objective(batch).total()
        return total

    def segment(self, image: np.ndarray) -> dict[str, PanopticMap]:
        """Segment a photo with each pair of thresholds."""
        if self.predictor is None:
            self.predictor = self._predictor()
        predictor, size = self.predictor, (image.shape[0], image.shape[1])
        outputs = predictor.outputs_from(image, min(MIN_SCORES))
        return {
            f"{score}, {area}": predictor.merge(
                outputs, size, replace(self.config.merge, min_score=score, min_stuff_area=area)
            )
            for score in MIN_SCORES
            for area in MIN_STUFF
        }

    def _predictor(self) -> Predictor:
        config = ModelConfig(size=self.size, network=self.config.network, merge=self.config.merge)
        with TemporaryDirectory() as folder:
            saved_model.write(
                Path(folder), config, self.categories, dict(self.network.state_dict())
            )
            return Predictor(folder, engine="torch", threads=1)


def ours(settings: str) -> Build:
    """Return what builds the network of a file of settings."""
    return partial(_ours, settings)


def _ours(settings: str, course: Course) -> Contestant:
    return Ours(course, settings)
