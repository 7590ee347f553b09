"""`jsisnet data generate`: generate a synthetic data set."""

import re
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import Folder

Count = Annotated[int, Parameter(metavar="NUMBER")]
"""Integer option."""


def generate(
    *,
    out: Folder,
    train: Count = 200,
    val: Count = 40,
    size: Annotated[str, Parameter(metavar="HEIGHTxWIDTH")] = "128x192",
    seed: Count = 0,
) -> None:
    """Generate a synthetic data set of simple scenes with panoptic maps.

    Balls, crates, rings, stars and trees stand in front of sky, mountains, water,
    grass, sand and roads. Some scenes have a crowd region, or a lamp post, which
    has no class and is void. The data set is in COCO panoptic format:

        DIR/train/  DIR/panoptic_train.json  DIR/panoptic_train/
        DIR/val/    DIR/panoptic_val.json    DIR/panoptic_val/

    A scene depends only on the seed, the size and its number. Rerun the same command
    to resume, or with larger numbers to add scenes.

    For example
        jsisnet data generate --out scenes
        jsisnet data generate --out large --train 2000 --val 200 --size 480x640

    Args:
        out: Folder to write to: new, empty, or generated before with the same seed and size.
        train: Number of training scenes.
        val: Number of validation scenes.
        size: Height and width of the images in pixels.
        seed: Seed of the scenes.
    """
    from jsisnet.datatools.scenes.dataset import write_scenes

    with progress("scenes") as advance:
        write_scenes(out, (train, val), _size(size), seed=seed, on_scene=advance)
    display(f"Wrote {train} training and {val} validation scenes to {out}")


def _size(value: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,9})x(\d{1,9})", value)
    if sides is None:
        raise ValueError(f"--size {value!r}: expected HEIGHTxWIDTH, such as 128x192")
    return int(sides[1]), int(sides[2])
