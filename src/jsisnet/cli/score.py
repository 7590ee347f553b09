"""The command that measures predictions which lie in files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, say, write_csv, write_json
from jsisnet.cli.errors import FAILED
from jsisnet.cli.options import Archive, File, Flag, Folder
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.report import PAGE, noting, write_report
from jsisnet.evaluation.compared_files import Mode

_MOST_NOTES = 10
"""Sentences of one kind that are printed; a JSON file has them all."""

_OF_CLASSES = ("name", "isthing", "pq", "sq", "rq", "tp", "fp", "fn")
_OF_IMAGES = ("image_id", "pq", "sq", "rq", "tp", "fp", "fn")
"""Columns of CSV files."""


def score(  # noqa: PLR0913 - two sets of files, each with its folder, and options
    truth: Annotated[Path, Parameter(name="TRUTH")],
    prediction: Annotated[Path, Parameter(name="PREDICTION")],
    /,
    *,
    truth_pngs: Archive | None = None,
    prediction_pngs: Archive | None = None,
    mode: Mode = "official",
    missing_as_void: Flag = False,
    recount_areas: Flag = False,
    keep_going: Flag = False,
    boundary: Flag = False,
    json: File | None = None,
    csv: File | None = None,
    images_csv: File | None = None,
    report: Folder | None = None,
    images: Folder | None = None,
    processes: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
) -> int:
    """Measure predictions against a truth, both COCO panoptic files: PQ, SQ and RQ.

    The numbers are those of the official script. Anybody's predictions will do:
    of COCO, Mapillary Vistas, Cityscapes or your own classes. No network is needed.

    For example
        jsisnet score panoptic_val2017.json predictions.json
        jsisnet score truth.json mine.json --prediction-pngs maps --json pq.json
        jsisnet score truth.json mine.json --keep-going --csv classes.csv
        jsisnet score truth.json mine.json --report report --images val2017

    Args:
        truth: COCO panoptic JSON file of the truth.
        prediction: COCO panoptic JSON file of the predictions, with the category ids of the truth.
        truth_pngs: The true PNGs. Default: named like the JSON file, beside it.
        prediction_pngs: The predicted PNGs. Default: likewise.
        mode: official gives the official script's numbers; strict refuses what that overlooks, such
            as segments listed twice; in all-crowds every crowd region of a class excuses
            predictions, where the official script knows only the last one.
        missing_as_void: Take images without a prediction for void, which misses all they show.
        recount_areas: Accept a truth whose areas differ from its PNGs.
        keep_going: Leave out images with errors, list them, and exit with 1 at the end.
        boundary: Measure also with the IoU of the segments' boundaries (boundary PQ), which takes
            several times as long.
        json: File that receives all numbers, also of each image, as percentages.
        csv: File that receives a line for each class.
        images_csv: File that receives a line for each image.
        report: Folder that receives index.html, a page that shows what goes wrong, and where.
        images: Folder of the photos, for the report.
        processes: How many share the work. Default: one per core.
    """
    from jsisnet.evaluation import score as scoring
    from jsisnet.evaluation.compared_files import ComparedFiles, Rules

    if images is not None and report is None:
        raise ValueError("--images shows the photos in a report; expected --report DIR too")
    if images is not None and not images.is_dir():
        raise ValueError(f"{images}: is no folder of photos")
    page = None if report is None else report / PAGE
    outputs = [file for file in (json, csv, images_csv, page) if file is not None]
    refuse_to_replace([truth, prediction], outputs)
    rules = Rules(
        mode=mode,
        recount_areas=recount_areas,
        missing="void" if missing_as_void else "error",
        keep_going=keep_going,
        boundary=boundary,
    )
    files = ComparedFiles(
        truth, prediction, truth_pngs=truth_pngs, prediction_pngs=prediction_pngs, rules=rules
    )
    with progress("images") as advance:
        findings = noting(files, report)
        total = scoring.score(
            files,
            processes=processes or os.cpu_count() or 1,
            on_image=None if findings is None else findings.add,
            on_progress=advance,
        )
    result = total.summary()
    _show(result)
    if json is not None:
        write_json(result, json)
    if csv is not None:
        write_csv(result["classes"], _OF_CLASSES, csv)
    if images_csv is not None:
        write_csv(result["images"], _OF_IMAGES, images_csv)
    if report is not None and findings is not None:
        write_report(report, files, total, findings, images=images)
    _tell(result["oddities"])
    _tell(result["faults"])
    return FAILED if result["faults"] else 0


def _show(result: dict[str, Any]) -> None:
    display(tables.quality_of_classes(result), tables.quality(result))
    if "boundary" in result:
        display(tables.quality(result["boundary"], "Boundary"))
    if any(None not in (pair["truth"], pair["prediction"]) for pair in result["confusion"]):
        display(tables.confusion(result["confusion"]))
    display(_count(result))


def _count(result: dict[str, Any]) -> str:
    """Say how many images were measured, and how."""
    rules = {
        "official": "by the official rules",
        "strict": "by the official rules, strictly checked",
        "all-crowds": "with every crowd as an excuse, not by the official rules",
    }[result["mode"]]
    images, missing, left_out = (len(result["images"]), result["missing"], len(result["faults"]))
    text = f"{images} images, judged {rules}"
    if missing:
        text += f"; {missing} of them have no prediction and are taken for void"
    if left_out:
        text += f"; {left_out} with errors left out"
    return text


def _tell(sentences: Sequence[str]) -> None:
    for sentence in sentences[:_MOST_NOTES]:
        say(sentence)
    if len(sentences) > _MOST_NOTES:
        say(f"{len(sentences) - _MOST_NOTES} more such sentences (--json FILE keeps them all)")
