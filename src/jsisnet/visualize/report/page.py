"""The report: one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jsisnet.evaluation import panoptic_quality
from jsisnet.evaluation.errors import KINDS
from jsisnet.evaluation.score import Score
from jsisnet.visualize.report import charts, html, tables
from jsisnet.visualize.report.findings import Findings, Reason
from jsisnet.visualize.report.gallery import COLORS, Gallery, gallery
from jsisnet.visualize.report.html import MEANINGS, NAMES, Content, Markup, joined, tag
from jsisnet.visualize.report.photos import photos_of

_SCRIPTS = ("table.js", "enlarge.js", "page.js")

_PIXELS = {
    "pixel right": "right",
    "pixel unmatched": "right class, but no match",
    "pixel wrong": "wrong class",
    "pixel missed": "missed",
    "pixel invented": "invented",
    "pixel uncounted": "not counted",
}
"""What the colours of pixels mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What a report is about."""

    truth: Path
    """COCO panoptic file that was measured against."""

    images: Path | None = None
    """Folder of the photos, if the gallery is to show them."""

    title: str
    """What was measured."""

    against: str
    """On what."""

    figures: Mapping[str, float | None] = field(default_factory=dict)
    """Further figures in percent, by what they are called."""


def write(path: Path, sources: Sources, score: Score, findings: Findings) -> None:
    """Write the page of a comparison; its folder is made if it is missing.

    Args:
        path: The page, which appears complete or not at all.
        sources: What it is about; the maps of some images are read once more.
        score: What was measured.
        findings: What was found in the same images.

    Raises:
        ValueError: If a map has been damaged since it was compared.
    """
    photos = {}
    if sources.images is not None:
        wanted = {image.image_id for images in findings.candidates().values() for image in images}
        photos = photos_of(sources.truth, sources.images, wanted)
    shown = gallery(findings, score.categories, photos)
    contents: dict[str, Content] = {
        "title": sources.title,
        "against": sources.against,
        "summary": _summary(sources, score, findings),
        "notes": _notes(score, shown),
        "fates": _fates(findings),
        "classes": tables.class_table(score, findings),
        "sizes": _sizes(findings),
        "scores": _scores(findings),
        "confusion": _confusion(score),
        "filters": _filters(score, shown),
        "legend": html.legend(_PIXELS),
        "cards": shown.cards or tag("li", "No image has an error.", class_="card"),
        "count": shown.count,
    }
    html.write_page(path, "page.html", _SCRIPTS, _colors(), contents)


def _colors() -> str:
    names = ((name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in COLORS.items())
    return "\n" + "\n".join(f".pixel.{name} {{ background: {color}; }}" for name, color in names)


def _summary(sources: Sources, score: Score, findings: Findings) -> Markup:
    quality = score.quality
    tp, fp, fn = (int(values.sum()) for values in (quality.tp, quality.fp, quality.fn))
    facts: list[tuple[str, Content]] = [
        ("images", findings.images),
        ("true segments", tp + fn),
        ("found (TP)", tp),
        ("not found (FN)", fn),
        ("false (FP)", fp),
        ("mode", score.mode),
    ]
    if score.missing:
        facts.append(("without prediction", score.missing))
    if score.faults:
        facts.append(("left out", len(score.faults)))
    figures = [(name, value) for name, value in sources.figures.items() if value is not None]
    facts += [(f"{name}, %", f"{value:.2f}") for name, value in figures]
    values = panoptic_quality.summary(score.quality, score.categories)
    return joined(
        tables.quality_table(values),
        html.facts(facts),
    )


def _notes(score: Score, shown: Gallery) -> Markup:
    return html.notes(
        (
            ("oddities of the files", score.oddities),
            ("images that were left out", score.faults),
            ("photos that can't be read", shown.faults),
        )
    )


def _fates(findings: Findings) -> Markup:
    isthing = findings.isthing
    rows = [
        (f"{side} {name}", counts[isthing == wanted].sum(0))
        for name, wanted in (("things", True), ("stuff", False))
        for side, counts in (("true", findings.fates.true), ("predicted", findings.fates.predicted))
    ]
    keys = [_key("found", "found", "its IoU with a segment of its class exceeds 0.5")]
    keys += [_key(kind, NAMES[kind], MEANINGS[kind]) for kind in KINDS]
    return joined(
        tag("div", charts.fate_bars(rows), tag("ul", *keys, class_="legend"), class_="fates"),
        html.numbers(tables.fate_table(rows)),
    )


def _key(class_: str, name: str, meaning: str) -> Markup:
    return tag("li", tag("i", class_=f"key {class_}"), tag("b", name), f" {meaning}")


def _sizes(findings: Findings) -> Markup:
    panels = [
        tag("figure", tag("figcaption", name.capitalize()), charts.size_chart(tally, name))
        for name, tally in findings.sizes.items()
    ]
    keys = {
        "first": "PQ",
        "second": "mean IoU",
        "found": "found",
        "missed": "not found",
        "invented": "false",
    }
    return joined(
        tag("div", *panels, class_="charts"),
        html.legend(keys),
        html.numbers(tables.size_table(findings.sizes)),
    )


def _scores(findings: Findings) -> Markup:
    tally = findings.scores
    if not tally.count.any():
        return tag("p", "The predictions have no scores from 0 to 1.")
    keys = {
        "found": "% that match",
        "promised": "what their scores promise",
        "count": "number of segments",
    }
    sentence = f"Mean distance of the two: {100 * tally.error:.1f} percentage points."
    if tally.outside:
        sentence += f" {tally.outside} segments with scores outside 0 to 1 are not counted."
    return joined(
        tag("div", tag("figure", charts.score_chart(tally)), class_="charts"),
        html.legend(keys),
        tag("p", sentence),
        html.numbers(tables.score_table(tally)),
    )


def _confusion(score: Score) -> Markup:
    made = tables.confusion_table(score.confusion, score.categories)
    return made or tag("p", "No segment was taken for one of another class.")


def _filters(score: Score, shown: Gallery) -> Markup:
    reasons: tuple[Reason, ...] = ("lowest", *KINDS)
    kinds = [tag("option", NAMES[kind], value=kind) for kind in reasons]
    names = sorted((score.categories[label].name, label) for label in shown.labels)
    classes = [tag("option", name, value=label) for name, label in names]
    return joined(
        _choice("gallery-kind", "Error", "any", kinds),
        _choice("gallery-class", "Class", "any", classes),
    )


def _choice(name: str, label: str, nothing: str, options: Sequence[Markup]) -> Markup:
    first = tag("option", nothing, value="")
    return tag("span", tag("label", label, for_=name), " ", tag("select", first, *options, id=name))
