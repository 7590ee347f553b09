"""`jsisnet predict` and `jsisnet demo`: segment images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import describe_error
from jsisnet.cli.inputs import Photo, find_photos, load_model, sample_photo
from jsisnet.cli.options import Folder, InstancesFrom, Model, Overrides, RunOptions

if TYPE_CHECKING:
    from jsisnet.formats import coco
    from jsisnet.inference.predictor import Predictor

DEMO = ("astronaut.png", "chelsea.png", "coffee.png")
"""Photos that `demo` segments, all of them free to use."""


def segment(
    photos: Sequence[Photo], predictor: "Predictor", out: Path, *, overlay: bool = True
) -> int:
    """Segment photos, print the segments of each, and write maps and overlays.

    Args:
        photos: Photos to segment; their names become those of the results.
        predictor: Model to use.
        out: Folder for maps, overlays and the JSON file that describes the maps.
        overlay: Whether to draw each map on its photo.

    Returns:
        The number of photos that were segmented. The others are reported on standard error.

    Raises:
        ValueError: If a result would overwrite a photo, or another file beside the photos that no
            earlier call has written.
    """
    from jsisnet.formats import coco
    from jsisnet.inference.evaluator import PREDICTIONS

    _refuse_to_replace(photos, out)
    done = 0
    with (
        coco.writing(out / PREDICTIONS, predictor.categories, pngs=out) as writer,
        progress("segmenting") as advance,
    ):
        for number, photo in enumerate(photos, 1):
            try:
                _segment(photo, predictor, writer, overlay=overlay)
                done += 1
            except (ValueError, OSError, MemoryError, RuntimeError) as error:
                say(f"{photo.path}: {describe_error(error).removeprefix(f'{photo.path}: ')}")
            advance(number, len(photos))
    return done


def _segment(photo: Photo, predictor: "Predictor", writer: "coco.Writer", *, overlay: bool) -> None:
    from jsisnet.cli import tables
    from jsisnet.files.photos import read_image, write_picture

    image = read_image(photo.path, upright=True)
    panoptic = predictor.panoptic(image)
    if overlay:
        from jsisnet.visualize.overlay import draw

        picture = draw(image, panoptic, predictor.categories)
        write_picture(picture, writer.pngs / _overlay(photo))
    writer.add(panoptic, image_id=photo.name, image_name=f"{photo.name}{photo.path.suffix}")
    display(
        f"{photo.path}, {image.shape[1]} x {image.shape[0]} pixels",
        tables.segments(panoptic, predictor.categories),
    )


def _refuse_to_replace(photos: Sequence[Photo], out: Path) -> None:
    paths = {photo.path.resolve() for photo in photos}
    beside_photos = out.resolve() in {path.parent for path in paths}
    earlier = _maps_of_earlier_call(out) if beside_photos else set()
    for photo in photos:
        for name in (_map(photo), _overlay(photo)):
            if (out / name).resolve() in paths:
                raise ValueError(
                    f"{out / name} is one of the photos to segment; choose another --out"
                )
            if beside_photos and _map(photo) not in earlier and (out / name).exists():
                raise ValueError(
                    f"{out / name} is a file in the folder of the photos and would be "
                    "overwritten; choose another --out"
                )


def _maps_of_earlier_call(out: Path) -> set[str]:
    """Return the names of the maps that an earlier call has written to a folder."""
    from jsisnet.formats import coco
    from jsisnet.inference.evaluator import PREDICTIONS

    try:
        described = coco.read_annotations(out / PREDICTIONS, pngs=out, predicted=True)
    except ValueError:
        return set()
    return {annotation.png.name for annotation in described.annotations}


def _map(photo: Photo) -> str:
    return f"{photo.name}.png"


def _overlay(photo: Photo) -> str:
    return f"{photo.name}_overlay.jpg"


def predict(
    *images: Annotated[str, Parameter(name="IMAGE")],
    out: Folder,
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    overlay: bool = True,
    overrides: Overrides = (),
) -> int:
    """Segment images: a class and an instance for every pixel.

    For each image, writes DIR/STEM.png, the map at the image's own size with COCO
    panoptic ids as colours, and DIR/STEM_overlay.jpg, the map drawn on the image.
    After the last image, DIR/predictions.json describes all maps in COCO panoptic
    format. If two images share a name, the second is saved as STEM_2. Images are
    rotated by their EXIF orientation. An image that can't be read is reported, the
    others are still segmented, and the exit code is 1.

    The model's settings are options too, such as --merge.canvas original for
    finer edges, or --merge.min-score 0.7.

    For example
        jsisnet predict photo.jpg --out maps
        jsisnet predict photos "more/**/*.jpg" --model runs/mine --out maps

    Args:
        images: Images, folders of images, or patterns.
        out: Folder for the results; created if it does not exist.
        model: Built-in model (coco, street), or the folder of a model or training run.
        instances_from: Model that detects the instances; the semantic segmentation and the
            settings of the merge remain those of --model.
        run: How the network runs.
        overlay: Whether to write overlays.
        overrides: Settings that override those of the model.
    """
    found = find_photos(images)
    for argument in found.unmatched:
        say(f"{argument}: no image found")
    predictor = load_model(model, overrides, run, instances_from=instances_from)
    done = segment(found.photos, predictor, out, overlay=overlay)
    if done:
        results = "*_overlay.jpg" if overlay else "*.png"
        what = "overlays" if overlay else "maps"
        display(f"Segmented {done} of {len(found.photos)} images; {what} in {out / results}")
    return int(done < len(found.photos) or bool(found.unmatched))


def demo(
    *photos: Annotated[str, Parameter(name="PHOTO")],
    out: Folder = Path("demo"),
    model: Model = "coco",
    overrides: Overrides = (),
) -> int:
    """Segment three sample photos, or your own.

    For example
        jsisnet demo
        jsisnet demo holiday.jpg --out holiday

    Args:
        photos: Images, folders of images, or patterns. Default: an astronaut, a cat and a coffee
            from the package scikit-image.
        out: Folder for the results; created if it does not exist.
        model: Built-in model (coco, street), or the folder of a model or training run.
        overrides: Settings that override those of the model.
    """
    chosen = photos or tuple(str(sample_photo(name)) for name in DEMO)
    return predict(*chosen, out=out, model=model, overrides=overrides)
