"""A whole data set in COCO panoptic format, checked and, on demand, copied without its faults."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from jsisnet.categories import CategoryId
from jsisnet.evaluation.shared_work import in_order
from jsisnet.formats.files import remove_leftovers
from jsisnet.validation import journal
from jsisnet.validation.copies import write_copy
from jsisnet.validation.examine import Examination, Examined
from jsisnet.validation.journal import Journal
from jsisnet.validation.listing import Listing, listing
from jsisnet.validation.rules import Case, Fault, Findings, Rule, Severity

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What is wrong with a data set."""

    images: int
    """Images that could be checked."""

    segments: int
    """Segments of theirs that can be used."""

    faults: tuple[Fault, ...]
    """Broken rules, the severest first."""

    def count(self, severity: Severity) -> int:
        """Count the cases of a severity."""
        return sum(fault.count for fault in self.faults if fault.rule.severity is severity)

    @property
    def sound(self) -> bool:
        """Whether there are no errors."""
        return self.count(Severity.ERROR) == 0

    @property
    def repairable(self) -> bool:
        """Whether a repaired copy has no errors."""
        errors = (fault.rule for fault in self.faults if fault.rule.severity is Severity.ERROR)
        return all(rule.repair is not None for rule in errors)

    def summary(self) -> dict[str, object]:
        """Give everything as JSON would."""
        return {
            "images": self.images,
            "segments": self.segments,
            **{f"{severity}s": self.count(severity) for severity in Severity},
            "faults": [
                {
                    "rule": fault.rule.title,
                    "severity": fault.rule.severity.value,
                    "expected": fault.rule.sentence,
                    "repair": fault.rule.repair,
                    "count": fault.count,
                    "examples": list(fault.examples),
                }
                for fault in self.faults
            ],
        }


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
            data set can't be read.
    """
    examination = _examination(files, copy)
    tally = _Tally(examination.listing, Findings(examples))
    path = copy / ".check" if copy is not None else kept
    if examination.copies is not None:
        remove_leftovers(examination.copies)
    with ExitStack() as stack:
        notes = None
        if path is not None:
            purpose = _purpose(files, copy)
            notes = stack.enter_context(journal.opened(path, purpose))
        for done, result in enumerate(_results(examination, notes, processes), 1):
            tally.add(result)
            on_image(done, len(examination))
        tally.finish()
        if copy is not None and notes is not None and examination.listing.images:
            write_copy(copy, examination.listing, notes, tally.cases(notes))
    return tally.report()


def _examination(files: Files, copy: Path | None) -> Examination:
    pngs = files.annotations.with_suffix("") if files.pngs is None else files.pngs
    for folder in (files.images, pngs, files.other_images):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"the folder {folder} does not exist")
    copies = None if copy is None else copy / files.annotations.stem
    if copy is not None and copies is not None:
        for path, original in ((copy / files.annotations.name, files.annotations), (copies, pngs)):
            if path.exists() and path.samefile(original):
                raise ValueError(f"the copy would replace {original}; expected another folder")
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


def _purpose(files: Files, copy: Path | None) -> str:
    """Give a text that differs for other files."""
    known = []
    for path in (files.annotations, files.other_annotations):
        if path is not None and path.is_file():
            status = path.stat()
            known.append((status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr((files, copy, known)).encode()).hexdigest()


def _results(examination: Examination, notes: Journal | None, processes: int) -> Iterator[Examined]:
    """Give what is known of the images already, and examine the others."""
    begin = 0
    if notes is not None:
        yield from notes
        begin = notes.count
    share = partial(examination.share, begin)
    for result in in_order(share, len(examination) - begin, processes):
        if notes is not None:
            notes.add(result)
        yield result


@dataclass
class _Tally:
    """What is found, image by image, and in the whole."""

    listing: Listing
    findings: Findings
    done: int = 0
    segments: int = 0
    seen: set[CategoryId] = field(default_factory=set)
    photos: dict[str, str] = field(default_factory=dict)
    """Names by pixels."""
    about_all: list[Case] = field(default_factory=list)

    def add(self, result: Examined) -> None:
        self.findings.add(result.cases)
        self.segments += result.segments
        self.seen.update(result.seen)
        own = self.done < len(self.listing.images)
        self.done += 1
        if result.digest in self.photos:
            rule, where = (Rule.PHOTO_TWICE, "") if own else (Rule.PHOTO_LEAKED, "the other set's ")
            twin = self.photos[result.digest]
            text = f"{twin!r} has the pixels of {where}{result.name!r}"
            self.about_all.append(Case(rule, text))
        elif own and result.digest is not None:
            self.photos[result.digest] = result.name

    def finish(self) -> None:
        self.about_all += self.listing.cases
        if not any(case.rule is Rule.JSON for case in self.listing.cases):
            for category_id, category in self.listing.categories.items():
                if category_id not in self.seen:
                    text = f"category {category.entry['name']!r}: has no segment"
                    self.about_all.append(Case(Rule.CATEGORY_UNSEEN, text))
            if not self.segments:
                self.about_all.append(Case(Rule.NOTHING, "no image has both"))
        self.findings.add(self.about_all)

    def cases(self, notes: Journal) -> Iterator[Case]:
        return chain(self.about_all, chain.from_iterable(result.cases for result in notes))

    def report(self) -> Report:
        return Report(
            images=len(self.listing.images),
            segments=self.segments,
            faults=self.findings.faults(),
        )
