"""Predictions beside a truth, both in COCO panoptic files, matched image by image."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from jsisnet.categories import Categories
from jsisnet.evaluation.boundary import boundaries
from jsisnet.evaluation.matching import Matching, match_overlap
from jsisnet.evaluation.overlap import Overlap, check_sizes, overlap_of_ids
from jsisnet.files import json_fields
from jsisnet.files.json_fields import Entry
from jsisnet.files.json_stream import Objects
from jsisnet.files.png import Ids, IdStrips, open_ids
from jsisnet.files.processes import in_order
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.coco_index import UNSTATED, ListedMap, listed_prediction, listed_truth
from jsisnet.formats.coco_places import MapFile, opened
from jsisnet.panoptic import VOID, ImageId


def opened_maps(
    truth: ListedMap, other: ListedMap | None, true_place: str, place: str
) -> tuple[IdStrips, IdStrips]:
    """Begin to read two maps.

    Args:
        truth: What the truth lists.
        other: What the predictions list; ``None`` for a map that is void.
        true_place: Put in front of errors of the true map, also of those on the way.
        place: Likewise for the predicted one.

    Raises:
        ValueError: If a map can't be read, or they differ in size.
    """
    first = _opened_map(truth.png, true_place)
    if other is None:
        empty = (np.zeros_like(strip) for strip in _opened_map(truth.png, true_place).strips)
        return first, IdStrips(first.size, empty)
    second = _opened_map(other.png, place)
    try:
        check_sizes(first.size, second.size)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return first, second


def _opened_map(png: Path, place: str) -> IdStrips:
    def strips(opened: IdStrips) -> Iterator[Ids]:
        try:
            yield from opened.strips
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None

    try:
        opened = open_ids(png)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return IdStrips(opened.size, strips(opened))


def check_prediction(shared: Overlap, listed: ListedMap, place: str) -> None:
    """Refuse predictions that the official script refuses.

    Args:
        shared: Pixels that they share with the truth.
        listed: What they list.
        place: Put in front of errors.

    Raises:
        ValueError: If a pixel has an id that is not listed, or a listed one has no pixel.
    """
    if shared.table[:, -1].any():
        raise ValueError(
            f"{place}: segment {first_unlisted(listed)}: is in the PNG, but not in the JSON file"
        )
    empty = listed.ids[shared.areas == 0]
    if len(empty):
        raise ValueError(f"{place}: segment {empty[0]}: is listed, but owns no pixel")


def first_unlisted(listed: ListedMap) -> int:
    """Give the first id of a map that is not listed; there has to be one."""
    known = np.append(listed.ids, VOID)
    strange = (strip[~np.isin(strip, known)] for strip in open_ids(listed.png).strips)
    return int(next(values[0] for values in strange if len(values)))


def nothing() -> ListedMap:
    """Give the list of a map that is void."""
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return ListedMap(
        png=Path(), ids=whole, labels=whole, iscrowd=whole > 0, areas=whole, scores=real
    )


Mode = Literal["official", "strict", "all-crowds"]
"""How truth and predictions are judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How files are judged."""

    mode: Mode = "official"
    """``official`` gives the numbers of the official script wherever it gives any; ``strict``
    refuses all that it overlooks; in ``all-crowds`` every crowd region of a class excuses
    predictions, not only the last one."""

    recount_areas: bool = False
    """Whether to accept a truth whose areas differ from its PNGs."""

    missing: Literal["error", "void"] = "error"
    """What to do with an image of the truth that has no prediction; ``void`` misses all of it."""

    keep_going: bool = False
    """Whether to leave out images with errors, and go on."""

    boundary: bool = False
    """Whether to measure boundaries too, which takes several times as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedImage:
    """What became of one image of the truth."""

    image_id: ImageId
    """As in the files."""

    truth: ListedMap | None = None
    """What the truth lists; ``None`` if that is faulty."""

    prediction: ListedMap | None = None
    """What the predictions list; ``None`` if that is faulty or missing."""

    matching: Matching | None = None
    """What became of the segments; ``None`` for a faulty image."""

    boundary: Matching | None = None
    """Likewise by the segments' boundaries, if they are wanted."""

    fault: str | None = None
    """Why the image is left out, in a sentence."""

    oddities: tuple[str, ...] = ()
    """What is wrong with it though the official script gives a number, in sentences."""


class ComparedFiles:
    """A truth and predictions, of which only the places of the images are in memory."""

    def __init__(
        self,
        truth_json: Path,
        prediction_json: Path,
        *,
        truth_pngs: Path | None = None,
        prediction_pngs: Path | None = None,
        rules: Rules | None = None,
    ):
        """Look where the images are.

        Args:
            truth_json: Ground truth.
            prediction_json: Predictions; their category ids are those of the truth.
            truth_pngs: Folder of the true maps; default: named like the JSON file, beside it.
            prediction_pngs: Folder of the predicted maps; default: likewise.
            rules: How the files are judged.

        Raises:
            ValueError: If a file breaks the format as a whole; the message names it.
        """
        self.rules = Rules() if rules is None else rules
        self.truth = opened(truth_json, pngs=truth_pngs, keep_going=self.rules.keep_going)
        self.prediction = opened(
            prediction_json, pngs=prediction_pngs, keep_going=self.rules.keep_going
        )
        self.categories = _categories(self.truth, self.prediction)
        self.faults = self.truth.faults + self.prediction.faults
        """Sentences on entries that belong to no image."""
        self._predicted = dict(self.prediction.places)
        self.oddities = tuple(self._oddities())
        """Sentences on what is wrong with the files as a whole, though they can be compared."""
        if self.rules.mode == "strict" and self.oddities:
            raise ValueError(self.oddities[0])

    def __len__(self) -> int:
        """Count the images of the truth."""
        return len(self.truth.places)

    def images(self, processes: int = 1) -> Iterator[ComparedImage]:
        """Match the images, in the order of the truth.

        Args:
            processes: How many share the work. More than one should be started only by a process
                that has no other threads, for they are copies of it where the system allows that.

        Raises:
            ValueError: If an image has an error and such are not to be left out; the message names
                file, image and segment.
        """
        return in_order(self.share, len(self), processes)

    def share(self, first: int, step: int) -> Iterator[ComparedImage]:
        """Match the images in the positions ``first``, ``first + step``, and so on."""
        with Objects(self.truth.path) as truths, Objects(self.prediction.path) as predictions:
            for image_id, place in self.truth.places[first::step]:
                other = self._predicted.get(image_id)
                prediction = None if other is None else predictions.read(other)
                yield self._compared(image_id, truths.read(place), prediction)

    def _compared(self, image_id: ImageId, truth: Entry, prediction: Entry | None) -> ComparedImage:
        oddities: list[str] = []
        try:
            listed = self._listed(image_id, self.truth, truth, oddities)
            other = None
            if prediction is not None:
                other = self._listed(image_id, self.prediction, prediction, oddities)
            elif self.rules.missing == "error":
                raise ValueError(
                    f"{self.prediction.path}: has no prediction for image {image_id!r}"
                )
            matching, boundary = self._matched(image_id, listed, other, oddities)
        except ValueError as error:
            if not self.rules.keep_going:
                raise
            return ComparedImage(image_id=image_id, fault=str(error))
        return ComparedImage(
            image_id=image_id,
            truth=listed,
            prediction=other,
            matching=matching,
            boundary=boundary,
            oddities=tuple(oddities),
        )

    def _listed(
        self, image_id: ImageId, file: MapFile, values: Entry, oddities: list[str]
    ) -> ListedMap:
        place = f"{file.path}: image {image_id!r}"
        read = listed_truth if file is self.truth else listed_prediction
        try:
            return read(values, self.categories, file.pngs, self._noting(place, oddities))
        except ValueError as error:
            raise ValueError(_at(place, error)) from None

    def _matched(
        self, image_id: ImageId, truth: ListedMap, other: ListedMap | None, oddities: list[str]
    ) -> tuple[Matching, Matching | None]:
        true_place = f"{truth.png}: image {image_id!r}"
        place = true_place if other is None else f"{other.png}: image {image_id!r}"
        listed = nothing() if other is None else other
        maps = opened_maps(truth, other, true_place, place)
        boundary = None
        if self.rules.boundary:
            whole = [np.concatenate([strip.copy() for strip in each.strips]) for each in maps]
            shared = overlap_of_ids([(whole[0], whole[1])], truth.ids, listed.ids)
            edges = boundaries(whole[0]), boundaries(whole[1])
            boundary = _matching(
                shared, truth, listed, self.rules, overlap_of_ids([edges], truth.ids, listed.ids)
            )
        else:
            strips = zip(maps[0].strips, maps[1].strips, strict=True)
            shared = overlap_of_ids(strips, truth.ids, listed.ids)
        self._check_truth(shared, truth, true_place, self._noting(true_place, oddities))
        check_prediction(shared, listed, place)
        return _matching(shared, truth, listed, self.rules), boundary

    def _check_truth(
        self, shared: Overlap, truth: ListedMap, place: str, note: Callable[[str], None]
    ) -> None:
        areas = shared.true_areas
        wrong = np.flatnonzero((truth.areas != UNSTATED) & (truth.areas != areas))
        if len(wrong) and not self.rules.recount_areas:
            first = wrong[0]
            raise ValueError(
                f"{place}: segment {truth.ids[first]}: has {areas[first]} pixels, but the JSON "
                f"file says {truth.areas[first]}"
            )
        if (truth.areas == UNSTATED).any():
            note(f"segment {truth.ids[truth.areas == UNSTATED][0]}: has no 'area'")
        if shared.table[-1].any():
            note(
                f"segment {first_unlisted(truth)}: is in the PNG, but not in the JSON file; its "
                "pixels are no void"
            )

    def _noting(self, place: str, oddities: list[str]) -> Callable[[str], None]:
        def note(what: str) -> None:
            oddities.append(f"{place}: {what}")
            if self.rules.mode == "strict":
                raise ValueError(oddities[-1])

        return note

    def _oddities(self) -> Iterator[str]:
        for file in (self.truth, self.prediction):
            if len(file.places) > len(dict(file.places)):
                (twice, _), *_ = Counter(image_id for image_id, _ in file.places).most_common(1)
                yield f"{file.path}: image {twice!r}: is listed twice"
        true_ids = dict(self.truth.places)
        extra = [image_id for image_id in self._predicted if image_id not in true_ids]
        if extra:
            yield (
                f"{self.prediction.path}: {len(extra)} predictions are for images that the truth "
                f"lacks, such as {extra[0]!r}"
            )


def _categories(truth: MapFile, prediction: MapFile) -> Categories:
    file = truth
    try:
        categories = category_entries.parse(json_fields.items(truth.rest, "categories"))
        file = prediction
        category_entries.refuse_other_names(prediction.rest, categories)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None
    return categories


def _matching(
    shared: Overlap,
    truth: ListedMap,
    listed: ListedMap,
    rules: Rules,
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


def _at(place: str, error: ValueError) -> str:
    """Put a place in front of an error that does not name it yet."""
    return str(error) if str(error).startswith(place) else f"{place}: {error}"
