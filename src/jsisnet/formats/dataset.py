"""Photos with their ground truth, in chosen classes: what networks are trained and evaluated on."""

import logging
from copy import copy
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.categories import Categories
from jsisnet.checks import check_settings
from jsisnet.files.archives import describe_missing, file_exists, file_size
from jsisnet.files.photos import read_header, read_image
from jsisnet.formats.open import (
    DatasetLocation,
    Format,
    open_location,
    photo_folder,
    read_categories,
)
from jsisnet.formats.records import Record, istransposed, relabel, size_text
from jsisnet.formats.vistas import Version
from jsisnet.panoptic import ImageId, PanopticMap

_log = logging.getLogger(__name__)

_MOST_WEIGHT = 1000
"""Largest weight of a data set."""

_OLD_KINDS = {"panoptic": "coco", "instances": "coco-instances"}
"""Former names of formats, which older YAML files and run folders have."""

_DIGESTED = 60_000_000
"""Number of pixels of maps that a digest reads, a second's work."""

_LEAST_DIGESTED = 8
"""Number of maps that a digest reads even if they are large."""

_LOOKED_AT = 500
"""Photos whose headers are looked at when a data set is opened."""

_WITH_ROOT = ("vistas", "cityscapes")
"""Formats whose files are found from the root of the data set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """A data set in any format, and the classes in which it is used.

    Raises:
        ValueError: If a value is out of range or contradicts `kind`.
    """

    images: str
    """Folder of the photos."""

    annotations: str | None = None
    """JSON file of coco or coco-instances; or, for vistas, the folder of one split's annotations,
    such as ``training/v2.0``, in place of `split` and `version`."""

    kind: Literal[Format, "panoptic", "instances"] = "coco"
    """Format of the ground truth. ``panoptic`` and ``instances`` are former names of ``coco`` and
    ``coco-instances``."""

    pngs: str | None = None
    """Folder or zip of the maps of two-channel or coco. Default for coco: the one beside the JSON
    file that has its name."""

    semantic: str | None = None
    """Folder or zip of class maps, for semantic-instance and optionally for coco-instances."""

    instances: str | None = None
    """Folder or zip of instance maps, for semantic-instance."""

    split: str | None = None
    """Split of vistas or cityscapes, such as ``training`` or ``val``."""

    version: Version | None = None
    """Version of the vistas annotations. Default: 1.2."""

    categories: str | None = None
    """JSON file of the classes, whose ids are the pixel values; it may also list the images."""

    void: tuple[int, ...] | None = None
    """Pixel values without a class. Default: 0 and 255, unless they are classes."""

    label_divisor: int | None = None
    """Divisor of 16-bit two-channel maps, whose values are divisor * class + instance. Default:
    256."""

    root: str | None = None
    """Folder in which the relative paths begin, relative to the root of the run. For vistas and
    cityscapes it is the data set itself; if it is a zip, paths begin in the zip's folder."""

    merge: Literal["supercategory"] | None = None
    """Merge the classes of each supercategory, so that few photos can train a useful network."""

    trusted: Literal["all", "semantic", "instances"] = "all"
    """Part of the ground truth that is used for training: everything, the classes of the pixels
    only, or the objects only."""

    repeat_threshold: float = 0.0
    """Fraction of the photos below which a class is rare: photos of rare classes are repeated in
    training, by LVIS's rule. 0 repeats none. All maps are read when the training starts."""

    weight: float = 1.0
    """How often a photo is seen in training, relative to the photos of data with weight 1; 0 to
    leave the data out."""

    only: str | None = None
    """Pattern of the photos to use, such as ``0006R0*``; it is compared with their whole paths
    inside the folder of the photos. Default: all."""

    without: str | None = None
    """Pattern of photos that are left out, for example to measure on a drive that was not trained
    on."""

    first: int | None = None
    """Number of photos to use, in the order in which they are listed. Default: all."""

    recount_areas: bool = False
    """Accept a JSON file whose areas differ from its PNGs."""

    keep_going: bool = False
    """Leave out the entries of a coco-instances file that cannot be used, such as boxes without an
    outline."""

    cache: bool = False
    """Keep decoded photos in memory: about 2 MB for one of 640x480, in each worker."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _OLD_KINDS.get(self.kind, self.kind))
        if self.first is not None and self.first < 1:
            raise ValueError(f"first is {self.first}; expected at least 1")
        if not 0 <= self.weight <= _MOST_WEIGHT:
            raise ValueError(f"weight is {self.weight:g}; expected 0 to {_MOST_WEIGHT:,}")
        if not 0 <= self.repeat_threshold <= 1:
            raise ValueError(f"repeat_threshold is {self.repeat_threshold}; expected 0 to 1")
        things_only = self.kind == "coco-instances" and self.categories is None
        if things_only and self.trusted == "semantic":
            raise ValueError(
                "trusted is semantic; expected all or instances, as coco-instances without "
                "categories has no stuff"
            )
        check_settings(self)

    @classmethod
    def at(
        cls, kind: Format, location: DatasetLocation, *, recount_areas: bool = False
    ) -> "DataConfig":
        """Return the configuration of the data set at a location.

        Raises:
            ValueError: If the folder of the photos is unknown.
        """
        images = photo_folder(kind, location)
        if images is None:
            raise ValueError(f"{location.paths[0]}: the folder of the photos (images) is required")
        values = {
            field.name: str(value) if isinstance(value, Path) else value
            for field in fields(location)
            for value in [getattr(location, field.name)]
        }
        if location.root is not None:  # other relative paths do not begin in it
            values |= {
                name: str(path.absolute())
                for name, path in (("images", images), ("categories", location.categories))
                if path is not None
            }
        return cls(kind=kind, recount_areas=recount_areas, **{"images": str(images)} | values)

    def under(self, root: str) -> "DataConfig":
        """Return the configuration with a `root` that is relative to another one."""
        return replace(self, root=str(Path(root, self.root or "")))

    def location(self) -> DatasetLocation:
        """Return where the data set is."""
        root = Path(self.root or "")
        folder = root.parent if root.is_file() else root
        hasroot = self.kind in _WITH_ROOT and self.annotations is None
        return DatasetLocation(
            annotations=None if self.annotations is None else folder / self.annotations,
            pngs=None if self.pngs is None else folder / self.pngs,
            semantic=None if self.semantic is None else folder / self.semantic,
            instances=None if self.instances is None else folder / self.instances,
            root=root if hasroot else None,
            split=self.split,
            version=self.version,
            categories=None if self.categories is None else folder / self.categories,
            void=self.void,
            label_divisor=self.label_divisor,
            images=folder / self.images,
            keep_going=self.keep_going,
        )

    @property
    def path(self) -> Path:
        """The main file, folder or zip, which messages name."""
        return self.location().paths[0]

    def read_categories(self) -> Categories:
        """Read the classes in which the data is used, without its maps wherever they suffice.

        Raises:
            ValueError: If a file is missing or invalid; the message names it.
        """
        return self.merged(read_categories(self.kind, self.location()))

    def merged(self, categories: Categories) -> Categories:
        """Return the classes of the data, merged if `merge` says so.

        Raises:
            ValueError: If they cannot be merged; the message names the file.
        """
        try:
            return categories if self.merge is None else categories.merged_by(self.merge)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A photo and its ground truth, of the same size."""

    image: UInt8[np.ndarray, "h w 3"]
    """RGB. It may be shared with a cache, so it must not be modified."""

    panoptic: PanopticMap
    """Ground truth, with the labels of the data set's `categories`."""

    image_id: ImageId
    """Id of the photo within its data set."""

    unlabelled: frozenset[int] = frozenset()
    """Labels of the thing classes that are not annotated, and may appear anywhere."""

    semantic: bool = True
    """Whether the classes of the pixels are used for training, and not the objects only."""


@runtime_checkable
class Samples(Protocol):
    """Protocol of training data: `PanopticDataset`, or a class of your own."""

    @property
    def categories(self) -> Categories:
        """Classes of the maps."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def _chosen(records: tuple[Record, ...], config: DataConfig) -> tuple[Record, ...]:
    """Return the photos that are used.

    Raises:
        ValueError: If the patterns leave none, or `without` fits none.
    """
    only, without = config.only, config.without
    if only is None and without is None:
        return records[: config.first]
    if without is not None and not any(fnmatchcase(record.name, without) for record in records):
        example = f", such as {records[0].name}" if records else ""
        raise ValueError(
            f"{config.path}: without is {without!r}, which fits none of the paths of "
            f"{len(records)} photos{example}"
        )
    chosen = tuple(
        record
        for record in records
        if (only is None or fnmatchcase(record.name, only))
        and (without is None or not fnmatchcase(record.name, without))
    )
    if records and not chosen:
        raise ValueError(
            f"{config.path}: the patterns of its photos (only, without) leave none of "
            f"{len(records)}, such as {records[0].name}"
        )
    return chosen[: config.first]


class PanopticDataset:
    """Photos with ground truth, in the order in which they are listed."""

    def __init__(self, config: DataConfig, categories: Categories | None = None) -> None:
        """List the photos, and check that they and their PNGs exist.

        Args:
            config: The data set.
            categories: Classes to use, with a counterpart for each class of the data; default:
                those of the data, merged as `config` says.

        Raises:
            ValueError: If a file is missing or invalid, or a class has no counterpart. The message
                names the file.
        """
        self.config = config
        self.path = config.path
        source = open_location(config.kind, config.location(), recount_areas=config.recount_areas)
        for warning in source.warnings:
            _log.warning("%s: %s", self.path, warning)
        self._records = _chosen(source.records, config)
        for record in self._records:
            for needed in (record.image, *record.maps):
                if isinstance(needed, Path) and not file_exists(needed):
                    raise ValueError(
                        f"{self.path}: image {record.image_id!r}: {needed} "
                        f"{describe_missing(needed)}"
                    )
        self._tell_oddities()
        self._own = source.categories
        self._use(categories or config.merged(self._own))

    def _tell_oddities(self) -> None:
        """Look at the headers of some photos, and log what is odd about them."""
        chosen = self._records[:: max(1, len(self._records) // _LOOKED_AT)]
        turned, swapped = [], []
        for record in chosen:
            header = None if record.image is None else read_header(record.image)
            if header is not None and header.isturned:
                turned.append(record.image)
            if header is not None and istransposed(record.size, header.size):
                swapped.append(record.image)
        for found, problem in (
            (turned, "turned by EXIF, but used as stored, as their annotation should be"),
            (swapped, "listed with height and width swapped; the size of the files counts"),
        ):
            if found:
                text = "%s: %d of %d photos that were looked at are %s, such as %s"
                _log.warning(text, self.path, len(found), len(chosen), problem, found[0])

    def in_classes(self, categories: Categories) -> "PanopticDataset":
        """Return the same photos in other classes.

        Raises:
            ValueError: If a class of the data has no counterpart. The message names the file.
        """
        other = copy(self)
        other._use(categories)
        return other

    def _use(self, categories: Categories) -> None:
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
        lacks_stuff = bool(categories.stuff_labels) and not self._own.stuff_labels
        self._semantic = self.config.trusted != "instances" and not lacks_stuff
        self._cache: dict[int, Sample] | None = {} if self.config.cache else None

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        """Read a photo and its map, at their original size.

        Raises:
            ValueError: If a file is damaged, or photo and map differ in size.
        """
        if self._cache is None:
            return self._read(index)
        if index not in self._cache:
            self._cache[index] = self._read(index)
        return self._cache[index]

    @property
    def records(self) -> tuple[Record, ...]:
        """The photos with their maps, in the classes of the files."""
        return self._records

    @property
    def labels(self) -> tuple[int, ...]:
        """Label of each class of the files."""
        return self._labels

    @property
    def trains_semantic(self) -> bool:
        """Whether the classes of the pixels are used for training."""
        return self._semantic

    def digest(self) -> str:
        """Return a hash of the data, wherever it lies.

        It covers the classes, the ids of all photos in order and the sizes of their files; and as
        many maps, evenly spread, as can be read in about a second.

        Raises:
            ValueError: If a map is damaged.
        """
        digest = sha256(repr([(each.name, each.isthing) for each in self._own]).encode())
        for record in self._records:
            assert record.image is not None
            digest.update(f"{record.image_id!r} {file_size(record.image)}\n".encode())
        count = len(self._records)
        if count:
            first = self._records[0].read().ids.size
            count = min(count, max(_LEAST_DIGESTED, _DIGESTED // first))
        for index in np.linspace(0, len(self._records) - 1, count).astype(int).tolist():
            panoptic = self._records[index].read()
            digest.update(panoptic.ids.tobytes())
            digest.update(repr(panoptic.segments).encode())
        return digest.hexdigest()

    def image_name(self, index: int) -> str:
        """Return the path of a photo inside the folder of the photos."""
        return self._records[index].name

    def _read(self, index: int) -> Sample:
        record = self._records[index]
        assert record.image is not None  # the configuration has the folder of the photos
        image = read_image(record.image)
        size = (image.shape[0], image.shape[1])
        if not istransposed(record.size, size):
            self._check_size(record, size, record.size)
        panoptic = record.read()
        self._check_size(record, size, panoptic.size)
        return Sample(
            image=image,
            panoptic=relabel(panoptic, self._labels, self.categories),
            image_id=record.image_id,
            unlabelled=self._unlabelled,
            semantic=self._semantic,
        )

    def _check_size(
        self, record: Record, found: tuple[int, int], expected: tuple[int, int] | None
    ) -> None:
        if expected not in (None, found):
            raise ValueError(
                f"{record.image}: {size_text(found)} pixels, but its ground truth in "
                f"{self.path} is {size_text(expected)}"
            )
