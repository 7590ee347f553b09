"""Photos segmented one after the other, with files and a table of each."""

from collections.abc import Sequence
from pathlib import Path

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import sentence
from jsisnet.cli.photos import Photo
from jsisnet.files.photos import read_image
from jsisnet.formats import coco
from jsisnet.formats.pictures import write_picture
from jsisnet.inference.evaluator import PREDICTIONS
from jsisnet.inference.predictor import Predictor


def segment(
    photos: Sequence[Photo], predictor: Predictor, out: Path, *, overlay: bool = True
) -> int:
    """Segment photos, and print the segments of each.

    Args:
        photos: Their results get their names.
        predictor: The network.
        out: Folder that receives the maps, their drawings and `PREDICTIONS`.
        overlay: Whether to draw the maps on the photos.

    Returns:
        The number of photos that could be segmented. The others are reported.

    Raises:
        ValueError: If a result would take the place of a photo, or of a picture beside the photos
            that is not the result of an earlier call.
    """
    _refuse_to_replace(photos, out)
    done = 0
    with (
        coco.writing(out / PREDICTIONS, predictor.categories, pngs=out) as writer,
        progress("photos") as advance,
    ):
        for number, photo in enumerate(photos, 1):
            try:
                _segment(photo, predictor, writer, overlay=overlay)
                done += 1
            except (ValueError, OSError, MemoryError, RuntimeError) as error:
                say(f"{photo.path}: {sentence(error).removeprefix(f'{photo.path}: ')}")
            advance(number, len(photos))
    return done


def _segment(photo: Photo, predictor: Predictor, writer: coco.Writer, *, overlay: bool) -> None:
    image = read_image(photo.path, upright=True)
    panoptic = predictor(image)
    if overlay:
        drawn = overlay.draw(image, panoptic, predictor.categories)
        write_picture(drawn, writer.pngs / _overlay(photo))
    writer.add(panoptic, image_id=photo.name, image_name=f"{photo.name}{photo.path.suffix}")
    display(
        f"{photo.path}, {image.shape[1]} x {image.shape[0]} pixels",
        tables.segments(panoptic, predictor.categories),
    )


def _refuse_to_replace(photos: Sequence[Photo], out: Path) -> None:
    paths = {photo.path.resolve() for photo in photos}
    amid_photos = out.resolve() in {path.parent for path in paths}
    earlier = _earlier(out) if amid_photos else set()
    for photo in photos:
        for name in (_map(photo), _overlay(photo)):
            if (out / name).resolve() in paths:
                raise ValueError(f"{out / name} is a photo to segment; expected another --out")
            if amid_photos and _map(photo) not in earlier and (out / name).exists():
                raise ValueError(f"{out / name} lies beside the photos; expected another --out")


def _earlier(out: Path) -> set[str]:
    """Name the maps that an earlier call has left in a folder."""
    try:
        described = coco.read_annotations(out / PREDICTIONS, pngs=out, predicted=True)
    except ValueError:
        return set()
    return {annotation.png.name for annotation in described.annotations}


def _map(photo: Photo) -> str:
    return f"{photo.name}.png"


def _overlay(photo: Photo) -> str:
    return f"{photo.name}_overlay.jpg"
