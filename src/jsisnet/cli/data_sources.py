"""Options that say where a data set is, in any format."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from jsisnet.cli.options import Archive, File, Folder
from jsisnet.formats import (
    cityscapes,
    coco,
    image_list,
    outlines,
    semantic_and_instance,
    two_channel,
    vistas,
)
from jsisnet.formats.records import Source

Format = Literal[
    "coco", "coco-instances", "vistas", "cityscapes", "two-channel", "semantic-and-instance"
]
"""Names of the formats."""

Processes = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=1024))]
"""How many share a work; ``None`` for one per core."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the parts of a data set are."""

    annotations: File | None = None
    """JSON file of coco and coco-instances."""

    pngs: Archive | None = None
    """The maps of two-channel; of coco, unless they are beside its file and named like it."""

    semantic: Archive | None = None
    """The maps of classes, of semantic-and-instance and perhaps of coco-instances."""

    instances: Archive | None = None
    """The maps of instances, of semantic-and-instance."""

    root: Archive | None = None
    """All of vistas or cityscapes."""

    split: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Part of vistas or cityscapes: training, val."""

    version: vistas.Version | None = None
    """Which annotations of vistas. Default: 1.2."""

    categories: File | None = None
    """JSON file of classes, things and stuff, whose ids are values of pixels; may list images."""

    void: Annotated[tuple[int, ...] | None, Parameter(metavar="N", negative=())] = None
    """Values of pixels without a class. Default: 0 and 255, unless they are classes."""

    images: Folder | None = None
    """Folder of the photos."""


_NEEDED: Mapping[Format, tuple[str, ...]] = {
    "coco": ("annotations",),
    "coco-instances": ("annotations",),
    "vistas": ("root", "split"),
    "cityscapes": ("root", "split"),
    "two-channel": ("pngs", "categories"),
    "semantic-and-instance": ("semantic", "instances", "categories"),
}
_POSSIBLE: Mapping[Format, tuple[str, ...]] = {
    "coco": ("pngs", "images"),
    "coco-instances": ("categories", "semantic", "void", "images"),
    "vistas": ("version",),
    "cityscapes": ("categories", "images"),
    "two-channel": ("void", "images"),
    "semantic-and-instance": ("void", "images"),
}


def opened(kind: Format, places: Places) -> Source:
    """Open a data set.

    Raises:
        ValueError: If an option is missing or means nothing to the format, or the data set breaks a
            rule.
    """
    refuse_other_options(kind, places)
    annotations, root = places.annotations or Path(), places.root or Path()
    split, images = places.split or "", places.images
    listing = None if places.categories is None else image_list.read_listing(places.categories)
    match kind, listing:
        case "coco", _:
            return coco.source(annotations, pngs=places.pngs, images=images)
        case "coco-instances", _:
            return _outlines(annotations, listing, places)
        case "vistas", _:
            return vistas.source(root, split, places.version or "1.2")
        case "cityscapes", _:
            return cityscapes.source(root, split, images=images, listing=listing)
        case "two-channel", image_list.MapListing():
            pngs = places.pngs or Path()
            return two_channel.source(pngs, listing, images=images, void=places.void)
        case _, image_list.MapListing():
            maps = places.semantic or Path(), places.instances or Path()
            return semantic_and_instance.source(*maps, listing, images=images, void=places.void)
    raise AssertionError("a format without its categories was refused before")


def _outlines(annotations: Path, listing: image_list.MapListing | None, places: Places) -> Source:
    images = places.images
    if listing is None:
        return coco.instances_source(annotations, images=images)
    return outlines.source(
        annotations, listing, semantic=places.semantic, images=images, void=places.void
    )


def refuse_other_options(kind: Format, places: Places) -> None:
    """Notice options that are missing, or that mean nothing to a format.

    Raises:
        ValueError: If there are any; the message names one.
    """
    given = [field.name for field in fields(places) if getattr(places, field.name) is not None]
    for name in _NEEDED[kind]:
        if name not in given:
            raise ValueError(f"--{name} is missing; the format {kind} needs it")
    for name in given:
        if name not in _NEEDED[kind] + _POSSIBLE[kind]:
            raise ValueError(f"--{name} means nothing to the format {kind}")
    if "semantic" in given and "categories" not in given:
        raise ValueError("--categories is missing; --semantic needs it")
    if kind == "coco-instances" and "void" in given and "semantic" not in given:
        raise ValueError("--semantic is missing; --void speaks of its pixels")
