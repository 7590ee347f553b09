"""A whole data set, checked and, one in COCO panoptic format, copied without its faults."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jsisnet.datatools.check.image import Examination, Examined
from jsisnet.datatools.check.listing import listing
from jsisnet.datatools.check.rules import Findings, Rule
from jsisnet.files.archives import pngs_of
from jsisnet.files.atomic import remove_leftovers
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Source
from jsisnet.validation import journal
from jsisnet.validation.copies import CHANGES, write_copy
from jsisnet.validation.journal import Journal
from jsisnet.validation.report import Report
from jsisnet.validation.tally import Subject, Tally

_JOURNAL = ".check"

Advance = Callable[[int, int], None]
"""Is told the number of images done and in total."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Where a data set is."""

    images: Path
    """Folder of the photos."""

    annotations: Path
    """COCO panoptic JSON file."""

    pngs: Path | None = None
    """Folder of the maps; default: the folder beside the file that is named like it."""

    other_images: Path | None = None
    """Folder of the photos of another data set that should have none of these."""

    other_annotations: Path | None = None
    """COCO file that lists them."""


def check(
    files: Files,
    *,
    copy: Path | None = None,
    kept: Path | None = None,
    examples: int = 5,
    processes: int = 1,
    on_image: Advance = lambda *_: None,
) -> Report:
    """Find all that is wrong with a data set.

    Args:
        files: Where it is.
        copy: Folder that receives a repaired JSON file named like the original, the maps and a
            list of what was changed. The photos are not copied.
        kept: File for what is found on the way; with it, a check that was stopped goes on. It goes
            away at the end. A copy always has one.
        examples: Cases of each rule to tell.
        processes: How many share the work.
        on_image: Is told how many images are done.

    Raises:
        ValueError: If a folder is missing, the copy would replace the original, or the other
            data set can't be read, or something else than an unfinished copy is in its place.
    """
    examination = _examination(files, copy)
    path = copy / _JOURNAL if copy is not None else kept
    tally = Tally(examination, Findings(examples))
    with _notes(path, _purpose(files, copy)) as notes:
        if examination.copies is not None:
            remove_leftovers(examination.copies)
        _fill(tally, notes, processes, on_image)
        if copy is not None and notes is not None and examination.listing.images:
            write_copy(copy, examination.listing, notes, tally.cases(notes))
    return tally.report()


def check_source(
    source: Source,
    *,
    kept: Path | None = None,
    examples: int = 5,
    processes: int = 1,
    on_image: Advance = lambda *_: None,
) -> Report:
    """Find all that is wrong with the maps and photos of a data set in any format.

    Args:
        source: The data set. Photos are looked at if it says where they are.
        kept: As in `check`.
        examples: Likewise.
        processes: Likewise.
        on_image: Likewise.
    """
    tally = Tally(source.examination(source), Findings(examples))
    with _notes(kept, _purpose_of_source(source)) as notes:
        _fill(tally, notes, processes, on_image)
    return tally.report()


def _fill(tally: Tally, notes: Journal | None, processes: int, on_image: Advance) -> None:
    for done, result in enumerate(_results(tally.subject, notes, processes), 1):
        tally.add(result)
        on_image(done, len(tally.subject))
    tally.finish()


def _notes(path: Path | None, purpose: str) -> AbstractContextManager[Journal | None]:
    return nullcontext() if path is None else journal.opened(path, purpose)


def _examination(files: Files, copy: Path | None) -> Examination:
    pngs = pngs_of(files.annotations, files.pngs)
    for folder in (files.images, files.other_images):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"the folder {folder} does not exist")
    copies = None if copy is None else copy / files.annotations.stem
    if copy is not None and copies is not None:
        for path, original in ((copy / files.annotations.name, files.annotations), (copies, pngs)):
            if path.exists() and path.samefile(original):
                raise ValueError(f"the copy would replace {original}; expected another folder")
        _refuse_to_replace(copy, (files.annotations.name, copies.name, CHANGES))
    other = None
    if files.other_annotations is not None:
        other = listing(files.other_annotations)
        if any(case.rule is Rule.JSON for case in other.cases):
            raise ValueError(f"{files.other_annotations}: {other.cases[0].sentence}")
    return Examination(
        listing=listing(files.annotations),
        photos=files.images,
        pngs=pngs,
        copies=copies,
        other=other,
        other_photos=files.other_images or Path(),
    )


def _refuse_to_replace(copy: Path, names: Iterable[str]) -> None:
    """Notice a copy, or another data set, that is where one is to be written."""
    for path in (copy / name for name in names):
        if path.exists() and not (copy / _JOURNAL).is_file():
            raise ValueError(f"{path} is there already; expected a new folder for the copy")


def _purpose(files: Files, copy: Path | None) -> str:
    """Give a text that differs for other files."""
    known = []
    for path in (files.annotations, files.other_annotations):
        if path is not None and path.is_file():
            status = path.stat()
            known.append((status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr((files, copy, known)).encode()).hexdigest()


def _purpose_of_source(source: Source) -> str:
    """Give a text that differs for other images, places or classes."""
    known = [(record.image_id, record.name, str(record.image)) for record in source.records]
    return hashlib.sha256(repr((known, source.categories.items)).encode()).hexdigest()


def _results(subject: Subject, notes: Journal | None, processes: int) -> Iterator[Examined]:
    """Give what is known of the images already, and examine the others."""
    begin = 0
    if notes is not None:
        yield from notes
        begin = notes.count
    share = partial(subject.share, begin)
    for result in in_order(share, len(subject) - begin, processes):
        if notes is not None:
            notes.add(result)
        yield result
