"""A network's maps of all images that a challenge asks for."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.datatools.submission import MapFolder
from jsisnet.files.photos import read_image
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.image_list import ImageList, ListedImage
from jsisnet.inference.predictor import Predictor


def purpose(predictor: Predictor, wanted: ImageList) -> str:
    """Give a text that differs for other weights, settings, classes or images."""
    described = {
        "model": asdict(predictor.config),
        "classes": category_entries.entries(wanted.with_listed_ids(predictor.categories)),
        "images": [[number, image.name, image.size] for number, image in wanted.images.items()],
    }
    digest = sha256(json.dumps(described).encode())
    for name, value in predictor.network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def segment(
    predictor: Predictor,
    wanted: ImageList,
    photos: Path,
    maps: MapFolder,
    *,
    on_image: Callable[[int, int], None],
    on_failure: Callable[[str], None],
) -> None:
    """Segment the photos that have no map yet.

    Args:
        predictor: The network.
        wanted: The images, and the classes to speak of.
        photos: Folder of the photos.
        maps: Receives each map as soon as it is done.
        on_image: Is told the number of images that have a map, before the first one too, and the
            number of all.
        on_failure: Is told in one sentence why a photo can't be used; the others go on.

    Raises:
        ValueError: If a photo is missing, or a class of the network is none of the list's.
    """
    categories = wanted.with_listed_ids(predictor.categories)
    missing = {number: image for number, image in wanted.images.items() if number not in maps.done}
    _refuse_missing(missing.values(), photos)
    on_image(len(maps.done), len(wanted.images))
    for image_id, image in missing.items():
        try:
            photo = _read(photos / image.name, image.size)
        except ValueError as error:
            on_failure(str(error))
            continue
        maps.add(predictor(photo), categories, image_id=image_id, name=image.png)
        on_image(len(maps.done), len(wanted.images))


def _refuse_missing(images: Iterable[ListedImage], photos: Path) -> None:
    names = [image.name for image in images if not (photos / image.name).is_file()]
    match names:
        case [name]:
            raise ValueError(f"{photos / name}: does not exist")
        case [name, *others]:
            more = "does 1 more photo" if len(others) == 1 else f"do {len(others):,} more photos"
            raise ValueError(f"{photos / name}: does not exist, nor {more} of the list")


def _read(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    photo = read_image(path)
    height, width = photo.shape[:2]
    if (height, width) != size:
        listed = f"the list says {size[0]}x{size[1]}"
        raise ValueError(f"{path}: is {height}x{width} pixels, but {listed}")
    return photo
