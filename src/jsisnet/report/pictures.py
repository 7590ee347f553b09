"""Small pictures of an image: its photo, truth, prediction, and where they differ."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64, UInt8, UInt32

from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files.photos import read_image
from jsisnet.files.png import read_ids
from jsisnet.formats.coco_index import ListedMap
from jsisnet.panoptic import VOID, PanopticMap, Segment
from jsisnet.report.thumbnails import Picture, encoded
from jsisnet.visualize.overlay import Style, draw
from jsisnet.visualize.report.findings import TellingImage
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
