"""`jsisnet score`: score prediction files against the ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, join_names, progress, say, write_csv, write_json
from jsisnet.cli.errors import FAILED
from jsisnet.cli.options import Archive, ClusterAddress, File, Flag, Folder, JsonFile
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.report import PAGE, findings_for, write_report

if TYPE_CHECKING:
    from jsisnet.evaluation.score import InOrder, Score

_MAX_MESSAGES = 10
"""Messages of one kind that are printed; the JSON file has all of them."""

_CLASS_COLUMNS = ("name", "isthing", "pq", "sq", "rq", "tp", "fp", "fn")
_IMAGE_COLUMNS = ("image_id", "pq", "sq", "rq", "tp", "fp", "fn")
"""Columns of the CSV files."""


def score(  # noqa: PLR0913 - one parameter per option
    truth: Annotated[Path, Parameter(name="TRUTH")],
    prediction: Annotated[Path, Parameter(name="PREDICTION")],
    /,
    *,
    truth_pngs: Archive | None = None,
    prediction_pngs: Archive | None = None,
    mode: Literal["official", "strict", "all-crowds"] = "official",
    missing_as_void: Flag = False,
    recount_areas: Flag = False,
    keep_going: Flag = False,
    boundary: Flag = False,
    json: JsonFile | None = None,
    csv: File | None = None,
    images_csv: File | None = None,
    report: Folder | None = None,
    images: Folder | None = None,
    processes: Annotated[
        int | None, Parameter(validator=validators.Number(gte=1, lte=1024))
    ] = None,
    cluster: ClusterAddress = None,
) -> int:
    """Score COCO panoptic predictions against the ground truth: PQ, SQ and RQ.

    The numbers equal those of the official script (panopticapi). Predictions of
    any network and any classes can be scored.

    For example
        jsisnet score panoptic_val2017.json predictions.json
        jsisnet score truth.json mine.json --prediction-pngs maps --json pq.json
        jsisnet score truth.json mine.json --keep-going --csv classes.csv
        jsisnet score truth.json mine.json --report report --images val2017

    Args:
        truth: COCO panoptic JSON file of the ground truth.
        prediction: COCO panoptic JSON file of the predictions, with the same category ids.
        truth_pngs: PNGs of the ground truth. Default: the folder next to the JSON
            file, with its name.
        prediction_pngs: PNGs of the predictions. Default: the folder next to the JSON
            file, with its name.
        mode: official follows panopticapi; strict also rejects what it overlooks, such as
            duplicate segments; all-crowds ignores predictions inside any crowd region of their
            class, where panopticapi considers only the last one.
        missing_as_void: Treat images without a prediction as all void; every true segment counts
            as missed.
        recount_areas: Accept ground truth whose areas differ from its PNGs.
        keep_going: Skip images with errors, list them, and exit with 1.
        boundary: Also compute boundary PQ, which takes several times as long.
        json: JSON file to write (- for standard output): all numbers, also for each image, as
            percentages.
        csv: CSV file to write, with a row per class.
        images_csv: CSV file to write, with a row per image.
        report: Folder for an HTML report (index.html) of the errors.
        images: Folder of the images, to show them in the report.
        processes: Number of worker processes. Default: one per core.
        cluster: Ray cluster that does the work: local for one on this machine, auto for the one it
            belongs to, HOST:PORT or ray://HOST:PORT.
    """
    from jsisnet.evaluation import score as scoring
    from jsisnet.evaluation.compared_files import ComparedFiles, CompareRules
    from jsisnet.files.processes import available_cores

    if images is not None and report is None:
        raise ValueError("--images needs --report DIR: it shows the images in the report")
    if images is not None and not images.is_dir():
        raise ValueError(f"{images}: no such folder")
    page = None if report is None else report / PAGE
    outputs = [file for file in (json, csv, images_csv, page) if file is not None]
    refuse_to_replace([truth, prediction], outputs)
    rules = CompareRules(
        mode=mode,
        recount_areas=recount_areas,
        missing="void" if missing_as_void else "error",
        keep_going=keep_going,
        boundary=boundary,
    )
    files = ComparedFiles(
        truth, prediction, truth_pngs=truth_pngs, prediction_pngs=prediction_pngs, rules=rules
    )
    with progress("scoring") as advance:
        findings = findings_for(files, report)
        total = scoring.score(
            files,
            processes=processes or available_cores(),
            on_image=None if findings is None else findings.add,
            on_progress=advance,
            **({} if cluster is None else {"share_out": _on_cluster(cluster, processes)}),
        )
    result = total.summary(with_images=json is not None or images_csv is not None)
    _print(result, len(total.images))
    if json is not None:
        write_json(result, json)
    if csv is not None:
        write_csv(result["classes"], _CLASS_COLUMNS, csv)
    if images_csv is not None:
        write_csv(result["images"], _IMAGE_COLUMNS, images_csv)
    if report is not None and findings is not None:
        write_report(report, files, total, findings, images=images)
    _tell_unscored(truth, total)
    _print_first(result["oddities"])
    _print_first(result["faults"])
    return FAILED if result["faults"] else 0


def _on_cluster(address: str, workers: int | None) -> "InOrder":
    from jsisnet.cli.cluster import cluster_config
    from jsisnet.scale.metrics import share_out

    config = cluster_config(address, workers)
    return lambda share, count, _: share_out(share, count, config, say)


def _tell_unscored(truth: Path, total: "Score") -> None:
    """Say what cannot be scored."""
    if not total.images:
        say(f"{truth}: no annotations: nothing to score")
    crowds = total.only_crowds()
    if crowds:
        what, verb = ("class", "has") if len(crowds) == 1 else ("classes", "have")
        names = join_names(crowds)
        say(f"{truth}: {what} {names} {verb} only crowd segments: nothing to score")


def _print(result: dict[str, Any], images: int) -> None:
    from jsisnet.cli import tables

    display(tables.quality_of_classes(result), tables.quality(result))
    if "boundary" in result:
        display(tables.quality(result["boundary"], "Boundary"))
    if any(None not in (pair["truth"], pair["prediction"]) for pair in result["confusion"]):
        display(tables.confusion(result["confusion"]))
    display(_verdict(result, images))


def _verdict(result: dict[str, Any], images: int) -> str:
    """Return a line with the number of images and the rules."""
    rules = {
        "official": "official rules",
        "strict": "official rules, strict checks",
        "all-crowds": "unofficial rules: all crowd regions count",
    }[result["mode"]]
    missing, left_out = result["missing"], len(result["faults"])
    text = f"Scored {images} images ({rules})"
    if missing:
        text += f"; {missing} without a prediction count as void"
    if left_out:
        text += f"; skipped {left_out} with errors"
    return text


def _print_first(messages: Sequence[str]) -> None:
    for message in messages[:_MAX_MESSAGES]:
        say(message)
    if len(messages) > _MAX_MESSAGES:
        say(f"{len(messages) - _MAX_MESSAGES} more like this (--json FILE lists all)")
