"""Photos with panoptic ground truth, opened from files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import Dataset

from jsisnet.categories import Categories
from jsisnet.data.images import read_image
from jsisnet.data.relabel import relabelled
from jsisnet.data.sample import Sample
from jsisnet.formats.coco import read_annotations, read_png


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where photos and ground truth lie, and in which classes they are used.

    Raises:
        ValueError: If `first` is not positive.
    """

    images: str
    """Folder of the photos."""

    annotations: str
    """COCO panoptic JSON file."""

    pngs: str | None = None
    """Folder of the PNGs; default: the folder beside the JSON file that is named like it."""

    merge: Literal["supercategory"] | None = None
    """Join the classes of each group into one, so that few photos can train a useful network."""

    first: int | None = None
    """Use only so many photos, those that the JSON file lists first."""

    recount_areas: bool = False
    """Accept a JSON file whose areas differ from its PNGs."""

    cache: bool = False
    """Keep decoded photos in memory: about 2 MB for one of 640x480, in each worker."""

    def __post_init__(self) -> None:
        if self.first is not None and self.first < 1:
            raise ValueError(f"first is {self.first}; expected at least 1")

    def under(self, root: str) -> "DataConfig":
        """Let relative paths begin in a folder."""
        return replace(
            self,
            images=str(Path(root, self.images)),
            annotations=str(Path(root, self.annotations)),
            pngs=None if self.pngs is None else str(Path(root, self.pngs)),
        )


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
        self.config = config
        self.file = read_annotations(
            Path(config.annotations),
            pngs=None if config.pngs is None else Path(config.pngs),
            images=Path(config.images),
        )
        self._annotations = self.file.annotations[: config.first]
        for annotation in self._annotations:
            for needed in (annotation.image, annotation.png):
                if needed is not None and not needed.is_file():
                    raise ValueError(
                        f"{self.file.path}: image {annotation.image_id!r}: {needed} does not exist"
                    )
        try:
            self.categories = categories or _merged(self.file.categories, config.merge)
            self._labels = self.categories.labels_of(self.file.categories)
        except ValueError as error:
            raise ValueError(f"{self.file.path}: {error}") from None
        self._cache: dict[int, Sample] | None = {} if config.cache else None

    def __len__(self) -> int:
        return len(self._annotations)

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
        image = self._annotations[index].image
        assert image is not None  # the folder of the photos was given
        return image.relative_to(self.config.images).as_posix()

    def _read(self, index: int) -> Sample:
        annotation = self._annotations[index]
        assert annotation.image is not None  # the folder of the photos was given
        image = read_image(annotation.image)
        panoptic = read_png(
            annotation, self.file.categories, recount_areas=self.config.recount_areas
        )
        if image.shape[:2] != panoptic.size:
            height, width = panoptic.size
            raise ValueError(
                f"{annotation.image}: is {image.shape[0]}x{image.shape[1]} pixels, "
                f"but {annotation.png} is {height}x{width}"
            )
        return Sample(
            image=torch.from_numpy(image).permute(2, 0, 1),
            panoptic=relabelled(panoptic, self._labels, self.categories),
            image_id=annotation.image_id,
        )


def _merged(categories: Categories, key: Literal["supercategory"] | None) -> Categories:
    return categories if key is None else categories.merged_by(key)
