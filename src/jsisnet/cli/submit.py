"""`jsisnet submit`: pack predictions for the COCO panoptic challenge."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.options import Archive, File, Flag, Folder, InstancesFrom, Overrides, RunOptions
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.datatools import submission, submission_check
from jsisnet.datatools.submission_check import ArchiveViolations
from jsisnet.files.stamps import stamp
from jsisnet.formats import coco, image_list
from jsisnet.formats.coco import Annotation
from jsisnet.formats.image_list import ImageList

if TYPE_CHECKING:
    from jsisnet.inference.predictor import Predictor

NamePart = Annotated[str | None, Parameter(metavar="NAME")]
"""Part of the file names in an archive."""


def submit(  # noqa: PLR0913 - one parameter per option
    *,
    image_info: File,
    categories: File | None = None,
    images: Folder | None = None,
    split: NamePart = None,
    name: NamePart = None,
    model: Annotated[str | None, Parameter(metavar="NAME|DIR")] = None,
    instances_from: InstancesFrom = None,
    predictions: File | None = None,
    prediction_pngs: Archive | None = None,
    check: File | None = None,
    out: Folder = Path(),
    keep_maps: Flag = False,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> int:
    """Pack predictions for the COCO panoptic challenge, or check an archive.

    The archive panoptic_SPLIT_NAME_results.zip holds one JSON file and a folder of
    PNGs. Before it appears under its name it is read back and checked: each image
    exactly once, with the right size, known ids and known categories. --check
    checks an existing archive in the same way.

    --model segments the images that --image-info lists, in its order. Finished maps
    are kept in a folder beside the archive until it is complete; rerun the same
    command to resume. Photos that have changed are segmented again. --predictions
    packs existing predictions of any network.

    For example
        jsisnet submit --image-info panoptic_val2017.json --images val2017
            --model runs/mine --split val2017 --name mine
        jsisnet submit --image-info image_info_test-dev2017.json
            --categories panoptic_val2017.json --predictions mine.json
            --split test-dev2017 --name mine
        jsisnet submit --image-info panoptic_val2017.json --check mine.zip

    Args:
        image_info: COCO file that lists the images, such as image_info_test-dev2017.json or
            panoptic_val2017.json.
        categories: COCO file with the categories. Default: those of --image-info.
        images: Folder of the images, for --model.
        split: Split of the data set, such as test-dev2017; part of the archive's name.
        name: Name of the method; part of the archive's name.
        model: Built-in model, or the folder of a model or training run, with the classes of the
            data set.
        instances_from: Model that detects the instances in place of --model.
        predictions: COCO panoptic JSON file of predictions to pack; images that --image-info does
            not list are left out.
        prediction_pngs: PNGs of --predictions. Default: the folder next to the JSON
            file, with its name.
        check: Archive to check; nothing is written.
        out: Folder for the archive; created if it does not exist.
        keep_maps: Keep the folder of finished maps.
        run: How the network runs.
        overrides: Settings that override those of the model.
    """
    if [check, predictions, model].count(None) != 2:  # noqa: PLR2004 - three options
        raise ValueError("give exactly one of --model, --predictions and --check")
    wanted = image_list.read(image_info, categories)
    if check is not None:
        return _check(check, wanted)
    if split is None or name is None:
        raise ValueError("--split and --name are required: the archive is named after them")
    archive = out / f"{submission.archive_stem(split, name)}.zip"
    refuse_to_replace(filter(None, (image_info, categories, predictions)), [archive])
    if predictions is not None:
        return _pack(archive, wanted, predictions, prediction_pngs)
    if images is None:
        raise ValueError("--model needs --images DIR, the folder of the images")
    from jsisnet.cli.inputs import load_model

    predictor = load_model(model or "", overrides, run, instances_from=instances_from)
    try:
        return _segment(archive, wanted, images, predictor, keep_maps=keep_maps)
    except (KeyboardInterrupt, SystemExit) as error:
        say("interrupted; rerun the same command to resume")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED


def _segment(
    archive: Path, wanted: ImageList, photos: Path, predictor: "Predictor", *, keep_maps: bool
) -> int:
    from jsisnet.inference import submitter

    folder = archive.with_suffix(".maps")
    purpose = submitter.fingerprint(predictor, wanted)
    paths = submitter.find_photos(photos, wanted)
    stamps = {number: stamp(path) for number, path in paths.items()}
    if submission.is_complete(archive, submission.digest(purpose, stamps.values())):
        if folder.is_dir() and not keep_maps:
            submission.remove_maps(folder, purpose)
        display(f"Already complete: {archive}, maps of {len(wanted.images):,} images")
        return 0
    with submission.open_map_folder(folder, purpose, stamps) as maps:
        with progress("segmenting") as advance:
            submitter.segment(predictor, wanted, paths, maps, on_image=advance, on_failure=say)
        left = len(wanted.images) - len(maps.done)
        if left:
            say(f"{left:,} of {len(wanted.images):,} images failed; {folder} keeps the other maps")
            return FAILED
        noted = (maps.stamps[number] for number in wanted.images)
        identity = submission.digest(purpose, noted)
        code = _write(archive, wanted, maps, maps.pngs, identity)
        if code == 0 and not keep_maps:
            maps.remove()
    return code


def _pack(archive: Path, wanted: ImageList, predictions: Path, pngs: Path | None) -> int:
    file = coco.read_annotations(
        predictions, pngs=pngs, categories=wanted.categories, predicted=True
    )
    listed = tuple(a for a in file.annotations if a.image_id in wanted.images)
    return _write(archive, wanted, listed, pngs or predictions.with_suffix(""))


def _write(
    archive: Path,
    wanted: ImageList,
    annotations: Iterable[Annotation],
    pngs: Path,
    identity: str = "",
) -> int:
    try:
        with progress("checking") as advance:
            submission.write_archive(
                archive, annotations, pngs, wanted, identity=identity, on_image=advance
            )
    except submission.InvalidArchiveError as error:
        return _report_violations(archive, error.violations, f"{error}")
    display(f"Wrote {archive}: maps of {len(wanted.images):,} images, all valid")
    return 0


def _check(archive: Path, wanted: ImageList) -> int:
    with progress("images") as advance:
        violations = submission_check.check_archive(archive, wanted, on_image=advance)
    if violations:
        return _report_violations(
            archive, violations, "the archive breaks the rules of the challenge"
        )
    display(f"{archive} is valid: maps of {len(wanted.images):,} images")
    return 0


def _report_violations(archive: Path, violations: Iterable[ArchiveViolations], verdict: str) -> int:
    for violated in violations:
        for example in violated.examples:
            say(f"{archive}: {example}")
        more = violated.count - len(violated.examples)
        if more:
            say(f"{archive}: and {more:,} more: {violated.rule}")
    say(f"{archive}: {verdict}")
    return FAILED
