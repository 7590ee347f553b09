"""`jsisnet train`: train a network."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from jsisnet.cli.console import display, say
from jsisnet.cli.errors import FAILED, STOPPED, TERMINATED
from jsisnet.cli.options import Flag, Folder, Overrides


def train(
    config: Annotated[Path, Parameter(name="CONFIG")],
    /,
    *,
    out: Folder | None = None,
    resume: Flag = False,
    extend: Flag = False,
    track: Annotated[
        tuple[Literal["tensorboard", "wandb", "mlflow"], ...],
        Parameter(negative=(), metavar="NAME", show_default=False),
    ] = (),
    overrides: Overrides = (),
) -> int:
    """Train a network.

    The run folder receives config.yaml, metrics.jsonl, checkpoint.pt and the model
    (model.json and model.safetensors), which `jsisnet predict --model RUN` loads.
    --resume continues an interrupted training from its last checkpoint, with the
    same result as an uninterrupted one; --extend continues it with more steps.

    All settings of CONFIG are options too, such as --optim.lr 0.01, --train.steps
    500, or --root DIR for the folder that the paths of the data are relative to.

    For example
        jsisnet train overfit.yaml --root coco
        jsisnet train overfit.yaml --root coco --optim.lr 0.001
        jsisnet train overfit.yaml --root coco --resume
        jsisnet train overfit.yaml --root coco --extend --train.steps 900
        jsisnet train overfit.yaml --root coco --track tensorboard

    Args:
        config: YAML file with the settings.
        out: Run folder. Default: runs/CONFIG.
        resume: Resume the training of the run folder; start one if there is none.
        extend: Resume it with more steps than it had.
        track: Experiment tracker to log to as well; can be given several times.
        overrides: Settings that override those of CONFIG.
    """
    from jsisnet.cli.inputs import require_data
    from jsisnet.cli.training_view import progress_callback
    from jsisnet.training import trainer
    from jsisnet.training.config import read_config
    from jsisnet.training.fabric import rank_zero_only
    from jsisnet.training.run_folder import is_finished

    run = Path("runs", config.stem) if out is None else out
    settings = read_config(config, overrides)
    require_data(settings)
    tracked = [token for name in track for token in ("--track", name)]
    again = ["jsisnet", "train", str(config), "--out", str(run), *overrides, *tracked, "--resume"]
    hint = f"to resume from the last checkpoint: {shlex.join(again)}"
    finished = is_finished(settings, run)
    try:
        progress = progress_callback(settings.train)
        trainer.train(
            settings, out=run, resume=resume, extend=extend, track=track, callbacks=[progress]
        )
    except (KeyboardInterrupt, SystemExit, RuntimeError, ValueError) as error:
        return _ended(error, hint)
    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        done = f"{run} is already complete" if finished else f"Wrote the model to {run}"
        display(f"{done}; try: jsisnet predict IMAGE --model {run} --out DIR")
    return 0


def _ended(error: BaseException, hint: str) -> int:
    """Report why a training ended and how to resume it, and return the exit code.

    Only the first process of a group reports what all of them notice.
    """
    from jsisnet.training.devices import LostProcessError
    from jsisnet.training.fabric import rank_zero_only
    from jsisnet.training.loading import LostWorkerError
    from jsisnet.training.loop import NonFiniteLossError

    reports = not rank_zero_only.rank  # type: ignore[attr-defined]
    match error:
        case KeyboardInterrupt():
            reason, code = "interrupted", STOPPED
        case SystemExit():
            reason, code = "interrupted", TERMINATED
        case LostProcessError():
            reason, code = str(error), FAILED
        case NonFiniteLossError() if not reports:
            return FAILED
        case LostWorkerError():
            # A signal to the process group may end a worker before the parent receives it.
            stopped = "Terminated" in str(error)
            reason, code = ("interrupted", TERMINATED) if stopped else (str(error), FAILED)
            reports = True
        case _:
            raise error
    if reports:
        say(f"{reason}; {hint}")
    return code
