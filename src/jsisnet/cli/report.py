"""HTML reports of `score` and `evaluate`; imported modules load only if one is requested."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsisnet.cli.console import display
from jsisnet.files.atomic import lock_folder

if TYPE_CHECKING:
    from jsisnet.evaluation.compared_files import ComparedFiles
    from jsisnet.evaluation.score import Score
    from jsisnet.visualize.report.report_data import ReportData

PAGE = "index.html"
"""File name of the page in the folder of a report."""

_TEMPORARY = ".jsisnet-evaluation"
"""Folder of the files that only the report needs, in the folder of the report."""

_FIGURES = {"miou": "mIoU", "mask_ap": "mask AP", "box_ap": "box AP"}
"""Further figures of an evaluation, by key, and their titles in the report."""


def findings_for(files: "ComparedFiles", report: Path | None) -> "ReportData | None":
    """Return an empty collection of errors for a report, or ``None`` if none is requested."""
    if report is None:
        return None
    from jsisnet.visualize.report.report_data import ReportData

    return ReportData(files.categories)


def write_report(
    report: Path,
    files: "ComparedFiles",
    total: "Score",
    findings: "ReportData",
    *,
    images: Path | None,
) -> None:
    """Write the report of scored files into a folder.

    Args:
        report: Folder of the report; created if it does not exist.
        files: Files that were scored.
        total: Their score.
        findings: Errors of the same images.
        images: Folder of the images, to show them.
    """
    from jsisnet.visualize.report.score_page import Sources, write

    truth, title = files.truth_json, files.prediction_json.name
    sources = Sources(truth=truth, images=images, title=title, against=truth.name)
    write(report / PAGE, sources, total, findings)
    display(f"Wrote {report / PAGE}")


@contextmanager
def folder_for(out: Path | None, report: Path | None) -> Iterator[Path | None]:
    """Return the folder for an evaluation's files: a temporary one if only the report needs it.

    That lies in the folder of the report, so that the next evaluation deletes it if this is killed.
    """
    if out is not None or report is None:
        yield out
        return
    folder = report / _TEMPORARY
    with lock_folder(report, f"{_TEMPORARY}.lock"):
        _remove(folder)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def report_evaluation(
    report: Path,
    folder: Path,
    summary: Mapping[str, Any],
    *,
    images: Path,
    title: str,
    against: str,
) -> None:
    """Write the report of an evaluation into a folder.

    Args:
        report: Folder of the report; created if it does not exist.
        folder: Folder of the evaluation's truth and predictions.
        summary: Results of the evaluation.
        images: Folder of the images.
        title: Name of the model.
        against: Name of the data set.
    """
    from jsisnet.evaluation.compared_files import ComparedFiles
    from jsisnet.evaluation.score import score
    from jsisnet.inference import evaluator
    from jsisnet.inference.results_folder import PREDICTIONS
    from jsisnet.visualize.report.report_data import ReportData
    from jsisnet.visualize.report.score_page import Sources, write

    files = ComparedFiles(folder / evaluator.TRUTH, folder / PREDICTIONS)
    findings = ReportData(files.categories)
    total = score(files, on_image=findings.add)
    figures = {name: summary.get(key) for key, name in _FIGURES.items()}
    sources = Sources(
        truth=files.truth_json, images=images, title=title, against=against, figures=figures
    )
    write(report / PAGE, sources, total, findings)
    display(f"Wrote {report / PAGE}")
