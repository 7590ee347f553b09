"""The command that validates data sets."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import display, progress, say, write_json
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.options import File, Folder
from jsisnet.cli.outputs import refuse_to_replace

if TYPE_CHECKING:
    from jsisnet.validation.check import Report

Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
"""A positive number."""


def check(  # noqa: PLR0913 - two data sets, each with its folders, and options
    *,
    images: Folder,
    annotations: File,
    pngs: Folder | None = None,
    other: File | None = None,
    other_images: Folder | None = None,
    examples: Count = 5,
    json: File | None = None,
    fix: Folder | None = None,
    processes: Count | None = None,
) -> int:
    """Check a data set in COCO panoptic format, and repair it on demand.

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

    Args:
        images: Folder of the photos.
        annotations: COCO panoptic JSON file.
        pngs: Folder of its PNGs. Default: named like the JSON file, beside it.
        other: COCO file of another part of the data, to find photos that are in both.
        other_images: Folder of its photos.
        examples: How many cases of each rule to tell.
        json: File that receives the findings.
        fix: Folder that receives a repaired JSON file, its PNGs and changes.txt, the list of what
            was changed; the photos are not copied.
        processes: How many share the work. Default: one per core.
    """
    from jsisnet.validation import check as checking

    if (other_images is None) != (other is None):
        raise ValueError("expected both --other and --other-images, or neither")
    if json is not None:
        refuse_to_replace(filter(None, (annotations, other)), [json])
    files = checking.Files(
        images=images,
        annotations=annotations,
        pngs=pngs,
        other_images=other_images,
        other_annotations=other,
    )
    try:
        with progress("images") as advance:
            report = checking.check(
                files,
                copy=fix,
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
    _show(report, annotations)
    if fix is None:
        return 0 if report.sound else FAILED
    return _tell_of_copy(report, fix / annotations.name)


def _show(report: "Report", annotations: Path) -> None:
    from jsisnet.validation.rules import Severity

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
    from jsisnet.validation.copies import CHANGES

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
