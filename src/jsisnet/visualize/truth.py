"""Contact sheets of photos and their annotations."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jsisnet.arrays import Integer, UInt8
from jsisnet.categories import Categories
from jsisnet.files.photos import read_image
from jsisnet.formats.records import Record, describe_swapped, istransposed
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize.overlay import draw, side_by_side
from jsisnet.visualize.palette import short_name

_SIDE = 640
"""Longer side of a picture in pixels; smaller photos are enlarged by an integer factor."""

_BLANK = 205
"""Grey value drawn in place of a missing photo."""

_ASPECT = 1.4
"""Approximate aspect ratio (width / height) of a sheet."""

_TEXT = 18
"""Height of the captions in pixels."""

_MAX_NAMED = 5
"""Classes that a caption names, at most."""

Photo = UInt8[np.ndarray, "_ _ 3"]
"""An RGB image of any size."""


def contact_sheet(
    records: Sequence[Record],
    categories: Categories,
    *,
    overlay: bool = False,
    on_image: Callable[[int, int], None] = lambda *_: None,
    on_error: Callable[[Record, ValueError], None] | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Photo:
    """Draw annotated images on one sheet, captioned with their id, file name and classes.

    Args:
        records: One image or more.
        categories: Classes of the maps.
        overlay: Whether to show only the overlays, without the plain photos beside them.
        on_image: Called with the numbers of images done and in total.
        on_error: Called with each image whose map or photo can't be read, or has another size; it
            is left out. By default it is an error.
        on_warning: Called if the listed heights and widths of images are swapped.

    Raises:
        ValueError: If a map or photo can't be read, or their sizes differ; or if no image is left.
    """
    pictures, captions, swapped = [], [], []
    for done, record in enumerate(records, 1):
        on_image(done, len(records))
        try:
            panoptic = record.read()
            photo = None if record.image is None else read_photo(record.image, panoptic.size)
        except ValueError as error:
            if on_error is None:
                raise
            on_error(record, error)
            continue
        if istransposed(record.size, panoptic.size):
            swapped.append(record.name)
        pictures.append(_picture(photo, panoptic, categories, overlay=overlay))
        captions.append(
            f"{record.image_id}: {record.name}\n{describe_classes(panoptic, categories)}"
        )
    if not pictures:
        raise ValueError("no image is left to draw")
    if swapped:
        on_warning(describe_swapped(swapped, len(records)))
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows = math.ceil(len(pictures) / max(1, math.sqrt(len(pictures) * _ASPECT * height / width)))
    return side_by_side(
        [_padded(picture, width) for picture in pictures],
        captions,
        columns=math.ceil(len(pictures) / rows),
        text=_TEXT / width,
    )


def describe_classes(panoptic: PanopticMap, categories: Categories) -> str:
    """List the largest classes of a map, with the number of things of each."""
    areas = np.zeros(len(categories), np.int64)
    counts = [0] * len(categories)
    for segment, area in zip(panoptic.segments, panoptic.areas().tolist(), strict=True):
        areas[segment.label] += area
        counts[segment.label] += segment.isthing and not segment.iscrowd
    order = [label for label in np.argsort(-areas, kind="stable").tolist() if areas[label]]
    names = [
        f"{counts[label]} {short_name(categories[label])}"
        if counts[label]
        else short_name(categories[label])
        for label in order[:_MAX_NAMED]
    ]
    more = [f"{len(order) - _MAX_NAMED} more"] if len(order) > _MAX_NAMED else []
    return ", ".join([*names, *more]) or "void only"


def read_photo(path: Path, size: tuple[int, int]) -> Photo:
    """Read the photo of a map.

    Args:
        path: The photo.
        size: Height and width of the map.

    Raises:
        ValueError: If the photo can't be read or has a different size; the message names it.
    """
    photo = read_image(path)
    if photo.shape[:2] != size:
        raise ValueError(
            f"{path}: {photo.shape[0]} x {photo.shape[1]} pixels, but its map has "
            f"{size[0]} x {size[1]}"
        )
    return photo


def resized_ids(
    ids: Integer[np.ndarray, "h w"], size: tuple[int, int]
) -> Integer[np.ndarray, "_ _"]:
    """Resize a map to a height and width by nearest-neighbour sampling."""
    rows, columns = (
        np.arange(few) * many // few for few, many in zip(size, ids.shape, strict=True)
    )
    return ids[np.ix_(rows, columns)]


def resized_photo(photo: Photo, size: tuple[int, int]) -> Photo:
    """Resize a photo to a height and width with a box filter."""
    height, width = size
    return np.array(Image.fromarray(photo).resize((width, height), Image.Resampling.BOX))


def _picture(
    photo: Photo | None, panoptic: PanopticMap, categories: Categories, *, overlay: bool
) -> Photo:
    size = _drawn_size(panoptic.size)
    small = PanopticMap(resized_ids(panoptic.ids, size), panoptic.segments)
    if photo is None:
        return draw(np.full((*size, 3), _BLANK, np.uint8), small, categories)
    canvas = resized_photo(photo, size)
    truth = draw(canvas, small, categories)
    if overlay:
        return truth
    gap = np.full((size[0], 6, 3), 255, np.uint8)
    return np.concatenate([canvas, gap, truth], axis=1)


def _drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size at which an image is drawn: an integer multiple, or smaller."""
    factor = _SIDE / max(size)
    factor = math.floor(factor) if factor > 1 else factor
    height, width = (max(1, round(factor * side)) for side in size)
    return height, width


def _padded(picture: Photo, width: int) -> Photo:
    """Pad a picture with white on both sides, so that the sheet does not enlarge it."""
    wider = np.full((picture.shape[0], width, 3), 255, np.uint8)
    left = (width - picture.shape[1]) // 2
    wider[:, left : left + picture.shape[1]] = picture
    return wider
