"""`jsisnet data merge-classes`: merge classes of a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.cli.console import display, join_names, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import File, Flag, Folder
from jsisnet.cli.outputs import refuse_folder_in_maps
from jsisnet.files.processes import available_cores
from jsisnet.formats.open import Format

if TYPE_CHECKING:
    from jsisnet.datatools.join_classes import ClassMapping


def merge_classes(  # noqa: PLR0913 - one parameter per option
    *,
    source: Annotated[Format, Parameter(name=("--from", "--format"))] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    out: Folder,
    by: Literal["supercategory"] | None = None,
    mapping: File | None = None,
    only: Flag = False,
    recount_areas: Flag = False,
    processes: Processes = None,
) -> int:
    """Merge classes of a data set, and write it in COCO panoptic format.

    --mapping is a YAML file with the members of each new class; members of "void"
    become void, and classes that it does not name stay unchanged:

        vehicle: [car, truck, bus]
        nature: {members: [tree, grass, animal], isthing: false}
        void: [building]

    Stuff segments of one merged class become one segment per image, as do things
    that become stuff; other things stay separate. Rerun an interrupted command to
    resume it. Images stay in place.

    For example
        jsisnet data merge-classes --annotations panoptic_val2017.json
            --by supercategory --out merged
        jsisnet data merge-classes --annotations train.json --mapping classes.yaml
            --out merged
        jsisnet data merge-classes --from cityscapes --root gtFine_trainvaltest.zip
            --split val --mapping classes.yaml --only --out merged

    Args:
        source: Format to read.
        location: Paths of the data set.
        out: New folder for panoptic.json and the folder of its maps.
        by: Merge the classes of each supercategory, things and stuff separately.
        mapping: YAML file with the members of each new class.
        only: Turn classes that --mapping does not name into void.
        recount_areas: Accept a JSON file whose areas differ from its PNGs.
        processes: Number of worker processes; each holds a few maps. Default: one per core.
    """
    from jsisnet.datatools import convert
    from jsisnet.datatools.join_classes import map_classes
    from jsisnet.formats.coco import coco_target

    if (by is None) == (mapping is None):
        raise ValueError("give either --by supercategory or --mapping FILE")
    if only and mapping is None:
        raise ValueError("--only requires --mapping FILE")
    opened_source = open_source(source, location, recount_areas=recount_areas)
    refuse_folder_in_maps(location, out)
    mapped = _class_mapping(opened_source.categories, mapping, only=only)
    target = coco_target(out, mapped.categories)
    try:
        with progress("merging") as advance:
            result = convert.convert(
                map_classes(opened_source, mapped),
                target,
                processes=processes or available_cores(),
                on_image=advance,
            )
    except (KeyboardInterrupt, SystemExit) as error:
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    _print(opened_source.categories, mapped)
    if result.isrepeated:
        display(f"{out}: already complete; these inputs were merged before")
    wrote = "Holds" if result.isrepeated else "Wrote"
    display(
        f"{wrote} {out / target.index}: {len(opened_source.records):,} maps, "
        f"{len(mapped.categories)} classes"
    )
    return 0


def _class_mapping(categories: Categories, mapping: Path | None, *, only: bool) -> "ClassMapping":
    from jsisnet.datatools import join_classes

    if mapping is None:
        return join_classes.map_by_supercategory(categories)
    values = _read_yaml(mapping)
    try:
        return join_classes.map_by_groups(categories, join_classes.parse_groups(values), only=only)
    except ValueError as error:
        raise ValueError(f"{mapping}: {error}") from None


def _read_yaml(path: Path) -> Mapping[object, object]:
    from jsisnet import strict_yaml
    from jsisnet.files.regular import read_regular

    try:
        values = strict_yaml.parse(read_regular(path, strict_yaml.MOST_BYTES + 1))
    except OSError as error:
        raise ValueError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected names of new classes with their members")
    return values


def _print(before: Categories, mapped: "ClassMapping") -> None:
    for category in mapped.categories:
        if category.members:
            kind = "things" if category.isthing else "stuff"
            display(f"{category.name} ({kind}): {', '.join(category.members)}")
    dropped = [
        category.name
        for category, label in zip(before, mapped.labels, strict=True)
        if label == UNKNOWN
    ]
    if dropped:
        display(f"void: {join_names(dropped)}")
