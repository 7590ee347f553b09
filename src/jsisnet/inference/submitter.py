"""Segmentation of all images of a challenge."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np

from jsisnet import __version__
from jsisnet.arrays import UInt8
from jsisnet.datatools.submission import MapFolder
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.photos import read_image
from jsisnet.files.stamps import stamp
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.image_list import ImageList
from jsisnet.inference.predictor import Predictor
from jsisnet.panoptic import ImageId


def find_photos(folder: Path, wanted: ImageList) -> dict[ImageId, Path]:
    """Return the path of each photo by image id; a photo may be missing."""
    found = PhotoFolder(folder)
    return {number: found.find(image.name).path for number, image in wanted.images.items()}


def fingerprint(predictor: Predictor, wanted: ImageList) -> str:
    """Return a hash of the weights, settings, classes and images."""
    described = {
        "version": __version__,
        "model": asdict(predictor.config),
        "classes": category_entries.entries(wanted.with_listed_ids(predictor.categories)),
        "images": [[number, image.name, image.size] for number, image in wanted.images.items()],
    }
    return sha256(f"{json.dumps(described)} {predictor.engine.fingerprint()}".encode()).hexdigest()


def segment(
    predictor: Predictor,
    wanted: ImageList,
    photos: Mapping[ImageId, Path],
    maps: MapFolder,
    *,
    on_image: Callable[[int, int], None],
    on_failure: Callable[[str], None],
) -> None:
    """Segment the images that have no map yet.

    Args:
        predictor: Trained network.
        wanted: Images, and the classes of the maps.
        photos: Photos by image id; see `find_photos`.
        maps: Receives each map as soon as it is done.
        on_image: Called with the number of images that have a map and the total, before the first
            image and after each.
        on_failure: Called with a message for each image that can't be read; the others continue.

    Raises:
        ValueError: If an image file is missing, or the list lacks a class of the network.
    """
    categories = wanted.with_listed_ids(predictor.categories)
    missing = {number: image for number, image in wanted.images.items() if number not in maps.done}
    _refuse_missing(photos[number] for number in missing)
    on_image(len(maps.done), len(wanted.images))
    for image_id, image in missing.items():
        before = stamp(photos[image_id])
        try:
            photo = _read(photos[image_id], image.size)
        except ValueError as error:
            on_failure(str(error))
            continue
        panoptic = predictor.panoptic(photo)
        maps.add(panoptic, categories, image_id=image_id, name=image.png, stamp=before)
        on_image(len(maps.done), len(wanted.images))


def _refuse_missing(photos: Iterable[Path]) -> None:
    match [path for path in photos if not path.is_file()]:
        case [path]:
            raise ValueError(f"{path}: file not found")
        case [path, *others]:
            count = "1 other image is" if len(others) == 1 else f"{len(others):,} other images are"
            raise ValueError(f"{path}: file not found; {count} missing too")


def _read(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    photo = read_image(path)
    height, width = photo.shape[:2]
    if (height, width) != size:
        expected = f"expected {size[0]}x{size[1]} as in the list"
        raise ValueError(f"{path}: size is {height}x{width}; {expected}")
    return photo
