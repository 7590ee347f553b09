"""Options to run an experiment on generated scenes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import progress
from jsisnet.cli.options import Device, Flag, Folder, Model

if TYPE_CHECKING:
    from jsisnet.experiments.tiny import Tiny
    from jsisnet.inference.predictor import Predictor


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Whether to use generated scenes, and where they are kept."""

    tiny: Flag = False
    """Use generated scenes and a small network."""

    runs: Folder = Path("runs/reproduce")
    """Folder of what --tiny makes, once for all experiments."""

    def drawn(self) -> "Tiny":
        """Draw the scenes, unless they are there."""
        from jsisnet.experiments.tiny import Tiny

        made = Tiny(self.runs)
        with progress("scenes") as advance:
            made.draw(advance)
        return made


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Network(Scenes):
    """A trained network; with generated scenes, one that has learnt them."""

    model: Model | None = None
    """Embedded model, or a model or run folder. Default: coco; with --tiny one trained on these."""

    steps: Annotated[
        int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))
    ] = None
    """Length of that training. Default: 600, which take 5 minutes on two cores."""

    device: Device = None
    """Where the network runs: cpu, cuda, cuda:1. Default: a GPU if there is one."""

    def __post_init__(self) -> None:
        if self.steps is not None and not self._trains:
            raise ValueError("--steps is the length of the training of --tiny; there is none here")

    @property
    def _trains(self) -> bool:
        return self.tiny and self.model is None

    def ready(self, overrides: tuple[str, ...]) -> "Predictor":
        """Open the network, which is trained first if need be."""
        from jsisnet.cli.inputs import load
        from jsisnet.cli.training_view import progress_callback

        if self._trains:
            return load(
                str(self.drawn().train(self.steps, progress_callback)), overrides, self.device
            )
        return load(self.model or "coco", overrides, self.device)
