"""Command that trains a network."""

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
    track: Annotated[
        tuple[Literal["tensorboard", "wandb", "mlflow"], ...],
        Parameter(negative=(), metavar="NAME", show_default=False),
    ] = (),
    overrides: Overrides = (),
) -> int:
    """Train a network on photos with COCO panoptic annotations.

    The run folder holds config.yaml, metrics.jsonl, checkpoint.pt and the model,
    model.json and model.safetensors, which `jsisnet predict --model RUN` takes. A
    training that was stopped, in whatever way, goes on from its last checkpoint
    with --resume, as if nothing had happened.

    All settings of CONFIG are options too, such as --optim.lr 0.01, --train.steps
    500 or --root DIR, the folder in which the paths of the data begin.

    For example
        jsisnet train overfit.yaml --root coco
        jsisnet train overfit.yaml --root coco --optim.lr 0.001
        jsisnet train overfit.yaml --root coco --resume
        jsisnet train overfit.yaml --root coco --track tensorboard

    Args:
        config: YAML file with the settings.
        out: Run folder. Default: runs/ and the stem of CONFIG.
        resume: Go on with the training in the run folder, or begin if there is none.
        track: Also record the training with this library; may be given several times.
        overrides: Settings that win over those of CONFIG.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from jsisnet.cli.training_view import progress_callback
    from jsisnet.training import trainer
    from jsisnet.training.config import read_config

    run = Path("runs", config.stem) if out is None else out
    settings = read_config(config, overrides)
    tracked = [token for name in track for token in ("--track", name)]
    again = ["jsisnet", "train", str(config), "--out", str(run), *overrides, *tracked, "--resume"]
    hint = f"to go on from the last checkpoint: {shlex.join(again)}"
    try:
        progress = progress_callback(settings.train)
        trainer.train(settings, out=run, resume=resume, track=track, callbacks=[progress])
    except (KeyboardInterrupt, SystemExit, RuntimeError, ValueError) as error:
        return _ended(error, hint)
    if not rank_zero_only.rank:  # type: ignore[attr-defined]
        display(f"the model is in {run}: jsisnet predict IMAGE --model {run} --out DIR")
    return 0


def _ended(error: BaseException, hint: str) -> int:
    """Tell why a training ended and how to go on, and give the exit code.

    Of what every process hears, the first one tells.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from jsisnet.training.devices import LostProcessError
    from jsisnet.training.loop import NonFiniteLossError

    speaks = not rank_zero_only.rank  # type: ignore[attr-defined]
    match error:
        case KeyboardInterrupt():
            reason, code = "stopped", STOPPED
        case SystemExit():
            reason, code = "stopped", TERMINATED
        case LostProcessError():
            reason, code = str(error), FAILED
        case NonFiniteLossError() if not speaks:
            return FAILED
        case RuntimeError() if "DataLoader worker" in str(error):
            # A signal to all processes may end a worker before its parent hears of it.
            reason, speaks = "a process that prepares photos was killed", True
            code = TERMINATED if "Terminated" in str(error) else FAILED
        case _:
            raise error
    if speaks:
        say(f"{reason}; {hint}")
    return code
