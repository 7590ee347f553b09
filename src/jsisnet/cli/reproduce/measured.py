"""Experiments that measure a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, write_json
from jsisnet.cli.options import Archive, File, Flag, Folder, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.reproduce.scenes import Network, Scenes
from jsisnet.experiments.published import TABLE_4, DataName, validation_split
from jsisnet.experiments.published import table1 as published_table1

if TYPE_CHECKING:
    from jsisnet.data.dataset import PanopticDataset
    from jsisnet.inference.predictor import Predictor


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Photos:
    """Where photos and their truth are."""

    images: Folder | None = None
    """Folder of the photos."""

    annotations: File | None = None
    """COCO panoptic JSON file, or folder of annotations of Mapillary Vistas."""

    pngs: Archive | None = None
    """The annotations' PNGs. Default: named like the JSON file, beside it."""

    root: Folder | None = None
    """COCO or Vistas as it unpacks, in place of the options above; its validation part is used."""

    recount_areas: Flag = False
    """Accept annotations whose areas differ from their PNGs."""


Beside = Annotated[DataName | None, Parameter(name="--beside")]
"""Whose figures of the paper stand beside those that were measured."""


def table1(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    beside: Beside = None,
    json: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Measure PQ, SQ and RQ for all, things and stuff, as the paper's Table 1.

    The paper's own figures stand beside them. They were measured on other data
    or with another network unless yours are the same.

    For example
        jsisnet reproduce table1 --tiny
        jsisnet reproduce table1 --root coco --model runs/coco
        jsisnet reproduce table1 --images photos --annotations truth.json

    Args:
        photos: The data.
        network: The network, and whether generated scenes take the place of the data.
        beside: Data of the paper. Default: vistas-val for Mapillary Vistas, or else coco-val.
        json: File that receives the numbers, as percentages.
        overrides: Settings that win over the model's own.
    """
    predictor, dataset, data = _opened(photos, network, json, overrides)
    result = _evaluated(predictor, dataset)
    published = beside or data
    display(tables.quality(result, f"measured on {len(dataset)} photos"))
    display(tables.quality(published_table1(published), f"the paper on {published}"))
    if json is not None:
        write_json({name: result[name] for name in ("all", "things", "stuff")}, json)


def table4(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    beside: Beside = None,
    json: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Measure the mean recall of the region proposals, as the paper's Table 4.

    By the number of proposals, of which the paper says nothing, and by the size
    of the objects, which its section 4.2 speaks about.

    For example
        jsisnet reproduce table4 --tiny
        jsisnet reproduce table4 --root coco --model runs/coco
        jsisnet reproduce table4 --images photos --annotations truth.json

    Args:
        photos: The data.
        network: The network, and whether generated scenes take the place of the data.
        beside: Data of the paper. Default: vistas-val for Mapillary Vistas, or else coco-val.
        json: File that receives the numbers, as percentages.
        overrides: Settings that win over the model's own.
    """
    if beside is not None and beside not in TABLE_4:
        raise ValueError(f"Table 4 has no {beside}; expected {' or '.join(TABLE_4)}")
    predictor, dataset, data = _opened(photos, network, json, overrides)
    result = _evaluated(predictor, dataset)
    if "rpn_recall" not in result:
        raise ValueError("the model has no instance branch; expected one that proposes regions")
    published = beside or data
    display(tables.proposal_recall(result))
    display(f"the paper on {published}: {TABLE_4[published]:.1f}, of how many it does not say")
    if json is not None:
        write_json(result["rpn_recall"], json)


def merge_ablation(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    json: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Measure what each heuristic of the merge (section 2.2) is worth.

    The network sees each photo once; its outputs are merged by the model's rules
    and by these with one of them changed.

    For example
        jsisnet reproduce merge-ablation --tiny
        jsisnet reproduce merge-ablation --root coco --model runs/coco
        jsisnet reproduce merge-ablation --images photos --annotations truth.json

    Args:
        photos: The data.
        network: The network, and whether generated scenes take the place of the data.
        json: File that receives the numbers, as percentages.
        overrides: Settings that win over the model's own.
    """
    from jsisnet.evaluation.panoptic_quality import summary
    from jsisnet.experiments.merge_ablation import ablate

    predictor, dataset, _ = _opened(photos, network, json, overrides)
    with progress("photos") as advance:
        found = ablate(predictor, dataset, on_image=advance)
    result = {name: summary(quality, predictor.categories) for name, quality in found.items()}
    display(tables.ablation(result))
    if json is not None:
        groups = ("all", "things", "stuff")
        write_json({n: {group: r[group] for group in groups} for n, r in result.items()}, json)


def _opened(
    photos: Photos, network: Network, json: Path | None, overrides: tuple[str, ...]
) -> "tuple[Predictor, PanopticDataset, DataName]":
    """Open network and data, and tell which data of the paper these are most like."""
    from jsisnet.cli.inputs import measured_on

    images, annotations, pngs, published = _places(photos, network)
    refuse_to_replace([annotations], [json] if json else [])
    predictor = network.ready(overrides)
    dataset = measured_on(predictor, images, annotations, pngs, recount_areas=photos.recount_areas)
    return predictor, dataset, published


def _places(photos: Photos, scenes: Scenes) -> tuple[Path, Path, Path | None, DataName]:
    own = [f"--{name}" for name in ("images", "annotations", "pngs") if getattr(photos, name)]
    chosen = [*own[:1], *["--root"] * (photos.root is not None), *["--tiny"] * scenes.tiny]
    if len(chosen) > 1:
        raise ValueError(f"{chosen[0]} and {chosen[1]} exclude each other")
    if scenes.tiny:
        made = scenes.drawn()
        return made.photos, made.annotations, None, "coco-val"
    if photos.root is not None:
        part = validation_split(photos.root)
        return part.images, part.annotations, None, part.name
    if photos.images is None or photos.annotations is None:
        raise ValueError("expected --images and --annotations, --root, or --tiny")
    return photos.images, photos.annotations, photos.pngs, "coco-val"


def _evaluated(predictor: "Predictor", dataset: "PanopticDataset") -> dict[str, Any]:
    from jsisnet.inference import evaluator

    with progress("photos") as advance:
        result = evaluator.evaluate(predictor, dataset, on_image=advance)
    return result.summary(predictor.categories)
