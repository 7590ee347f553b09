"""Archives for COCO's panoptic challenge: a zip of a JSON file and the folder of its PNGs."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from jsisnet.categories import Categories
from jsisnet.datatools.submission_check import ArchiveViolations, check_archive
from jsisnet.files import journal
from jsisnet.files.archives import stored_file
from jsisnet.files.atomic import replacing
from jsisnet.files.journal import Journal
from jsisnet.files.regular import check_regular
from jsisnet.files.stamps import Stamp
from jsisnet.formats.coco import Annotation, SegmentInfo, write_png
from jsisnet.formats.image_list import ImageList
from jsisnet.panoptic import ImageId, PanopticMap

ANNOTATIONS, PNGS = "annotations.jsonl", "pngs"
"""Names of the journal, which has one annotation a line, and of the folder of the PNGs."""

_OTHER_MAPS = (
    "maps of other photos or of another model; use the same photos, weights and settings, "
    "or delete the folder"
)
_NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PERMISSIONS = 0o644 << 16


class InvalidArchiveError(ValueError):
    """An archive would violate rules of the challenge."""

    def __init__(self, violations: tuple[ArchiveViolations, ...]):
        super().__init__("not written, since it would break rules of the challenge")
        self.violations = violations


@dataclass(frozen=True, kw_only=True, slots=True)
class MapFolder:
    """Folder of finished maps; iterating reads their annotations one by one from the journal.

    They come in the order of the images, whatever the order in which they were written.
    """

    folder: Path
    """The folder."""

    images: Sequence[ImageId]
    """Images that shall have a map."""

    stamps: dict[ImageId, Stamp]
    """Stamps of the photos whose maps are done."""

    positions: dict[ImageId, int]
    """Positions of these maps in the journal."""

    lines: Journal
    """Journal with one entry per map."""

    @property
    def pngs(self) -> Path:
        """Folder of the PNGs."""
        return self.folder / PNGS

    @property
    def done(self) -> set[ImageId]:
        """Images that have a map."""
        return set(self.positions)

    def add(
        self,
        panoptic: PanopticMap,
        categories: Categories,
        *,
        image_id: ImageId,
        name: str,
        stamp: Stamp,
    ) -> None:
        """Write the map of one image.

        Args:
            panoptic: The map.
            categories: Its classes, with the ids to write.
            image_id: Id of the image.
            name: Path of the PNG relative to the folder of the PNGs.
            stamp: Stamp of the photo, taken before it was read.
        """
        write_png(panoptic, self.pngs / name)
        segments = [
            [number, categories[segment.label].id]
            for number, segment in enumerate(panoptic.segments, 1)
        ]
        entry = {"image_id": image_id, "png": name, "stamp": stamp, "segments": segments}
        self.positions[image_id] = self.lines.add(entry)
        self.stamps[image_id] = stamp

    def __iter__(self) -> Iterator[Annotation]:
        values: Any  # as `add` writes them
        positions = self.positions
        for values in self.lines.read(positions[i] for i in self.images if i in positions):
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
        """Delete the maps.

        The journal goes first, since it must not name maps that are gone.
        """
        self.lines.file.close()
        self.lines.path.unlink()
        shutil.rmtree(self.pngs)


@contextmanager
def open_map_folder(
    folder: Path, purpose: str, stamps: Mapping[ImageId, Stamp]
) -> Iterator[MapFolder]:
    """Create a folder of maps or resume one; delete it afterwards if its maps are removed.

    Args:
        folder: The folder; created if it is missing.
        purpose: Identifies the images and the model; maps of different purposes may not be mixed.
        stamps: Stamps of the photos as they are now, in the order of the images. Maps of photos
            that have changed are not done.

    Raises:
        ValueError: If the folder has another purpose, is damaged, or another process is writing to
            it.
    """
    path = folder / ANNOTATIONS
    with journal.open_journal(path, purpose, refusal=_OTHER_MAPS) as lines:
        (folder / PNGS).mkdir(exist_ok=True)
        positions = dict(_unchanged(lines, folder / PNGS, stamps))
        yield MapFolder(
            folder=folder,
            images=tuple(stamps),
            stamps={image_id: stamps[image_id] for image_id in positions},
            positions=positions,
            lines=lines,
        )
    with suppress(OSError):  # it holds maps
        folder.rmdir()


def remove_maps(folder: Path, purpose: str) -> None:
    """Delete the maps of a purpose that a killed process has left; those of others are kept."""
    with suppress(ValueError), open_map_folder(folder, purpose, {}) as maps:
        maps.remove()


def _unchanged(
    lines: Journal, pngs: Path, stamps: Mapping[ImageId, Stamp]
) -> Iterator[tuple[ImageId, int]]:
    """Yield the images whose maps exist and whose photos have not changed, with their positions."""
    values: Any
    try:
        for position, values in lines.positions():
            image_id, name = values["image_id"], values["png"]
            unchanged = image_id in stamps and values["stamp"] == stamps[image_id]
            if unchanged and (pngs / name).is_file():
                yield image_id, position
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{lines.path}: damaged; delete the folder to start again") from error


def digest(purpose: str, stamps: Iterable[Stamp]) -> str:
    """Return what identifies an archive: a hash of its purpose and of the stamps of the photos."""
    return sha256(json.dumps([purpose, *stamps]).encode()).hexdigest()


def is_complete(archive: Path, identity: str) -> bool:
    """Return whether an archive was written whole for the same purpose and photos.

    Args:
        archive: The archive, which may be missing.
        identity: See `digest`.
    """
    with suppress(OSError, BadZipFile), ZipFile(archive) as file:
        return file.comment == identity.encode()
    return False


def archive_stem(split: str, name: str) -> str:
    """Return the name that an archive, its JSON file and its folder share.

    Args:
        split: Split of the data set, such as ``test-dev2017``.
        name: Name of the method.

    Raises:
        ValueError: If one of them is empty or has characters that are unsafe in file names.
    """
    for part in (split, name):
        if not _NAME_PART.fullmatch(part):
            raise ValueError(
                f"{part!r} cannot be part of a file name; expected letters, digits and .-_"
            )
    return f"panoptic_{split}_{name}_results"


def write_archive(
    archive: Path,
    annotations: Iterable[Annotation],
    pngs: Path,
    expected: ImageList,
    *,
    identity: str = "",
    on_image: Callable[[int, int], None] | None = None,
) -> None:
    """Write an archive and check it; it appears complete and valid, or not at all.

    Args:
        archive: File to write, named by `archive_stem`; the names inside follow from it.
        annotations: Predictions; iterated twice.
        pngs: Folder of their PNGs, which are stored unchanged.
        expected: The images that the archive must hold, and the categories to use.
        identity: Comment of the archive, by which `is_complete` knows it.
        on_image: Called with the numbers of maps checked and in total.

    Raises:
        InvalidArchiveError: If `check_archive` finds a violation.
    """
    with replacing(archive) as temporary:
        with ZipFile(temporary, "w") as file:
            file.comment = identity.encode()
            _write_json(file, f"{archive.stem}.json", annotations, pngs)
            _write_pngs(file, archive.stem, annotations, pngs)
        violations = check_archive(temporary, expected, on_image=on_image)
        if violations:
            raise InvalidArchiveError(violations)


def _write_json(file: ZipFile, name: str, annotations: Iterable[Annotation], pngs: Path) -> None:
    entry = _zip_entry(name)
    entry.compress_type = ZIP_DEFLATED
    with file.open(entry, "w") as lines:
        separator = '{"annotations": [\n'
        for annotation in annotations:
            lines.write((separator + _annotation_json(annotation, pngs)).encode())
            separator = ",\n"
        lines.write(b"\n]}\n")


def _annotation_json(annotation: Annotation, pngs: Path) -> str:
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
            stored = stored_file(annotation.png)
            if isinstance(stored, Path):
                check_regular(stored)
            file.writestr(_zip_entry(f"{folder}/{name}"), stored.read_bytes())


def _zip_entry(name: str) -> ZipInfo:
    """Return a zip entry without a time stamp, so that the same maps give the same archive."""
    entry = ZipInfo(name)
    entry.external_attr = _PERMISSIONS
    return entry
