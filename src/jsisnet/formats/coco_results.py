"""COCO results files: a JSON list of predicted regions with masks, one file per task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_stream import ByteRange, EntryReader
from jsisnet.files.oddities import Oddities
from jsisnet.formats import masks
from jsisnet.formats.coco_index import unknown_category
from jsisnet.formats.image_list import ImageList
from jsisnet.formats.masks import CroppedMask
from jsisnet.panoptic import ImageId, Segment


@dataclass(frozen=True, slots=True)
class Result:
    """One predicted region; its mask stays in the file."""

    segment: Segment
    """Its class and score."""

    position: int
    """Index in the list."""

    byte_range: ByteRange
    """Position of its entry in the file."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResultsFile:
    """The predicted regions of a file, by image."""

    path: Path
    wanted: ImageList
    """Images and classes of the data set."""
    results: dict[ImageId, list[Result]]
    """Regions of each image that has any; see `read_things` and `read_stuff` for their order."""

    def of_image(self, image_id: ImageId) -> "RegionList":
        """Return the regions of an image, possibly none."""
        return RegionList(
            self.path, image_id, self.wanted.images[image_id].size, self.results.get(image_id, [])
        )


@dataclass(frozen=True, slots=True)
class RegionList:
    """The predicted regions of one image."""

    path: Path
    image_id: ImageId
    size: tuple[int, int]
    """Height and width of the photo."""
    results: list[Result]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Classes and scores of the regions."""
        return tuple(result.segment for result in self.results)

    def above(self, min_scores: Sequence[float]) -> "RegionList":
        """Return the things whose scores reach the lowest score of their label."""
        kept = [each for each in self.results if _score(each) >= min_scores[each.segment.label]]
        return replace(self, results=kept)

    def draw(self) -> Iterator[tuple[Segment, CroppedMask]]:
        """Decode the masks one after another.

        Raises:
            ValueError: If a mask is invalid or does not fit the image; the message names the file
                and the result.
        """
        with EntryReader(self.path) as objects:
            for result in self.results:
                entry = objects.read(result.byte_range)
                with _prefixed(f"{self.path}: result {result.position}: image {self.image_id!r}"):
                    region = masks.runs(masks.shape(entry, self.size), self.size)
                yield result.segment, masks.draw(region)


def read_things(path: Path, wanted: ImageList, *, min_score: float) -> ResultsFile:
    """Read the predicted things; those of an image are sorted by score, highest first.

    Args:
        path: Results of instance segmentation.
        wanted: Images and classes of the data set.
        min_score: Things with a lower score are left out.

    Raises:
        ValueError: If a result is invalid or has an unknown class, or none is for one of the
            images. The message names its position.
    """
    file = _read(path, wanted, isthing=True)
    for image_id, results in file.results.items():
        kept = [result for result in results if _score(result) >= min_score]
        file.results[image_id] = sorted(kept, key=_score, reverse=True)
    return file


def read_stuff(path: Path, wanted: ImageList) -> ResultsFile:
    """Read the predicted stuff, in the order of the file; regions of things are left out.

    Args:
        path: Results of stuff segmentation.
        wanted: Images and classes of the data set.

    Raises:
        ValueError: If a result is invalid; see `read_things`.
    """
    return _read(path, wanted, isthing=False)


def _read(path: Path, wanted: ImageList, *, isthing: bool) -> ResultsFile:
    results: dict[ImageId, list[Result]] = {}
    oddities = Oddities()
    count = 0

    def add(value: object, byte_range: ByteRange) -> None:
        nonlocal count
        with _prefixed(f"result {count}"):
            entry = json_fields.entry(value)
            image_id = json_fields.identity(entry, "image_id")
            if image_id not in wanted.images:
                _refuse_other_type(image_id, wanted)
                found = f"result {count} is for image {image_id!r}"
                oddities.add(f"ignored a result for an image that {wanted.path} lacks", found)
            else:
                with _prefixed(f"image {image_id!r}"):
                    segment = _segment(entry, wanted, isthing=isthing)
                    if segment.isthing == isthing:
                        known = results.setdefault(image_id, [])
                        _refuse_second_mask(segment, known, entry)
                        known.append(Result(segment, count, byte_range))
        count += 1

    json_stream.scan_list(path, add)
    if count and oddities.counts.total() == count:
        raise ValueError(f"{path}: none of its {count:,} results is for an image of {wanted.path}")
    oddities.log(path)
    return ResultsFile(path=path, wanted=wanted, results=results)


def _refuse_other_type(image_id: ImageId, wanted: ImageList) -> None:
    cause = json_fields.other_type(image_id, wanted.images)
    if cause:
        raise ValueError(f"'image_id' is {image_id!r}, which {wanted.path} does not list{cause}")


def _refuse_second_mask(segment: Segment, known: list[Result], entry: json_fields.Entry) -> None:
    """Refuse two masks of a stuff class in an image."""
    if not segment.isthing and any(segment == other.segment for other in known):
        raise ValueError(
            f"duplicate 'category_id' {entry['category_id']!r}; expected one mask for each stuff "
            "class"
        )


def _segment(entry: json_fields.Entry, wanted: ImageList, *, isthing: bool) -> Segment:
    """Read the class of a result, and the score of a thing."""
    category_id = json_fields.identity(entry, "category_id")
    if category_id not in wanted.categories:
        raise ValueError(unknown_category(category_id, wanted.categories))
    label = wanted.categories.label(category_id)
    category = wanted.categories[label]
    if isthing and not category.isthing:
        raise ValueError(f"'category_id' is {category_id!r} ({category.name!r}), which is stuff")
    score = json_fields.number(entry, "score") if isthing else None
    return Segment(label=label, isthing=category.isthing, score=score)


def _score(result: Result) -> float:
    assert result.segment.score is not None  # every thing has one
    return result.segment.score


@contextmanager
def _prefixed(prefix: str) -> Iterator[None]:
    """Prefix the messages of errors."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{prefix}: {error}") from None
