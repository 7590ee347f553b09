"""Tables 1 and 4 of the paper and the ablation of the merge: experiments that evaluate a model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, write_json
from jsisnet.cli.location import LocationOptions
from jsisnet.cli.options import Flag, JsonFile, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.reproduce.scenes import Network, Scenes
from jsisnet.experiments.published import TABLE_4, DataName, validation_split
from jsisnet.experiments.published import table1 as published_table1
from jsisnet.formats.open import DatasetLocation, Format

if TYPE_CHECKING:
    from jsisnet.formats.dataset import PanopticDataset
    from jsisnet.inference.predictor import Predictor


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Photos:
    """Options for an annotated data set."""

    location: LocationOptions = field(default_factory=LocationOptions)

    kind: Annotated[Format | None, Parameter(name="--format")] = None
    """Format of the data set. Default: vistas if --annotations is a folder, otherwise coco. Without
    --format, --root is COCO or Vistas as unpacked, of which the validation split is used."""

    recount_areas: Flag = False
    """Accept annotations whose areas differ from their PNGs."""


PublishedData = Annotated[DataName | None, Parameter(name="--beside")]
"""Data set of the paper's figures to print."""


def table1(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    beside: PublishedData = None,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Reproduce Table 1: PQ, SQ and RQ for all classes, things and stuff.

    The paper's figures are printed below; compare them only if data and network are
    the same.

    For example
        jsisnet reproduce table1 --tiny
        jsisnet reproduce table1 --root coco --model runs/coco
        jsisnet reproduce table1 --images photos --annotations truth.json

    Args:
        photos: Data set to evaluate on.
        network: Model, or generated scenes.
        beside: Data set of the paper's figures to print. Default: vistas-val for Mapillary
            Vistas, otherwise coco-val.
        json: JSON file to write (- for standard output): all numbers, as percentages.
        overrides: Settings that override those of the model.
    """
    predictor, dataset, data = _open(photos, network, json, overrides)
    result = _evaluate(predictor, dataset)
    published = beside or data
    display(tables.quality(result, f"measured on {len(dataset)} images"))
    display(tables.quality(published_table1(published), f"the paper on {published}"))
    if json is not None:
        write_json({name: result[name] for name in ("all", "things", "stuff")}, json)


def table4(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    beside: PublishedData = None,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Reproduce Table 4: mean recall of the region proposals.

    Recall is listed by the number of proposals, which the paper does not state, and
    by object size and shape, which its section 4.2 discusses: the longer side of a
    compact box is below twice the shorter one, that of a thin box at least four
    times.

    For example
        jsisnet reproduce table4 --tiny
        jsisnet reproduce table4 --root coco --model runs/coco
        jsisnet reproduce table4 --images photos --annotations truth.json

    Args:
        photos: Data set to evaluate on.
        network: Model, or generated scenes.
        beside: Data set of the paper's figures to print. Default: vistas-val for Mapillary
            Vistas, otherwise coco-val.
        json: JSON file to write (- for standard output): all numbers, as percentages.
        overrides: Settings that override those of the model.
    """
    if beside is not None and beside not in TABLE_4:
        raise ValueError(f"Table 4 has no figures for {beside}; choose {' or '.join(TABLE_4)}")
    predictor, dataset, data = _open(photos, network, json, overrides)
    result = _evaluate(predictor, dataset)
    if "rpn_recall" not in result:
        raise ValueError("the model has no instance branch, so it proposes no regions")
    published = beside or data
    display(tables.proposal_recall(result))
    display(f"The paper on {published}: {TABLE_4[published]:.1f} (number of proposals not stated)")
    if json is not None:
        write_json(result["rpn_recall"], json)


def merge_ablation(
    *,
    photos: Photos = Photos(),
    network: Network = Network(),  # noqa: B008 - frozen
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Measure the effect of each heuristic of the merge (section 2.2).

    The network runs once per image; its outputs are merged with the model's
    settings and with variants that change one of them.

    For example
        jsisnet reproduce merge-ablation --tiny
        jsisnet reproduce merge-ablation --root coco --model runs/coco
        jsisnet reproduce merge-ablation --images photos --annotations truth.json

    Args:
        photos: Data set to evaluate on.
        network: Model, or generated scenes.
        json: JSON file to write (- for standard output): all numbers, as percentages.
        overrides: Settings that override those of the model.
    """
    from jsisnet.evaluation.panoptic_quality import summary
    from jsisnet.experiments.merge_ablation import ablate

    predictor, dataset, _ = _open(photos, network, json, overrides)
    with progress("evaluating") as advance:
        found = ablate(predictor, dataset, on_image=advance)
    result = {name: summary(quality, predictor.categories) for name, quality in found.items()}
    display(tables.ablation(result))
    if json is not None:
        groups = ("all", "things", "stuff")
        write_json({n: {group: r[group] for group in groups} for n, r in result.items()}, json)


def _open(
    photos: Photos, network: Network, json: Path | None, overrides: tuple[str, ...]
) -> "tuple[Predictor, PanopticDataset, DataName]":
    """Load model and data set; return them with the name of the closest data set in the paper."""
    from jsisnet.cli.inputs import open_for_model

    location, published = _locate(photos, network)
    refuse_to_replace(location.paths, [json] if json else [])
    predictor = network.load(overrides)
    dataset = open_for_model(predictor, photos.kind, location, recount_areas=photos.recount_areas)
    return predictor, dataset, published


def _locate(photos: Photos, scenes: Scenes) -> tuple[DatasetLocation, DataName]:
    given = photos.location
    own = [f"--{name}" for name in ("images", "annotations", "pngs") if getattr(given, name)]
    whole = given.root is not None and photos.kind is None
    chosen = [*own[:1], *["--root"] * whole, *["--tiny"] * scenes.tiny]
    if len(chosen) > 1:
        raise ValueError(f"{chosen[0]} and {chosen[1]} can't be combined")
    if scenes.tiny:
        data = scenes.generated()
        return DatasetLocation(images=data.photos, annotations=data.annotations), "coco-val"
    if whole:
        assert given.root is not None
        part = validation_split(given.root)
        return DatasetLocation(images=part.images, annotations=part.annotations), part.name
    if photos.kind is None and (given.images is None or given.annotations is None):
        raise ValueError("give --images and --annotations, --root, or --tiny")
    return given, "vistas-val" if photos.kind == "vistas" else "coco-val"


def _evaluate(predictor: "Predictor", dataset: "PanopticDataset") -> dict[str, Any]:
    from jsisnet.inference import evaluator

    with progress("evaluating") as advance:
        result = evaluator.evaluate(predictor, dataset, on_image=advance)
    return result.summary(predictor.categories)
