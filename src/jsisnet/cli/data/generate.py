"""Command that draws a data set."""

import re
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import Folder

Count = Annotated[int, Parameter(metavar="NUMBER")]
"""A number of things."""


def generate(
    *,
    out: Folder,
    train: Count = 200,
    val: Count = 40,
    size: Annotated[str, Parameter(metavar="HEIGHTxWIDTH")] = "128x192",
    seed: Count = 0,
) -> None:
    """Draw scenes with their panoptic maps, to train on and to try things with.

    Balls, crates, rings, stars and trees stand before sky, mountains, water,
    grass, sand and roads. Now and then there is a crowd, or a lamp post, which is
    of no class. Photos and maps are in COCO's panoptic format:

        DIR/train/  DIR/panoptic_train.json  DIR/panoptic_train/
        DIR/val/    DIR/panoptic_val.json    DIR/panoptic_val/

    A scene depends on seed, size and its number alone. Whoever was stopped calls
    the same again, and whoever wants more scenes raises the numbers.

    For example
        jsisnet data generate --out scenes
        jsisnet data generate --out large --train 2000 --val 200 --size 480x640

    Args:
        out: Folder to write to, new, empty, or of the same seed and size.
        train: Number of scenes to train on.
        val: Number of scenes to validate on.
        size: Height and width of the photos in pixels.
        seed: Another one gives other scenes.
    """
    from jsisnet.datatools.scenes.dataset import write_scenes

    with progress("scenes") as advance:
        write_scenes(out, (train, val), _size(size), seed=seed, on_scene=advance)
    display(f"{train} scenes to train on and {val} to validate on are in {out}")


def _size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if sides is None:
        raise ValueError(f"--size is {text!r}; expected a height and a width, such as 128x192")
    return int(sides[1]), int(sides[2])
