"""The command that brings data sets from one format to another."""

import os
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import Folder
from jsisnet.cli.outputs import refuse_folder_in_maps
from jsisnet.formats.open import Format, WritableFormat, create_dataset


def convert(
    *,
    source: Annotated[Format, Parameter(name="--from")],
    target: Annotated[WritableFormat, Parameter(name="--to")] = "coco",
    out: Folder,
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    processes: Processes = None,
) -> int:
    """Write a data set in another format; photos stay where they are.

    Every map is kept as soon as it is done: if the command is stopped or killed,
    the same command goes on. What a format can't hold is counted at the end.
    Where DIR|ZIP is expected, a zip is read as it is.

    For example
        jsisnet data convert --from vistas --root vistas --split training
            --version 2.0 --out converted
        jsisnet data convert --from cityscapes --root gtFine_trainvaltest.zip
            --split val --out converted
        jsisnet data convert --from two-channel --pngs maps
            --categories categories.json --images photos --out converted
        jsisnet data convert --from semantic-instance --semantic classes
            --instances things --categories categories.json --out converted
        jsisnet data convert --from coco-instances
            --annotations instances_val2017.json --out converted
        jsisnet data convert --from coco-instances --annotations instances.json
            --semantic classes --categories classes.json --out converted
        jsisnet data convert --from coco --annotations panoptic_val2017.json
            --to two-channel --out converted

    Args:
        source: Format to read.
        target: Format to write.
        out: New folder that receives the maps, and a JSON file with images and classes;
            of coco-instances, a second one with images, things and their classes.
        location: Where the data set is.
        processes: How many share the work; each holds a few maps. Default: one per core.
    """
    from jsisnet.datatools import convert

    opened_source = open_source(source, location)
    refuse_folder_in_maps(location, out)
    writer = create_dataset(target, out, opened_source.categories)
    try:
        with progress("maps") as advance:
            lost = convert.convert(
                opened_source, writer, processes=processes or os.cpu_count() or 1, on_image=advance
            )
    except (KeyboardInterrupt, SystemExit) as error:
        say("stopped; the same command goes on with the maps that are left")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if writer.categories != opened_source.categories:
        say(f"the ids of the classes don't fit; they became 1 to {len(writer.categories)}")
    for what, count in lost.items():
        say(f"not carried over: {what} ({count:,})")
    display(
        f"{out / writer.index} lists {len(opened_source.records):,} maps of "
        f"{len(writer.categories)} classes"
    )
    if writer.instances is not None:
        display(f"{out / writer.instances} lists their things")
    return 0
