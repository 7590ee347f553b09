"""`jsisnet compare`: compare two results image by image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, write_csv, write_json
from jsisnet.cli.options import File, Flag, JsonFile
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.tables import BRANCHES, NONE, table

if TYPE_CHECKING:
    from rich.table import Table

_GROUPS = ("all", "things", "stuff")
_QUALITIES = ("pq", "sq", "rq")
_PARTS = ("a", "b", "difference", "low", "high", "better", "clear")

_COLUMNS = (
    *("name", "kind", "images"),
    *(f"{quality}_{part}" for quality in _QUALITIES for part in _PARTS),
)
"""Columns of the CSV file."""

_FIGURES = BRANCHES | {"boundary_pq": "boundary PQ"}
"""Figures that are not per class, by key, and their titles."""


def compare(  # noqa: PLR0913 - one parameter per option
    a: Annotated[Path, Parameter(name="A")],
    b: Annotated[Path, Parameter(name="B")],
    /,
    *,
    samples: Annotated[int, Parameter(validator=validators.Number(gte=100))] = 1000,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    common: Flag = False,
    top: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 10,
    json: JsonFile | None = None,
    csv: File | None = None,
) -> None:
    """Compare two results: differences between A and B, with confidence intervals.

    A and B are JSON files that `jsisnet score` or `jsisnet evaluate` has written
    for the same images.

    Differences are B - A, with a 95 % bootstrap interval: images are resampled with
    replacement, the same ones for both results. "B higher" is the share of samples
    in which B is better. Classes in fewer than 6 images have no interval.

    For example
        jsisnet compare before.json after.json
        jsisnet compare before.json after.json --top 20 --csv differences.csv

    Args:
        a: JSON file of result A.
        b: JSON file of result B, with the same classes, ground truth and rules.
        samples: Number of bootstrap samples.
        seed: Bootstrap seed.
        common: Compare the images that both results have; by default any other image is an error.
        top: Number of images to print, those with the largest differences.
        json: JSON file to write (- for standard output): all numbers, also for each image, as
            percentages.
        csv: CSV file to write, with a row per class, and rows for all, things and stuff.
    """
    from jsisnet.evaluation.compare import compare_results

    refuse_to_replace([a, b], [file for file in (json, csv) if file is not None])
    result = compare_results(a, b, common=common, samples=samples, seed=seed).summary()
    _print(result, top)
    if json is not None:
        write_json(result, json)
    if csv is not None:
        write_csv(_rows(result), _COLUMNS, csv)


def _print(result: Mapping[str, Any], top: int) -> None:
    display(_classes(result))
    changed = [row for row in result["images"] if row["difference"]]
    if changed[:top]:
        display(_images(changed[:top]))
    if result["figures"]:
        display(_figures(result))
    display(_groups(result))
    display(
        f"A: {result['a']}",
        f"B: {result['b']}",
        f"Compared {len(result['images'])} images with {result['samples']} bootstrap samples; "
        "* marks intervals that exclude 0 (1 in 20 does so by chance)",
    )


def _groups(result: Mapping[str, Any]) -> "Table":
    rich_table = table("", "", ">A", ">B", ">B - A", ">95 % interval", "", ">B higher, %")
    for group in _GROUPS:
        for quality in _QUALITIES:
            title = group.capitalize() if quality == _QUALITIES[0] else ""
            rich_table.add_row(title, quality.upper(), *_cells(result[group][quality]))
    return rich_table


def _classes(result: Mapping[str, Any]) -> "Table":
    rich_table = table(
        "class",
        "kind",
        ">images",
        ">PQ of A",
        ">of B",
        ">B - A",
        ">95 % interval",
        "",
        ">B higher, %",
    )
    for row in result["classes"]:
        rich_table.add_row(row["name"], _kind(row), str(row["images"]), *_cells(row["pq"]))
    return rich_table


def _images(rows: Sequence[Mapping[str, Any]]) -> "Table":
    rich_table = table("image", ">PQ of A", ">of B", ">B - A")
    for row in rows:
        rich_table.add_row(str(row["image_id"]), *_values(row))
    return rich_table


def _figures(result: Mapping[str, Any]) -> "Table":
    rich_table = table("", ">A", ">B", ">B - A")
    for name, row in result["figures"].items():
        rich_table.add_row(_FIGURES[name], *_values(row))
    return rich_table


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a figure: A, B, difference, interval, mark and share of B higher."""
    if row["low"] is None:
        return [*_values(row), NONE, "", NONE]
    interval = f"{row['low']:+.2f} to {row['high']:+.2f}"
    return [*_values(row), interval, "*" if row["clear"] else "", f"{row['better']:.0f}"]


def _values(row: Mapping[str, Any]) -> list[str]:
    a, b, difference = (row[part] for part in ("a", "b", "difference"))
    values = [NONE if value is None else f"{value:.2f}" for value in (a, b)]
    return [*values, NONE if difference is None else f"{difference:+.2f}"]


def _kind(row: Mapping[str, Any]) -> str:
    return "thing" if row["isthing"] else "stuff"


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """Yield the rows of the CSV file."""
    named = [{"name": group, "kind": "mean"} | result[group] for group in _GROUPS]
    named += [row | {"kind": _kind(row)} for row in result["classes"]]
    for row in named:
        values = {
            f"{quality}_{part}": row[quality][part] for quality in _QUALITIES for part in _PARTS
        }
        yield {name: row[name] for name in ("name", "kind", "images")} | values
