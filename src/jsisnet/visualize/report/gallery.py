"""Gallery of a report: the most important images, drawn with their errors."""

from collections import Counter
from collections.abc import Mapping
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
from jsisnet.visualize.report.report_data import ErrorGroup, GalleryImage, Reason, ReportData
from jsisnet.visualize.report.templates import MISSING, Figure, Picture
from jsisnet.visualize.truth import resized_ids, resized_photo

COLORS: dict[str, tuple[int, int, int]] = {
    "right": (0, 158, 115),
    "unmatched": (240, 228, 66),
    "wrong": (204, 121, 167),
    "missed": (0, 114, 178),
    "spurious": (213, 94, 0),
    "uncounted": (90, 90, 90),
}
"""Colours of the error map, from Okabe and Ito's colour-blind safe palette. A pixel is

- right if its segments match,
- unmatched if its class is right, but its segments don't match,
- wrong if its class is wrong, a thing for a thing or stuff for stuff,
- missed if a thing is predicted as stuff, or nothing is predicted,
- spurious if stuff is predicted as a thing, and
- uncounted if it is ignored.
"""

_RIGHT, _UNMATCHED, _WRONG, _MISSED, _SPURIOUS, _UNCOUNTED = range(len(COLORS))

MAX_IMAGES = 48
"""Most images of a gallery."""

_MAX_BYTES = 8_000_000
"""Most bytes of its pictures; the gallery ends before it would exceed them."""

_MAX_ALT = 12
"""Most classes that the description of a picture names."""

_MAX_PIXELS, _MAX_SIDE = 360 * 270, 720
"""Most pixels of a picture, and of its longer side."""

_BLANK = 205
"""Grey value drawn in place of a missing photo."""

_STYLE = Style(outline=1 / 270, text=1 / 22, min_text=10)

_REASONS: tuple[Reason, ...] = ("lowest", *KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One image of the gallery."""

    name: str
    """Id of the image."""

    file: str
    """File name of the ground truth."""

    pq: float | None
    """PQ of the image, 0 to 1."""

    lowest: bool
    """Whether its PQ is among the lowest."""

    errors: tuple[tuple[ErrorGroup, str], ...]
    """Errors, largest first, each with the names of its classes."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The images that are shown."""

    cards: tuple[Card, ...]

    labels: tuple[int, ...]
    """Classes of the errors that are shown, ascending."""

    unreadable: tuple[str, ...]
    """Messages about photos that can't be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Pictures of one image, all of the same size."""

    photo: Picture | None
    """``None`` if there is no photo."""

    truth: Picture
    """Ground truth over the photo."""

    prediction: Picture
    """Prediction over the photo."""

    errors: Picture
    """Error map, in the `COLORS`."""

    @property
    def bytes(self) -> int:
        """Number of bytes that they add to the page."""
        shown = (self.photo, self.truth, self.prediction, self.errors)
        return sum(len(picture.uri) for picture in shown if picture is not None)


def gallery(data: ReportData, categories: Categories, photos: Mapping[ImageId, Path]) -> Gallery:
    """Draw the most important images.

    Args:
        data: Data of all images.
        categories: Classes of the files.
        photos: Photos by image id; some or all may be missing.

    Raises:
        ValueError: If a map has been damaged since it was compared.
    """
    lowest = {image.number for image in data.candidates().get("lowest", [])}
    cards, unreadable, used = [], [], 0
    labels: set[int] = set()
    for image in select(data):
        pictures, error = _draw_or_explain(image, photos.get(image.image_id), categories)
        used += pictures.bytes
        if used > _MAX_BYTES:
            break
        if error is not None:
            unreadable.append(error)
        cards.append(_card(image, pictures, categories, lowest=image.number in lowest))
        labels.update(label for group in image.errors for label in group.labels)
    return Gallery(cards=tuple(cards), labels=tuple(sorted(labels)), unreadable=tuple(unreadable))


def select(data: ReportData) -> list[GalleryImage]:
    """Choose at most `MAX_IMAGES` different images, taking turns among the reasons."""
    candidates = data.candidates()
    queues = [iter(candidates.get(reason, [])) for reason in _REASONS]
    images: dict[int, GalleryImage] = {}
    while queues and len(images) < MAX_IMAGES:
        left = []
        for queue in queues:
            image = next((image for image in queue if image.number not in images), None)
            if image is not None and len(images) < MAX_IMAGES:
                images[image.number] = image
                left.append(queue)
        queues = left
    return list(images.values())


def _draw_or_explain(
    image: GalleryImage, photo: Path | None, categories: Categories
) -> tuple[Pictures, str | None]:
    """Draw an image; without its photo if that can't be read, and then say why."""
    try:
        return draw_pictures(image, photo, categories), None
    except ValueError as error:
        if photo is None:
            raise
        return draw_pictures(image, None, categories), str(error)


def _card(image: GalleryImage, pictures: Pictures, categories: Categories, *, lowest: bool) -> Card:
    name = str(image.image_id)
    truth, prediction = (_contents(each, categories) for each in (image.truth, image.prediction))
    shown = (
        ("photo", pictures.photo, f"Photo of image {name}"),
        ("ground truth", pictures.truth, f"Ground truth of image {name}: {truth}"),
        ("prediction", pictures.prediction, f"Prediction for image {name}: {prediction}"),
        ("errors", pictures.errors, f"Error map of image {name}"),
    )
    return Card(
        name=name,
        file=image.truth.png.name,
        pq=image.pq,
        lowest=lowest,
        errors=tuple(
            (group, " → ".join(short_name(categories[label]) for label in group.labels))
            for group in image.errors
        ),
        figures=tuple(
            Figure(picture=picture, caption=(caption,), alt=alt)
            for caption, picture, alt in shown
            if picture is not None
        ),
    )


def _contents(listed: ListedMap | None, categories: Categories) -> str:
    """List the classes of a map with their counts."""
    labels = listed.labels.tolist() if listed is not None else ()
    counts = Counter(label for label in labels if label != UNKNOWN)
    names = [
        f"{short_name(categories[label])} ×{count}" if count > 1 else short_name(categories[label])
        for label, count in counts.most_common(_MAX_ALT)
    ]
    more = ["and more"] if len(counts) > _MAX_ALT else []
    return ", ".join([*names, *more]) or MISSING


def draw_pictures(image: GalleryImage, photo: Path | None, categories: Categories) -> Pictures:
    """Draw the pictures of an image.

    Args:
        image: The image.
        photo: Its photo, of any size.
        categories: Classes of the maps.

    Raises:
        ValueError: If the photo can't be read, or a map has been damaged since it was compared.
    """
    truth = _read_map(image.truth, categories, None)
    prediction = PanopticMap(np.zeros_like(truth.ids), ())
    if image.prediction is not None:
        prediction = _read_map(image.prediction, categories, truth.size)
    if photo is None:
        canvas = np.full((*truth.size, 3), _BLANK, np.uint8)
    else:
        canvas = resized_photo(read_image(photo), truth.size)
    return Pictures(
        photo=None if photo is None else Picture.of(canvas),
        truth=Picture.of(draw(canvas, truth, categories, _STYLE)),
        prediction=Picture.of(draw(canvas, prediction, categories, _STYLE)),
        errors=Picture.of(
            _paint(canvas, truth.ids, pixel_outcomes(truth, prediction, image.match))
        ),
    )


def pixel_outcomes(
    truth: PanopticMap, prediction: PanopticMap, match: Int64[np.ndarray, " p"]
) -> UInt8[np.ndarray, "h w"]:
    """Classify each pixel, as an index into the `COLORS`.

    Args:
        truth: Ground truth.
        prediction: Prediction of the same size.
        match: See `Matching.match`.
    """
    table = np.full((len(truth.segments) + 1, len(prediction.segments) + 1), _UNCOUNTED, np.uint8)
    for i, true in enumerate(truth.segments, 1):
        if true.iscrowd or true.label == UNKNOWN:
            continue
        table[i, VOID] = _MISSED
        for j, predicted in enumerate(prediction.segments, 1):
            table[i, j] = _pixel_outcome(true, predicted, matched=bool(match[j - 1] == i - 1))
    return table[truth.ids, prediction.ids]


def _pixel_outcome(true: Segment, predicted: Segment, *, matched: bool) -> int:
    if true.label == predicted.label:
        return _RIGHT if matched else _UNMATCHED
    if true.isthing == predicted.isthing:
        return _WRONG
    return _MISSED if true.isthing else _SPURIOUS


def _read_map(
    listed: ListedMap, categories: Categories, size: tuple[int, int] | None
) -> PanopticMap:
    """Read a map and resize it, by default to the size of a picture; unlisted ids become void."""
    ids = read_ids(listed.png)
    if size is None:
        height, width = ids.shape
        factor = min(1.0, (_MAX_PIXELS / (height * width)) ** 0.5, _MAX_SIDE / max(height, width))
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
    return PanopticMap(_renumber(resized_ids(ids, size), listed), segments)


def _renumber(ids: UInt32[np.ndarray, "h w"], listed: ListedMap) -> Int32[np.ndarray, "h w"]:
    """Replace ids by 1 + their list position; unlisted ids and unknown classes become void."""
    known = np.flatnonzero(listed.labels != UNKNOWN)
    order = known[np.argsort(listed.ids[known])]
    if not len(order):
        return np.zeros(ids.shape, np.int32)
    keys = listed.ids[order]
    positions = np.searchsorted(keys, ids).clip(max=len(keys) - 1)
    return np.where(keys[positions] == ids, order[positions] + 1, VOID).astype(np.int32)


def _paint(
    canvas: UInt8[np.ndarray, "h w 3"],
    true_ids: Int32[np.ndarray, "h w"],
    outcomes: UInt8[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint a grey photo by outcome, faintly where right, and outline the true segments."""
    grey = canvas.mean(axis=2, keepdims=True) * 0.7 + 40
    strength = np.array([0.35, 0.75, 0.8, 0.8, 0.8, 0.6])[outcomes][..., None]
    paint = np.array(list(COLORS.values()), np.float64)[outcomes]
    picture = grey * (1 - strength) + paint * strength
    edges = np.zeros(true_ids.shape, bool)
    edges[1:] |= true_ids[1:] != true_ids[:-1]
    edges[:, 1:] |= true_ids[:, 1:] != true_ids[:, :-1]
    picture[edges] = 255
    return picture.astype(np.uint8)
