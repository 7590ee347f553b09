"""Command that packs predictions for the challenge."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jsisnet.cli.console import display, progress, say
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.options import Archive, Device, File, Flag, Folder, InstancesFrom, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.datatools import submission, submission_check
from jsisnet.datatools.submission_check import Fault
from jsisnet.formats import coco, image_list
from jsisnet.formats.coco import Annotation
from jsisnet.formats.image_list import ImageList

if TYPE_CHECKING:
    from jsisnet.inference.predictor import Predictor

Word = Annotated[str | None, Parameter(metavar="NAME")]
"""Part of the names in an archive."""


def submit(  # noqa: PLR0913 - the parts of a command line
    *,
    image_info: File,
    categories: File | None = None,
    images: Folder | None = None,
    split: Word = None,
    name: Word = None,
    model: Annotated[str | None, Parameter(metavar="NAME|DIR")] = None,
    instances_from: InstancesFrom = None,
    predictions: File | None = None,
    prediction_pngs: Archive | None = None,
    check: File | None = None,
    out: Folder = Path(),
    keep_maps: Flag = False,
    device: Device = None,
    overrides: Overrides = (),
) -> int:
    """Pack predictions for COCO's panoptic challenge, with or without labels at hand.

    The archive panoptic_SPLIT_NAME_results.zip holds one JSON file and the folder
    of its PNGs. It is read back before it appears: every image exactly once, its
    size, its ids, its categories. With --check, so is anybody's archive.

    A model segments the photos, those that FILE lists, in the order of FILE. The
    maps that are done lie in a folder beside the archive until that is complete;
    if the command is stopped or killed, the same command goes on. Or predictions
    that exist already are packed, which may be anybody's.

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
        categories: COCO file with the categories, if not those of --image-info are meant.
        images: Folder of the photos.
        split: Part of the data set, for the names in the archive: test-dev2017.
        name: Of the method, for the names in the archive.
        model: Model or run folder whose classes are those of the data set.
        instances_from: Model that finds the instances in place of the first one.
        predictions: COCO panoptic JSON file of predictions to pack; of images that --image-info
            does not list, they are left out.
        prediction_pngs: Their PNGs. Default: named like the JSON file, beside it.
        check: Archive to check; nothing is written then.
        out: Folder that receives the archive; made if it is missing.
        keep_maps: Keep the folder of the maps that are done.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    if [check, predictions, model].count(None) != 2:  # noqa: PLR2004 - of three
        raise ValueError("expected one of --model, --predictions and --check")
    wanted = image_list.read(image_info, categories)
    if check is not None:
        return _checked(check, wanted)
    if split is None or name is None:
        raise ValueError("--split or --name is missing; both become part of the archive's name")
    archive = out / f"{submission.title(split, name)}.zip"
    refuse_to_replace(filter(None, (image_info, categories, predictions)), [archive])
    if predictions is not None:
        return _packed(archive, wanted, predictions, prediction_pngs)
    if images is None:
        raise ValueError("--images is missing; expected the folder of the photos")
    from jsisnet.cli.inputs import load

    predictor = load(model or "", overrides, device, instances_from=instances_from)
    try:
        return _segmented(archive, wanted, images, predictor, keep_maps=keep_maps)
    except (KeyboardInterrupt, SystemExit) as error:
        say("stopped; the same command goes on with the photos that are left")
        return STOPPED if isinstance(error, KeyboardInterrupt) else TERMINATED


def _segmented(
    archive: Path, wanted: ImageList, photos: Path, predictor: "Predictor", *, keep_maps: bool
) -> int:
    from jsisnet.inference import submitter

    folder = archive.with_suffix(".maps")
    with submission.open_map_folder(folder, submitter.purpose(predictor, wanted)) as maps:
        with progress("photos") as advance:
            submitter.segment(predictor, wanted, photos, maps, on_image=advance, on_failure=say)
        left = len(wanted.images) - len(maps.done)
        if left:
            verb = "is" if left == 1 else "are"
            say(f"{left:,} of {len(wanted.images):,} photos {verb} left; {folder} has the others")
            return FAILED
        code = _written(archive, wanted, maps, maps.pngs)
    if code == 0 and not keep_maps:
        maps.remove()
    return code


def _packed(archive: Path, wanted: ImageList, predictions: Path, pngs: Path | None) -> int:
    file = coco.read_annotations(
        predictions, pngs=pngs, categories=wanted.categories, predicted=True
    )
    meant = tuple(a for a in file.annotations if a.image_id in wanted.images)
    return _written(archive, wanted, meant, pngs or predictions.with_suffix(""))


def _written(
    archive: Path, wanted: ImageList, annotations: Iterable[Annotation], pngs: Path
) -> int:
    try:
        with progress("reading back") as advance:
            submission.write(archive, annotations, pngs, wanted, on_image=advance)
    except submission.FaultyArchiveError as error:
        return _refused(archive, error.faults, f"{error}")
    display(f"{archive} holds the maps of {len(wanted.images):,} images, without fault")
    return 0


def _checked(archive: Path, wanted: ImageList) -> int:
    with progress("images") as advance:
        faults = submission_check.check(archive, wanted, on_image=advance)
    if faults:
        return _refused(archive, faults, "it breaks rules of the challenge")
    display(f"{archive} holds the maps of {len(wanted.images):,} images, without fault")
    return 0


def _refused(archive: Path, faults: Iterable[Fault], verdict: str) -> int:
    for fault in faults:
        for example in fault.examples:
            say(f"{archive}: {example}")
        more = fault.count - len(fault.examples)
        if more:
            say(f"{archive}: {more:,} more against this rule: {fault.rule}")
    say(f"{archive}: {verdict}")
    return FAILED
