"""COCO results files: one JSON list of regions that a network found, with masks and no maps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jsisnet.files import json_fields, json_stream
from jsisnet.files.json_stream import Objects, Place
from jsisnet.formats import masks
from jsisnet.formats.image_list import ImageList
from jsisnet.formats.masks import Placed
from jsisnet.panoptic import ImageId, Segment


@dataclass(frozen=True, slots=True)
class Result:
    """A region in a file, whose mask stays there."""

    segment: Segment
    """What it is."""

    position: int
    """In the file."""

    place: Place
    """Where it lies."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResultsFile:
    """The regions of a file, by their images."""

    path: Path
    wanted: ImageList
    """The images, and the classes."""
    results: dict[ImageId, list[Result]]
    """Those of each image, as `read_things` or `read_stuff` says."""

    def of_image(self, image_id: ImageId) -> "RegionList":
        """Give the regions of an image, possibly none."""
        return RegionList(
            self.path, image_id, self.wanted.images[image_id].size, self.results.get(image_id, [])
        )


@dataclass(frozen=True, slots=True)
class RegionList:
    """The regions of one image, in their order."""

    path: Path
    image_id: ImageId
    size: tuple[int, int]
    """Height and width of the photo."""
    results: list[Result]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What they are."""
        return tuple(result.segment for result in self.results)

    def drawn(self) -> Iterator[tuple[Segment, Placed]]:
        """Draw one region after another.

        Raises:
            ValueError: If a mask is broken or does not fit the image; the message names the place.
        """
        with Objects(self.path) as objects:
            for result in self.results:
                entry = objects.read(result.place)
                with _naming(f"{self.path}: result {result.position}: image {self.image_id!r}"):
                    region = masks.runs(masks.shape(entry, self.size), self.size)
                yield result.segment, masks.drawn(region)


def read_things(path: Path, wanted: ImageList, *, min_score: float) -> ResultsFile:
    """Read which things were found; those of an image come best score first, then as in the file.

    Args:
        path: Results of instance segmentation.
        wanted: The images, and the classes.
        min_score: Things with a lower score are left out.

    Raises:
        ValueError: If a result breaks the format, or names an image or a thing class that is not
            there. The message names its position.
    """
    file = _read(path, wanted, isthing=True)
    for image_id, results in file.results.items():
        taking_part = [result for result in results if _score(result) >= min_score]
        file.results[image_id] = sorted(taking_part, key=_score, reverse=True)
    return file


def read_stuff(path: Path, wanted: ImageList) -> ResultsFile:
    """Read which stuff was found, as in the file; regions of things are left out.

    Raises:
        ValueError: As `read_things` does.
    """
    return _read(path, wanted, isthing=False)


def _read(path: Path, wanted: ImageList, *, isthing: bool) -> ResultsFile:
    results: dict[ImageId, list[Result]] = {}
    count = 0

    def note(value: object, place: Place) -> None:
        nonlocal count
        with _naming(f"result {count}"):
            entry = json_fields.entry(value)
            image_id = json_fields.identity(entry, "image_id")
            if image_id not in wanted.images:
                raise ValueError(f"'image_id' is {image_id!r}, which {wanted.path} does not list")
            with _naming(f"image {image_id!r}"):
                segment = _segment(entry, wanted, isthing=isthing)
                if segment.isthing == isthing:
                    known = results.setdefault(image_id, [])
                    if not isthing and any(segment == other.segment for other in known):
                        raise ValueError(
                            f"'category_id' is {entry['category_id']!r} for the second time, "
                            "expected one mask for each stuff class"
                        )
                    known.append(Result(segment, count, place))
        count += 1

    json_stream.scan_list(path, note)
    return ResultsFile(path=path, wanted=wanted, results=results)


def _segment(entry: json_fields.Entry, wanted: ImageList, *, isthing: bool) -> Segment:
    """Say what a result is; only things need a score."""
    category_id = json_fields.identity(entry, "category_id")
    if category_id not in wanted.categories:
        known = f"one of the {len(wanted.categories)} categories"
        raise ValueError(f"'category_id' is {category_id!r}, expected {known}")
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
def _naming(place: str) -> Iterator[None]:
    """Say where an error was found."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
