"""What each change of a training's settings gains: variants of one training, over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from jsisnet.checks import nearest
from jsisnet.data.sources import Sources
from jsisnet.experiments.trainings import (
    ProgressCallback,
    Spread,
    kept,
    train_separately,
    validation,
)
from jsisnet.files.atomic import lock_folder
from jsisnet.inference import evaluator
from jsisnet.inference.engine import EngineOptions
from jsisnet.inference.predictor import Predictor
from jsisnet.model.engine import open_engine
from jsisnet.settings import from_dict, joined
from jsisnet.training.config import RunConfig, read_values
from jsisnet.training.resuming import digests

VARIANTS = "variants"
"""Key of a YAML file that holds the variants by name."""

ON = "on"
"""Key of a variant that names the one whose settings it changes."""

FIGURES = ("pq", "pq_things", "pq_stuff", "miou", "mask_ap50", "recall")
"""Results of a training: PQ of all classes, things and stuff, mean IoU, mask AP at IoU 0.5, and the
mean recall of the proposals at the network's own limits; in percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Settings of a training, and the variant that they differ from."""

    name: str
    config: RunConfig
    on: str | None = None
    """Name of the variant that this one changes; ``None`` for the first."""


Figures = dict[str, float | None]
"""Results of a training by the names in `FIGURES`; ``None`` where not measured."""


GAIN = "gain"
"""Name of the PQ minus that of the variant that is changed, with the same seed."""


def read_variants(path: Path, overrides: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Read the variants of a YAML file.

    The file holds the settings of a training and, under `VARIANTS`, named changes of them. A
    variant changes the first one, or the earlier one that `ON` names.

    Args:
        path: The file, or the name of a built-in one.
        overrides: Command-line options, which hold for all variants.

    Raises:
        ValueError: If the file can't be read, has no variants or no validation data, a variant
            names none before it, or a setting is invalid.
    """
    values = read_values(path)
    given = values.pop(VARIANTS, None)
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{path}: {VARIANTS} is missing; expected names with settings to change")
    nested: dict[str, dict[str, Any]] = {}
    found: list[Variant] = []
    for name, changes in ((str(key), value) for key, value in given.items()):
        source = f"{path}: {VARIANTS}.{name}"
        if not isinstance(changes, Mapping | None):
            raise ValueError(f"{source}: expected settings to change, found {changes!r}")
        # Without quotes, YAML takes the word for true.
        changed = {ON if key is True else key: value for key, value in (changes or {}).items()}
        on = str(changed.pop(ON)) if ON in changed else next(iter(nested), None)
        if on is not None and on not in nested:
            hint = nearest(on, list(nested))
            raise ValueError(
                f"{source}: {ON} is {on!r}, but no variant before it has that name.{hint}"
            )
        nested[name] = joined(values if on is None else nested[on], changed)
        if _as_file_name(name) in {_as_file_name(other.name) for other in found}:
            raise ValueError(f"{source}: another variant's run folder would have the same name")
        config = from_dict(RunConfig, nested[name], overrides, source=source)
        if config.validation is None:
            raise ValueError(f"{source}: validation is missing; variants are compared on it")
        found.append(Variant(name=name, config=config, on=on))
    return tuple(found)


def measure(
    variants: Sequence[Variant], out: Path, seeds: Sequence[int], progress: ProgressCallback
) -> Iterator[tuple[int, str, Figures]]:
    """Train and evaluate each variant with each seed, one seed after the other.

    Finished trainings are not repeated, and interrupted ones are resumed.

    Args:
        variants: What is compared.
        out: Parent of the run folders.
        seeds: Seeds of the trainings.
        progress: Creates the callback that shows a training.

    Yields:
        Seed, name of the variant, and its results.

    Raises:
        ValueError: If a training fails, or the folder holds something else.
    """
    with lock_folder(out):
        for seed in seeds:
            for variant in variants:
                folder = out / f"seed_{seed}_{_as_file_name(variant.name)}"
                train = replace(variant.config.train, seed=seed, export=False, evaluate_every=0)
                config = replace(variant.config, train=train)
                trained = replace(config, validation=None)
                train_separately(
                    trained, folder, progress, digests(trained, Sources(trained.sources()))
                )
                path = folder.with_name(f"{folder.name}.json")
                yield (
                    seed,
                    variant.name,
                    kept(path, config, [folder], partial(_figures, folder, config)),
                )


def over_seeds(
    variants: Sequence[Variant], results: Mapping[str, Mapping[int, Figures]]
) -> dict[str, dict[str, Spread | None]]:
    """Return the spread of each result of each variant, and of what it gains.

    Args:
        variants: What is compared.
        results: Results by variant and seed; a variant may lack seeds that others have.
    """
    table: dict[str, dict[str, Spread | None]] = {}
    for variant in variants:
        own = results.get(variant.name, {})
        before = results.get(variant.on or "", {})
        both = [
            (figures["pq"], before[seed]["pq"]) for seed, figures in own.items() if seed in before
        ]
        gains = [after - first for after, first in both if after is not None and first is not None]
        figures = {name: Spread.of([row[name] for row in own.values()]) for name in FIGURES}
        table[variant.name] = {"pq": figures.pop("pq"), GAIN: Spread.of(gains), **figures}
    return table


def _figures(folder: Path, config: RunConfig) -> Figures:
    predictor = Predictor(open_engine(folder, EngineOptions(device="auto")))
    photos = validation(config, predictor.categories)
    result = evaluator.evaluate(predictor, photos, ap=True).summary(predictor.categories)
    recall = result.get("rpn_recall")
    return {
        "pq": result["all"]["pq"],
        "pq_things": result["things"]["pq"],
        "pq_stuff": result["stuff"]["pq"],
        "miou": result.get("miou"),
        "mask_ap50": result.get("mask_ap50"),
        "recall": None if recall is None else recall["all"]["own"],
    }


def _as_file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
