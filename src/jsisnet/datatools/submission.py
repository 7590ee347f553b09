"""Archives for COCO's panoptic challenge: one zip of a JSON file and the folder of its PNGs."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jsisnet.datatools.submission_check import Advance, check
from jsisnet.files.archives import stored
from jsisnet.files.atomic import replacing
from jsisnet.formats.coco import Annotation
from jsisnet.formats.image_list import ImageList
from jsisnet.formats.submission_rules import Fault

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
            file.writestr(_entry(f"{folder}/{name}"), stored(annotation.png).read_bytes())


def _entry(name: str) -> ZipInfo:
    """Describe a file without its time, so that the same maps give the same archive."""
    entry = ZipInfo(name)
    entry.external_attr = _PERMISSIONS
    return entry
