"""Mapillary Vistas 1.2 and 2.0, as its archives unpack or as they are."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from jsisnet.categories import UNKNOWN, Categories, Category
from jsisnet.files import json_fields
from jsisnet.files.archives import StoredFile, file_in, files_below
from jsisnet.files.json_fields import Entry
from jsisnet.files.png import read_values, size_of
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco
from jsisnet.formats.coded import Meaning, drawn
from jsisnet.formats.records import Record, Source, without_unknown
from jsisnet.panoptic import PanopticMap

Version = Literal["1.2", "2.0"]
"""Of the annotations; 1.1 counts as 1.2."""

_PANOPTIC = {"1.2": "panoptic_2018.json", "2.0": "panoptic_2020.json"}
_PER_LABEL = 256
"""Values of a label in an instance PNG: one for each of its instances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """The labels of a configuration file; category ids are their positions plus 1."""

    listed: Categories
    """All labels."""

    evaluated: Categories
    """Those that count; pixels of the others are void."""

    @property
    def labels(self) -> tuple[int, ...]:
        """For each label of the file that among the evaluated ones, or `UNKNOWN`."""
        return tuple(
            self.evaluated.label(c.id) if c.id in self.evaluated else UNKNOWN for c in self.listed
        )


def source(
    root: Path,
    split: str,
    version: Version = "1.2",
    *,
    images: Path | None = None,
    recount_areas: bool = False,
) -> Source:
    """Open a part of the data set.

    The panoptic JSON file is read where it is there; if not, or inside a zip, the maps are made
    from the 16-bit instance PNGs.

    Args:
        root: The unpacked folder, in the layout of either archive, or the archive itself.
        split: ``training`` or ``validation``.
        version: Which annotations to read.
        images: Folder of the photos; default: the one in the unpacked folder.
        recount_areas: Whether to accept a panoptic file whose areas differ from its PNGs.

    Raises:
        ValueError: If a file is missing or breaks a rule.
    """
    classes = read_classes(_config(root, version))
    folder = split
    if files_below(root, f"{split}/v{version}", ".png"):
        folder = f"{split}/v{version}"
    elif version != "1.2":
        raise ValueError(f"{root}: has no {split}/v{version} with PNGs")
    json = file_in(root, f"{folder}/panoptic/{_PANOPTIC[version]}")
    if images is None and root.is_dir():
        images = root / split / "images"
    if isinstance(json, Path):
        assert images is not None  # the file lies in an unpacked folder
        return _from_panoptic(json, classes, images, recount_areas=recount_areas)
    return _from_instances(root, folder, classes, images)


def source_of(folder: Path, *, images: Path, recount_areas: bool = False) -> Source:
    """Open a part of the data set by the folder of its annotations.

    Args:
        folder: ``training`` or ``validation`` of either archive, unpacked, for version 1.2; or, of
            the second one, ``v1.2`` or ``v2.0`` in there. The classes are in the folder above.
        images: Folder of the photos.
        recount_areas: As for `source`.

    Raises:
        ValueError: If a file is missing or breaks a rule.
    """
    part, version = _part(folder)
    return source(part.parent, part.name, version, images=images, recount_areas=recount_areas)


def categories_of(folder: Path) -> Categories:
    """Read the classes that `source_of` would give, and nothing else of the data.

    Raises:
        ValueError: As `source_of` does.
    """
    part, version = _part(folder)
    return read_classes(_config(part.parent, version)).evaluated


def read_classes(config: StoredFile) -> Classes:
    """Read a configuration file of the data set.

    Raises:
        ValueError: If an entry breaks a rule; the message names the file.
    """
    content = json_fields.load(config)
    try:
        labels = json_fields.each(content, "labels", lambda entry: entry)
        readable = [json_fields.text(entry, "readable") for entry in labels]
        # Names that people read are those of the panoptic files, as long as they are unique.
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


def _part(folder: Path) -> tuple[Path, Version]:
    """Give the folder of a part, and the version of the annotations that a folder holds."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: is not a folder; expected the annotations of a part, such as training or "
            "training/v2.0"
        )
    folder = folder.absolute()
    match folder.name:
        case "v1.2":
            return folder.parent, "1.2"
        case "v2.0":
            return folder.parent, "2.0"
        case _:
            return folder, "1.2"


def _config(root: Path, version: Version) -> StoredFile:
    config = file_in(root, f"config_v{version}.json") or file_in(root, "config.json")
    if config is None:
        raise ValueError(
            f"{root}: has neither config_v{version}.json nor config.json, which list the classes"
        )
    return config


def _category(key: str, values: Entry) -> Category:
    return category_entries.parse(
        [
            {
                "id": values["id"],
                "name": json_fields.text(values, key),
                "isthing": json_fields.flag(values, "instances"),
                "color": values.get("color"),
                "supercategory": json_fields.text(values, "name"),
            }
        ]
    )[0]


def _from_panoptic(json: Path, classes: Classes, images: Path, *, recount_areas: bool) -> Source:
    file = coco.read_annotations(json, pngs=json.parent, images=images)
    labels = []
    for category in file.categories:
        known = category.id in classes.listed
        meant = classes.listed[classes.listed.label(category.id)] if known else None
        if meant is None or category.name not in (meant.name, meant.supercategory):
            raise ValueError(
                f"{json}: category {category.id!r} is {category.name!r}, expected "
                f"{'no such id' if meant is None else repr(meant.name)} by the configuration"
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
                png=annotation.png,
            )
        )
    return Source(categories=classes.evaluated, records=tuple(records))


def _read_panoptic(
    annotation: coco.Annotation,
    categories: Categories,
    labels: tuple[int, ...],
    *,
    recount_areas: bool,
) -> PanopticMap:
    panoptic = coco.read_png(annotation, categories, recount_areas=recount_areas)
    return without_unknown(panoptic, labels)


def _from_instances(root: Path, folder: str, classes: Classes, images: Path | None) -> Source:
    files = files_below(root, f"{folder}/instances", ".png")
    if not files:
        raise ValueError(f"{root}: has no PNGs in {folder}/instances")
    records = []
    for png, file in files.items():
        name = png.removesuffix(".png")
        photo = f"{name}.jpg"
        records.append(
            Record(
                image_id=name,
                name=photo,
                image=None if images is None else images / photo,
                size=None,
                read=partial(_read_instances, file, classes),
            )
        )
    return Source(categories=classes.evaluated, records=tuple(records))


def _read_instances(file: StoredFile, classes: Classes) -> PanopticMap:
    try:
        values = read_values(file)
        if values.ndim != 2 or values.dtype.itemsize != 2:  # noqa: PLR2004 - 16-bit grey
            raise ValueError("is no PNG of 16-bit grey, whose values are 256 label + instance")
        meaning = partial(_meaning, classes, classes.labels)
        return drawn(size_of(values), values.__getitem__, meaning, classes.evaluated)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _meaning(classes: Classes, labels: tuple[int, ...], value: int) -> Meaning | None:
    position, instance = divmod(value, _PER_LABEL)
    if position >= len(labels):
        raise ValueError(
            f"value {value} means label {position}, but the configuration lists {len(labels)}"
        )
    label = labels[position]
    if label == UNKNOWN:
        return None
    return Meaning(label=label, instance=instance if classes.evaluated[label].isthing else 0)
