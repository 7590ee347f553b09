"""Experiments that train."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jsisnet.cli import tables
from jsisnet.cli.console import display, write_json
from jsisnet.cli.options import File, Folder, Overrides


def table2(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    json: File | None = None,
    overrides: Overrides = (),
) -> None:
    """Show the weights of the loss terms, and the terms of the first step: Table 2.

    The weights of CONFIG stand beside the paper's; the seven weighted terms add
    up to the loss.

    For example
        jsisnet reproduce table2 configs/coco.yaml --root coco
        jsisnet reproduce table2 configs/camvid.yaml --root camvid --train.seed 1

    Args:
        config: YAML file with the settings of a training.
        json: File that receives the numbers.
        overrides: Settings that win over those of CONFIG.
    """
    from jsisnet.config import read_config
    from jsisnet.experiments import table2 as experiment

    terms = experiment.first_step(read_config(config, overrides))
    display(tables.loss_terms(terms, experiment.PAPER))
    if json is not None:
        total = sum(term.value for term in terms)
        write_json({"terms": [asdict(term) for term in terms], "total": total}, json)


def table3(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    out: Folder | None = None,
    seeds: Annotated[int, Parameter(metavar="NUMBER")] = 3,
    json: File | None = None,
    overrides: Overrides = (),
) -> int:
    """Compare one joint network with a semantic and an instance network: Table 3.

    All three are trained with the settings of CONFIG, once for each seed; measured
    are mean IoU, mask AP at IoU 0.5, the panoptic quality of the joint network and
    of the two single ones merged, and what training and prediction cost. It may be
    stopped and begun again: what is done is not done twice.

    For example
        jsisnet reproduce table3 configs/table3_camvid.yaml --root camvid
        jsisnet reproduce table3 configs/table3_camvid.yaml --root camvid --seeds 5
        jsisnet reproduce table3 configs/vistas_17_epochs.yaml --root vistas --seeds 1

    Args:
        config: YAML file with the settings of the joint network.
        out: Folder of all runs. Default: runs/ and the stem of CONFIG.
        seeds: Trainings of each network, with the seeds 0, 1, and so on.
        json: Also write the figures of each seed and of all to this file.
        overrides: Settings that win over those of CONFIG.
    """
    from jsisnet.cli.training import listening
    from jsisnet.config import read_config
    from jsisnet.experiments import table3 as experiment

    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; expected 1 or more")
    folder = Path("runs", config.stem) if out is None else out
    settings = read_config(config, overrides)
    done: dict[str, dict[str, experiment.Row]] = {}
    for seed, rows in experiment.reproduce(settings, folder, range(seeds), listening):
        done[str(seed)] = rows
        table = experiment.over_seeds(list(done.values()))
        display(f"table3 after {len(done)} of {seeds} seeds")
        display(tables.experiment_table(table))
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
