"""`jsisnet pseudo-label`: fill what a data set does not label with a model's predictions."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import Flag, Folder, RunOptions
from jsisnet.cli.outputs import refuse_folder_in_maps
from jsisnet.formats.open import Format

if TYPE_CHECKING:
    from jsisnet.formats.records import Source

_Fraction = Annotated[float, Parameter(metavar="X", validator=validators.Number(gte=0, lte=1))]


def pseudo_label(  # noqa: PLR0913 - one parameter per option
    model: Annotated[str, Parameter(name="MODEL")],
    /,
    *,
    kind: Annotated[Format | None, Parameter(name="--format")] = None,
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    out: Folder,
    min_score: _Fraction = 0.7,
    min_probability: _Fraction = 0.8,
    min_area: _Fraction = 0.002,
    recount_areas: Flag = False,
    processes: Processes = None,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> int:
    """Fill what a data set does not label with a model's confident predictions.

    Writes a COCO panoptic data set in the classes of the model, which training
    takes as more data. Truth wins over predictions, and classes that the data set
    labels are not filled; unsure pixels stay void. Filled segments have "pseudo":
    true and a score in the JSON file. Photos stay in place. Rerun an interrupted
    command to resume it.

    For example
        jsisnet pseudo-label coco --images holiday --out filled
        jsisnet pseudo-label runs/mine --format coco-instances --images train2017
          --annotations instances_train2017.json --out filled --min-probability 0.9

    Args:
        model: Built-in model (coco, street), the folder of a model or training run, or user/model
            on a hub.
        kind: Format of the data set. Default: none, for the photos in --images; vistas if
            --annotations is a folder, and coco if it is a file.
        location: Where the data set is.
        out: New folder for panoptic.json and the maps.
        min_score: Lowest score of a thing, 0 to 1.
        min_probability: Lowest probability of the class of a pixel of stuff.
        min_area: Smallest area of a filled segment, as a part of the image.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        processes: Number of worker processes, each with a network of one thread. Default: one
            process with all threads.
        run: How the network runs.
    """
    from jsisnet.datatools import convert
    from jsisnet.inference import pseudo_labels

    if location.images is not None and not location.images.is_dir():
        raise ValueError(f"--images {location.images}: no such folder")
    name = pseudo_labels.ModelName(
        model=model,
        engine=run.engine,
        device=run.device,
        threads=run.threads,
        precision=run.precision,
    )
    config = pseudo_labels.PseudoConfig(
        min_score=min_score, min_probability=min_probability, min_area=min_area
    )
    source = _source(kind, location, recount_areas=recount_areas)
    filled = pseudo_labels.pseudo_labelled(source, name, config)
    refuse_folder_in_maps(location, out)
    target = pseudo_labels.pseudo_target(out, filled.categories)
    try:
        with progress("labelling") as advance:
            result = convert.convert(
                filled, target, processes=processes or 1, on_image=advance, on_warning=say
            )
    except (KeyboardInterrupt, SystemExit) as error:
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if result.isrepeated:
        display(f"{out}: already complete; these inputs were labelled before")
    wrote = "Holds" if result.isrepeated else "Wrote"
    display(f"{wrote} {out / target.index}: {len(filled.records):,} maps")
    return 0


def _source(kind: Format | None, location: LocationOptions, *, recount_areas: bool) -> "Source":
    """Open the data set, or the photos without annotations."""
    from jsisnet.inference.pseudo_labels import unlabelled

    if kind is None and location.annotations is None and location.root is None:
        if location.images is None:
            raise ValueError("--images is required: the folder of the photos")
        others = [path for path in location.paths if path != location.images]
        if others:
            raise ValueError(f"{others[0]}: give --format, the format of the data set")
        return unlabelled(location.images)
    if kind is None:
        isfolder = location.annotations is not None and location.annotations.is_dir()
        kind = "vistas" if isfolder else "coco"
    source = open_source(kind, location, recount_areas=recount_areas)
    if source.records and source.records[0].image is None:
        raise ValueError("--images is required: the folder of the photos")
    return source
