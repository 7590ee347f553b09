"""Options that locate a data set in any format."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import say
from jsisnet.cli.errors import FAILED
from jsisnet.cli.options import Archive, File, Flag, Folder
from jsisnet.formats.open import DatasetLocation, check_location, open_location
from jsisnet.formats.records import Record, Source
from jsisnet.formats.vistas import Version

_MAX_ERRORS = 10
"""Errors of skipped images that are printed."""

Processes = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=1024))]
"""Number of processes that share the work; ``None`` for one per core."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LocationOptions(DatasetLocation):
    """Options that locate a data set."""

    annotations: File | None = None
    """JSON file of coco and coco-instances; or the folder of a vistas split: training/v2.0."""

    pngs: Archive | None = None
    """Maps of two-channel and coco. Default for coco: the folder next to the
    JSON file, with its name."""

    semantic: Archive | None = None
    """Class maps of semantic-instance, and optionally of coco-instances."""

    instances: Archive | None = None
    """Instance maps of semantic-instance."""

    root: Archive | None = None
    """The whole data set, for vistas and cityscapes."""

    split: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Split of vistas or cityscapes: training, val."""

    version: Version | None = None
    """Version of the vistas annotations. Default: 1.2."""

    categories: File | None = None
    """JSON file of classes, things and stuff, whose ids are the pixel values; may list images."""

    void: Annotated[tuple[int, ...] | None, Parameter(metavar="N", negative=())] = None
    """Pixel values without a class. Default: 0 and 255, unless they are classes."""

    label_divisor: Annotated[
        int | None, Parameter(metavar="N", validator=validators.Number(gte=1))
    ] = None
    """Divisor of 16-bit two-channel maps: N * class + instance. Default: 256."""

    images: Folder | None = None
    """Folder of the photos. Default for vistas and cityscapes: the one in an unpacked --root."""

    keep_going: Flag = False
    """Leave out the entries of a coco-instances file that can't be used, and count them.
    `data show` and `data stats` skip the images of any format whose files can't be used."""


@dataclass(slots=True)
class SkippedImages:
    """Images that a command leaves out and reports."""

    errors: list[ValueError] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record, error: ValueError) -> None:
        """Note an image that can't be used, and why."""
        self.records.append(record)
        self.errors.append(error)

    def without(self, source: Source) -> Source:
        """Return a data set without these images."""
        skipped = set(map(id, self.records))
        kept = tuple(record for record in source.records if id(record) not in skipped)
        return replace(source, records=kept)

    def report(self) -> int:
        """Print the first reasons, and return the exit code."""
        for error in self.errors[:_MAX_ERRORS]:
            say(f"{error}")
        count = len(self.errors)
        if count:
            say(f"skipped {count:,} image{'s' if count > 1 else ''} with errors")
        return FAILED if count else 0


def open_skipping(kind: str, location: LocationOptions, *, recount_areas: bool) -> Source:
    """Open a data set for a command that skips images of any format by itself; see `open_source`.

    Only coco-instances leaves out entries as it is opened.
    """
    opens = kind == "coco-instances" and location.keep_going
    chosen = replace(location, keep_going=opens)
    return open_source(kind, chosen, recount_areas=recount_areas)


def open_source(
    kind: str, location: DatasetLocation, *, recount_areas: bool = False, warn: bool = True
) -> Source:
    """Open the data set that the options locate.

    Args:
        kind: The format.
        location: The options.
        recount_areas: Whether to accept a JSON file whose areas differ from its PNGs.
        warn: Whether to print the source's warnings.

    Raises:
        ValueError: If an option is missing or unused, or the data set is invalid.
    """
    check_location(kind, location, prefix="--")
    source = open_location(kind, location, recount_areas=recount_areas)
    if warn:
        for warning in source.warnings:
            say(f"{location.paths[0]}: {warning}")
    return source
