"""The report on predictions: one self-contained HTML page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsisnet.evaluation import panoptic_quality
from jsisnet.evaluation.errors import KINDS
from jsisnet.evaluation.score import Score
from jsisnet.formats.coco_index import find_photos
from jsisnet.visualize.report import charts, tables
from jsisnet.visualize.report.gallery import COLORS, Gallery, gallery
from jsisnet.visualize.report.report_data import ReportData
from jsisnet.visualize.report.templates import OUTCOME_MEANINGS, OUTCOME_NAMES, write_page

_PIXELS = {
    "pixel right": "correct",
    "pixel unmatched": "right class, unmatched segment",
    "pixel wrong": "wrong class",
    "pixel missed": "missed",
    "pixel spurious": "spurious",
    "pixel uncounted": "ignored",
}
"""Legend of the error maps by CSS class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What a report is about."""

    truth: Path
    """COCO panoptic JSON of the ground truth."""

    images: Path | None = None
    """Folder of the photos that the gallery shows, if any."""

    title: str
    """Name of the predictions."""

    against: str
    """Name of the ground truth."""

    figures: Mapping[str, float | None] = field(default_factory=dict)
    """Further metrics in percent by name; undefined ones are left out."""


def write(path: Path, sources: Sources, score: Score, data: ReportData) -> None:
    """Write the report on a comparison; missing parent folders are created.

    Args:
        path: HTML file, written atomically.
        sources: Files and names; the maps of the gallery are read again.
        score: Result of the comparison.
        data: Data collected during the same comparison.

    Raises:
        ValueError: If a map has been damaged since it was compared.
    """
    photos = {}
    if sources.images is not None:
        wanted = {image.image_id for images in data.candidates().values() for image in images}
        photos = find_photos(sources.truth, sources.images, wanted)
    shown = gallery(data, score.categories, photos)
    context = {
        "title": sources.title,
        "against": sources.against,
        "style": "\n".join(_pixel_styles()),
        "quality": tables.quality_table(panoptic_quality.summary(score.quality, score.categories)),
        "facts": list(_facts(sources, score, data)),
        "notes": (
            ("Warnings about the files", score.warnings),
            ("Images left out", score.errors),
            ("Photos that can't be read", shown.unreadable),
        ),
        **_charts(data),
        **_class_tables(score, data),
        **_gallery_filters(score, shown),
        "pixels": _PIXELS,
        "cards": shown.cards,
    }
    write_page(path, "score.html", context)


def _pixel_styles() -> Iterator[str]:
    for name, (red, green, blue) in COLORS.items():
        yield f".pixel.{name} {{ background: #{red:02x}{green:02x}{blue:02x}; }}"


def _facts(sources: Sources, score: Score, data: ReportData) -> Iterator[tuple[str, str | int]]:
    """Yield the names and values in the summary."""
    quality = score.quality
    tp, fp, fn = (int(values.sum()) for values in (quality.tp, quality.fp, quality.fn))
    yield "images", data.images
    yield "true segments", tp + fn
    yield "true positives", tp
    yield "false negatives", fn
    yield "false positives", fp
    yield "mode", score.mode
    if score.missing:
        yield "without prediction", score.missing
    if score.errors:
        yield "left out", len(score.errors)
    for name, value in sources.figures.items():
        if value is not None:
            yield f"{name}, %", f"{value:.2f}"


def _charts(data: ReportData) -> dict[str, Any]:
    rows = [
        (f"{side} {name}", counts[data.isthing == isthing].sum(0))
        for name, isthing in (("things", True), ("stuff", False))
        for side, counts in (("true", data.outcomes.true), ("predicted", data.outcomes.predicted))
    ]
    scored = bool(data.scores.count.any())
    return {
        "outcome_chart": charts.outcome_bars(rows),
        "outcome_legend": [
            ("found", OUTCOME_NAMES["found"], "IoU above 0.5 with a segment of the same class"),
            *((kind, OUTCOME_NAMES[kind], OUTCOME_MEANINGS[kind]) for kind in KINDS),
        ],
        "outcome_table": tables.outcome_table(rows),
        "size_charts": [
            (name.capitalize(), charts.size_chart(tally, name))
            for name, tally in data.sizes.items()
        ],
        "size_table": tables.size_table(data.sizes),
        "scores": data.scores if scored else None,
        "score_chart": charts.score_chart(data.scores),
        "score_table": tables.score_table(data.scores),
    }


def _class_tables(score: Score, data: ReportData) -> dict[str, Any]:
    confusion = tables.confusion_rows(score.confusion, score.categories)
    return {
        "class_columns": tables.CLASS_COLUMNS,
        "class_rows": tables.class_rows(score, data),
        "confusion_names": [name for name, _ in confusion],
        "confusion_rows": confusion,
    }


def _gallery_filters(score: Score, shown: Gallery) -> dict[str, Any]:
    names = sorted((score.categories[label].name, label) for label in shown.labels)
    return {
        "kind_choices": [
            ("lowest", "lowest PQ"),
            *((kind, OUTCOME_NAMES[kind]) for kind in KINDS),
        ],
        "class_choices": [(label, name) for name, label in names],
    }
