"""Command that draws a map."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.categories import Categories
from jsisnet.cli import tables
from jsisnet.cli.console import display
from jsisnet.cli.options import File, Flag
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.files.photos import read_image, write_picture
from jsisnet.formats import coco
from jsisnet.formats.categories_json import read as read_categories
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize import overlay


def show(
    image: Annotated[Path, Parameter(name="IMAGE")],
    png: Annotated[Path, Parameter(name="PNG")],
    json: Annotated[Path, Parameter(name="JSON")],
    /,
    *,
    out: File,
    categories: File | None = None,
    upright: Flag = False,
) -> None:
    """Draw a panoptic PNG on its photo, in colours, with outlines and class names.

    For example
        jsisnet show photo.jpg maps/photo.png maps/predictions.json --out look.jpg

    Args:
        image: Photo.
        png: Map whose colours are segment ids.
        json: COCO panoptic JSON file that describes the map.
        out: Picture to write, .jpg or .png.
        categories: JSON file that lists the categories. Default: JSON does.
        upright: Turn the photo as its camera says, which `jsisnet predict` does too.
    """
    refuse_to_replace([image, png, json], [out])
    known = read_categories(json if categories is None else categories)
    panoptic = _read(png, json, known)
    drawn = overlay.draw(read_image(image, upright=upright), panoptic, known)
    write_picture(drawn, out)
    display(tables.segments(panoptic, known), f"look at {out}")


def _read(png: Path, json: Path, categories: Categories) -> PanopticMap:
    file = coco.read_annotations(json, pngs=png.parent, categories=categories)
    for annotation in file.annotations:
        if annotation.png.name == png.name:
            found = replace(annotation, png=png)
            return coco.read_png(found, categories, recount_areas=True)
    raise ValueError(f"{json}: does not describe {png.name}")
