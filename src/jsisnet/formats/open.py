"""Open or create a data set in any supported format."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from jsisnet.categories import Categories
from jsisnet.checks import check_choice, check_settings
from jsisnet.files.links import Links, follow_links
from jsisnet.formats import (
    categories_json,
    cityscapes,
    coco,
    coco_instances,
    outlines,
    semantic_instance,
    two_channel,
    vistas,
)
from jsisnet.formats.map_index import MapIndex, read_index
from jsisnet.formats.records import Source, Target

_T = TypeVar("_T")

Format = Literal[
    "coco", "coco-instances", "vistas", "cityscapes", "two-channel", "semantic-instance"
]
"""Formats that can be read."""

WritableFormat = Literal["coco", "coco-instances", "two-channel", "semantic-instance", "cityscapes"]
"""Formats that can be written."""


@dataclass(frozen=True, kw_only=True)
class DatasetLocation:
    """Paths and options that locate a data set; each format uses some of them."""

    annotations: Path | None = None
    """JSON file of coco or coco-instances; or, for vistas, the folder of one split's annotations,
    such as ``training/v2.0``, in place of `root`, `split` and `version`."""

    pngs: Path | None = None
    """Folder or zip of the maps of two-channel or coco. Default for coco: the one beside the JSON
    file that has its name."""

    semantic: Path | None = None
    """Folder or zip of class maps, for semantic-instance and optionally for coco-instances."""

    instances: Path | None = None
    """Folder or zip of instance maps, for semantic-instance."""

    root: Path | None = None
    """Folder or zip of the whole data set, for vistas and cityscapes."""

    split: str | None = None
    """Split of vistas or cityscapes, such as ``training`` or ``val``."""

    version: vistas.Version | None = None
    """Version of the vistas annotations. Default: 1.2."""

    categories: Path | None = None
    """JSON file of the classes, whose ids are the pixel values; it may also list the images."""

    void: tuple[int, ...] | None = None
    """Pixel values without a class. Default: 0 and 255, unless they are classes."""

    label_divisor: int | None = None
    """Divisor of 16-bit two-channel maps, whose values are divisor * class + instance. Default:
    256."""

    images: Path | None = None
    """Folder of the photos. Default for vistas and cityscapes: the one in an unpacked `root`."""

    keep_going: bool = False
    """Whether to leave out the entries of a coco-instances file that cannot be used."""

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The given files, folders and zips, the main one first."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(value for value in values if isinstance(value, Path))


def open_dataset(
    kind: str,
    *,
    recount_areas: bool = False,
    **location: Any,  # noqa: ANN401 - the types are those of `DatasetLocation`
) -> Source:
    """Open a data set, such as ``open_dataset("cityscapes", root="cityscapes", split="val")``.

    Args:
        kind: One of the values of `Format`.
        recount_areas: Whether to accept a JSON file whose areas differ from its PNGs.
        **location: Fields of `DatasetLocation`; paths may be strings.

    Raises:
        ValueError: If the format is unknown, an option is missing or unused, or the data set is
            invalid. The message names the file.
    """
    _reader(kind)
    names = [field.name for field in fields(DatasetLocation)]
    for name in location:
        if name not in names:
            check_choice("option", name, names)
    values = {name: _converted(name, value) for name, value in location.items()}
    return open_location(kind, DatasetLocation(**values), recount_areas=recount_areas)


def _converted(name: str, value: object) -> Any:  # noqa: ANN401 - see `open_dataset`
    """Convert an option of a program to the type that `DatasetLocation` has."""
    if value is None or name in ("split", "version", "keep_going"):
        return value
    try:
        if name == "void":
            return tuple(map(operator.index, value))  # type: ignore[call-overload]
        if name == "label_divisor":
            return operator.index(value)  # type: ignore[arg-type]
        return Path(value)  # type: ignore[arg-type]
    except TypeError:
        expected = {"void": "integers", "label_divisor": "an integer"}.get(name, "a path")
        raise ValueError(f"{name} is {value!r}; expected {expected}") from None


def open_location(kind: str, location: DatasetLocation, *, recount_areas: bool = False) -> Source:
    """Open the data set at a location.

    Raises:
        ValueError: See `open_dataset`.
    """
    check_location(kind, location)
    photos = photo_folder(kind, location)
    with follow_links(into=location.paths):
        if photos is not None and location.root is not None and location.images is None:
            Links(location.root).refuse(photos)
        return _reader(kind).open(location, recount_areas)


def read_categories(kind: str, location: DatasetLocation) -> Categories:
    """Read the classes of a data set, without its maps wherever they suffice.

    Raises:
        ValueError: See `open_dataset`.
    """
    check_location(kind, location)
    match kind:
        case "coco":
            return categories_json.read(_given(location.annotations))
        case "coco-instances" if location.categories is None:
            return coco_instances.read_categories(_given(location.annotations))
        case "vistas":
            return vistas.read_categories(_vistas_split(location))
        case "two-channel" | "semantic-instance":
            return _index(location).categories
    return open_location(kind, location).categories


def create_dataset(kind: WritableFormat, folder: Path, categories: Categories) -> Target:
    """Prepare to write a data set.

    Args:
        kind: Format to write.
        folder: Folder that receives the maps and the index.
        categories: Classes of the maps. They get ids that fit into the pixels if theirs do not.

    Raises:
        ValueError: If there are more classes than the format can store.
    """
    return _WRITERS[kind](folder, categories)


def photo_folder(kind: str, location: DatasetLocation) -> Path | None:
    """Return the folder of the photos: the given one, or that of an unpacked data set."""
    if location.images is not None:
        return location.images
    match kind:
        case "vistas":
            return vistas.photo_folder(_vistas_split(location))
        case "cityscapes":
            return cityscapes.photo_folder(_given(location.root), _given(location.split))
    return None


def check_location(kind: str, location: DatasetLocation, *, prefix: str = "") -> None:
    """Check that a location has what a format needs, and nothing that it does not use.

    Args:
        kind: The format.
        location: What was given.
        prefix: What precedes the name of an option where the user gave it, such as ``--``.

    Raises:
        ValueError: If the format is unknown, or an option is missing or unused.
    """
    reader = _reader(kind)
    required, optional = reader.required, reader.optional
    if kind == "vistas" and location.annotations is not None:
        required, optional = ("annotations",), ("images",)
    given = [field.name for field in fields(location) if _is_given(getattr(location, field.name))]
    for name in required:
        if name not in given:
            raise ValueError(f"{prefix}{name} is required by the format {kind}")
    for name in given:
        if name not in required + optional:
            option = f"{prefix}{name.replace('_', '-') if prefix else name}"
            raise ValueError(f"{option} is not used by the format {kind}")
    needs = {"semantic": "categories", "void": "semantic"} if kind == "coco-instances" else {}
    for name, other in needs.items():
        if name in given and other not in given:
            raise ValueError(f"{prefix}{other} is required by {prefix}{name}")


def _is_given(value: object) -> bool:
    return value is not None and value is not False


def _reader(kind: str) -> "_Reader":
    if not isinstance(kind, str) or kind not in _READERS:
        near = get_close_matches(str(kind), _READERS, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"No format named {kind!r}. {hint}Formats: {', '.join(_READERS)}.")
    return _READERS[kind]


def _coco(location: DatasetLocation, recount_areas: bool) -> Source:
    return coco.source(
        _given(location.annotations),
        pngs=location.pngs,
        images=location.images,
        recount_areas=recount_areas,
    )


def _coco_instances(location: DatasetLocation, _: bool) -> Source:
    annotations = _given(location.annotations)
    if location.categories is None:
        return coco.instances_source(
            annotations, images=location.images, keep_going=location.keep_going
        )
    return outlines.source(
        annotations,
        _index(location),
        semantic=location.semantic,
        images=location.images,
        void=location.void,
        keep_going=location.keep_going,
    )


def _vistas(location: DatasetLocation, recount_areas: bool) -> Source:
    return vistas.source(
        _vistas_split(location), images=location.images, recount_areas=recount_areas
    )


def _cityscapes(location: DatasetLocation, _: bool) -> Source:
    index = None if location.categories is None else _index(location)
    root, split = _given(location.root), _given(location.split)
    return cityscapes.source(root, split, images=location.images, index=index)


def _two_channel(location: DatasetLocation, _: bool) -> Source:
    pngs, index = _given(location.pngs), _index(location)
    return two_channel.source(
        pngs,
        index,
        images=location.images,
        void=location.void,
        label_divisor=location.label_divisor,
    )


def _semantic_instance(location: DatasetLocation, _: bool) -> Source:
    return semantic_instance.source(
        _given(location.semantic),
        _given(location.instances),
        _index(location),
        images=location.images,
        void=location.void,
    )


def _index(location: DatasetLocation) -> MapIndex:
    return read_index(_given(location.categories))


def _vistas_split(location: DatasetLocation) -> vistas.Split:
    if location.annotations is not None:
        return vistas.split_of(location.annotations)
    return vistas.Split(
        root=_given(location.root),
        name=_given(location.split),
        version=location.version or "1.2",
    )


def _given(value: _T | None) -> _T:
    assert value is not None  # `check_location` has made sure
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    """How a format is opened."""

    open: Callable[[DatasetLocation, bool], Source]
    required: tuple[str, ...]
    optional: tuple[str, ...]


_READERS: Mapping[str, _Reader] = {
    "coco": _Reader(open=_coco, required=("annotations",), optional=("pngs", "images")),
    "coco-instances": _Reader(
        open=_coco_instances,
        required=("annotations",),
        optional=("categories", "semantic", "void", "images", "keep_going"),
    ),
    "vistas": _Reader(open=_vistas, required=("root", "split"), optional=("version", "images")),
    "cityscapes": _Reader(
        open=_cityscapes, required=("root", "split"), optional=("categories", "images")
    ),
    "two-channel": _Reader(
        open=_two_channel,
        required=("pngs", "categories"),
        optional=("void", "label_divisor", "images"),
    ),
    "semantic-instance": _Reader(
        open=_semantic_instance,
        required=("semantic", "instances", "categories"),
        optional=("void", "images"),
    ),
}

_WRITERS: Mapping[WritableFormat, Callable[[Path, Categories], Target]] = {
    "coco": coco.coco_target,
    "coco-instances": outlines.target,
    "two-channel": two_channel.target,
    "semantic-instance": semantic_instance.target,
    "cityscapes": cityscapes.target,
}
