"""An engine that runs at once and without PyTorch, also in processes of its own."""

import logging
import os
import time
from types import MappingProxyType

import numpy as np

import factories
from jsisnet.inference.engine import EngineUnavailableError
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.panoptic import PanopticMap, Segment
from jsisnet.settings import from_dict, joined

SKY, ROAD = (factories.CATEGORIES.stuff_labels[i] for i in (0, 1))
CAR = factories.CATEGORIES.thing_labels[0]


class Toy:
    """A network for 8 x 8 pixels: sky above, road below, and a car where the photo is red.

    A photo whose first pixel is pure green kills the process, if the environment variable TOY_BOMB
    names a file that does not exist yet, which it creates, or is "always".
    """

    name, device, batch_size = "toy", "cpu", 2
    predicts = frozenset(["panoptic"])
    categories = factories.CATEGORIES

    def __init__(self, seconds=0.0, settings=MappingProxyType({})):
        self.seconds = seconds
        self.config = from_dict(PredictionConfig, joined({"size": [8, 8]}, settings), source="toy")

    def __call__(self, images, extras=None):  # noqa: ARG002 - it has nothing else to say
        time.sleep(self.seconds * len(images))
        return [self._map(image) for image in images]

    def fingerprint(self):
        return "toy"

    def _map(self, image):
        if tuple(image[0, 0]) == (0, 255, 0):
            _explode(os.environ.get("TOY_BOMB", ""))
        ids = np.ones(image.shape[:2], np.int32)
        ids[4:] = 2
        red = (image[..., 0] > 128) & (image[..., 1] < 128)
        ids[red] = 3
        segments = [Segment(label=label, isthing=False) for label in (SKY, ROAD)]
        return PanopticMap.compact(ids, [*segments, Segment(label=CAR, isthing=True, score=0.75)])


class Chatty(Toy):
    """A toy that logs that it runs."""

    def _map(self, image):
        logging.getLogger(__name__).warning("a toy is %s", "running")
        return super()._map(image)


def _explode(bomb):
    if bomb == "always":
        os._exit(9)
    if bomb and not os.path.exists(bomb):  # noqa: PTH110 - a name from the environment
        open(bomb, "w").close()  # noqa: PTH123
        os._exit(9)


def open_toy(model, options):
    """Open ``toy``, or ``toy-0.1``, which takes 0.1 seconds for an image."""
    name, _, seconds = str(model).partition("-")
    if name != "toy":
        raise EngineUnavailableError("it knows toy only")
    return Toy(float(seconds or 0), options.settings)


def write_package(folder):
    """Write a package that offers the engine to a process whose path the folder is on."""
    info = folder / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jsisnet.engines]\ntoy = toy_engine:open_toy\n")
