"""`jsisnet data stats`: statistics of a data set."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from jsisnet.cli.console import display, progress, say, write_json
from jsisnet.cli.data.anchors import display_anchors, measure_anchors, read_network
from jsisnet.cli.location import LocationOptions, Processes, SkippedImages, open_skipping
from jsisnet.cli.options import Flag, Folder, JsonFile
from jsisnet.cli.outputs import refuse_to_replace_data
from jsisnet.cli.tables import NONE, table
from jsisnet.files.processes import available_cores
from jsisnet.formats.open import Format
from jsisnet.formats.records import Source, describe_swapped, istransposed

if TYPE_CHECKING:
    from jsisnet.datatools.statistics import Statistics

_PAGE = "index.html"
"""File name of the page in its folder."""


def stats(  # noqa: PLR0913 - each an option
    *,
    kind: Annotated[Format, Parameter(name="--format")] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    out: Folder | None = None,
    json: JsonFile | None = None,
    anchors: Annotated[str | None, Parameter(metavar="CONFIG|MODEL")] = None,
    recount_areas: Flag = False,
    processes: Processes = None,
) -> int:
    """Print statistics of a data set and of each of its classes.

    As in COCO, things are small below 32² pixels and large from 96² pixels on. Crowd
    regions are counted separately from segments; their pixels count for their class.

    --out writes an HTML page with charts, a sortable table and, with --images,
    examples of every class.

    --anchors measures how many things the anchors of a network reach: those that
    have an IoU of at least 0.5 with an anchor at the size of the network's input.
    It prints sizes and ratios that reach more; `jsisnet train --train.fit-anchors`
    fits them in the same way.

    For example
        jsisnet data stats --annotations panoptic_val2017.json
        jsisnet data stats --annotations panoptic_val2017.json --images val2017
            --out stats --json stats.json
        jsisnet data stats --format cityscapes --root gtFine_trainvaltest.zip
            --split val
        jsisnet data stats --annotations panoptic_val2017.json --anchors lite.yaml

    Args:
        kind: Format of the data set.
        location: Paths of the data set.
        out: Folder for the page, index.html.
        json: JSON file to write (- for standard output): all numbers.
        anchors: YAML file of a training or a model, whose anchors are measured on the data.
        recount_areas: Accept a JSON file whose areas differ from its PNGs.
        processes: Number of worker processes; each holds a map. Default: one per core.
    """
    from jsisnet.datatools.statistics import statistics

    network = None if anchors is None else read_network(anchors)
    page = None if out is None else out / _PAGE
    source = open_skipping(kind, location, recount_areas=recount_areas)
    refuse_to_replace_data(location, [path for path in (page, json) if path is not None])
    shared = processes or available_cores()
    skipped = SkippedImages()
    with progress("reading") as advance:
        found = statistics(
            source,
            processes=shared,
            on_image=advance,
            on_error=skipped.add if location.keep_going else None,
        )
    source = skipped.without(source)
    summary = found.summary()
    _tell_swapped(source, found)
    if network is not None:
        summary["anchors"] = {"network": anchors, **measure_anchors(network, source, shared)}
    if json is not None:
        write_json(summary, json)
    _print(summary)
    if network is not None:
        display_anchors(summary["anchors"])
    if page is not None:
        from jsisnet.visualize.report.data_page import write

        with progress("examples") as advance:
            errors = write(
                page,
                found,
                source,
                title=_title(location),
                processes=shared,
                on_image=advance,
            )
        if errors:
            what = "image" if len(errors) == 1 else "images"
            say(f"{len(errors):,} {what} can't be shown, such as: {errors[0]}")
        display(f"Wrote {page}")
    return skipped.report()


def _tell_swapped(source: Source, found: "Statistics") -> None:
    sizes = zip(found.heights.tolist(), found.widths.tolist(), strict=True)
    swapped = [
        record.name
        for record, size in zip(source.records, sizes, strict=True)
        if istransposed(record.size, size)
    ]
    if swapped:
        say(describe_swapped(swapped, len(source.records)))


def _title(location: LocationOptions) -> str:
    """Return the name of a data set: that of its main file or folder, and its split."""
    name = location.paths[0].resolve().name
    return " ".join(filter(None, (name, location.split)))


def _print(summary: Mapping[str, Any]) -> None:
    classes = summary["classes"]
    seen = [row for row in classes if row["images"]]
    things = sorted((row for row in seen if row["isthing"]), key=_most_frequent_first)
    stuff = sorted((row for row in seen if not row["isthing"]), key=lambda row: -row["pixels"])
    display(_whole(summary), *_sentences(summary), "")
    if things:
        display(_of_things(things))
    if stuff:
        display(_of_stuff(stuff))
    if summary["never_seen"]:
        names = ", ".join(summary["never_seen"])
        display(f"unused classes: {len(summary['never_seen'])} of {len(classes)}: {names}")


def _most_frequent_first(row: Mapping[str, Any]) -> tuple[int, int]:
    return -row["segments"], -row["pixels"]


def _whole(summary: Mapping[str, Any]) -> Table:
    rich_table = table(f"images: {summary['images']:,}", ">lowest", ">median", ">mean", ">highest")
    for name, title in (
        ("height", "height"),
        ("width", "width"),
        ("segments_per_image", "segments per image"),
        ("things_per_image", "things per image"),
    ):
        spread = summary[name]
        figures = (_number(spread[each]) for each in ("lowest", "median", "mean", "highest"))
        rich_table.add_row(title, *figures)
    return rich_table


def _sentences(summary: Mapping[str, Any]) -> tuple[str, str]:
    sizes = ", ".join(f"{count:,} {size}" for size, count in summary["thing_sizes"].items())
    return (
        f"segments: {summary['segments']:,}; things: {summary['things']:,} ({sizes}); "
        f"crowds: {summary['crowds']:,}",
        f"void: {_percent(summary['void'])} % of the pixels; "
        f"images without things: {summary['images_without_things']:,}",
    )


def _of_things(rows: Sequence[Mapping[str, Any]]) -> Table:
    sizes = ("small", "medium", "large")
    names = (">images", ">things", ">crowds", ">pixels %", *(f">{size}" for size in sizes))
    rich_table = table("thing", *names, ">median area")
    for row in rows:
        counts = (row["images"], row["segments"], row["crowds"])
        parts = (_number(row[size]) for size in sizes)
        area = _number(row["median_area"], 0)
        rich_table.add_row(row["name"], *map(_number, counts), _percent(row["share"]), *parts, area)
    return rich_table


def _of_stuff(rows: Sequence[Mapping[str, Any]]) -> Table:
    rich_table = table("stuff", ">images", ">pixels %", ">median area", ">% of image")
    for row in rows:
        rich_table.add_row(
            row["name"],
            _number(row["images"]),
            _percent(row["share"]),
            _number(row["median_area"], 0),
            _percent(row["median_share"]),
        )
    return rich_table


def _number(value: int | float | None, digits: int = 1) -> str:
    if value is None:
        return NONE
    return f"{value:,.{digits}f}".removesuffix(".0")


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"
