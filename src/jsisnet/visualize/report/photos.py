"""Which photo belongs to an image of a file."""

from collections.abc import Collection
from pathlib import Path

from jsisnet.files import json_fields
from jsisnet.files.json_stream import Place, scan
from jsisnet.panoptic import ImageId


def photos_of(truth: Path, images: Path, wanted: Collection[ImageId]) -> dict[ImageId, Path]:
    """Find the photos of some images, by the ``images`` of a COCO file.

    Args:
        truth: The file.
        images: Folder of the photos.
        wanted: Ids of the images.

    Returns:
        Those photos that the file names properly and that exist.

    Raises:
        ValueError: If the file is not JSON any more.
    """
    photos: dict[ImageId, Path] = {}

    def on_image(value: object, _: Place) -> None:
        try:
            entry = json_fields.entry(value)
            number = json_fields.identity(entry, "id")
            photo = json_fields.path_in(images, entry, "file_name")
        except ValueError:
            return  # the numbers don't depend on it
        if number in wanted and photo.is_file():
            photos[number] = photo

    scan(truth, {"images": on_image, "annotations": lambda *_: None})
    return photos
