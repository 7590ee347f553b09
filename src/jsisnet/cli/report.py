"""The report of `score` and `evaluate`; its parts are loaded only if one is wanted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jsisnet.cli.console import display

if TYPE_CHECKING:
    from jsisnet.evaluation.compared_files import ComparedFiles
    from jsisnet.evaluation.score import Score
    from jsisnet.visualize.report.report_data import ReportData

PAGE = "index.html"
"""Name of the page in the folder of a report."""

_FIGURES = {"miou": "mIoU", "mask_ap": "mask AP", "box_ap": "box AP"}
"""Figures of an evaluation that a report shows besides, and what they are called."""


def noting(files: "ComparedFiles", report: Path | None) -> "ReportData | None":
    """Begin to take notes for a report, if one is wanted."""
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
    """Write the report of a comparison of files into a folder.

    Args:
        report: The folder; made if it is missing.
        files: What was compared.
        total: What was measured.
        findings: What was found in the same images.
        images: Folder of the photos, if they are to be shown.
    """
    from jsisnet.visualize.report.score_page import Sources, write

    truth, title = files.truth.path, files.prediction.path.name
    sources = Sources(truth=truth, images=images, title=title, against=truth.name)
    write(report / PAGE, sources, total, findings)
    display(f"what goes wrong: look at {report / PAGE}")


@contextmanager
def folder_for(out: Path | None, report: Path | None) -> Iterator[Path | None]:
    """Give a folder for the files of an evaluation: a passing one if only its report needs them."""
    if out is not None or report is None:
        yield out
        return
    with TemporaryDirectory(prefix="jsisnet-") as folder:
        yield Path(folder)


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
        report: The folder; made if it is missing.
        folder: Where the evaluation has written its files.
        summary: What it measured.
        images: Folder of the photos.
        title: What was measured.
        against: On what.
    """
    from jsisnet.evaluation.compared_files import ComparedFiles
    from jsisnet.evaluation.score import score
    from jsisnet.inference import evaluator
    from jsisnet.visualize.report.report_data import ReportData
    from jsisnet.visualize.report.score_page import Sources, write

    files = ComparedFiles(folder / evaluator.TRUTH, folder / evaluator.PREDICTIONS)
    findings = ReportData(files.categories)
    total = score(files, on_image=findings.add)
    figures = {name: summary.get(key) for key, name in _FIGURES.items()}
    sources = Sources(
        truth=files.truth.path, images=images, title=title, against=against, figures=figures
    )
    write(report / PAGE, sources, total, findings)
    display(f"what goes wrong: look at {report / PAGE}")
