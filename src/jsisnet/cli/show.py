"""`jsisnet show`: draw a panoptic map on its image."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.categories import Categories
from jsisnet.cli import tables
from jsisnet.cli.console import display
from jsisnet.cli.drawing import DrawingOptions
from jsisnet.cli.options import File, Flag
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.files.photos import read_image, write_picture
from jsisnet.formats import coco
from jsisnet.formats.categories_json import read as read_categories
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize import overlay


def show(  # noqa: PLR0913 - options of the command line
    image: Annotated[Path, Parameter(name="IMAGE")],
    png: Annotated[Path, Parameter(name="PNG")],
    json: Annotated[Path, Parameter(name="JSON")],
    /,
    *,
    out: File,
    categories: File | None = None,
    upright: Flag = False,
    drawing: DrawingOptions = DrawingOptions(),  # noqa: B008 - frozen
) -> None:
    """Draw a panoptic map on its image, with outlines and class names.

    For example
        jsisnet show photo.jpg maps/photo.png maps/predictions.json --out look.jpg
        jsisnet show a.jpg a.png all.json --out cars.png --only car,bus

    Args:
        image: Image file.
        png: Panoptic PNG, whose colours are segment ids.
        json: COCO panoptic JSON file that describes the PNG.
        out: Image to write, .jpg or .png.
        categories: JSON file with the categories. Default: those of JSON.
        upright: Rotate the image by its EXIF orientation, as `jsisnet predict` does.
        drawing: How the map is drawn.
    """
    refuse_to_replace([image, png, json], [out])
    known = read_categories(json if categories is None else categories)
    panoptic = _read(png, json, known)
    photo = read_image(image, upright=upright)
    picture = overlay.draw(photo, panoptic, known, drawing.style())
    write_picture(picture, out)
    display(tables.segments(panoptic, known), f"Wrote {out}")


def _read(png: Path, json: Path, categories: Categories) -> PanopticMap:
    file = coco.read_annotations(json, pngs=png.parent, categories=categories, recount_areas=True)
    for annotation in file.annotations:
        if annotation.png.name == png.name:
            found = replace(annotation, png=png)
            return coco.read_png(found, categories, recount_areas=True)
    raise ValueError(f"{json}: no annotation with file_name {png.name!r}")
