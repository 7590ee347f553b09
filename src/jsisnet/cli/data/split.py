"""`jsisnet data split`: split a COCO data set."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, join_names, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.options import File, Folder

if TYPE_CHECKING:
    from jsisnet.datatools.split import SplitSummary


def split(  # noqa: PLR0913 - one parameter per option
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
    r"""Split a COCO data set, stratified by class.

    Each part gets its share of every class, rare classes first, and each image goes
    into exactly one part. DIR/NAME.json and the maps in DIR/NAME are a complete data
    set. Images stay in place, and maps are hard-linked where possible. Rerun an
    interrupted command to resume it.

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
        pngs: PNGs of the annotations. Default: the folder next to the JSON file, with its name.
        out: New folder for the parts.
        parts: Names and sizes: fractions that add up to 1, such as 0.8 or 1/3, or numbers of
            images; one may be "rest".
        seed: Seed of the split.
        group: Regular expression for the whole file name of an image. Images whose capture groups
            match the same string stay together, such as the frames of a video.
        kind: Whether the annotations are panoptic or instances.
    """
    from jsisnet.datatools import split as splitting
    from jsisnet.datatools.parts import Files

    if pngs is not None and kind == "coco-instances":
        raise ValueError("--pngs applies only to the format coco, not to coco-instances")
    files = Files(annotations=annotations, pngs=pngs, kind=kind)
    config = splitting.SplitConfig(shares=splitting.parse_shares(parts), seed=seed, group=group)
    try:
        with progress("splitting") as advance:
            result = splitting.split(files, out, config, on_map=advance)
    except (KeyboardInterrupt, SystemExit) as error:
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    _print(result, out)
    return 0


def _print(result: "SplitSummary", out: Folder) -> None:
    from jsisnet.cli.tables import table

    total = sum(part.images for part in result.parts)
    rich_table = table("part", ">images", ">share", ">annotations", ">classes missing")
    for part in result.parts:
        numbers = f"{part.annotations:,}", f"{len(part.missing):,}"
        rich_table.add_row(part.name, f"{part.images:,}", f"{part.images / total:.1%}", *numbers)
    display(rich_table, f"Wrote the parts to {out}")
    for part in result.parts:
        if part.missing:
            display(f"{part.name} lacks {join_names(part.missing)}")
    if result.unseen:
        display(f"no image shows {join_names(result.unseen)}")
