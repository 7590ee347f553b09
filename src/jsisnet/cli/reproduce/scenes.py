"""Options of the experiments: generated scenes, and the model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from jsisnet.cli.console import progress
from jsisnet.cli.options import Device, Flag, Folder, Model, RunOptions

if TYPE_CHECKING:
    from jsisnet.experiments.tiny import Tiny
    from jsisnet.inference.predictor import Predictor


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Options for generated scenes."""

    tiny: Flag = False
    """Use generated scenes and a small network instead of real data."""

    runs: Folder = Path("runs/reproduce")
    """Folder for the scenes and models of --tiny, shared by all experiments."""

    def generated(self) -> "Tiny":
        """Return the scenes; generate them unless they exist."""
        from jsisnet.experiments.tiny import Tiny

        tiny = Tiny(self.runs)
        with progress("generating") as advance:
            tiny.draw(advance)
        return tiny


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Network(Scenes):
    """Options for a trained model, or generated scenes and a model trained on them."""

    model: Model | None = None
    """Built-in model, or the folder of a model or training run. Default: coco; with --tiny, a model
    that is trained on the generated scenes."""

    steps: Annotated[
        int | None, Parameter(metavar="NUMBER", validator=validators.Number(gte=1))
    ] = None
    """Training steps of --tiny. Default: 600, about 5 minutes on two cores."""

    device: Device = "auto"
    """Device of the network: cpu, cuda, cuda:1. Default: a GPU if there is one."""

    def __post_init__(self) -> None:
        if self.steps is not None and not self._trains:
            raise ValueError("--steps applies only to the training of --tiny without --model")

    @property
    def _trains(self) -> bool:
        return self.tiny and self.model is None

    def load(self, overrides: tuple[str, ...]) -> "Predictor":
        """Load the model; with --tiny and no model, train it first."""
        from jsisnet.cli.inputs import load_model
        from jsisnet.cli.training_view import progress_callback

        if self._trains:
            model = str(self.generated().train(self.steps, progress_callback))
        else:
            model = self.model or "coco"
        return load_model(model, overrides, RunOptions(engine="torch", device=self.device))
