"""The most telling images, as cards with pictures and with what is wrong in them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsisnet.arrays import Int32, Int64, UInt8, UInt32
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.evaluation.errors import KINDS
from jsisnet.files.photos import read_image
from jsisnet.files.png import read_ids
from jsisnet.formats.coco_index import ListedMap
from jsisnet.panoptic import VOID, ImageId, PanopticMap, Segment
from jsisnet.visualize.overlay import Style, draw
from jsisnet.visualize.palette import short_name
from jsisnet.visualize.report.examples import Picture, encoded
from jsisnet.visualize.report.findings import Finding, Findings, Reason, TellingImage
from jsisnet.visualize.report.html import NAMES, NONE, Markup, joined, percent, share, tag
from jsisnet.visualize.truth import resized_ids, resized_photo

COLORS: dict[str, tuple[int, int, int]] = {
    "right": (0, 158, 115),
    "unmatched": (240, 228, 66),
    "wrong": (204, 121, 167),
    "missed": (0, 114, 178),
    "invented": (213, 94, 0),
    "uncounted": (90, 90, 90),
}
"""Okabe and Ito's, which everybody can tell apart, for what became of a pixel: its segments match;
its class is right, but its segments don't match; it has another class, thing for thing or stuff for
stuff; a thing, or nothing at all, was missed; a thing was invented; it counts neither way."""

_RIGHT, _UNMATCHED, _WRONG, _MISSED, _INVENTED, _UNCOUNTED = range(len(COLORS))

_PIXELS, _LONGEST = 360 * 270, 720
"""Of a picture, and of its longer side, at most."""

_PAPER = 205
"""Grey in the place of a photo that is not there."""

_STYLE = Style(outline=1 / 270, text=1 / 19, min_text=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Pictures of one image, of one size."""

    photo: Picture | None
    """``None`` if there is no photo."""

    truth: Picture
    """The true map, over the photo."""

    prediction: Picture
    """The predicted one."""

    errors: Picture
    """What became of the pixels, in the `COLORS`."""

    @property
    def bytes(self) -> int:
        """Count the bytes that they add to a page."""
        shown = (self.photo, self.truth, self.prediction, self.errors)
        return sum(len(picture.uri) for picture in shown if picture is not None)


def pictures(image: TellingImage, photo: Path | None, categories: Categories) -> Pictures:
    """Draw an image.

    Args:
        image: What is known of it.
        photo: File of its photo, which may have any size.
        categories: Classes of the maps.

    Raises:
        ValueError: If a file is damaged, or has been since the maps were compared.
    """
    truth = _map(image.truth, categories, None)
    prediction = PanopticMap(np.zeros_like(truth.ids), ())
    if image.prediction is not None:
        prediction = _map(image.prediction, categories, truth.size)
    if photo is None:
        canvas = np.full((*truth.size, 3), _PAPER, np.uint8)
    else:
        canvas = resized_photo(read_image(photo), truth.size)
    return Pictures(
        photo=None if photo is None else encoded(canvas),
        truth=encoded(draw(canvas, truth, categories, _STYLE)),
        prediction=encoded(draw(canvas, prediction, categories, _STYLE)),
        errors=encoded(_painted(canvas, truth.ids, fates(truth, prediction, image.match))),
    )


def fates(
    truth: PanopticMap, prediction: PanopticMap, match: Int64[np.ndarray, " p"]
) -> UInt8[np.ndarray, "h w"]:
    """Tell for each pixel what became of it, as a position among the `COLORS`.

    Args:
        truth: True map.
        prediction: Predicted one, of the same size.
        match: Position of the true segment that each predicted one matches, as in `Matching`.
    """
    table = np.full((len(truth.segments) + 1, len(prediction.segments) + 1), _UNCOUNTED, np.uint8)
    for i, true in enumerate(truth.segments, 1):
        if true.iscrowd or true.label == UNKNOWN:
            continue
        table[i, VOID] = _MISSED
        for j, found in enumerate(prediction.segments, 1):
            table[i, j] = _fate(true, found, matched=bool(match[j - 1] == i - 1))
    return table[truth.ids, prediction.ids]


def _fate(true: Segment, found: Segment, *, matched: bool) -> int:
    if true.label == found.label:
        return _RIGHT if matched else _UNMATCHED
    if true.isthing == found.isthing:
        return _WRONG
    return _MISSED if true.isthing else _INVENTED


def _map(listed: ListedMap, categories: Categories, size: tuple[int, int] | None) -> PanopticMap:
    """Read a map, in a size for the page if none is given; what is not listed becomes void."""
    ids = read_ids(listed.png)
    if size is None:
        height, width = ids.shape
        factor = min(1.0, (_PIXELS / (height * width)) ** 0.5, _LONGEST / max(height, width))
        size = max(1, round(factor * height)), max(1, round(factor * width))
    segments = tuple(
        Segment(
            label=label,
            isthing=label != UNKNOWN and categories[label].isthing,
            iscrowd=crowd,
            score=None if np.isnan(score) else score,
        )
        for label, crowd, score in zip(
            listed.labels.tolist(), listed.iscrowd.tolist(), listed.scores.tolist(), strict=True
        )
    )
    return PanopticMap(_numbered(resized_ids(ids, size), listed), segments)


def _numbered(ids: UInt32[np.ndarray, "h w"], listed: ListedMap) -> Int32[np.ndarray, "h w"]:
    """Replace ids by one plus their position in the list, and those of no class by void."""
    known = np.flatnonzero(listed.labels != UNKNOWN)
    order = known[np.argsort(listed.ids[known])]
    if not len(order):
        return np.zeros(ids.shape, np.int32)
    keys = listed.ids[order]
    places = np.searchsorted(keys, ids).clip(max=len(keys) - 1)
    return np.where(keys[places] == ids, order[places] + 1, VOID).astype(np.int32)


def _painted(
    canvas: UInt8[np.ndarray, "h w 3"],
    true_ids: Int32[np.ndarray, "h w"],
    outcome: UInt8[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Colour the grey photo, what is right but faintly, and outline the true segments."""
    grey = canvas.mean(axis=2, keepdims=True) * 0.7 + 40
    strength = np.array([0.35, 0.75, 0.8, 0.8, 0.8, 0.6])[outcome][..., None]
    paint = np.array(list(COLORS.values()), np.float64)[outcome]
    picture = grey * (1 - strength) + paint * strength
    edges = np.zeros(true_ids.shape, bool)
    edges[1:] |= true_ids[1:] != true_ids[:-1]
    edges[:, 1:] |= true_ids[:, 1:] != true_ids[:, :-1]
    picture[edges] = 255
    return picture.astype(np.uint8)


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
