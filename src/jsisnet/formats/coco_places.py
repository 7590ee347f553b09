"""Where the images of a COCO panoptic file are, so that memory does not grow with their number."""

from dataclasses import dataclass
from pathlib import Path

from jsisnet.files import json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Place, scan
from jsisnet.panoptic import ImageId


@dataclass(frozen=True, kw_only=True, slots=True)
class MapFile:
    """A COCO panoptic JSON file, and where its images are."""

    path: Path
    pngs: Path
    """Folder of the maps."""

    places: tuple[tuple[ImageId, Place], ...]
    """Of the annotations, in their order; an image may occur twice."""

    rest: Entry
    """Fields other than images and annotations."""

    faults: tuple[str, ...]
    """Sentences on annotations of no image, which were left out."""


def opened(path: Path, *, pngs: Path | None, keep_going: bool) -> MapFile:
    """Look where the images of a file are.

    Args:
        path: The JSON file.
        pngs: Folder or zip of the PNGs; default: the one beside the file that is named like it.
        keep_going: Whether to leave out annotations of no image.

    Raises:
        ValueError: If the file breaks the format as a whole; the message names it.
    """
    places: list[tuple[ImageId, Place]] = []
    faults: list[str] = []

    def on_annotation(value: object, place: Place) -> None:
        try:
            places.append((json_fields.identity(json_fields.entry(value), "image_id"), place))
        except ValueError as error:
            position = len(places) + len(faults)
            faults.append(f"{path}: annotations[{position}]: {error}")
            if not keep_going:
                raise ValueError(f"annotations[{position}]: {error}") from None

    rest = scan(path, {"annotations": on_annotation, "images": lambda *_: None})
    try:
        json_fields.items(rest, "annotations")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    folder = png_folder(path, pngs)
    return MapFile(path=path, pngs=folder, places=tuple(places), rest=rest, faults=tuple(faults))
