"""`jsisnet data check`: check a data set for errors."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import STANDARD_OUTPUT, display, progress, say, write_json
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.location import LocationOptions, Processes, open_source
from jsisnet.cli.options import File, Folder, JsonFile
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.files.processes import available_cores
from jsisnet.formats.open import Format, check_location

if TYPE_CHECKING:
    from jsisnet.datatools.check.check import DatasetPaths
    from jsisnet.datatools.check.rules import Report

Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
"""Positive integer."""


def check(  # noqa: PLR0913 - one parameter per option
    *,
    kind: Annotated[Format, Parameter(name="--format")] = "coco",
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    other: File | None = None,
    other_images: Folder | None = None,
    examples: Count = 5,
    json: JsonFile | None = None,
    fix: Folder | None = None,
    processes: Processes = None,
) -> int:
    """Check a data set for errors; --fix repairs COCO panoptic and instances files.

    An error breaks training or scoring, or makes results wrong; a warning is probably
    a mistake; a note is worth knowing. The exit code is 1 if there are errors (with
    --fix, only if some could not be repaired; with --keep-going, only if there are
    others than the entries that it leaves out).

    With --json or --fix, rerun an interrupted command to resume it.

    For example
        jsisnet data check --images train2017 --annotations panoptic_train2017.json
        jsisnet data check --images train --annotations train.json --fix repaired
        jsisnet data check --images val --annotations val.json
            --other train.json --other-images train
        jsisnet data check --format coco-instances --annotations things.json --fix out
        jsisnet data check --format cityscapes --root cityscapes --split val
            --images cityscapes/leftImg8bit/val

    Args:
        kind: Format of the data set.
        location: Paths of the data set.
        other: COCO file of another split, to find images that are in both.
        other_images: Folder of the images of the other split.
        examples: Maximum number of cases to print per rule.
        json: JSON file to write (- for standard output): all findings.
        fix: New folder for a repaired JSON file, its PNGs, and changes.txt, the list of changes;
            images are not copied.
        processes: Number of worker processes. Default: one per core.
    """
    if (other_images is None) != (other is None):
        raise ValueError("--other and --other-images must be given together")
    paths = location.paths
    file = None if json == STANDARD_OUTPUT else json
    if file is not None:
        refuse_to_replace(filter(None, (*paths, other)), [file])
    run_check = _check_of(kind, location, other, other_images, fix)
    try:
        with progress("checking") as advance:
            report = run_check(
                journal_path=None if file is None else file.with_name(f".{file.name}.check"),
                examples=examples,
                processes=processes or available_cores(),
                on_image=advance,
            )
    except (KeyboardInterrupt, SystemExit) as error:
        if file is None and fix is None:
            raise
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED
    if json is not None:
        write_json(report.summary(), json)
    _print(report, paths[0])
    if fix is None:
        return 0 if report.valid or (location.keep_going and _can_go_on(report)) else FAILED
    return _report_copy(report, fix / paths[0].name)


def _check_of(
    kind: Format,
    location: LocationOptions,
    other: Path | None,
    other_images: Path | None,
    fix: Path | None,
) -> Callable[..., "Report"]:
    """Return the check of a format, as a function of the options that all formats share."""
    from jsisnet.datatools.check import check as checking

    if kind == "coco":
        return partial(checking.check, _files(location, other, other_images), copy=fix)
    if other is not None:
        raise ValueError(f"--other applies only to the format coco, not to {kind}")
    if kind == "coco-instances" and location.categories is None:
        check_location(kind, location, prefix="--")
        assert location.annotations is not None  # it was asked for
        paths = checking.InstancesPaths(annotations=location.annotations, images=location.images)
        return partial(checking.check_instances, paths, copy=fix)
    if fix is not None:
        raise ValueError(
            "--fix repairs only the formats coco and, without --categories, coco-instances; "
            f"convert with `jsisnet data convert --from {kind}`"
        )
    return partial(checking.check_source, open_source(kind, location, warn=False))


def _files(
    location: LocationOptions, other: Path | None, other_images: Path | None
) -> "DatasetPaths":
    from jsisnet.datatools.check.check import DatasetPaths

    check_location("coco", location, prefix="--")
    assert location.annotations is not None  # it was asked for
    if location.images is None:
        raise ValueError("--images DIR is required to check the format coco")
    return DatasetPaths(
        images=location.images,
        annotations=location.annotations,
        pngs=location.pngs,
        other_images=other_images,
        other_annotations=other,
    )


def _print(report: "Report", annotations: Path) -> None:
    from jsisnet.datatools.check.rules import Severity

    for violated in report.violations:
        rule = violated.rule
        display(f"{rule.severity} {rule.id}: {rule.problem} ({_count(violated.count, 'case')})")
        for example in violated.examples:
            display(f"    {example}")
        more = violated.count - len(violated.examples)
        if more:
            display(f"    and {more:,} more")
    counts = ", ".join(_count(report.count(each), each) for each in Severity)
    sizes = f"{_count(report.images, 'image')}, {_count(report.segments, 'segment')}"
    display(f"{annotations}: {sizes}: {counts}")


def _can_go_on(report: "Report") -> bool:
    """Check that all errors are entries that --keep-going leaves out."""
    from jsisnet.datatools.check.instances import LEFT_OUT
    from jsisnet.datatools.check.rules import Severity

    errors = (each.rule for each in report.violations if each.rule.severity is Severity.ERROR)
    return all(rule in LEFT_OUT for rule in errors)


def _report_copy(report: "Report", copy: Path) -> int:
    from jsisnet.datatools.check.check import CHANGES

    if not report.images:
        say(f"{copy} was not written: no image is usable")
        return FAILED
    display(f"Wrote {copy}; {copy.with_name(CHANGES)} lists the changes")
    if report.repairable:
        return 0
    say(f"{copy}: some errors cannot be repaired automatically and remain")
    return FAILED


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
