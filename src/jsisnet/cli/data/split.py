"""The command that splits data sets."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, listed, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.options import File, Folder

if TYPE_CHECKING:
    from jsisnet.datatools.split import Split


def split(  # noqa: PLR0913 - the parts of a command line
    *,
    annotations: File,
    pngs: Folder | None = None,
    out: Folder,
    parts: Annotated[
        tuple[str, ...], Parameter(metavar="NAME=SHARE", consume_multiple=True, negative=())
    ],
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    group: Annotated[str | None, Parameter(metavar="REGEX")] = None,
    kind: Annotated[Literal["coco", "coco-instances"], Parameter(name="--format")] = "coco",
) -> int:
    r"""Split a COCO data set into parts that have their share of every class.

    Every image goes into one part; DIR/NAME.json and DIR/NAME, with the maps,
    are a data set of their own. Photos stay where they are, and maps are linked
    where the system can do that. Rare classes are dealt out first. If the command
    is stopped or killed, the same command goes on.

    For example
        jsisnet data split --annotations all.json --out parts
            --parts train=0.8 val=0.2
        jsisnet data split --annotations all.json --out parts
            --parts train=rest val=500 test=500 --seed 1
        jsisnet data split --annotations video.json --out parts
            --parts train=0.8 val=0.2 --group '(.*)_\d+\.png'
        jsisnet data split --format coco-instances
            --annotations instances.json --out parts --parts train=0.9 val=0.1

    Args:
        annotations: COCO JSON file.
        pngs: Folder of its PNGs. Default: named like the JSON file, beside it.
        out: New folder that receives the parts.
        parts: Names and shares: fractions that add up to 1, such as 0.8 or 1/3, or numbers of
            images; one may be "rest".
        seed: Other seeds give other parts, the same one always the same.
        group: Regular expression for the whole name of a photo. Photos with the same text in its
            brackets stay together, such as the frames of a video.
        kind: Whether the file is one of panoptic maps or of instances.
    """
    from jsisnet.datatools import split
    from jsisnet.datatools import split as splitting

    if pngs is not None and kind == "coco-instances":
        raise ValueError("--pngs means nothing to the format coco-instances")
    files = splitting.Files(annotations=annotations, pngs=pngs, kind=kind)
    way = splitting.Way(shares=split.parsed(parts), seed=seed, group=group)
    try:
        with progress("maps") as advance:
            result = splitting.split(files, out, way, on_map=advance)
    except (KeyboardInterrupt, SystemExit) as error:
        say("stopped; the same command goes on")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    _show(result)
    return 0


def _show(result: "Split") -> None:
    from jsisnet.cli.tables import table

    total = sum(part.images for part in result.parts)
    made = table("part", ">images", ">share", ">annotations", ">classes missing")
    for part in result.parts:
        numbers = f"{part.annotations:,}", f"{len(part.missing):,}"
        made.add_row(part.name, f"{part.images:,}", f"{part.images / total:.1%}", *numbers)
    display(made)
    for part in result.parts:
        if part.missing:
            display(f"{part.name} has no {listed(part.missing)}")
    if result.unseen:
        display(f"no image has {listed(result.unseen)}")
