"""Archives for COCO's panoptic challenge: one zip of a JSON file and the folder of its PNGs."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jsisnet.categories import Categories
from jsisnet.datatools.submission_check import Advance, Fault, check
from jsisnet.files import journal
from jsisnet.files.archives import stored_file
from jsisnet.files.atomic import remove_leftovers, replacing
from jsisnet.files.journal import Journal
from jsisnet.formats.coco import Annotation, SegmentInfo, write_png
from jsisnet.formats.image_list import ImageList
from jsisnet.panoptic import ImageId, PanopticMap

LINES, PNGS = "annotations.jsonl", "pngs"
"""Names of the file with one annotation a line, below a line about them all, and of the folder of
the PNGs."""

_OTHER_MAPS = (
    "holds maps of other photos, or of a model with other weights or settings; expected those it "
    "was begun with, or no such folder"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MapFolder:
    """Maps that are done; going through it reads one annotation after the other from the file."""

    folder: Path
    """The folder."""

    done: set[ImageId]
    """Images that have a map."""

    lines: Journal
    """One for each map."""

    @property
    def pngs(self) -> Path:
        """Folder of the PNGs."""
        return self.folder / PNGS

    def add(
        self, panoptic: PanopticMap, categories: Categories, *, image_id: ImageId, name: str
    ) -> None:
        """Keep the map of one image.

        Args:
            panoptic: The map.
            categories: Its classes, with the ids to write.
            image_id: The image's id.
            name: Path of the PNG inside the folder of the PNGs.
        """
        write_png(panoptic, self.pngs / name)
        segments = [
            [number, categories[segment.label].id]
            for number, segment in enumerate(panoptic.segments, 1)
        ]
        self.lines.add({"image_id": image_id, "png": name, "segments": segments})
        self.done.add(image_id)

    def __iter__(self) -> Iterator[Annotation]:
        values: Any  # as `add` has written them
        for values in self.lines:
            infos = (SegmentInfo(id=i, category_id=c) for i, c in values["segments"])
            yield Annotation(
                image_id=values["image_id"],
                png=self.pngs / values["png"],
                image=None,
                size=None,
                segments_info=tuple(infos),
                predicted=True,
            )

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder)


@contextmanager
def open_map_folder(folder: Path, purpose: str) -> Iterator[MapFolder]:
    """Begin a folder, or go on with one.

    Args:
        folder: Made if it is missing.
        purpose: What the maps are made of and with; those of two purposes may not be mixed.

    Raises:
        ValueError: If the folder was begun for another purpose, is none of this kind, or is being
            written to by somebody else.
    """
    path = folder / LINES
    (folder / PNGS).mkdir(parents=True, exist_ok=True)
    with journal.open_journal(path, purpose, refusal=_OTHER_MAPS) as lines:
        remove_leftovers(folder / PNGS)
        try:
            done: set[Any] = {values["image_id"] for values in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: is damaged; expected no such folder") from error
        yield MapFolder(folder=folder, done=done, lines=lines)


_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PERMISSIONS = 0o644 << 16


class FaultyArchiveError(ValueError):
    """An archive would break rules of the challenge."""

    def __init__(self, faults: tuple[Fault, ...]):
        super().__init__("no archive is written, for it would break rules of the challenge")
        self.faults = faults


def title(split: str, name: str) -> str:
    """Give the name that the archive, its JSON file and its folder share.

    Args:
        split: Part of the data set, such as ``test-dev2017``.
        name: Whose predictions these are.

    Raises:
        ValueError: If one of them is empty or has other characters than file names should.
    """
    for part in (split, name):
        if not _PART.fullmatch(part):
            raise ValueError(f"{part!r} becomes part of a name; expected letters, digits and .-_")
    return f"panoptic_{split}_{name}_results"


def write(
    archive: Path,
    annotations: Iterable[Annotation],
    pngs: Path,
    wanted: ImageList,
    *,
    on_image: Advance | None = None,
) -> None:
    """Write an archive and read it back; it appears complete and without faults, or not at all.

    Args:
        archive: File to write, named by `title`; names inside follow from it.
        annotations: Predictions, passed through twice.
        pngs: Folder of their PNGs, which go into the archive as they are.
        wanted: The images that the archive has to hold, and the classes to use.
        on_image: Is told the number of maps that are read back and their total.

    Raises:
        FaultyArchiveError: If `check` finds a fault.
    """
    with replacing(archive) as temporary:
        with ZipFile(temporary, "w") as file:
            _write_json(file, f"{archive.stem}.json", annotations, pngs)
            _write_pngs(file, archive.stem, annotations, pngs)
        faults = check(temporary, wanted, on_image=on_image)
        if faults:
            raise FaultyArchiveError(faults)


def _write_json(file: ZipFile, name: str, annotations: Iterable[Annotation], pngs: Path) -> None:
    entry = _entry(name)
    entry.compress_type = ZIP_DEFLATED
    with file.open(entry, "w") as lines:
        separator = '{"annotations": [\n'
        for annotation in annotations:
            lines.write((separator + _line(annotation, pngs)).encode())
            separator = ",\n"
        lines.write(b"\n]}\n")


def _line(annotation: Annotation, pngs: Path) -> str:
    values = {
        "image_id": annotation.image_id,
        "file_name": annotation.png.relative_to(pngs).as_posix(),
        "segments_info": [
            {"id": info.id, "category_id": info.category_id} for info in annotation.segments_info
        ],
    }
    return json.dumps(values)


def _write_pngs(file: ZipFile, folder: str, annotations: Iterable[Annotation], pngs: Path) -> None:
    written: set[str] = set()
    for annotation in annotations:
        name = annotation.png.relative_to(pngs).as_posix()
        if name not in written:
            written.add(name)
            file.writestr(_entry(f"{folder}/{name}"), stored_file(annotation.png).read_bytes())


def _entry(name: str) -> ZipInfo:
    """Describe a file without its time, so that the same maps give the same archive."""
    entry = ZipInfo(name)
    entry.external_attr = _PERMISSIONS
    return entry
