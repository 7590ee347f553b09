"""The command that validates data sets."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say, write_json
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import File, Folder
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.formats.open import Format, check_location

if TYPE_CHECKING:
    from jsisnet.datatools.check.check import Files
    from jsisnet.datatools.check.rules import Report

Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
"""A positive number."""


def check(  # noqa: PLR0913 - two data sets, each with its folders, and options
    *,
    kind: Annotated[Format, Parameter(name="--format")] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    other: File | None = None,
    other_images: Folder | None = None,
    examples: Count = 5,
    json: File | None = None,
    fix: Folder | None = None,
    processes: Processes = None,
) -> int:
    """Check a data set, and repair one in COCO panoptic format on demand.

    An error stops a training or a scoring, or spoils it; a warning is most likely
    a mistake; a note is worth knowing. Exits with 1 if there are errors, and after
    --fix only if there are some that can't be repaired.

    With --json or --fix, a check that was stopped or killed goes on with the same
    command.

    For example
        jsisnet data check --images train2017 --annotations panoptic_train2017.json
        jsisnet data check --images train --annotations train.json --fix repaired
        jsisnet data check --images val --annotations val.json
            --other train.json --other-images train
        jsisnet data check --format cityscapes --root cityscapes --split val
            --images cityscapes/leftImg8bit/val

    Args:
        kind: Format of the data set.
        location: Where the data set is.
        other: COCO file of another part of the data, to find photos that are in both.
        other_images: Folder of its photos.
        examples: How many cases of each rule to tell.
        json: File that receives the findings.
        fix: New folder that receives a repaired JSON file, its PNGs and changes.txt, the list of
            what was changed; the photos are not copied.
        processes: How many share the work. Default: one per core.
    """
    if (other_images is None) != (other is None):
        raise ValueError("expected both --other and --other-images, or neither")
    paths = location.paths
    if json is not None:
        refuse_to_replace(filter(None, (*paths, other)), [json])
    work = _work(kind, location, other, other_images, fix)
    try:
        with progress("images") as advance:
            report = work(
                kept=None if json is None else json.with_name(f".{json.name}.check"),
                examples=examples,
                processes=processes or os.cpu_count() or 1,
                on_image=advance,
            )
    except (KeyboardInterrupt, SystemExit) as error:
        if json is None and fix is None:
            raise
        say("stopped; the same command goes on with the images that are left")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if json is not None:
        write_json(report.summary(), json)
    _show(report, paths[0])
    if fix is None:
        return 0 if report.sound else FAILED
    return _tell_of_copy(report, fix / paths[0].name)


def _work(
    kind: Format,
    location: LocationOptions,
    other: Path | None,
    other_images: Path | None,
    fix: Path | None,
) -> Callable[..., "Report"]:
    """Give the check of a format, which takes what is the same for all of them."""
    from jsisnet.datatools.check import check as checking

    if kind == "coco":
        return partial(checking.check, _files(location, other, other_images), copy=fix)
    if fix is not None:
        raise ValueError(
            f"--fix repairs the format coco alone; `jsisnet data convert --from {kind}` writes it"
        )
    if other is not None:
        raise ValueError(f"--other means nothing to the format {kind}")
    return partial(checking.check_source, open_source(kind, location))


def _files(location: LocationOptions, other: Path | None, other_images: Path | None) -> "Files":
    from jsisnet.datatools.check.check import Files

    check_location("coco", location, prefix="--")
    assert location.annotations is not None  # it was asked for
    if location.images is None:
        raise ValueError("--images is missing; the format coco is checked with its photos")
    return Files(
        images=location.images,
        annotations=location.annotations,
        pngs=location.pngs,
        other_images=other_images,
        other_annotations=other,
    )


def _show(report: "Report", annotations: Path) -> None:
    from jsisnet.datatools.check.rules import Severity

    for fault in report.faults:
        rule = fault.rule
        display(f"{rule.severity} {rule.title}: {rule.sentence} ({_times(fault.count, 'case')})")
        for example in fault.examples:
            display(f"    {example}")
        more = fault.count - len(fault.examples)
        if more:
            display(f"    and {more:,} more")
    counts = ", ".join(_times(report.count(each), each) for each in Severity)
    sizes = f"{_times(report.images, 'image')}, {_times(report.segments, 'segment')}"
    display(f"{annotations}: {sizes}: {counts}")


def _tell_of_copy(report: "Report", copy: Path) -> int:
    from jsisnet.datatools.check.check import CHANGES

    if not report.images:
        say(f"{copy} is not written, as nothing can be used")
        return FAILED
    display(f"{copy} is the repaired copy; {copy.with_name(CHANGES)} lists what was changed")
    if report.repairable:
        return 0
    say(f"{copy}: still has the errors that nobody can repair without asking")
    return FAILED


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
