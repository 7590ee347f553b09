"""Experiments that measure a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, write_json
from jsisnet.cli.options import Device, File, Flag, Folder, Model, Overrides
from jsisnet.experiments.published import TABLE_4, DataName
from jsisnet.experiments.published import table1 as published_table1

if TYPE_CHECKING:
    from jsisnet.data.dataset import PanopticDataset
    from jsisnet.predictor import Predictor

Beside = Annotated[DataName | None, Parameter(name="--beside")]
"""Whose figures of the paper stand beside those that were measured."""


def table1(  # noqa: PLR0913 - the parts of a command line
    *,
    images: Folder,
    annotations: File,
    pngs: Folder | None = None,
    model: Model = "coco",
    beside: Beside = None,
    json: File | None = None,
    recount_areas: Flag = False,
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Measure PQ, SQ and RQ for all, things and stuff, as the paper's Table 1.

    The paper's own figures stand beside them with --beside; they were measured
    on other data or with another network unless yours are the same.

    For example
        jsisnet reproduce table1 --images val2017 --annotations panoptic_val2017.json
            --model runs/coco --beside coco-val

    Args:
        images: Folder of the photos.
        annotations: COCO panoptic JSON file.
        pngs: Folder of the annotations' PNGs. Default: named like the JSON file, beside it.
        model: Name of an embedded model, or a model or run folder.
        beside: Data of the paper.
        json: File that receives the numbers, as percentages.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    predictor, dataset = _opened(
        images, annotations, pngs, model, overrides, device, recount_areas=recount_areas
    )
    result = _evaluated(predictor, dataset)
    display(tables.quality(result, "measured"))
    if beside is not None:
        display(tables.quality(published_table1(beside), f"the paper, {beside}"))
    if json is not None:
        write_json({name: result[name] for name in ("all", "things", "stuff")}, json)


def table4(  # noqa: PLR0913 - the parts of a command line
    *,
    images: Folder,
    annotations: File,
    pngs: Folder | None = None,
    model: Model = "coco",
    beside: Beside = None,
    json: File | None = None,
    recount_areas: Flag = False,
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Measure the mean recall of the region proposals, as the paper's Table 4.

    By the number of proposals, of which the paper says nothing, and by the size
    of the objects, which its section 4.2 speaks about.

    For example
        jsisnet reproduce table4 --images val2017 --annotations panoptic_val2017.json
            --model runs/coco --beside coco-val

    Args:
        images: Folder of the photos.
        annotations: COCO panoptic JSON file.
        pngs: Folder of the annotations' PNGs. Default: named like the JSON file, beside it.
        model: Name of an embedded model, or a model or run folder.
        beside: Data of the paper.
        json: File that receives the numbers, as percentages.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    if beside is not None and beside not in TABLE_4:
        raise ValueError(f"Table 4 has no {beside}; expected {' or '.join(TABLE_4)}")
    predictor, dataset = _opened(
        images, annotations, pngs, model, overrides, device, recount_areas=recount_areas
    )
    result = _evaluated(predictor, dataset)
    if "rpn_recall" not in result:
        raise ValueError(f"{model}: has no instance branch; expected one that proposes regions")
    display(tables.proposal_recall(result))
    if beside is not None:
        display(f"the paper, {beside}: {TABLE_4[beside]:.1f}, of how many it does not say")
    if json is not None:
        write_json(result["rpn_recall"], json)


def merge_ablation(  # noqa: PLR0913 - the parts of a command line
    *,
    images: Folder,
    annotations: File,
    pngs: Folder | None = None,
    model: Model = "coco",
    json: File | None = None,
    recount_areas: Flag = False,
    device: Device = None,
    overrides: Overrides = (),
) -> None:
    """Measure what each heuristic of the merge (section 2.2) is worth.

    The network sees each photo once; its outputs are merged by the model's rules
    and by these with one of them changed.

    For example
        jsisnet reproduce merge-ablation --images val2017
            --annotations panoptic_val2017.json --model runs/coco

    Args:
        images: Folder of the photos.
        annotations: COCO panoptic JSON file.
        pngs: Folder of the annotations' PNGs. Default: named like the JSON file, beside it.
        model: Name of an embedded model, or a model or run folder.
        json: File that receives the numbers, as percentages.
        recount_areas: Accept annotations whose areas differ from their PNGs.
        device: Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.evaluation.panoptic_quality import summary
    from jsisnet.experiments.merge_ablation import ablate

    predictor, dataset = _opened(
        images, annotations, pngs, model, overrides, device, recount_areas=recount_areas
    )
    with progress("photos") as advance:
        found = ablate(predictor, dataset, on_image=advance)
    result = {name: summary(quality, predictor.categories) for name, quality in found.items()}
    display(tables.ablation(result))
    if json is not None:
        groups = ("all", "things", "stuff")
        write_json({n: {group: r[group] for group in groups} for n, r in result.items()}, json)


def _opened(  # noqa: PLR0913 - what the commands have in common
    images: Path,
    annotations: Path,
    pngs: Path | None,
    model: str,
    overrides: tuple[str, ...],
    device: str | None,
    *,
    recount_areas: bool,
) -> "tuple[Predictor, PanopticDataset]":
    from jsisnet.cli.models import load, measured_on

    predictor = load(model, overrides, device)
    return predictor, measured_on(predictor, images, annotations, pngs, recount_areas=recount_areas)


def _evaluated(predictor: "Predictor", dataset: "PanopticDataset") -> dict[str, Any]:
    from jsisnet import evaluator

    with progress("photos") as advance:
        result = evaluator.evaluate(predictor, dataset, on_image=advance)
    return result.summary(predictor.categories)
