"""Photos with ground truth, opened from files."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import Dataset

from jsisnet.categories import Categories
from jsisnet.data.images import read_image
from jsisnet.data.relabel import relabelled
from jsisnet.data.sample import Sample
from jsisnet.formats import categories as category_entries
from jsisnet.formats import coco, coco_instances
from jsisnet.formats.coco_listed import ImageId
from jsisnet.panoptic import PanopticMap


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where photos and ground truth lie, and in which classes they are used.

    Raises:
        ValueError: If a value lies outside its range, or contradicts `kind`.
    """

    images: str
    """Folder of the photos."""

    annotations: str
    """JSON file of the ground truth."""

    kind: Literal["panoptic", "instances"] = "panoptic"
    """Format of the file: COCO's panoptic one, or COCO's instances one, which says nothing about
    stuff."""

    pngs: str | None = None
    """Folder of the PNGs; default: the folder beside the JSON file that is named like it."""

    root: str | None = None
    """Folder in which the relative paths begin, if it is not that of the run."""

    merge: Literal["supercategory"] | None = None
    """Join the classes of each group into one, so that few photos can train a useful network."""

    trusted: Literal["all", "semantic", "instances"] = "all"
    """What a training learns from: all that the file says, the classes of the pixels alone, or the
    objects alone."""

    weight: float = 1.0
    """How often a training sees a photo, relative to the photos of data with weight 1; 0 for
    never."""

    first: int | None = None
    """Use only so many photos, those that the JSON file lists first."""

    recount_areas: bool = False
    """Accept a JSON file whose areas differ from its PNGs."""

    cache: bool = False
    """Keep decoded photos in memory: about 2 MB for one of 640x480, in each worker."""

    def __post_init__(self) -> None:
        if self.first is not None and self.first < 1:
            raise ValueError(f"first is {self.first}; expected at least 1")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight is {self.weight}; expected a number, 0 or more")
        if self.kind == "instances" and self.trusted == "semantic":
            raise ValueError("trusted is semantic; expected all or instances for kind instances")
        if self.kind == "instances" and self.pngs is not None:
            raise ValueError(f"pngs is {self.pngs}; expected none for kind instances")

    def under(self, root: str) -> "DataConfig":
        """Let relative paths begin in a folder."""
        folder = Path(root, self.root or "")
        return replace(
            self,
            root=None,
            images=str(folder / self.images),
            annotations=str(folder / self.annotations),
            pngs=None if self.pngs is None else str(folder / self.pngs),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Photo:
    """Where one photo and its ground truth are."""

    image_id: ImageId
    image: Path
    png: Path | None
    size: tuple[int, int] | None
    """Height and width that the JSON file states."""
    panoptic: Callable[[], PanopticMap]
    """Read the ground truth, in the classes of the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Truth:
    """What a JSON file says, whatever its kind."""

    categories: Categories
    photos: tuple[_Photo, ...]


class PanopticDataset(Dataset[Sample]):
    """Photos with ground truth, in the order of the JSON file."""

    def __init__(self, config: DataConfig, categories: Categories | None = None) -> None:
        """Read the JSON file and make sure that its photos and PNGs are there.

        Args:
            config: Where the files are.
            categories: Classes to use, each class of the file having a counterpart; default:
                those of the file, merged as `config` says.

        Raises:
            ValueError: If a file is missing, breaks the format, or has a class without
                counterpart. The message names the file.
        """
        self.config = config.under("")
        self.path = Path(self.config.annotations)
        truth = (_instances if config.kind == "instances" else _panoptic)(self.config)
        self._photos = truth.photos[: config.first]
        for photo in self._photos:
            for needed in (photo.image, photo.png):
                if needed is not None and not needed.is_file():
                    raise ValueError(
                        f"{self.path}: image {photo.image_id!r}: {needed} does not exist"
                    )
        self._own = truth.categories
        self._speak_of(categories or _merged(self._own, self.config))

    def in_classes(self, categories: Categories) -> "PanopticDataset":
        """Give the same photos in other classes, among which each class of the file has one.

        Raises:
            ValueError: If a class of the file has no counterpart. The message names the file.
        """
        other = copy(self)
        other._speak_of(categories)
        return other

    def _speak_of(self, categories: Categories) -> None:
        self.categories = categories
        try:
            self._labels = categories.labels_of(self._own)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
        labelled = categories.labelled_by(self._own)
        self._unlabelled = frozenset(
            label
            for label in categories.thing_labels
            if not labelled[label] or self.config.trusted == "semantic"
        )
        silent = bool(categories.stuff_labels) and not self._own.stuff_labels
        self._semantic = self.config.trusted != "instances" and not silent
        self._cache: dict[int, Sample] | None = {} if self.config.cache else None

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Sample:
        """Read one photo and its map, at the size of the files.

        Raises:
            ValueError: If a file is damaged, or the two differ in size.
        """
        if self._cache is None:
            return self._read(index)
        if index not in self._cache:
            self._cache[index] = self._read(index)
        return self._cache[index]

    def image_name(self, index: int) -> str:
        """Give the path of a photo inside the folder of photos."""
        return self._photos[index].image.relative_to(self.config.images).as_posix()

    def _read(self, index: int) -> Sample:
        photo = self._photos[index]
        image = torch.from_numpy(read_image(photo.image)).permute(2, 0, 1)
        size = (image.shape[1], image.shape[2])
        self._refuse_another_size(photo, size, photo.size)
        panoptic = photo.panoptic()
        self._refuse_another_size(photo, size, panoptic.size)
        return Sample(
            image=image,
            panoptic=relabelled(panoptic, self._labels, self.categories),
            image_id=photo.image_id,
            unlabelled=self._unlabelled,
            semantic=self._semantic,
        )

    def _refuse_another_size(
        self, photo: _Photo, found: tuple[int, int], expected: tuple[int, int] | None
    ) -> None:
        if expected not in (None, found):
            raise ValueError(
                f"{photo.image}: is {found[0]}x{found[1]} pixels, but its ground truth in "
                f"{self.path} is {expected[0]}x{expected[1]}"
            )


def read_categories(config: DataConfig) -> Categories:
    """Read the classes that data is used in, and nothing else of it.

    Raises:
        ValueError: If the file is missing or its classes break a rule. The message names it.
    """
    things_alone = config.kind == "instances"
    read = coco_instances.read_categories if things_alone else category_entries.read
    return _merged(read(Path(config.under("").annotations)), config)


def _panoptic(config: DataConfig) -> _Truth:
    file = coco.read_annotations(
        Path(config.annotations),
        pngs=None if config.pngs is None else Path(config.pngs),
        images=Path(config.images),
    )
    photos = []
    for annotation in file.annotations:
        assert annotation.image is not None  # the folder of the photos was given
        photos.append(
            _Photo(
                image_id=annotation.image_id,
                image=annotation.image,
                png=annotation.png,
                size=annotation.size,
                panoptic=partial(
                    coco.read_png, annotation, file.categories, recount_areas=config.recount_areas
                ),
            )
        )
    return _Truth(categories=file.categories, photos=tuple(photos))


def _instances(config: DataConfig) -> _Truth:
    file = coco_instances.read_annotations(Path(config.annotations), images=Path(config.images))
    photos = (
        _Photo(
            image_id=annotation.image_id,
            image=annotation.image,
            png=None,
            size=annotation.size,
            panoptic=partial(coco_instances.draw, annotation, file.categories),
        )
        for annotation in file.annotations
    )
    return _Truth(categories=file.categories, photos=tuple(photos))


def _merged(categories: Categories, config: DataConfig) -> Categories:
    try:
        return categories if config.merge is None else categories.merged_by(config.merge)
    except ValueError as error:
        raise ValueError(f"{config.annotations}: {error}") from None
