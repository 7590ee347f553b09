"""`jsisnet evaluate`: evaluate a model on an annotated data set."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from jsisnet.cli.cluster import cluster_config, refuse_folders
from jsisnet.cli.console import display, progress, say, write_json
from jsisnet.cli.location import LocationOptions
from jsisnet.cli.options import (
    ClusterAddress,
    Flag,
    Folder,
    InstancesFrom,
    JsonFile,
    Model,
    Overrides,
    RunOptions,
)
from jsisnet.cli.outputs import refuse_inputs_in, refuse_to_replace
from jsisnet.cli.report import PAGE, folder_for, report_evaluation
from jsisnet.formats.open import Format


def evaluate(  # noqa: PLR0913 - one parameter per option
    *,
    kind: Annotated[Format | None, Parameter(name="--format")] = None,
    location: LocationOptions = LocationOptions(),  # noqa: B008 - frozen
    model: Model = "coco",
    instances_from: InstancesFrom = None,
    out: Folder | None = None,
    raw: Folder | None = None,
    json: JsonFile | None = None,
    report: Folder | None = None,
    ap: bool = True,
    tta: Flag = False,
    recount_areas: Flag = False,
    cluster: ClusterAddress = None,
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    overrides: Overrides = (),
) -> None:
    """Evaluate a model on an annotated data set: PQ, mean IoU, AP and recall.

    PQ, SQ and RQ measure the merged maps, mean IoU the semantic branch, and
    average precision (AP) the instance branch. Mean recall is the share of an
    image's objects that the best 100, 300 and 1000 region proposals cover, and
    those that the network itself uses (own).

    Annotated classes are mapped to those of the model. --out writes
    predictions.json and truth.json in the classes of the model, each with a folder
    of PNGs; `jsisnet score` computes the same PQ from them. The files of an earlier
    evaluation in the same folder are replaced.

    The model's settings are options too, such as --merge.canvas original.

    For example
        jsisnet evaluate --images val2017 --annotations panoptic_val2017.json
        jsisnet evaluate --images photos --annotations truth.json --out files
        jsisnet evaluate --images photos --annotations truth.json --report report
        jsisnet evaluate --images photos --annotations truth.json --raw branches
        jsisnet evaluate --format cityscapes --root cityscapes --split val

    Args:
        kind: Format of the data set. Default: vistas if --annotations is a folder, otherwise coco.
        location: Where the data set is.
        model: Built-in model (coco, street), the folder of a model or training run, or user/model
            on a hub.
        instances_from: Model that detects the instances; the semantic segmentation and the
            settings of the merge remain those of --model.
        out: Folder for predictions and ground truth; created if it does not exist.
        raw: Folder for what the branches predict, an .npz file per image and images.json, which
            `jsisnet merge` reads.
        json: JSON file to write (- for standard output): all numbers, also for each image, as
            percentages.
        report: Folder for an HTML report (index.html) of the errors.
        ap: Whether to compute average precision, which takes about half as long again.
        tta: Segment each photo in six views and pool the outputs, which finds more things.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        cluster: Ray cluster that does the work: local for one on this machine, auto for the one it
            belongs to, HOST:PORT or ray://HOST:PORT.
        run: How the network runs.
        overrides: Settings that override those of the model.
    """
    from jsisnet.cli.inputs import load_model, open_for_model
    from jsisnet.inference import evaluator
    from jsisnet.inference.branch_files import IMAGES
    from jsisnet.inference.results_folder import PREDICTIONS

    files = [] if out is None else [out / evaluator.TRUTH, out / PREDICTIONS]
    written = [
        *files,
        *(folder / name for folder, name in ((raw, IMAGES), (report, PAGE)) if folder),
    ]
    maps = [path.with_suffix("") for path in location.paths if path.name]  # "." has none
    inputs = [*location.paths, *maps]
    refuse_to_replace(inputs, written if json is None else [json, *written])
    for file in files:
        refuse_inputs_in(file.with_suffix(""), inputs)
    if cluster is not None:
        refuse_folders(out=out, raw=raw, report=report)
        run = replace(run, threads=run.threads or 1)
    predictor = load_model(model, overrides, run, instances_from=instances_from, tta=tta)
    dataset = open_for_model(predictor, kind, location, recount_areas=recount_areas)
    with folder_for(out, report) as folder:
        with progress("evaluating") as advance:
            if cluster is not None:
                from jsisnet.scale.metrics import evaluate_on_cluster

                place = cluster_config(cluster, run=run, device=predictor.engine.device)
                result = evaluate_on_cluster(predictor, dataset, place, on_image=advance, ap=ap)
            else:
                result = evaluator.evaluate(
                    predictor, dataset, out=folder, raw=raw, on_image=advance, ap=ap
                )
        categories = predictor.categories
        summary = result.summary(categories) | result.summary_of_images(categories)
        _print(summary)
        if json is not None:
            write_json(summary, json)
        if report is not None and folder is not None:
            title, against = Path(model).name or model, dataset.path.name
            images = Path(dataset.config.images)
            report_evaluation(report, folder, summary, images=images, title=title, against=against)


def _print(result: dict[str, Any]) -> None:
    from jsisnet.cli import tables

    display(tables.quality_of_classes(result), tables.quality(result))
    if "rpn_recall" not in result and "instances" in result:
        say("the recall of the proposals is measured by --engine torch only")
    if "miou" in result or "mask_ap" in result:
        display(tables.branches(result))
    if "rpn_recall" in result:
        display(tables.proposal_recall(result))
