"""Check of a whole data set and, in COCO panoptic format, a repaired copy."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from jsisnet.categories import CategoryId
from jsisnet.datatools.check.image import CocoChecker, ImageResult
from jsisnet.datatools.check.instances import InstancesChecker, instances_checker
from jsisnet.datatools.check.listing import ListedCategory, read_listing
from jsisnet.datatools.check.rules import Report, Rule, Violation, sort_by_severity
from jsisnet.datatools.check.source import source_checker
from jsisnet.datatools.violations import ViolationCounter
from jsisnet.files import atomic, journal, json_fields
from jsisnet.files.archives import png_folder
from jsisnet.files.atomic import replacing
from jsisnet.files.journal import JOURNAL
from jsisnet.files.json_fields import Entry
from jsisnet.files.links import are_followed_anywhere
from jsisnet.files.one_line import one_line
from jsisnet.files.processes import in_order
from jsisnet.files.stamps import are_unchanged
from jsisnet.formats.records import Source

CHANGES = "changes.txt"
"""File of a repaired copy that lists the changes, one a line."""

_MAX_ID = 2**63
_FIELDS = tuple(each.name for each in fields(ImageResult))
"""What a journal keeps of an image; journals with other fields are started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPaths:
    """Paths of a COCO panoptic data set."""

    images: Path
    """Folder of the photos."""

    annotations: Path
    """COCO panoptic JSON file."""

    pngs: Path | None = None
    """Folder of the maps; default: beside the JSON file, named like it."""

    other_images: Path | None = None
    """Folder of the photos of another data set, which should have no photo in common."""

    other_annotations: Path | None = None
    """COCO file that lists the other photos."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesPaths:
    """Paths of a COCO instances file and its photos."""

    annotations: Path
    """The file."""

    images: Path | None = None
    """Folder of the photos; ``None`` to check the file alone."""


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
        examples: Number of messages that the report keeps for each rule.
        processes: Number of worker processes.

    Raises:
        ValueError: If a path is missing, or the arguments do not fit together.

    Example:
        >>> report = jsisnet.check("val.json", images="val2017")  # doctest: +SKIP
        >>> report.valid, report.violations  # doctest: +SKIP
        (True, ())
    """
    if isinstance(dataset, Source):
        if not images is pngs is copy is None:
            raise ValueError(
                "images, pngs and copy apply only to a JSON file, not to an open data set"
            )
        return check_source(dataset, examples=examples, processes=processes)
    if images is None:
        raise ValueError("images is missing; expected the folder of the photos")
    paths = DatasetPaths(
        images=Path(images), annotations=Path(dataset), pngs=None if pngs is None else Path(pngs)
    )
    folder = None if copy is None else Path(copy)
    return check(paths, copy=folder, examples=examples, processes=processes)


def check(
    paths: DatasetPaths,
    *,
    copy: Path | None = None,
    journal_path: Path | None = None,
    examples: int = 5,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Check a COCO panoptic data set and write a repaired copy on demand.

    Args:
        paths: Paths of the data set.
        copy: Folder that receives a repaired JSON file named like the original, the maps and a
            list of the changes. The photos are not copied.
        journal_path: File for results so far, so that an interrupted check can resume; it is
            deleted at the end. A copy always has a journal, of which a mark remains.
        examples: Number of messages that the report keeps for each rule.
        processes: Number of worker processes.
        on_image: Called with the numbers of images done and in total.

    Raises:
        ValueError: If a folder is missing, the copy would overwrite the original or other files,
            or the other data set cannot be read.
    """
    checker = _coco_checker(paths, copy)
    report = _ReportBuilder(checker, ViolationCounter(examples))
    with _open_journal(paths, journal_path, copy) as results:
        _check_images(report, results, processes, on_image)
        if copy is not None and results is not None and checker.listing.images:
            _write_copy(copy, checker, results, report.all_violations(results))
    return report.build()


def check_source(
    source: Source,
    *,
    journal_path: Path | None = None,
    examples: int = 5,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Check the maps and photos of a data set in any format.

    Args:
        source: The data set. Its photos are checked if their paths are known.
        journal_path: See `check`.
        examples: See `check`.
        processes: See `check`.
        on_image: See `check`.
    """
    report = _ReportBuilder(source_checker(source), ViolationCounter(examples))
    with _open_journal(source, journal_path) as results:
        _check_images(report, results, processes, on_image)
    return report.build()


def check_instances(
    paths: InstancesPaths,
    *,
    copy: Path | None = None,
    journal_path: Path | None = None,
    examples: int = 5,
    processes: int = 1,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Check a COCO instances file and write a repaired copy on demand.

    Args:
        paths: Paths of the data set.
        copy: Folder that receives a repaired JSON file named like the original, and a list of the
            changes. Only odd fields change, and only entries that cannot be used are dropped.
        journal_path: See `check`.
        examples: See `check`.
        processes: See `check`.
        on_image: See `check`.

    Raises:
        ValueError: If the folder is missing, or the copy would overwrite files.
    """
    if paths.images is not None and not paths.images.is_dir():
        raise ValueError(f"the folder {paths.images} does not exist")
    if copy is not None:
        _refuse_copy_onto({copy / paths.annotations.name: paths.annotations})
        _refuse_to_overwrite(copy, (paths.annotations.name, CHANGES))
    checker = instances_checker(paths.annotations, paths.images, copied=copy is not None)
    report = _ReportBuilder(checker, ViolationCounter(examples))
    with _open_journal(paths, journal_path, copy) as results:
        _check_images(report, results, processes, on_image)
        if copy is not None and results is not None and checker.annotations:
            _write_copy(copy, checker, results, report.all_violations(results))
    return report.build()


@runtime_checkable
class _Checker(Protocol):
    """Checks the images of a data set one by one."""

    @property
    def num_images(self) -> int:
        """Number of images of the data set itself; those of another one follow."""

    @property
    def categories(self) -> Mapping[CategoryId, ListedCategory]:
        """Categories by id."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What is wrong apart from the images."""

    def __len__(self) -> int:
        """Count all images."""

    def check_every(
        self, positions: Sequence[int], numbers: Iterable[int]
    ) -> Iterator[ImageResult]:
        """Check some images, given their positions and the numbers of the positions to check."""


@dataclass(slots=True)
class _ResultJournal:
    """Journal of image results; iterating reads them from the file in the order of the images."""

    lines: journal.Journal
    copied_pngs: Path | None = None
    """Folder of the maps of a copy, if there are any."""
    positions: dict[int, int] = field(default_factory=dict)
    """Positions of the lines, by the position of the image."""

    def __post_init__(self) -> None:
        """Find the results of files that have not changed since."""
        line: Any  # as `add` wrote it
        with self.lines.reading():
            for position, line in self.lines.positions():
                if are_unchanged(line["stamps"]) and self._exist(line["annotations"]):
                    self.positions[line["number"]] = position

    def _exist(self, annotations: Iterable[Entry]) -> bool:
        """Return whether the maps of annotations in a copy exist."""
        folder = self.copied_pngs
        return folder is None or all(
            json_fields.path_in(folder, each, "file_name").is_file() for each in annotations
        )

    def add(self, number: int, result: ImageResult) -> None:
        violations = [[each.rule.name, each.message] for each in result.violations]
        line = asdict(result) | {"violations": violations, "number": number}
        self.positions[number] = self.lines.add(line)

    def __iter__(self) -> Iterator[ImageResult]:
        places = (self.positions[number] for number in sorted(self.positions))
        return map(_parse_result, self.lines.read(places))


@dataclass
class _ReportBuilder:
    """Adds up the results of the images and checks the data set as a whole."""

    checker: _Checker
    counter: ViolationCounter[Rule]
    done: int = 0
    segments: int = 0
    seen: set[CategoryId] = field(default_factory=set)
    solid: set[CategoryId] = field(default_factory=set)
    """Categories with a segment that is no crowd."""
    photos: dict[str, str] = field(default_factory=dict)
    """Names of the photos by the hash of their pixels."""
    dataset_violations: list[Violation] = field(default_factory=list)

    def add(self, result: ImageResult) -> None:
        """Add the result of the next image."""
        self._count(result.violations)
        self.segments += result.segments
        self.seen.update(result.category_ids)
        self.solid.update(result.solid_ids)
        own = self.done < self.checker.num_images
        self.done += 1
        if result.digest in self.photos:
            text = f"{self.photos[result.digest]!r} has the same pixels as"
            rule, text = (
                (Rule.PHOTO_TWICE, f"{text} {result.name!r}")
                if own
                else (Rule.PHOTO_LEAKED, f"{text} {result.name!r} of the other data set")
            )
            self.dataset_violations.append(Violation(rule, text))
        elif own and result.digest is not None:
            self.photos[result.digest] = result.name

    def finish(self) -> None:
        """Check what concerns all images together."""
        self.dataset_violations += self.checker.violations
        if not any(each.rule is Rule.JSON for each in self.checker.violations):
            for category_id, category in self.checker.categories.items():
                if category_id not in self.seen:
                    text = f"category {category.entry['name']!r}: no segments"
                    self.dataset_violations.append(Violation(Rule.CATEGORY_UNSEEN, text))
                elif category.isthing is not False and category_id not in self.solid:
                    text = f"category {category.entry['name']!r}: every segment is a crowd"
                    self.dataset_violations.append(Violation(Rule.CROWDS_ONLY, text))
            if not self.segments:
                text = "the data set cannot be used"
                self.dataset_violations.append(Violation(Rule.NOTHING, text))
        self._count(self.dataset_violations)

    def all_violations(self, results: _ResultJournal) -> Iterator[Violation]:
        """Return the violations of the data set and, from the journal, those of each image."""
        of_images = chain.from_iterable(result.violations for result in results)
        return chain(self.dataset_violations, of_images)

    def build(self) -> Report:
        """Return the report."""
        return Report(
            images=self.checker.num_images,
            segments=self.segments,
            violations=sort_by_severity(self.counter.by_rule()),
        )

    def _count(self, violations: Iterable[Violation]) -> None:
        for each in violations:
            self.counter.add(each.rule, each.message)


def _check_images(
    report: _ReportBuilder,
    results: _ResultJournal | None,
    processes: int,
    on_image: Callable[[int, int], None],
) -> None:
    for done, result in enumerate(_image_results(report.checker, results, processes), 1):
        report.add(result)
        on_image(done, len(report.checker))
    report.finish()


def _image_results(
    checker: _Checker, results: _ResultJournal | None, processes: int
) -> Iterator[ImageResult]:
    """Yield the results in order, from the journal or of images that are checked now."""
    done = {} if results is None else dict(results.positions)
    before: Iterator[ImageResult] = iter(results or ())
    rest = [number for number in range(len(checker)) if number not in done]
    found = in_order(partial(checker.check_every, rest), len(rest), processes)
    for number in range(len(checker)):
        if number in done:
            yield next(before)
            continue
        result = next(found)
        if results is not None:
            results.add(number, result)
        yield result


def _coco_checker(paths: DatasetPaths, copy: Path | None) -> CocoChecker:
    pngs = png_folder(paths.annotations, paths.pngs)
    for folder in (paths.images, paths.other_images):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"the folder {folder} does not exist")
    copied_pngs = None if copy is None else copy / paths.annotations.stem
    if copy is not None and copied_pngs is not None:
        _refuse_copy_onto({copy / paths.annotations.name: paths.annotations, copied_pngs: pngs})
        _refuse_to_overwrite(copy, (paths.annotations.name, copied_pngs.name, CHANGES))
    other = None
    if paths.other_annotations is not None:
        other = read_listing(paths.other_annotations)
        if any(each.rule is Rule.JSON for each in other.violations):
            raise ValueError(f"{paths.other_annotations}: {other.violations[0].message}")
    return CocoChecker(
        listing=read_listing(paths.annotations),
        photos=paths.images,
        pngs=pngs,
        copied_pngs=copied_pngs,
        other=other,
        other_photos=paths.other_images or Path(),
    )


def _refuse_copy_onto(originals: Mapping[Path, Path]) -> None:
    """Raise an error if a file or folder of a copy is its original."""
    for path, original in originals.items():
        if path.exists() and path.samefile(original):
            raise ValueError(f"the copy would overwrite {original}; choose another folder")


def _refuse_to_overwrite(copy: Path, names: Iterable[str]) -> None:
    """Raise an error if the folder has such files that no earlier copy has written."""
    for path in (copy / name for name in names):
        if path.exists() and journal.purpose_of(copy / JOURNAL) is None:
            raise ValueError(f"{path} already exists; expected a new folder for the copy")


def _write_copy(
    folder: Path,
    checker: CocoChecker | InstancesChecker,
    results: Iterable[ImageResult],
    violations: Iterable[Violation],
) -> None:
    """Write the JSON file of a copy, whose maps exist already, and the list of changes.

    Args:
        folder: Folder of the copy.
        checker: The check of the original.
        results: Results of its images; iterated several times.
        violations: What is wrong with the original.
    """
    fields = {"categories": [category.entry for category in checker.categories.values()]}
    annotations: Iterable[Entry] = chain.from_iterable(each.annotations for each in results)
    if isinstance(checker, InstancesChecker):
        annotations = _with_own_ids(annotations, results)
    lists = {
        "images": (result.image for result in results if result.image is not None),
        "annotations": annotations,
    }
    atomic.write_json(folder / checker.path.name, {**checker.rest, **fields}, lists)
    with replacing(folder / CHANGES) as temporary, temporary.open("w", encoding="utf-8") as file:
        for each in violations:
            if each.rule.repair is not None:
                file.write(f"{each.rule.id}: {one_line(each.message)}: {each.rule.repair}\n")


def _with_own_ids(annotations: Iterable[Entry], results: Iterable[ImageResult]) -> Iterator[Entry]:
    """Replace ids of annotations that are missing, invalid, or those of earlier ones."""
    numbers = (entry.get("id") for result in results for entry in result.annotations)
    highest = max((number for number in numbers if _is_id(number)), default=0)
    seen: set[object] = set()
    for entry in annotations:
        number = entry.get("id")
        if not _is_id(number) or number in seen:
            highest += 1
            number = highest
        seen.add(number)
        yield {**entry, "id": number}


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_ID


@contextmanager
def _open_journal(
    data: DatasetPaths | InstancesPaths | Source, path: Path | None, copy: Path | None = None
) -> Iterator[_ResultJournal | None]:
    """Open or resume a journal of results.

    Args:
        data: The data set.
        path: The file, if a check without a copy has one; deleted once the block ends without
            error.
        copy: Folder of a repaired copy, whose journal becomes a mark at the end. When the same
            check is repeated, it writes the copy again.
    """
    if copy is not None:
        assert not isinstance(data, Source)  # only files have copies
        index = copy / data.annotations.name
        with journal.open_journal(copy / JOURNAL, _purpose(data)) as lines:
            index.unlink(missing_ok=True)
            if lines.finished is not None:
                lines.rewrite([])
            maps = copy / data.annotations.stem if isinstance(data, DatasetPaths) else None
            yield _ResultJournal(lines, maps)
            lines.finish({})
            if not index.exists():
                lines.path.unlink()
    elif path is not None:
        lock = f"{path.name}.lock"
        with journal.open_journal(path, _purpose(data), restart=True, lock=lock) as lines:
            yield _ResultJournal(lines)
        path.unlink()
    else:
        yield None


def _parse_result(line: Entry) -> ImageResult:
    values: dict[str, Any] = {name: line[name] for name in _FIELDS}
    violations = tuple(Violation(Rule[name], text) for name, text in values.pop("violations"))
    for name in ("category_ids", "solid_ids", "annotations", "stamps"):
        values[name] = tuple(values[name])
    return replace(ImageResult(**values), violations=violations)


def _purpose(data: DatasetPaths | InstancesPaths | Source) -> str:
    """Return a hash that differs for other data; the stamps of the results tell if it changed."""
    known: object = data
    if isinstance(data, Source):
        known = data.digest()
    else:
        known = [each and each.absolute() for each in astuple(data)]
    return hashlib.sha256(repr((_FIELDS, are_followed_anywhere(), known)).encode()).hexdigest()
