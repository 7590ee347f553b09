"""Tables 2 and 3 of the paper and its claim about speed: experiments that train."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli import tables
from jsisnet.cli.console import display, progress, write_json
from jsisnet.cli.options import Folder, JsonFile, Overrides
from jsisnet.cli.outputs import refuse_to_replace
from jsisnet.cli.reproduce.scenes import Scenes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jsisnet.training.config import RunConfig

Config = Annotated[Path | None, Parameter(name="CONFIG", show_default=False)]
"""YAML file with the settings of a training."""

Count = Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))]
"""Positive integer."""


def table2(
    config: Config = None,
    /,
    *,
    scenes: Scenes = Scenes(),  # noqa: B008 - frozen
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Reproduce Table 2: weights of the loss terms, and their values at the first step.

    The weights of CONFIG are listed beside the paper's; the seven weighted terms add
    up to the loss.

    For example
        jsisnet reproduce table2 --tiny
        jsisnet reproduce table2 coco.yaml --root coco
        jsisnet reproduce table2 camvid.yaml --root camvid --train.seed 1

    Args:
        config: YAML file with the settings of a training.
        scenes: Generated scenes, with tiny.yaml, instead of CONFIG.
        json: JSON file to write (- for standard output): all numbers.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.experiments import table2 as experiment

    terms = experiment.first_step(_settings(config, scenes, "tiny.yaml", json, overrides))
    display(tables.loss_terms(terms, experiment.PAPER))
    if json is not None:
        total = sum(term.value for term in terms)
        write_json({"terms": [asdict(term) for term in terms], "total": total}, json)


def table3(
    config: Config = None,
    /,
    *,
    scenes: Scenes = Scenes(),  # noqa: B008 - frozen
    out: Folder | None = None,
    seeds: Count = 3,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> int:
    """Reproduce Table 3: one joint network against a semantic and an instance network.

    All three are trained with the settings of CONFIG, once per seed, and evaluated:
    mean IoU, mask AP at IoU 0.5, panoptic quality of the joint network and of the
    two single ones merged, and the costs of training and prediction. The paper's
    figures are printed below. Rerun an interrupted command to resume it; finished
    trainings are not repeated.

    For example
        jsisnet reproduce table3 --tiny
        jsisnet reproduce table3 table3_camvid.yaml --root camvid --seeds 5
        jsisnet reproduce table3 vistas_17_epochs.yaml --root vistas --seeds 1

    Args:
        config: YAML file with the settings of the joint network.
        scenes: Generated scenes, with table3_tiny.yaml, instead of CONFIG.
        out: Folder for all runs. Default: runs/CONFIG; with --tiny, a folder in --runs.
        seeds: Number of trainings of each network, with seeds 0, 1, ...
        json: JSON file to write (- for standard output): figures of each seed and over all seeds.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.cli.training_view import progress_callback
    from jsisnet.experiments import table3 as experiment
    from jsisnet.experiments.published import TABLE_3

    settings = _settings(config, scenes, "table3_tiny.yaml", json, overrides)
    folder = out or (scenes.runs / "table3" if config is None else Path("runs", config.stem))
    done: dict[str, dict[str, experiment.Row]] = {}
    for seed, rows in experiment.reproduce(settings, folder, range(seeds), progress_callback):
        done[str(seed)] = rows
        table = experiment.over_seeds(list(done.values()))
        display(f"Table 3 after {len(done)} of {seeds} seeds")
        display(tables.experiment_table(table))
    display("The paper, on vistas-val after 153,000 steps")
    display(tables.published_experiment(TABLE_3))
    if json is not None:
        each = {
            seed: {name: asdict(row) for name, row in rows.items()} for seed, rows in done.items()
        }
        mean = {
            name: {figure: spread and asdict(spread) for figure, spread in figures.items()}
            for name, figures in table.items()
        }
        write_json({"experiment": "table3", "seeds": each, "all": mean}, json)
    return 0


def training_ablation(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    out: Folder | None = None,
    seeds: Count = 3,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Measure what each change of the settings of a training gains.

    CONFIG holds the settings of a training with validation data and, under
    "variants", named changes. Each variant changes the first one, or the earlier one
    that it names with "on". All are trained and evaluated once per seed. The gain is
    the PQ minus that of the variant it changes, with the same seed. Rerun an
    interrupted command to resume it; finished trainings are not repeated.

    For example
        jsisnet reproduce training-ablation ablation_camvid.yaml --root camvid
        jsisnet reproduce training-ablation mine.yaml --seeds 5 --train.steps 100

    Args:
        config: YAML file with the settings of a training, and variants of it.
        out: Folder for all runs. Default: runs/CONFIG.
        seeds: Number of trainings of each variant, with seeds 0, 1, ...
        json: JSON file to write (- for standard output): figures of each seed and over all seeds.
        overrides: Settings that override those of CONFIG and its variants.
    """
    from jsisnet.cli.training_view import progress_callback
    from jsisnet.experiments import training_ablation as experiment

    variants = experiment.read_variants(config, overrides)
    _refuse_to_replace_data([variant.config for variant in variants], config, json)
    done: dict[str, dict[int, experiment.Figures]] = {variant.name: {} for variant in variants}
    results = experiment.measure(
        variants, out or Path("runs", config.stem), range(seeds), progress_callback
    )
    for seed, name, figures in results:
        done[name][seed] = figures
        if name == variants[-1].name:
            table = experiment.over_seeds(variants, done)
            display(f"After {seed + 1} of {seeds} seeds")
            display(tables.experiment_table(table))
    if json is not None:
        mean = {
            name: {figure: spread and asdict(spread) for figure, spread in row.items()}
            for name, row in table.items()
        }
        write_json({"experiment": "training_ablation", "variants": done, "all": mean}, json)


def speed(
    config: Config = None,
    /,
    *,
    scenes: Scenes = Scenes(),  # noqa: B008 - frozen
    rounds: Count = 3,
    processes: Annotated[int, Parameter(metavar="NUMBER", validator=validators.Number(gte=0))] = 1,
    json: JsonFile | None = None,
    overrides: Overrides = (),
) -> None:
    """Compare time and memory of one joint network with those of two single ones.

    Measures a training step on the first images and the prediction of the first one,
    with random weights. The paper claims "faster and more memory efficient", without
    figures.

    For example
        jsisnet reproduce speed --tiny
        jsisnet reproduce speed lite.yaml --data.images val2017
            --data.annotations panoptic_val2017.json
        jsisnet reproduce speed vistas.yaml --root vistas --processes 3

    Args:
        config: YAML file with the settings of the joint network.
        scenes: Generated scenes, with tiny.yaml, instead of CONFIG.
        rounds: Number of timed rounds; the median is reported.
        processes: Number of memory measurements, each in new processes; 0 for none.
        json: JSON file to write (- for standard output): all figures.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.experiments import speed as experiment
    from jsisnet.experiments.table2 import first_batch

    settings = _settings(config, scenes, "tiny.yaml", json, overrides)
    categories, batch, photo = first_batch(settings)
    workload = experiment.Workload(config=settings, categories=categories, batch=batch, photo=photo)
    repetitions = experiment.Repetitions(rounds=rounds, processes=processes)
    with progress("measuring") as advance:
        costs = list(experiment.compare(workload, repetitions, on_part=advance))
    training, prediction = (
        "x".join(map(str, size)) for size in (settings.augment.size, settings.prediction_size)
    )
    predicted = "" if prediction == training else f"; prediction at {prediction}"
    display(f"{settings.train.batch_size} images of {training} per step{predicted}")
    display(tables.costs(costs))
    if json is not None:
        rows = [asdict(cost) | {"ratio": cost.ratio} for cost in costs]
        write_json({"experiment": "speed", "costs": rows}, json)


def _settings(
    config: Path | None,
    scenes: Scenes,
    tiny: str,
    json: Path | None,
    overrides: tuple[str, ...],
) -> "RunConfig":
    """Read the settings: those of CONFIG, or those for generated scenes.

    The JSON file is written last, so its path is checked first.
    """
    from jsisnet.training.config import read_config

    if scenes.tiny and config is not None:
        raise ValueError(f"{config} and --tiny can't be combined")
    if config is not None:
        settings = read_config(config, overrides)
    elif scenes.tiny:
        settings = scenes.generated().config(tiny, overrides)
    else:
        raise ValueError("give CONFIG, a YAML file with the settings of a training, or --tiny")
    _refuse_to_replace_data([settings], config, json)
    return settings


def _refuse_to_replace_data(
    settings: "Sequence[RunConfig]", config: Path | None, json: Path | None
) -> None:
    """Raise a `ValueError` if the JSON file, which is written last, would replace what is read."""
    read = [] if config is None else [config]
    for each in settings:
        read += [data.path for data in each.sources()]
        if each.validation is not None:
            read.append(each.validation.under(each.root).path)
    refuse_to_replace(read, [json] if json else [])
