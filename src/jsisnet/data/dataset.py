"""Photos with ground truth, opened from files."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import Dataset

from jsisnet.categories import Categories
from jsisnet.data.sample import Sample
from jsisnet.files.archives import holds
from jsisnet.files.photos import read_image
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats import coco, coco_instances, vistas
from jsisnet.formats.records import Record, Source, relabelled


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where photos and ground truth lie, and in which classes they are used.

    Raises:
        ValueError: If a value lies outside its range, or contradicts `kind`.
    """

    images: str
    """Folder of the photos."""

    annotations: str
    """JSON file of the ground truth; of Mapillary Vistas a folder, such as ``training/v2.0``."""

    kind: Literal["panoptic", "instances", "vistas"] = "panoptic"
    """Format of the ground truth: COCO's panoptic one, COCO's instances one, which says nothing
    about stuff, or that of Mapillary Vistas as its archives unpack."""

    pngs: str | None = None
    """Folder or zip of the PNGs; default: beside the JSON file and named like it."""

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
    """Use only so many photos, those that are listed first."""

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
        if self.kind != "panoptic" and self.pngs is not None:
            raise ValueError(f"pngs is {self.pngs}; expected none for kind {self.kind}")

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


class PanopticDataset(Dataset[Sample]):
    """Photos with ground truth, in the order in which they are listed."""

    def __init__(self, config: DataConfig, categories: Categories | None = None) -> None:
        """List the photos and make sure that they and their PNGs are there.

        Args:
            config: Where the files are.
            categories: Classes to use, each class of the data having a counterpart; default:
                those of the data, merged as `config` says.

        Raises:
            ValueError: If a file is missing, breaks the format, or has a class without
                counterpart. The message names the file.
        """
        self.config = config.under("")
        self.path = Path(self.config.annotations)
        source = _source(self.config)
        self._records = source.records[: config.first]
        for record in self._records:
            for needed in (record.image, record.png):
                if needed is not None and not holds(needed):
                    raise ValueError(
                        f"{self.path}: image {record.image_id!r}: {needed} does not exist"
                    )
        self._own = source.categories
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
        return len(self._records)

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
        return self._records[index].name

    def _read(self, index: int) -> Sample:
        record = self._records[index]
        assert record.image is not None  # the folder of the photos was given
        image = torch.from_numpy(read_image(record.image)).permute(2, 0, 1)
        size = (image.shape[1], image.shape[2])
        self._refuse_another_size(record, size, record.size)
        panoptic = record.read()
        self._refuse_another_size(record, size, panoptic.size)
        return Sample(
            image=image,
            panoptic=relabelled(panoptic, self._labels, self.categories),
            image_id=record.image_id,
            unlabelled=self._unlabelled,
            semantic=self._semantic,
        )

    def _refuse_another_size(
        self, record: Record, found: tuple[int, int], expected: tuple[int, int] | None
    ) -> None:
        if expected not in (None, found):
            raise ValueError(
                f"{record.image}: is {found[0]}x{found[1]} pixels, but its ground truth in "
                f"{self.path} is {expected[0]}x{expected[1]}"
            )


def read_categories(config: DataConfig) -> Categories:
    """Read the classes that data is used in, and nothing else of it.

    Raises:
        ValueError: If the file is missing or its classes break a rule. The message names it.
    """
    path = Path(config.under("").annotations)
    match config.kind:
        case "panoptic":
            categories = category_entries.read(path)
        case "instances":
            categories = coco_instances.read_categories(path)
        case "vistas":
            categories = vistas.categories_of(path)
    return _merged(categories, config)


def _source(config: DataConfig) -> Source:
    annotations, images = Path(config.annotations), Path(config.images)
    match config.kind:
        case "panoptic":
            return coco.source(
                annotations,
                pngs=None if config.pngs is None else Path(config.pngs),
                images=images,
                recount_areas=config.recount_areas,
            )
        case "instances":
            return coco.instances_source(annotations, images=images)
        case "vistas":
            return vistas.source_of(annotations, images=images, recount_areas=config.recount_areas)


def _merged(categories: Categories, config: DataConfig) -> Categories:
    try:
        return categories if config.merge is None else categories.merged_by(config.merge)
    except ValueError as error:
        raise ValueError(f"{config.annotations}: {error}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One of the data sets that lie behind each other."""

    length: int
    """Number of photos."""

    weight: float = 1.0
    """How often a photo is seen, relative to the photos of parts with weight 1."""


class Sources:
    """The photos of one data set after those of the other, in the classes of all of them.

    A class that a data set lacks may still be in its photos, so each sample tells what its ground
    truth is silent about.
    """

    def __init__(self, configs: Sequence[DataConfig]) -> None:
        """Open the data sets, but for those with weight 0.

        Their classes are matched by name, in order of first appearance.

        Raises:
            ValueError: If there is no data set left, one is broken, or the classes of two
                contradict each other. The message names the files.
        """
        opened = [PanopticDataset(config) for config in _used(configs)]
        self.categories = _joined([(dataset.path, dataset.categories) for dataset in opened])
        self.datasets = tuple(dataset.in_classes(self.categories) for dataset in opened)
        self.parts = tuple(
            Part(length=len(dataset), weight=dataset.config.weight) for dataset in self.datasets
        )
        self._ends = list(accumulate(part.length for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        """Read one photo; see `PanopticDataset`."""
        number = bisect_right(self._ends, index)
        return self.datasets[number][index - self._ends[number] + self.parts[number].length]


def common_categories(configs: Sequence[DataConfig]) -> Categories:
    """Read the classes that `Sources` would have, and nothing else of the data.

    Raises:
        ValueError: As for `Sources`.
    """
    used = _used(configs)
    return _joined([(Path(config.annotations), read_categories(config)) for config in used])


def _used(configs: Sequence[DataConfig]) -> list[DataConfig]:
    used = [config for config in configs if config.weight > 0]
    if not used:
        raise ValueError("all data has weight 0; expected at least one with more")
    return used


def _joined(files: Sequence[tuple[Path, Categories]]) -> Categories:
    """Join the classes of files, in their order."""
    joined = Categories(())
    for number, (path, categories) in enumerate(files):
        try:
            joined = joined.joined_with(categories)
        except ValueError as error:
            before = ", ".join(str(path) for path, _ in files[:number])
            raise ValueError(f"{path}: {error} ({before})") from None
    return joined
