"""`jsisnet data convert`: convert a data set to another format."""

from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import Flag, Folder
from jsisnet.cli.outputs import refuse_folder_in_maps
from jsisnet.files.processes import available_cores
from jsisnet.formats.open import Format, WritableFormat, create_dataset


def convert(  # noqa: PLR0913 - one parameter per option
    *,
    source: Annotated[Format, Parameter(name="--from")],
    target: Annotated[WritableFormat, Parameter(name="--to")] = "coco",
    out: Folder,
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    crowds_as_things: Flag = False,
    recount_areas: Flag = False,
    processes: Processes = None,
) -> int:
    """Convert a data set to another format; images stay in place.

    Maps are written one by one; rerun an interrupted command to resume it. At the
    end, the command counts what the target format can't represent. Options that
    take DIR|ZIP read a zip without unpacking it.

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
        out: New folder for the maps and a JSON file of images and classes; for coco-instances,
            also a JSON file of the things.
        location: Paths of the data set.
        crowds_as_things: Take each crowd region as one thing, as brushes of labelling tools export
            every mask with iscrowd 1.
        recount_areas: Accept a JSON file whose areas differ from its PNGs.
        processes: Number of worker processes; each holds a few maps. Default: one per core.
    """
    from jsisnet.datatools import convert

    if location.images is not None and not location.images.is_dir():
        raise ValueError(f"--images {location.images}: no such folder")
    opened_source = open_source(source, location, recount_areas=recount_areas)
    if crowds_as_things:
        opened_source = convert.without_crowds(opened_source)
    refuse_folder_in_maps(location, out)
    writer = create_dataset(target, out, opened_source.categories)
    try:
        with progress("converting") as advance:
            result = convert.convert(
                opened_source,
                writer,
                processes=processes or available_cores(),
                on_image=advance,
                on_warning=say,
            )
    except (KeyboardInterrupt, SystemExit) as error:
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if result.isrepeated:
        display(f"{out}: already complete; these inputs were converted before")
    if writer.categories != opened_source.categories:
        say(f"the class ids don't fit the format; renumbered them 1 to {len(writer.categories)}")
    for what, count in result.lost.items():
        say(f"not converted: {what} ({count:,})")
    wrote = "Holds" if result.isrepeated else "Wrote"
    display(
        f"{wrote} {out / writer.index}: {len(opened_source.records):,} maps, "
        f"{len(writer.categories)} classes"
    )
    if writer.instances is not None:
        display(f"{wrote} {out / writer.instances}: the things")
    return 0
