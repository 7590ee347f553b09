"""Generated scenes, and a network that has learnt them: what stands in for the paper's data.

Every experiment runs on them in minutes on a CPU. Its numbers say that the parts work together, and
nothing about photos.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsisnet.datatools.scenes.dataset import write_scenes
from jsisnet.experiments.table3 import ProgressCallback
from jsisnet.training import trainer
from jsisnet.training.config import EMBEDDED, RunConfig, read_config
from jsisnet.training.run_folder import CHECKPOINT, is_finished

CONFIG = "tiny.yaml"
"""Settings of the network, inside the package."""

COUNTS = (200, 40)
"""Scenes to train and to validate on."""

SIZE = (128, 192)
"""Height and width of a scene."""


@dataclass(frozen=True, slots=True)
class Tiny:
    """A folder with scenes and trainings on them."""

    folder: Path

    @property
    def scenes(self) -> Path:
        """Folder of the data set."""
        return self.folder / "scenes"

    @property
    def photos(self) -> Path:
        """Folder of the scenes to measure on."""
        return self.scenes / "val"

    @property
    def annotations(self) -> Path:
        """JSON file of the scenes to measure on."""
        return self.scenes / "panoptic_val.json"

    def draw(self, on_scene: Callable[[int, int], object] | None = None) -> None:
        """Draw the scenes that are not there yet.

        Args:
            on_scene: Is told the numbers of scenes done and in total.

        Raises:
            ValueError: If the folder holds something else.
        """
        write_scenes(self.scenes, COUNTS, SIZE, on_scene=on_scene)

    def config(self, name: str = CONFIG, overrides: Sequence[str] = ()) -> RunConfig:
        """Give the settings of a training on the scenes.

        Args:
            name: YAML file inside the package.
            overrides: Options that win over it.

        Raises:
            ValueError: If an option is none, or has a wrong value.
        """
        return read_config(EMBEDDED / name, ["--root", str(self.scenes), *overrides])

    def train(self, steps: int | None, progress: ProgressCallback) -> Path:
        """Train the network, or go on, unless that is done.

        Args:
            steps: Length of the training; default: that of `CONFIG`. Another length is another
                training.
            progress: Shows the training.

        Returns:
            The run folder.

        Raises:
            ValueError: If the folder holds something else, or another process is training it.
        """
        config = self.config(overrides=[] if steps is None else ["--train.steps", str(steps)])
        run = self.folder / f"tiny_{config.train.steps}"
        if not is_finished(config, run):
            resume = (run / CHECKPOINT).exists()
            trainer.train(config, out=run, resume=resume, callbacks=[progress(config.train)])
        return run
