"""Files of what the branches of a network predict, before the merge; `jsisnet merge` reads them."""

from pathlib import Path

import numpy as np

from jsisnet.arrays import Shaped
from jsisnet.categories import Categories
from jsisnet.files import json_fields
from jsisnet.files.atomic import replacing
from jsisnet.formats.predictions import LOGITS
from jsisnet.inference.engine import Engine, Outputs
from jsisnet.panoptic import PanopticMap

IMAGES = "images.json"
"""Name of the list of the images and classes, which is what ``--image-info`` takes."""

NOTE = ".branches.json"
"""Name of the note of the files that were written; see `WrittenFiles`."""


def check_branches(engine: Engine) -> None:
    """Check that a network has branches whose predictions can be written.

    Raises:
        ValueError: If it predicts panoptic maps at once.
    """
    if not engine.predicts & {"semantic", "instances"}:
        raise ValueError(
            f"the engine {engine.name} predicts panoptic maps at once; expected a network with a "
            "semantic or an instance branch to write raw outputs of"
        )


def branch_file(image_name: str) -> str:
    """Return the path of the file of an image, that of the photo with ``.npz``."""
    return Path(image_name).with_suffix(".npz").as_posix()


def write_branches(
    outputs: Outputs | PanopticMap,
    folder: Path,
    image_name: str,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    categories: Categories,
) -> None:
    """Write the predictions of the branches for one image to an ``.npz`` file.

    The arrays are ``boxes``, ``category_ids``, ``scores`` and ``masks`` of the instance branch, and
    ``logits`` of the semantic branch; those of a branch that is missing are left out.

    Args:
        outputs: What the branches predict.
        folder: Folder to write to.
        image_name: Path of the photo in its folder; the file has the same path with ``.npz``.
        frame: Height and width of the network's input.
        size: Height and width of the image; the boxes are in its pixels.
        categories: Classes of the labels.

    Raises:
        ValueError: If the outputs are a panoptic map, or the name leads out of the folder.
    """
    if isinstance(outputs, PanopticMap):
        raise ValueError("the network predicts panoptic maps at once, so there are no branches")
    arrays: dict[str, Shaped[np.ndarray, ...]] = {}
    if outputs.semantic is not None:
        arrays[LOGITS] = outputs.semantic
    if outputs.instances is not None:
        things = outputs.instances
        vertical, horizontal = size[0] / frame[0], size[1] / frame[1]
        stretch = np.array([horizontal, vertical, horizontal, vertical], np.float32)
        arrays["boxes"] = things.boxes.astype(np.float32) * stretch
        arrays["category_ids"] = np.array([categories[i].id for i in things.labels.tolist()])
        arrays["scores"], arrays["masks"] = things.scores, things.masks
    name = branch_file(image_name)
    path = json_fields.path_in(folder, {"file_name": name}, "file_name")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
