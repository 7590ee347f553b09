"""Segmentation of photo files: what is read, predicted and written for each."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jsisnet.arrays import UInt8
from jsisnet.checks import check_choice
from jsisnet.files.archives import Member
from jsisnet.files.json_fields import Entry
from jsisnet.files.remote import RemoteFile
from jsisnet.formats import coco
from jsisnet.inference.branch_files import write_branches
from jsisnet.inference.engine import Outputs
from jsisnet.inference.photo_files import Photo
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.result import LARGE_OVERLAY, OVERLAY, Result, write_overlay
from jsisnet.panoptic import PanopticMap
from jsisnet.visualize.overlay import Style
from jsisnet.visualize.palette import short_name

COCO = "coco"
"""Format of a PNG per photo and one JSON file; the other formats are those of annotation tools."""

FORMATS = {COCO: ".png", "cvat": ".xml", "label-studio": ".json", "labelme": ".json"}
"""Formats that predictions of photos can be written in, and the suffixes of their files."""

_MAX_NAME = 255
"""Longest name of a result in bytes that file systems hold."""

FAILURES = (ValueError, OSError, MemoryError, RuntimeError)
"""Errors of one photo, after which the others continue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """What is written for each photo."""

    formats: tuple[str, ...] = (COCO,)
    """Some of the `FORMATS`. Files of annotation tools go to a folder with the name of the format.
    """

    overlay: Style | None = field(default_factory=Style)
    """Appearance of the overlays; ``None`` for none."""

    raw: Path | None = None
    """Folder for what the branches predict, in the files of `write_branches`, which replace those
    of other runs; ``None`` for none."""

    def __post_init__(self) -> None:
        for name in self.formats:
            check_choice("format", name, tuple(FORMATS))

    def names(self, photo: Photo) -> list[str]:
        """Return the paths that a photo's results can have in the folder of the results."""
        ends = () if self.overlay is None else (OVERLAY, LARGE_OVERLAY)
        overlays = [f"{photo.name}{end}" for end in ends]
        return overlays + [_path(photo, name) for name in self.formats]

    def fits(self, photo: Photo) -> bool:
        """Return whether file systems can hold the names of a photo's results."""
        names = (Path(name).name for name in self.names(photo))
        return all(len(os.fsencode(name)) <= _MAX_NAME for name in names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a photo."""

    photo: Photo

    error: Exception | None = None
    """Why it failed; ``None`` if its files are written."""

    entry: Entry = field(default_factory=dict)
    """COCO entries of its segments, its size, and the files that were written."""

    things: Mapping[str, int] = field(default_factory=dict)
    """Number of segments of each thing class, by its short name."""

    stuff: tuple[str, ...] = ()
    """Short names of the stuff classes."""

    seconds: float = 0.0
    """Time spent on it, without waiting."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo."""
        return self.entry["height"], self.entry["width"]  # type: ignore[return-value]


@dataclass(kw_only=True, slots=True)
class Item:
    """A photo between two steps."""

    photo: Photo
    stamp: Sequence[str | int] = ()
    image: UInt8[np.ndarray, "h w 3"] | None = None
    outputs: Outputs | PanopticMap | None = None
    error: Exception | None = None
    seconds: float = 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Measure the time of a step, and keep its error if it fails."""
        began = time.perf_counter()
        try:
            yield
        except FAILURES as error:
            self.error = error
        finally:
            self.seconds += time.perf_counter() - began


@dataclass(frozen=True, slots=True, eq=False)
class PhotoJob:
    """The steps of segmenting photos into a folder; several threads may take them at once."""

    predictor: Predictor
    folder: Path
    config: OutputConfig

    def segment(self, photo: Photo) -> Outcome:
        """Take all steps with one photo."""
        item = self.read(photo)
        self.predict([item])
        return self.write(item)

    def read(self, photo: Photo) -> Item:
        """Read a photo."""
        item = Item(photo=photo)
        with item.step():
            if not self.config.fits(photo):
                raise ValueError(
                    f"{photo.title}: its name is too long for those of its results, which file "
                    "systems limit to 255 bytes; rename the photo"
                )
            item.stamp = photo.stamp()
            item.image = photo.read()
        return item

    def predict(self, items: Sequence[Item]) -> None:
        """Run the network on a batch; if that fails, on one photo after another."""
        images = {i: item.image for i, item in enumerate(items) if item.image is not None}
        if not images:
            return
        began = time.perf_counter()
        try:
            found = self.predictor.run(list(images.values()))
        except FAILURES as error:
            if len(items) == 1:
                items[0].error = error
                return
            for item in items:
                self.predict([item])
            return
        seconds = (time.perf_counter() - began) / len(images)
        for i, outputs in zip(images, found, strict=True):
            items[i].outputs = outputs
            items[i].seconds += seconds

    def write(self, item: Item) -> Outcome:
        """Merge the outputs of a photo, and write its files: all or none. Releases its pixels."""
        outcome = Outcome(photo=item.photo)
        with item.step():
            if item.error is None:
                outcome = self._write_all(item)
        if item.error is not None:
            return Outcome(photo=item.photo, error=item.error)
        return replace(outcome, seconds=item.seconds)

    def _write_all(self, item: Item) -> Outcome:
        result, style = self._result(item), self.config.overlay
        self._write_branches(item, result)
        picture = None if style is None else result.draw(style)
        with all_or_none() as written:
            for path in self._written(item.photo, result):
                written.append(path)
            outcome = self._describe(item, result)
            # The overlay is last, when the memory of the photo and its map is free again.
            del result
            item.image = item.outputs = None
            if picture is not None:
                written.insert(0, write_overlay(picture, self.folder, item.photo.name))
        files = [path.relative_to(self.folder).as_posix() for path in written]
        return replace(outcome, entry={**outcome.entry, "files": files})

    def _result(self, item: Item) -> Result:
        image, outputs = item.image, item.outputs
        assert image is not None
        assert outputs is not None
        panoptic = self.predictor.merge(outputs, (image.shape[0], image.shape[1]))
        return Result(image, panoptic, self.predictor.categories, item.photo.file_name)

    def _write_branches(self, item: Item, result: Result) -> None:
        if self.config.raw is None:
            return
        assert item.outputs is not None
        size = result.panoptic.size
        write_branches(
            item.outputs,
            self.config.raw,
            item.photo.file_name,
            frame=self.predictor.config.size or size,
            size=size,
            categories=self.predictor.categories,
        )

    def _describe(self, item: Item, result: Result) -> Outcome:
        height, width = result.panoptic.size
        described = coco.segments_info(result.panoptic, result.categories)
        categories = self.predictor.categories
        names = [
            (short_name(categories[segment.label]), segment.isthing)
            for segment in result
            if segment.area
        ]
        entry: Entry = {
            "stamp": item.stamp,
            "name": item.photo.name,
            "file_name": item.photo.file_name,
            "height": height,
            "width": width,
            "files": [],
            "segments_info": [segment for segment in described if segment["area"]],
        }
        return Outcome(
            photo=item.photo,
            entry=entry,
            things=Counter(name for name, isthing in names if isthing),
            stuff=tuple(name for name, isthing in names if not isthing),
        )

    def _written(self, photo: Photo, result: Result) -> Iterator[Path]:
        """Write the files of a photo but its overlay one by one, and yield their paths."""
        for name in self.config.formats:
            if name == COCO:
                path = self.folder / _path(photo, name)
                coco.write_png(result.panoptic, path)
                yield path
            else:
                yield self._write_annotations(name, photo, result)

    def _write_annotations(self, name: str, photo: Photo, result: Result) -> Path:
        from jsisnet.formats.annotation_tools import ANNOTATION_FORMATS

        folder = self.folder / name
        return ANNOTATION_FORMATS[name](
            folder,
            photo.name,
            result.panoptic,
            result.categories,
            image=_place(photo, folder) if name == "labelme" else _original_name(photo),
        )


@contextmanager
def all_or_none() -> Iterator[list[Path]]:
    """Yield a list of files that are written, which are removed if the block fails."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise


def _path(photo: Photo, name: str) -> str:
    """Return the path of the file in a format; each tool's files have a folder of their own."""
    file = f"{photo.name}{FORMATS[name]}"
    return file if name == COCO else f"{name}/{file}"


def _place(photo: Photo, folder: Path) -> str:
    """Return the path of a photo relative to a folder; only its name if it is no file on disk."""
    if not isinstance(photo.source, Path):
        return photo.file_name
    return Path(os.path.relpath(photo.source.absolute(), folder.absolute())).as_posix()


def _original_name(photo: Photo) -> str:
    match photo.source:
        case Path() | Member() | RemoteFile():
            return photo.source.name
    return photo.file_name
