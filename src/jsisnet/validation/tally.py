"""What is found in images, added up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, runtime_checkable

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.image import Examined
from jsisnet.datatools.check.listing import ListedCategory
from jsisnet.datatools.check.rules import Case, Findings, Rule
from jsisnet.validation.journal import Journal
from jsisnet.validation.report import Report


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
