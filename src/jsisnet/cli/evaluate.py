"""The command that measures a model."""

from pathlib import Path
from typing import Any

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, write_json
from jsisnet.cli.options import Archive, Device, File, Flag, Folder, InstancesFrom, Model, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.report import PAGE, folder_for, report_evaluation


def evaluate(  # noqa: PLR0913 - the parts of a command line
    *,
    images: Folder,
    annotations: File,
    pngs: Archive | None = None,
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    out: Folder | None = None,
    json: File | None = None,
    report: Folder | None = None,
    ap: bool = True,
    recount_areas: Flag = False,
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Measure a model on photos with panoptic annotations: PQ, mean IoU, AP, recall.

    PQ, SQ and RQ are those of the merged maps, the mean IoU that of the semantic
    branch, and the average precision (AP) that of the instance branch. The mean
    recall is the share of a photo's objects that the best 100, 300 and 1000
    region proposals cover, or those that the network itself uses (own).

    The classes of the annotations become those of the model, as its training
    merged them. With --out, DIR receives predictions.json and truth.json in the
    classes of the model, with the PNGs in folders of these names, and `jsisnet
    score` gives the same PQ for them.

    The settings of the model are options too, such as --merge.canvas original.

    For example
        jsisnet evaluate --images val2017 --annotations panoptic_val2017.json
        jsisnet evaluate --images photos --annotations truth.json --out files
        jsisnet evaluate --images photos --annotations truth.json --report report

    Args:
        images: Folder of the photos.
        annotations: COCO panoptic JSON file, or folder of annotations of Mapillary Vistas.
        pngs: The annotations' PNGs. Default: named like the JSON file, beside it.
        model: Name of an embedded model, or a model or run folder.
        instances_from: Model that finds the instances in place of the first one, whose semantic
            branch and settings of the merge stay.
        out: Folder that receives predictions and truth; made if it is missing.
        json: File that receives the numbers, also of each image, as percentages.
        report: Folder that receives index.html, a page that shows what goes wrong, and where.
        ap: Whether to measure average precision, which takes about half as long again.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.cli.inputs import load, measured_on
    from jsisnet.inference import evaluator

    written = [] if json is None else [json]
    if out is not None:
        files = [out / evaluator.TRUTH, out / evaluator.PREDICTIONS]
        written += [*files, *(file.with_suffix("") for file in files)]
    if report is not None:
        written.append(report / PAGE)
    refuse_to_replace([images, annotations, pngs or annotations.with_suffix("")], written)
    predictor = load(model, overrides, device, instances_from=instances_from)
    dataset = measured_on(predictor, images, annotations, pngs, recount_areas=recount_areas)
    with folder_for(out, report) as folder:
        with progress("photos") as advance:
            result = evaluator.evaluate(predictor, dataset, out=folder, on_image=advance, ap=ap)
        categories = predictor.categories
        summary = result.summary(categories) | result.summary_of_images(categories)
        _report(summary, json)
        if report is not None and folder is not None:
            title, against = Path(model).name or model, annotations.name
            report_evaluation(report, folder, summary, images=images, title=title, against=against)


def _report(result: dict[str, Any], json: Path | None) -> None:
    display(tables.quality_of_classes(result), tables.quality(result))
    if "miou" in result or "mask_ap" in result:
        display(tables.branches(result))
    if "rpn_recall" in result:
        display(tables.proposal_recall(result))
    if json is not None:
        write_json(result, json)
