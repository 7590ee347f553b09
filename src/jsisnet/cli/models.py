"""`jsisnet models`: list the built-in models and those in folders."""

import json as json_format
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from jsisnet.cli.console import display, say, write_json
from jsisnet.cli.options import File

RESULTS = "results.json"
"""Scores of a built-in model, beside its description."""


def models(
    *folders: Annotated[Path, Parameter(name="FOLDER")],
    json: File | None = None,
) -> None:
    """List the built-in models and those in folders, with their classes and scores.

    Scores are those of the last evaluation during the training, on the run's
    validation data; those of the built-in models are explained in their README.

    For example
        jsisnet models
        jsisnet models runs experiments --json models.json

    Args:
        folders: Folders in which to look for models and training runs, at any depth. Default: runs,
            if it exists.
        json: JSON file to write, with the names of the classes.
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
    if json is not None:
        write_json({"models": described}, json)


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
        "exported": (folder / EXPORTED).is_file(),
        **_scores(folder),
    }


def _scores(folder: Path) -> dict[str, Any]:
    """Return the scores that stand in a model folder, in percent; ``None`` for unknown ones."""
    from jsisnet.training.metrics_file import METRICS, read_entries

    none = {"pq": None, "miou": None, "data": None}
    if (folder / RESULTS).is_file():
        return none | json_format.loads((folder / RESULTS).read_text(encoding="utf-8"))
    if not (folder / METRICS).is_file():
        return none
    entries = read_entries(folder / METRICS)
    evaluations = [entry for entry in entries if "validation" in entry]
    if not evaluations:
        return none
    last = evaluations[-1]
    step = f"validation data, step {last['step']:,}"
    return none | {
        "pq": last["validation"]["all"]["pq"],
        "miou": last["validation"].get("miou"),
        "data": step,
    }
