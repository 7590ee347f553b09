"""A whole data set, checked and, one in COCO panoptic format, copied without its faults."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.image import Examination, Examined
from jsisnet.datatools.check.listing import ListedCategory, Listing, listing
from jsisnet.datatools.check.rules import Case, Findings, Report, Rule
from jsisnet.datatools.check.source import examination
from jsisnet.files import atomic, journal
from jsisnet.files.archives import pngs_of
from jsisnet.files.atomic import remove_leftovers, replacing
from jsisnet.files.json_fields import Entry
from jsisnet.files.processes import in_order
from jsisnet.formats.records import Source


@dataclass(frozen=True, slots=True)
class Journal:
    """Results so far, in their order; going through it reads one after the other."""

    lines: journal.Journal
    """The file."""

    @property
    def count(self) -> int:
        """Count the results."""
        return self.lines.count

    def add(self, result: Examined) -> None:
        """Keep a result."""
        cases = [[case.rule.name, case.sentence] for case in result.cases]
        self.lines.add(asdict(result) | {"cases": cases})

    def __iter__(self) -> Iterator[Examined]:
        return map(_result, self.lines)


@contextmanager
def open_journal(path: Path, purpose: str) -> Iterator[Journal]:
    """Begin a journal, or go on with one that was begun for the same purpose.

    The file goes away when the ``with`` block ends without error.

    Args:
        path: Nobody else may be writing to it.
        purpose: What the results are about; those of another are forgotten.
    """
    with journal.opened(path, purpose, forgets=True) as lines:
        yield Journal(lines)
    path.unlink()


def _result(line: Entry) -> Examined:
    values: dict[str, Any] = dict(line)
    cases = tuple(Case(Rule[name], sentence) for name, sentence in values.pop("cases"))
    seen = tuple(values.pop("seen"))
    return replace(Examined(**values), cases=cases, seen=seen)


@runtime_checkable
class Subject(Protocol):
    """A data set whose images can be examined one by one."""

    @property
    def own(self) -> int:
        """Count the images of the data set itself; those of another one come after them."""

    @property
    def categories(self) -> Mapping[CategoryId, ListedCategory]:
        """Its classes."""

    @property
    def cases(self) -> tuple[Case, ...]:
        """What is wrong with it before any image is examined."""

    def __len__(self) -> int:
        """Count all images."""

    def share(self, begin: int, first: int, step: int) -> Iterator[Examined]:
        """Examine the images in the positions ``begin + first``, ``begin + first + step``, ..."""


@dataclass
class Tally:
    """What is found, image by image, and in the whole."""

    subject: Subject
    findings: Findings
    done: int = 0
    segments: int = 0
    seen: set[CategoryId] = field(default_factory=set)
    photos: dict[str, str] = field(default_factory=dict)
    """Names by pixels."""
    about_all: list[Case] = field(default_factory=list)

    def add(self, result: Examined) -> None:
        """Take in what was found out about the next image."""
        self.findings.add(result.cases)
        self.segments += result.segments
        self.seen.update(result.seen)
        own = self.done < self.subject.own
        self.done += 1
        if result.digest in self.photos:
            rule, where = (Rule.PHOTO_TWICE, "") if own else (Rule.PHOTO_LEAKED, "the other set's ")
            twin = self.photos[result.digest]
            text = f"{twin!r} has the pixels of {where}{result.name!r}"
            self.about_all.append(Case(rule, text))
        elif own and result.digest is not None:
            self.photos[result.digest] = result.name

    def finish(self) -> None:
        """Take in what is about all images."""
        self.about_all += self.subject.cases
        if not any(case.rule is Rule.JSON for case in self.subject.cases):
            for category_id, category in self.subject.categories.items():
                if category_id not in self.seen:
                    text = f"category {category.entry['name']!r}: has no segment"
                    self.about_all.append(Case(Rule.CATEGORY_UNSEEN, text))
            if not self.segments:
                self.about_all.append(Case(Rule.NOTHING, "no image has both"))
        self.findings.add(self.about_all)

    def cases(self, notes: Journal) -> Iterator[Case]:
        """Give all that is wrong, from the results that were kept."""
        return chain(self.about_all, chain.from_iterable(result.cases for result in notes))

    def report(self) -> Report:
        """Sum up."""
        return Report(
            images=self.subject.own,
            segments=self.segments,
            faults=self.findings.faults(),
        )


CHANGES = "changes.txt"
"""Name of the file that lists what was changed: a line for each case."""


def write_copy(
    out: Path, listing: Listing, results: Iterable[Examined], cases: Iterable[Case]
) -> None:
    """Write the JSON file of a copy whose maps exist already, and the list of what was changed.

    Args:
        out: Folder of the copy.
        listing: What the original lists.
        results: Its images; gone through several times.
        cases: All that is wrong with the original.
    """
    fields = {"categories": [category.entry for category in listing.categories.values()]}
    lists = {
        "images": (result.image for result in results if result.image is not None),
        "annotations": (result.annotation for result in results if result.annotation is not None),
    }
    atomic.write_json(out / listing.path.name, {**listing.rest, **fields}, lists)
    with replacing(out / CHANGES) as temporary, temporary.open("w", encoding="utf-8") as file:
        for case in cases:
            if case.rule.repair is not None:
                file.write(f"{case.rule.title}: {case.sentence}: {case.rule.repair}\n")


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
    whole = _examination(files, copy)
    path = copy / _JOURNAL if copy is not None else kept
    tally = Tally(whole, Findings(examples))
    with _notes(path, _purpose(files, copy)) as notes:
        if whole.copies is not None:
            remove_leftovers(whole.copies)
        _fill(tally, notes, processes, on_image)
        if copy is not None and notes is not None and whole.listing.images:
            write_copy(copy, whole.listing, notes, tally.cases(notes))
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
    tally = Tally(examination(source), Findings(examples))
    with _notes(kept, _purpose_of_source(source)) as notes:
        _fill(tally, notes, processes, on_image)
    return tally.report()


def check_dataset(
    dataset: Source | Path | str,
    *,
    images: Path | str | None = None,
    pngs: Path | str | None = None,
    copy: Path | str | None = None,
    examples: int = 5,
    processes: int = 1,
) -> Report:
    """Check the annotations, maps and photos of a data set.

    Args:
        dataset: COCO panoptic JSON file, or a data set of any format that is already open.
        images: Folder of the photos of a JSON file.
        pngs: Folder of its maps; default: beside the JSON file, named like it.
        copy: Folder that receives a repaired copy of a COCO panoptic data set, without photos.
        examples: Number of cases that the report lists for each rule.
        processes: Number of worker processes.

    Raises:
        ValueError: If a path is missing, or the arguments do not fit together.

    Example:
        >>> report = jsisnet.check("val.json", images="val2017")  # doctest: +SKIP
        >>> report.sound, report.faults  # doctest: +SKIP
        (True, ())
    """
    if isinstance(dataset, Source):
        if not images is pngs is copy is None:
            raise ValueError("images, pngs and copy are for a JSON file, not for an open data set")
        return check_source(dataset, examples=examples, processes=processes)
    if images is None:
        raise ValueError("images is missing; expected the folder of the photos")
    files = Files(
        images=Path(images), annotations=Path(dataset), pngs=None if pngs is None else Path(pngs)
    )
    folder = None if copy is None else Path(copy)
    return check(files, copy=folder, examples=examples, processes=processes)


def _fill(tally: Tally, notes: Journal | None, processes: int, on_image: Advance) -> None:
    for done, result in enumerate(_results(tally.subject, notes, processes), 1):
        tally.add(result)
        on_image(done, len(tally.subject))
    tally.finish()


def _notes(path: Path | None, purpose: str) -> AbstractContextManager[Journal | None]:
    return nullcontext() if path is None else open_journal(path, purpose)


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
