"""Comparison of COCO panoptic predictions with a ground truth, image by image, both read from disk.

The two JSON files are indexed once; entries and maps are read when their image is matched, so
memory does not grow with the number of segments.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from jsisnet.arrays import Int64
from jsisnet.categories import Categories
from jsisnet.checks import check_settings
from jsisnet.evaluation.boundary import boundaries
from jsisnet.evaluation.matching import Matching, match_overlap
from jsisnet.evaluation.overlap import Overlap, check_sizes, overlap_of_ids, overlap_of_pngs
from jsisnet.files import json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import EntryReader
from jsisnet.files.links import Links
from jsisnet.files.memory import check_memory
from jsisnet.files.png import Ids, IdStrips, open_ids
from jsisnet.files.processes import in_order
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.coco_index import (
    RECOUNT_HINT,
    UNSTATED,
    CocoIndex,
    ListedMap,
    OnWarning,
    read_index,
    read_listed_map,
)
from jsisnet.formats.pixel_codes import bgr_hint
from jsisnet.panoptic import VOID, ImageId

_TABLE, _BOUNDARY = 24, 16
"""Bytes of memory that take each pair of segments of both maps, whose common pixels are counted,
and each pixel where boundaries are compared, for which the maps are held whole."""

Mode = Literal["official", "strict", "all-crowds"]
"""How predictions are judged; see `CompareRules`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareRules:
    """Rules of a comparison."""

    mode: Mode = "official"
    """``official`` gives the numbers of the official script wherever it gives any; ``strict``
    makes errors of everything that the official script overlooks; in ``all-crowds`` every crowd
    region of a class excuses predictions, not only the last one."""

    recount_areas: bool = False
    """Whether to accept a ground truth whose areas differ from its PNGs."""

    missing: Literal["error", "void"] = "error"
    """How to treat images without a prediction: as an error, or as all void, so that every true
    segment counts as missed."""

    keep_going: bool = False
    """Whether to skip invalid images instead of raising."""

    boundary: bool = False
    """Whether to match by boundaries too, which takes several times as long."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedImage:
    """Result for one image of the ground truth."""

    image_id: ImageId
    """As in the files."""

    truth: ListedMap | None = None
    """Annotation of the ground truth; ``None`` for an invalid image."""

    prediction: ListedMap | None = None
    """Annotation of the prediction; ``None`` for an invalid image or a missing prediction."""

    matching: Matching | None = None
    """Matched segments; ``None`` for an invalid image."""

    boundary: Matching | None = None
    """Segments matched by their boundaries; ``None`` if not measured."""

    error: str | None = None
    """Why the image was skipped."""

    warnings: tuple[str, ...] = ()
    """Errors of the image that the official script overlooks."""


class ComparedFiles:
    """A ground truth and predictions; only the positions of their entries are in memory."""

    def __init__(
        self,
        truth_json: Path,
        prediction_json: Path,
        *,
        truth_pngs: Path | None = None,
        prediction_pngs: Path | None = None,
        rules: CompareRules | None = None,
    ):
        """Index the two files.

        Args:
            truth_json: Ground truth.
            prediction_json: Predictions; their category ids are those of the ground truth.
            truth_pngs: Folder or zip of the true maps; default: the one beside the JSON file with
                the same name.
            prediction_pngs: Folder or zip of the predicted maps, with the same default.
            rules: How the files are compared.

        Raises:
            ValueError: If a file as a whole is invalid; the message names it.
        """
        self.rules = CompareRules() if rules is None else rules
        self.truth_json = truth_json
        self.prediction_json = prediction_json
        self._truth = _MapFile.open(truth_json, truth_pngs, self.rules)
        self._prediction = _MapFile.open(
            prediction_json, prediction_pngs, self.rules, predicted=True
        )
        self.categories = _categories(self._truth.index, self._prediction.index)
        self.errors = self._truth.index.errors + self._prediction.index.errors
        """Messages about entries that were skipped because they belong to no image."""
        annotations = self._prediction.index.annotations
        self._predicted = {
            image_id: number for number, image_id in enumerate(annotations.image_ids)
        }
        self.warnings = tuple(self._find_warnings())
        """Errors of the files as a whole that do not prevent the comparison."""
        if self.rules.mode == "strict" and self.warnings:
            raise ValueError(self.warnings[0])

    def __len__(self) -> int:
        """Return the number of images in the ground truth."""
        return len(self._truth.index.annotations)

    def images(self, processes: int = 1) -> Iterator[ComparedImage]:
        """Match the images, in the order of the ground truth.

        Args:
            processes: Number of worker processes. Use more than one only in a process without other
                threads, because workers are forked where the system allows it.

        Raises:
            ValueError: If an image is invalid and `keep_going` is off; the message names file,
                image and segment.
        """
        return in_order(self.match, len(self), processes)

    def match(self, numbers: Iterable[int]) -> Iterator[ComparedImage]:
        """Match the images at these indices of the ground truth.

        Raises:
            ValueError: See `images`.
        """
        truth, prediction = self._truth.index, self._prediction.index
        with EntryReader(truth.path) as truths, EntryReader(prediction.path) as predictions:
            for number in numbers:
                image_id = truth.annotations.image_ids[number]
                other = self._predicted.get(image_id)
                predicted = None
                if other is not None:
                    predicted = predictions.read(prediction.annotations.range(other))
                yield self._compared(
                    image_id, truths.read(truth.annotations.range(number)), predicted
                )

    def _compared(self, image_id: ImageId, truth: Entry, prediction: Entry | None) -> ComparedImage:
        warnings: list[str] = []
        try:
            listed = self._listed(image_id, self._truth, truth, warnings)
            other = None
            if prediction is not None:
                other = self._listed(image_id, self._prediction, prediction, warnings)
            else:
                self._refuse_missing(image_id)
            matching, boundary = self._matched(image_id, listed, other, warnings)
        except ValueError as error:
            if not self.rules.keep_going:
                raise
            return ComparedImage(image_id=image_id, error=str(error))
        return ComparedImage(
            image_id=image_id,
            truth=listed,
            prediction=other,
            matching=matching,
            boundary=boundary,
            warnings=tuple(warnings),
        )

    def _refuse_missing(self, image_id: ImageId) -> None:
        cause = json_fields.other_type(image_id, self._predicted)
        if cause or self.rules.missing == "error":
            path = self._prediction.index.path
            raise ValueError(f"{path}: no prediction for image {image_id!r}{cause}")

    def _listed(
        self, image_id: ImageId, file: "_MapFile", entry: Entry, warnings: list[str]
    ) -> ListedMap:
        prefix = f"{file.index.path}: image {image_id!r}"
        try:
            listed = read_listed_map(
                entry,
                self.categories,
                file.pngs,
                predicted=file.predicted,
                recount_areas=self.rules.recount_areas,
                on_warning=self._warner(prefix, warnings),
            )
            file.links.refuse(listed.png)
            return listed
        except ValueError as error:
            raise ValueError(_with_prefix(prefix, error)) from None

    def _matched(
        self, image_id: ImageId, truth: ListedMap, other: ListedMap | None, warnings: list[str]
    ) -> tuple[Matching, Matching | None]:
        true_prefix = f"{truth.png}: image {image_id!r}"
        prefix = true_prefix if other is None else f"{other.png}: image {image_id!r}"
        listed = _empty_map() if other is None else other
        maps = _open_maps(truth, other, true_prefix, prefix)
        self._check_memory(maps[0].size, len(truth.ids), len(listed.ids), prefix)
        boundary = None
        if self.rules.boundary:
            whole = [np.concatenate([strip.copy() for strip in each.strips]) for each in maps]
            shared = overlap_of_ids([(whole[0], whole[1])], truth.ids, listed.ids)
            edges = boundaries(whole[0]), boundaries(whole[1])
            boundary = _matching(
                shared, truth, listed, self.rules, overlap_of_ids([edges], truth.ids, listed.ids)
            )
        else:
            shared = overlap_of_pngs(*maps, truth.ids, listed.ids)
        self._check_truth(shared, truth, true_prefix, self._warner(true_prefix, warnings))
        _check_prediction(shared, listed, prefix)
        return _matching(shared, truth, listed, self.rules), boundary

    def _check_memory(self, size: tuple[int, int], true: int, found: int, prefix: str) -> None:
        try:
            check_memory(_TABLE * true * found, f"comparing {true:,} segments with {found:,}")
            if self.rules.boundary:
                pixels = f"boundaries of {size[0]}x{size[1]} pixels"
                check_memory(_BOUNDARY * size[0] * size[1], pixels)
        except ValueError as error:
            raise ValueError(f"{prefix}: {error}") from None

    def _check_truth(
        self, shared: Overlap, truth: ListedMap, prefix: str, on_warning: OnWarning
    ) -> None:
        if not self.rules.recount_areas and (truth.areas != shared.true_areas).any():
            self._check_areas(shared.true_areas, truth, prefix, on_warning)
        if shared.table[-1].any():
            on_warning(f"{_describe_unlisted(truth)}; its pixels do not count as void")

    def _check_areas(
        self, areas: Int64[np.ndarray, " n"], truth: ListedMap, prefix: str, on_warning: OnWarning
    ) -> None:
        wrong = np.flatnonzero((truth.areas != UNSTATED) & (truth.areas != areas))
        if len(wrong):
            first, hint = wrong[0], bgr_hint(_ids_of(truth), truth.ids.tolist())
            raise ValueError(
                f"{prefix}: segment {truth.ids[first]}: {areas[first]} pixels, but the JSON "
                f"file says {truth.areas[first]}{hint or f' ({RECOUNT_HINT})'}"
            )
        if (truth.areas == UNSTATED).any():
            on_warning(f"segment {truth.ids[truth.areas == UNSTATED][0]}: missing 'area'")

    def _warner(self, prefix: str, warnings: list[str]) -> OnWarning:
        """Return a function that collects warnings, or raises them in strict mode."""

        def warn(message: str) -> None:
            warnings.append(f"{prefix}: {message}")
            if self.rules.mode == "strict":
                raise ValueError(warnings[-1])

        return warn

    def _find_warnings(self) -> Iterator[str]:
        for file in (self._truth, self._prediction):
            image_ids = file.index.annotations.image_ids
            if len(image_ids) > len(set(image_ids)):
                ((repeated, _),) = Counter(image_ids).most_common(1)
                yield f"{file.index.path}: image {repeated!r}: two annotations"
        true_ids = set(self._truth.index.annotations.image_ids)
        extra = [image_id for image_id in self._predicted if image_id not in true_ids]
        if extra:
            yield (
                f"{self._prediction.index.path}: {len(extra)} predictions are for images that are "
                f"not in the ground truth, such as {extra[0]!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _MapFile:
    """One of the two files."""

    index: CocoIndex
    pngs: Path
    """Folder or zip of the maps."""
    links: Links
    predicted: bool

    @classmethod
    def open(
        cls, path: Path, pngs: Path | None, rules: CompareRules, *, predicted: bool = False
    ) -> "_MapFile":
        index = read_index(path, skip_invalid=rules.keep_going)
        try:
            json_fields.items(index.fields, "annotations")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        folder = png_folder(path, pngs)
        return cls(index=index, pngs=folder, links=Links(folder), predicted=predicted)


def _categories(truth: CocoIndex, prediction: CocoIndex) -> Categories:
    file = truth
    try:
        categories = category_entries.parse(
            json_fields.items(truth.fields, "categories"), truth.path
        )
        file = prediction
        category_entries.refuse_other_names(prediction.fields, categories)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None
    return categories


def _open_maps(
    truth: ListedMap, other: ListedMap | None, true_prefix: str, prefix: str
) -> tuple[IdStrips, IdStrips]:
    """Open the two maps of an image.

    Args:
        truth: Annotation of the ground truth.
        other: Annotation of the prediction; ``None`` for a map that is all void.
        true_prefix: Prefix of errors about the true map, including those raised while it is read.
        prefix: Prefix of errors about the predicted map.

    Returns:
        The true and the predicted map, as strips of the same shapes.

    Raises:
        ValueError: If a map can't be read, or they differ in size.
    """
    first = _open_map(truth.png, true_prefix)
    if other is None:
        empty = (np.zeros_like(strip) for strip in _open_map(truth.png, true_prefix).strips)
        return first, IdStrips(first.size, empty)
    second = _open_map(other.png, prefix)
    try:
        check_sizes(first.size, second.size)
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from None
    return first, second


def _open_map(png: Path, prefix: str) -> IdStrips:
    def strips(maps: IdStrips) -> Iterator[Ids]:
        try:
            yield from maps.strips
        except ValueError as error:
            raise ValueError(f"{prefix}: {error}") from None

    try:
        ids = open_ids(png)
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from None
    return IdStrips(ids.size, strips(ids), ids.filtered)


def _empty_map() -> ListedMap:
    """Return the annotation of a map that is all void."""
    integers = np.zeros(0, np.int64)
    return ListedMap(
        png=Path(),
        ids=integers,
        labels=integers,
        iscrowd=integers > 0,
        areas=integers,
        scores=np.zeros(0),
    )


def _check_prediction(shared: Overlap, listed: ListedMap, prefix: str) -> None:
    """Refuse predictions that the official script refuses.

    Args:
        shared: Overlap with the ground truth.
        listed: Annotation of the prediction.
        prefix: Prefix of errors.

    Raises:
        ValueError: If a pixel has an id that is not listed, or a listed segment is empty.
    """
    if shared.table[:, -1].any():
        raise ValueError(f"{prefix}: {_describe_unlisted(listed)}")
    if not shared.areas.all():
        empty = listed.ids[shared.areas == 0]
        raise ValueError(f"{prefix}: segment {empty[0]}: listed, but has no pixels")


def _describe_unlisted(listed: ListedMap) -> str:
    """Describe the first id of a map that its annotation does not list; there must be one."""
    known = np.append(listed.ids, VOID)
    unlisted = (strip[~np.isin(strip, known)] for strip in open_ids(listed.png).strips)
    first = int(next(values[0] for values in unlisted if len(values)))
    hint = bgr_hint(_ids_of(listed), listed.ids.tolist())
    return f"segment {first}: in the PNG, but not in the JSON file{hint}"


def _ids_of(listed: ListedMap) -> Int64[np.ndarray, " n"]:
    """Return the ids of a map, each once."""
    found = [np.unique(strip) for strip in open_ids(listed.png).strips]
    return np.unique(np.concatenate(found)).astype(np.int64)


def _matching(
    shared: Overlap,
    truth: ListedMap,
    listed: ListedMap,
    rules: CompareRules,
    boundary: Overlap | None = None,
) -> Matching:
    return match_overlap(
        shared,
        true_labels=truth.labels,
        iscrowd=truth.iscrowd,
        labels=listed.labels,
        scores=listed.scores,
        all_crowds=rules.mode == "all-crowds",
        boundary=boundary,
    )


def _with_prefix(prefix: str, error: ValueError) -> str:
    """Prefix the message of an error that does not start with the prefix yet."""
    return str(error) if str(error).startswith(prefix) else f"{prefix}: {error}"
