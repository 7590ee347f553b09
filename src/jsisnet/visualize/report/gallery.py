"""The most telling images, as cards with pictures and with what is wrong in them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.evaluation.errors import KINDS
from jsisnet.formats.coco_index import ListedMap
from jsisnet.panoptic import ImageId
from jsisnet.report.pictures import Pictures, pictures
from jsisnet.report.thumbnails import Picture
from jsisnet.report.words import NAMES, NONE, percent, share
from jsisnet.visualize.palette import short_name
from jsisnet.visualize.report.findings import Finding, Findings, Reason, TellingImage
from jsisnet.visualize.report.html import Markup, joined, tag

MOST_IMAGES = 48
"""Cards, at most."""

_MOST_BYTES = 8_000_000
"""Of all pictures, at most; further images are left out."""

_LONGEST_ALT = 12
"""Classes that the description of a picture names, at most."""

_REASONS: tuple[Reason, ...] = ("lowest", *KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Cards, and what could not be shown."""

    cards: Markup
    """Elements of a list."""

    labels: tuple[int, ...]
    """Classes of the errors that are shown, ascending."""

    count: int
    """Images that are shown."""

    faults: tuple[str, ...]
    """Sentences on photos that can't be read."""


def gallery(findings: Findings, categories: Categories, photos: Mapping[ImageId, Path]) -> Gallery:
    """Draw the most telling images.

    Args:
        findings: What was found in all images.
        categories: Classes of the files.
        photos: Photos, as far as there are any.

    Raises:
        ValueError: If a map has been damaged since it was compared.
    """
    lowest = {image.number for image in findings.candidates().get("lowest", [])}
    cards, faults, used = [], [], 0
    labels: set[int] = set()
    for image in chosen(findings):
        drawn, fault = _drawn(image, photos.get(image.image_id), categories)
        used += drawn.bytes
        if used > _MOST_BYTES:
            break
        if fault is not None:
            faults.append(fault)
        cards.append(_card(image, drawn, categories, lowest=image.number in lowest))
        labels.update(label for finding in image.findings for label in finding.labels)
    return Gallery(
        cards=joined(*cards),
        labels=tuple(sorted(labels)),
        count=len(cards),
        faults=tuple(faults),
    )


def chosen(findings: Findings) -> list[TellingImage]:
    """Choose images: the best one for each reason, then the second, and so on; each image once."""
    candidates = findings.candidates()
    queues = [iter(candidates.get(reason, [])) for reason in _REASONS]
    images: dict[int, TellingImage] = {}
    while queues and len(images) < MOST_IMAGES:
        left = []
        for queue in queues:
            image = next((image for image in queue if image.number not in images), None)
            if image is not None and len(images) < MOST_IMAGES:
                images[image.number] = image
                left.append(queue)
        queues = left
    return list(images.values())


def _drawn(
    image: TellingImage, photo: Path | None, categories: Categories
) -> tuple[Pictures, str | None]:
    """Draw an image, without its photo if that can't be read; then say why."""
    try:
        return pictures(image, photo, categories), None
    except ValueError as error:
        if photo is None:
            raise
        return pictures(image, None, categories), str(error)


def _card(image: TellingImage, drawn: Pictures, categories: Categories, *, lowest: bool) -> Markup:
    name = str(image.image_id)
    truth, prediction = (_content(each, categories) for each in (image.truth, image.prediction))
    shown = [
        ("photo", drawn.photo, f"Photo of image {name}"),
        ("truth", drawn.truth, f"True map of image {name}: {truth}"),
        ("prediction", drawn.prediction, f"Predicted map of image {name}: {prediction}"),
        ("errors", drawn.errors, f"Where the maps of image {name} differ"),
    ]
    head = tag(
        "h3",
        tag("span", name),
        " ",
        tag("small", image.truth.png.name),
        " ",
        tag("span", "PQ ", tag("b", percent(image.pq)), class_="pq"),
        " " if lowest else "",
        tag("span", NAMES["lowest"], class_="chip lowest", data_kind="lowest") if lowest else "",
    )
    chips = [_chip(finding, categories) for finding in image.findings]
    figures = [_figure(what, picture, alt) for what, picture, alt in shown if picture is not None]
    return tag(
        "li",
        head,
        tag("ul", *chips, class_="chips", aria_label="What is wrong"),
        tag("div", *figures, class_="pictures"),
        class_="card",
        data_lowest=lowest,
    )


def _chip(finding: Finding, categories: Categories) -> Markup:
    names = " → ".join(short_name(categories[label]) for label in finding.labels)
    times = f" ×{finding.count}" if finding.count > 1 else ""
    return tag(
        "li",
        tag("b", NAMES[finding.kind]),
        f" {names}{times} ",
        tag("small", share(finding.share)),
        class_=f"chip {finding.kind}",
        data_kind=finding.kind,
        data_labels=" ".join(map(str, finding.labels)),
    )


def _figure(what: str, picture: Picture, alt: str) -> Markup:
    height, width = picture.size
    shown = tag("img", src=picture.uri, alt=alt, width=width, height=height, decoding="async")
    button = tag("button", shown, type="button", class_="enlarge")
    return tag("figure", button, tag("figcaption", what))


def _content(listed: ListedMap | None, categories: Categories) -> str:
    """Name the classes of a map."""
    counts = Counter(_known(listed.labels.tolist()) if listed is not None else ())
    names = [
        f"{short_name(categories[label])} ×{count}" if count > 1 else short_name(categories[label])
        for label, count in counts.most_common(_LONGEST_ALT)
    ]
    more = ["and more"] if len(counts) > _LONGEST_ALT else []
    return ", ".join([*names, *more]) or NONE


def _known(labels: Iterable[int]) -> Iterable[int]:
    return (label for label in labels if label >= 0)
