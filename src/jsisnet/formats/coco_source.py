"""COCO's two formats as sources of records."""

from functools import partial
from pathlib import Path

from jsisnet.formats import coco, coco_instances
from jsisnet.formats.records import Record, Source


def panoptic(
    annotations: Path,
    *,
    pngs: Path | None = None,
    images: Path | None = None,
    recount_areas: bool = False,
) -> Source:
    """Open COCO panoptic files, which cityscapesScripts writes as well.

    Args:
        annotations: The JSON file, which has to list the images.
        pngs: Folder of the PNGs; default: the folder beside the file that is named like it.
        images: Folder of the photos, if it is known.
        recount_areas: Whether to accept areas that differ from the PNGs.

    Raises:
        ValueError: If the file breaks a rule of the format.
    """
    folder = images or Path()
    file = coco.read_annotations(annotations, pngs=pngs, images=folder)
    records = []
    for annotation in file.annotations:
        assert annotation.image is not None  # a folder of photos was given
        records.append(
            Record(
                image_id=annotation.image_id,
                name=annotation.image.relative_to(folder).as_posix(),
                image=None if images is None else annotation.image,
                size=annotation.size,
                read=partial(
                    coco.read_png, annotation, file.categories, recount_areas=recount_areas
                ),
                png=annotation.png,
            )
        )
    return Source(categories=file.categories, records=tuple(records))


def instances(annotations: Path, *, images: Path | None = None) -> Source:
    """Open a COCO instances file: things alone, on void.

    Args:
        annotations: The JSON file.
        images: Folder of the photos, if it is known.

    Raises:
        ValueError: If the file breaks a rule of the format.
    """
    folder = images or Path()
    file = coco_instances.read_annotations(annotations, images=folder)
    records = (
        Record(
            image_id=annotation.image_id,
            name=annotation.image.relative_to(folder).as_posix(),
            image=None if images is None else annotation.image,
            size=annotation.size,
            read=partial(coco_instances.draw, annotation, file.categories),
        )
        for annotation in file.annotations
    )
    return Source(categories=file.categories, records=tuple(records))
