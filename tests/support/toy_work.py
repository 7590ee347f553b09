"""Work for the processes of a server, which need no model folder."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

import jsisnet.inference.predictor as predictors
from jsisnet.serve import Work
from jsisnet.serve.segmenter import Segmenter
from toy_engine import Toy


def png(image):
    """Return an image as the content of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


GREY, BOMB = (png(np.full((4, 4, 3), color, np.uint8)) for color in (90, (0, 255, 0)))
"""Photos: one like any other, and one that kills the process if TOY_BOMB says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToyWork(Work):
    """Loads the toy engine, whose fingerprint is in the file that `model` names."""

    seconds: float = 0.0
    batch: int = 1

    def open(self):
        engine = Toy(self.seconds)
        engine.batch_size = self.batch
        with open(self.model) as file:  # noqa: PTH123 - a name
            fingerprint = file.read()
        if not fingerprint:
            raise ValueError(f"{self.model}: damaged")
        engine.fingerprint = lambda: fingerprint
        return Segmenter(predictors.Predictor(engine), self.max_pixels)
