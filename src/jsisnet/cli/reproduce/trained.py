"""Command that runs the paper's experiments."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from jsisnet.cli.console import display, write_json
from jsisnet.cli.options import File, Folder, Overrides


def reproduce(
    experiment: Annotated[Literal["table3"], Parameter(name="EXPERIMENT")],
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    out: Folder | None = None,
    seeds: Annotated[int, Parameter(metavar="NUMBER")] = 3,
    json: File | None = None,
    overrides: Overrides = (),
) -> int:
    """Run an experiment of the paper on any data.

    table3: train a joint network, a semantic and an instance network with the
    settings of CONFIG, once for each seed; measure mean IoU, mask AP at IoU 0.5,
    panoptic quality of the joint network and of the two single ones merged, and
    what training and prediction cost. It may be stopped and begun again: what is
    done is not done twice.

    For example
        jsisnet reproduce table3 configs/table3_camvid.yaml --root camvid
        jsisnet reproduce table3 configs/table3_camvid.yaml --root camvid --seeds 5
        jsisnet reproduce table3 configs/vistas_17_epochs.yaml --root vistas --seeds 1

    Args:
        experiment: Which one: table3.
        config: YAML file with the settings of the joint network.
        out: Folder of all runs. Default: runs/ and the stem of CONFIG.
        seeds: Trainings of each network, with the seeds 0, 1, and so on.
        json: Also write the figures of each seed and of all to this file.
        overrides: Settings that win over those of CONFIG.
    """
    from jsisnet.cli.tables import experiment_table
    from jsisnet.cli.training import listening
    from jsisnet.config import read_config
    from jsisnet.experiments import table3

    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; expected 1 or more")
    folder = Path("runs", config.stem) if out is None else out
    settings = read_config(config, overrides)
    done: dict[str, dict[str, table3.Row]] = {}
    for seed, rows in table3.reproduce(settings, folder, range(seeds), listening):
        done[str(seed)] = rows
        table = table3.over_seeds(list(done.values()))
        display(f"{experiment} after {len(done)} of {seeds} seeds")
        display(experiment_table(table))
    if json is not None:
        each = {
            seed: {name: asdict(row) for name, row in rows.items()} for seed, rows in done.items()
        }
        mean = {
            name: {figure: spread and asdict(spread) for figure, spread in figures.items()}
            for name, figures in table.items()
        }
        write_json({"experiment": experiment, "seeds": each, "all": mean}, json)
    return 0
