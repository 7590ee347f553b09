"""Mapillary Vistas 1.2 and 2.0, from its archives or the folders they unpack to."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.files import json_fields, json_stream
from jsisnet.files.archives import StoredFile, file_in, files_below
from jsisnet.files.json_fields import Entry
from jsisnet.files.photo_folder import PhotoFolder
from jsisnet.files.png import read_values, size_of
from jsisnet.formats import categories_json, coco
from jsisnet.formats.map_index import Photo, record
from jsisnet.formats.pixel_codes import SegmentKey, decode
from jsisnet.formats.records import Record, Source, drop_unknown
from jsisnet.panoptic import PanopticMap

Version = Literal["1.2", "2.0"]
"""Version of the annotations; 1.1 counts as 1.2."""

_PANOPTIC = {"1.2": "panoptic_2018.json", "2.0": "panoptic_2020.json"}
_PER_LABEL = 256
"""A pixel of instance i of a label has the value 256 label + i in an instance PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A split of the data set, in one version of the annotations."""

    root: Path
    """The unpacked folder, in the layout of either archive, or the archive itself."""

    name: str
    """Name of the split: ``training`` or ``validation``."""

    version: Version = "1.2"
    """Version of the annotations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """The labels of a configuration file; their category ids are their positions plus 1."""

    listed: Categories
    """All labels."""

    evaluated: Categories
    """The evaluated labels; pixels of the others are void."""

    @property
    def labels(self) -> tuple[int, ...]:
        """For each listed label, its label among the evaluated ones, or `UNKNOWN`."""
        return tuple(
            self.evaluated.label(c.id) if c.id in self.evaluated else UNKNOWN for c in self.listed
        )


def source(split: Split, *, images: Path | None = None, recount_areas: bool = False) -> Source:
    """Open a split of the data set.

    The panoptic JSON file is read if there is one in an unpacked folder. Otherwise the maps are
    made from the 16-bit instance PNGs.

    Args:
        split: The split.
        images: Folder of the photos; default: see `photo_folder`.
        recount_areas: Whether to accept a panoptic file whose areas differ from its PNGs.

    Raises:
        ValueError: If a file is missing or invalid.
    """
    root = split.root
    classes = read_classes(_config(split))
    folder = split.name
    if files_below(root, f"{split.name}/v{split.version}", ".png"):
        folder = f"{split.name}/v{split.version}"
    elif split.version != "1.2":
        raise ValueError(f"{root}: no {split.name}/v{split.version} with PNGs")
    json = file_in(root, f"{folder}/panoptic/{_PANOPTIC[split.version]}")
    images = images or photo_folder(split)
    if isinstance(json, Path):
        assert images is not None  # the file is in an unpacked folder
        return _from_panoptic(json, classes, images, recount_areas=recount_areas)
    return _from_instances(root, folder, classes, images)


def photo_folder(split: Split) -> Path | None:
    """Return the folder of the photos, ``SPLIT/images``, or `None` if the root is a zip."""
    return split.root / split.name / "images" if split.root.is_dir() else None


def split_of(folder: Path) -> Split:
    """Return the split whose annotations are in a folder.

    Args:
        folder: ``training`` or ``validation`` of either archive, unpacked, for version 1.2; or
            ``v1.2`` or ``v2.0`` inside it, in the layout of the second archive.

    Raises:
        ValueError: If there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: not a folder; expected the annotations of a split, such as training or "
            "training/v2.0"
        )
    folder = folder.absolute()
    match folder.name:
        case "v1.2" | "v2.0":
            version: Version = "1.2" if folder.name == "v1.2" else "2.0"
            return Split(root=folder.parents[1], name=folder.parent.name, version=version)
    return Split(root=folder.parent, name=folder.name)


def read_categories(split: Split) -> Categories:
    """Read the evaluated classes of the data set, without its maps.

    Raises:
        ValueError: If the configuration file is missing or invalid.
    """
    return read_classes(_config(split)).evaluated


def read_classes(config: StoredFile) -> Classes:
    """Read a configuration file of the data set.

    Raises:
        ValueError: If an entry is invalid; the message names the file.
    """
    content = json_fields.load(config)
    try:
        labels = json_fields.each(content, "labels", lambda entry: entry)
        readable = [json_fields.string(entry, "readable") for entry in labels]
        # The panoptic files use the readable names, as long as these are unique.
        key = "readable" if len(set(readable)) == len(readable) else "name"
        listed = Categories(
            json_fields.each(
                {"labels": [{**entry, "id": i} for i, entry in enumerate(labels, 1)]},
                "labels",
                partial(_category, key),
            )
        )
        counts = [json_fields.flag(entry, "evaluate") for entry in labels]
        evaluated = Categories(tuple(c for c, isin in zip(listed, counts, strict=True) if isin))
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from None
    return Classes(listed=listed, evaluated=evaluated)


def read_any_categories(path: Path) -> Categories:
    """Read the classes of a COCO file, or the evaluated ones of a configuration file of Vistas.

    Raises:
        ValueError: If the file is neither, or an entry is invalid; the message names the file.
    """
    content = json_stream.load_without(path, ("images", "annotations"))
    if json_fields.has(content, "labels") and not json_fields.has(content, "categories"):
        return read_classes(path).evaluated
    return categories_json.read(path)


def _config(split: Split) -> StoredFile:
    root, name = split.root, f"config_v{split.version}.json"
    config = file_in(root, name) or file_in(root, "config.json")
    if config is None:
        raise ValueError(f"{root}: no {name} or config.json, which lists the classes")
    return config


def _category(key: str, values: Entry) -> Category:
    return categories_json.parse(
        [
            {
                "id": values["id"],
                "name": json_fields.string(values, key),
                "isthing": json_fields.flag(values, "instances"),
                "color": values.get("color"),
                "supercategory": json_fields.string(values, "name"),
            }
        ]
    )[0]


def _from_panoptic(json: Path, classes: Classes, images: Path, *, recount_areas: bool) -> Source:
    photos = PhotoFolder(images)
    file = coco.read_annotations(json, pngs=json.parent, images=photos, recount_areas=recount_areas)
    labels = []
    for category in file.categories:
        known = category.id in classes.listed
        meant = classes.listed[classes.listed.label(category.id)] if known else None
        if meant is None or category.name not in (meant.name, meant.supercategory):
            raise ValueError(
                f"{json}: category {category.id!r} is {category.name!r}, but the configuration "
                f"lists {'no such id' if meant is None else repr(meant.name)}"
            )
        labels.append(classes.labels[classes.listed.label(category.id)])
    records = []
    for annotation in file.annotations:
        assert annotation.image is not None  # a folder of photos was given
        records.append(
            Record(
                image_id=annotation.image_id,
                name=annotation.image.relative_to(images).as_posix(),
                image=annotation.image,
                size=annotation.size,
                read=partial(
                    _read_panoptic,
                    annotation,
                    file.categories,
                    tuple(labels),
                    recount_areas=recount_areas,
                ),
                maps=(annotation.png,),
            )
        )
    warnings = photos.warnings(len(records))
    return Source(categories=classes.evaluated, records=tuple(records), warnings=warnings)


def _read_panoptic(
    annotation: coco.Annotation,
    categories: Categories,
    labels: tuple[int, ...],
    *,
    recount_areas: bool,
) -> PanopticMap:
    panoptic = coco.read_png(annotation, categories, recount_areas=recount_areas)
    return drop_unknown(panoptic, labels)


def _from_instances(root: Path, folder: str, classes: Classes, images: Path | None) -> Source:
    files = files_below(root, f"{folder}/instances", ".png")
    if not files:
        raise ValueError(f"{root}: no PNGs in {folder}/instances")
    photos, records = PhotoFolder(images), []
    for png, file in files.items():
        name = png.removesuffix(".png")
        photo = Photo(image_id=name, name=f"{name}.jpg")
        records.append(record(photo, photos, partial(_read_instances, file, classes), file))
    return Source(categories=classes.evaluated, records=tuple(records))


def _read_instances(file: StoredFile, classes: Classes) -> PanopticMap:
    try:
        values = read_values(file)
        if values.ndim != 2 or values.dtype.itemsize != 2:  # noqa: PLR2004 - 16-bit grey
            raise ValueError("not a 16-bit grey PNG with the values 256 label + instance")
        key = partial(_key, classes, classes.labels)
        return decode(size_of(values), values.__getitem__, key, classes.evaluated)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _key(classes: Classes, labels: tuple[int, ...], value: int) -> SegmentKey | None:
    position, instance = divmod(value, _PER_LABEL)
    if position >= len(labels):
        raise ValueError(
            f"value {value} stands for label {position}, but the configuration lists {len(labels)}"
        )
    label = labels[position]
    if label == UNKNOWN:
        return None
    return SegmentKey(label=label, instance=instance if classes.evaluated[label].isthing else 0)
