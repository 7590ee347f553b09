"""Commands that segment photos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import sentence
from jsisnet.cli.inputs import Photo, find, packaged
from jsisnet.cli.options import Device, Folder, InstancesFrom, Model, Overrides
from jsisnet.files.photos import read_image, write_picture
from jsisnet.formats import coco
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
    from jsisnet.visualize.overlay import draw

    if overlay:
        drawn = draw(image, panoptic, predictor.categories)
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


DEMO = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photos that `demo` segments, all of them free."""


def predict(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: Folder,
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    device: Device = None,
    overlay: bool = True,
    overrides: Overrides = (),
) -> int:
    """Segment photos: a class and an instance for every pixel.

    For each photo DIR receives STEM.png, the map at the photo's own size with
    COCO's panoptic ids as colours, and STEM_overlay.jpg, the map drawn on the
    photo. DIR/predictions.json describes all maps in COCO's panoptic format; it
    is written when the last photo is done. Of photos with one stem the second
    becomes STEM_2, and so on. Photos are turned as their camera says. A photo
    that can't be read is reported, the others go on, and the exit code is 1.

    The settings of the model are options too, such as --merge.canvas original for
    finer edges, or --merge.min-score 0.7.

    For example
        jsisnet predict photo.jpg --out maps
        jsisnet predict photos "more/**/*.jpg" --model runs/mine --out maps

    Args:
        images: Photos, folders of photos, or patterns.
        out: Folder for the results; made if it is missing.
        model: Name of an embedded model, or a model or run folder.
        instances_from: Model that finds the instances in place of the first one, whose semantic
            branch and settings of the merge stay.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overlay: Whether to draw the maps on the photos.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.cli.inputs import load

    pass

    found = find(images)
    for argument in found.unmatched:
        say(f"{argument}: no photo found")
    predictor = load(model, overrides, device, instances_from=instances_from)
    done = segment(found.photos, predictor, out, overlay=overlay)
    if done:
        results = "*_overlay.jpg" if overlay else "*.png"
        display(f"{done} of {len(found.photos)} photos are segmented: look at {out / results}")
    return int(done < len(found.photos) or bool(found.unmatched))


def demo(
    *photos: Annotated[str, Parameter(name="PHOTO")],
    out: Folder = Path("demo"),
    model: Model = "coco",
    overrides: Overrides = (),
) -> int:
    """Segment three free photos, or your own, as `jsisnet predict` does.

    For example
        jsisnet demo
        jsisnet demo holiday.jpg --out holiday

    Args:
        photos: Photos, folders of photos, or patterns. Default: an astronaut, a cat and a coffee
            from the package scikit-image.
        out: Folder for the results; made if it is missing.
        model: Name of an embedded model, or a model or run folder.
        overrides: Settings that win over the model's own.
    """
    chosen = photos or tuple(str(packaged(name)) for name in DEMO)
    return predict(*chosen, out=out, model=model, overrides=overrides)
