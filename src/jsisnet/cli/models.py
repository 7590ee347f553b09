"""`jsisnet models`: list the built-in models and those in folders."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from jsisnet.cli.console import display, say, write_json
from jsisnet.cli.options import Flag, JsonFile


def models(
    *folders: Annotated[Path, Parameter(name="FOLDER")],
    classes: Flag = False,
    json: JsonFile | None = None,
) -> None:
    """List the built-in models and those in folders, with their classes and scores.

    Scores are those of the last evaluation during the training, on the run's
    validation data; those of the built-in models are explained in their README.

    For example
        jsisnet models
        jsisnet models --classes
        jsisnet models runs experiments --json models.json

    Args:
        folders: Folders in which to look for models and training runs, at any depth. Default: runs,
            if it exists.
        classes: List the classes of each model too, with the classes that were merged into them.
        json: JSON file to write (- for standard output), with the names of the classes.
    """
    from jsisnet.cli import tables
    from jsisnet.inference.model_folder import embedded_names, find

    found = [(name, find(name)) for name in embedded_names()]
    found += [(str(path), path) for path in _local(folders or (Path("runs"),))]
    described = []
    for name, path in found:
        try:
            described.append(_described(name, path))
        except ValueError as error:
            say(f"{error}")
    rows = tables.table("model", ">things", ">stuff", "input", "exported", ">PQ", ">mIoU", "on")
    for each in described:
        rows.add_row(
            each["name"],
            str(len(each["things"])),
            str(len(each["stuff"])),
            "{} x {}".format(*each["size"]),
            "yes" if each["exported"] else "no",
            *(tables.NONE if each[key] is None else f"{each[key]:.2f}" for key in ("pq", "miou")),
            each["data"] or "",
        )
    display(rows)
    if classes:
        for each in described:
            display(_classes(each))
    if json is not None:
        write_json({"models": described}, json)


def _classes(described: dict[str, Any]) -> Table:
    """Return a table of the classes of a model."""
    from jsisnet.cli import tables

    rows = tables.table(described["name"], "kind", "contains")
    for kind, key in (("thing", "things"), ("stuff", "stuff")):
        for name in described[key]:
            rows.add_row(name, kind, ", ".join(described["members"].get(name, ())))
    return rows


def _local(folders: tuple[Path, ...]) -> Iterator[Path]:
    """Find models below folders, in order.

    Raises:
        ValueError: If a folder that was given does not exist.
    """
    from jsisnet.inference.model_folder import DESCRIPTION

    for folder in folders:
        if folder.is_dir():
            yield from sorted(path.parent for path in folder.rglob(DESCRIPTION))
        elif folder != Path("runs"):
            raise ValueError(f"{folder} is not a folder; give folders of models or training runs")


def _described(name: str, folder: Path) -> dict[str, Any]:
    from jsisnet.inference.model_folder import EXPORTED, read_description

    description = read_description(folder)
    names = [category.name for category in description.categories]
    return {
        "name": name,
        "size": description.config().size,
        "things": [names[label] for label in description.categories.thing_labels],
        "stuff": [names[label] for label in description.categories.stuff_labels],
        "members": {
            category.name: list(category.members)
            for category in description.categories
            if category.members
        },
        "exported": (folder / EXPORTED).is_file(),
        **scores(folder),
    }


def scores(folder: Path) -> dict[str, Any]:
    """Return the scores that stand in a model folder, in percent; ``None`` for unknown ones.

    Raises:
        ValueError: If the file of the scores is damaged.
    """
    from jsisnet.inference.hub import RESULTS
    from jsisnet.training.metrics_file import METRICS, read_entries

    if (folder / RESULTS).is_file():
        found = _read_object(folder / RESULTS)
        data = found.get("data")
        return {
            "pq": _number(found, "pq"),
            "miou": _number(found, "miou"),
            "data": data if isinstance(data, str) else None,
        }
    entries = read_entries(folder / METRICS) if (folder / METRICS).is_file() else []
    evaluations = [entry for entry in entries if "validation" in entry]
    if not evaluations:
        return {"pq": None, "miou": None, "data": None}
    last = evaluations[-1]
    step = _number(last, "step")
    return {
        "pq": _number(last, "validation", "all", "pq"),
        "miou": _number(last, "validation", "miou"),
        "data": "validation data" if step is None else f"validation data, step {step:,}",
    }


def _read_object(path: Path) -> dict[str, Any]:
    from jsisnet.files import json_fields

    return dict(json_fields.load(path))


def _number(values: object, *names: str) -> int | float | None:
    """Return the number at a place of nested values; ``None`` if there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values if isinstance(values, int | float) and isfinite(values) else None
