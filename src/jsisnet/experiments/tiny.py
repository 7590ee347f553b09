"""Generated scenes and a network trained on them, in place of the paper's data.

With them, every experiment runs in minutes on a CPU. The results show that all parts work together,
and say nothing about real photos.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jsisnet.datatools.scenes.dataset import write_scenes
from jsisnet.experiments.trainings import ProgressCallback
from jsisnet.training import trainer
from jsisnet.training.config import BUILT_IN, RunConfig, read_config
from jsisnet.training.run_folder import CHECKPOINT

CONFIG = "tiny.yaml"
"""Built-in settings of the network."""

COUNTS = (200, 40)
"""Numbers of training and validation scenes."""

SIZE = (128, 192)
"""Height and width of a scene in pixels."""


@dataclass(frozen=True, slots=True)
class Tiny:
    """Folder with scenes and with trainings on them."""

    folder: Path

    @property
    def scenes(self) -> Path:
        """Folder of the data set."""
        return self.folder / "scenes"

    @property
    def photos(self) -> Path:
        """Folder of the validation scenes."""
        return self.scenes / "val"

    @property
    def annotations(self) -> Path:
        """JSON file of the validation scenes."""
        return self.scenes / "panoptic_val.json"

    def draw(self, on_scene: Callable[[int, int], object] | None = None) -> None:
        """Generate the scenes that do not exist yet.

        Args:
            on_scene: Called after each scene with the number of scenes done and the total.

        Raises:
            ValueError: If the folder holds something else.
        """
        write_scenes(self.scenes, COUNTS, SIZE, on_scene=on_scene)

    def config(self, name: str = CONFIG, overrides: Sequence[str] = ()) -> RunConfig:
        """Return the settings of a training on the scenes.

        Args:
            name: Built-in YAML file.
            overrides: Command-line options that override it.

        Raises:
            ValueError: If an option is unknown or has an invalid value.
        """
        return read_config(BUILT_IN / name, ["--root", str(self.scenes), *overrides])

    def train(self, steps: int | None, progress: ProgressCallback) -> Path:
        """Train the network, resume its training, or do nothing if it is finished.

        Args:
            steps: Length of the training. Default: that of `CONFIG`. Each length has its own run.
            progress: Creates the callback that shows the training.

        Returns:
            The run folder.

        Raises:
            ValueError: If the folder holds something else, or another process is writing to it.
        """
        config = self.config(overrides=[] if steps is None else ["--train.steps", str(steps)])
        run = self.folder / f"tiny_{config.train.steps}"
        config = replace(config, train=replace(config.train, export=False))
        resume = (run / CHECKPOINT).exists()
        return trainer.train(config, out=run, resume=resume, callbacks=[progress(config.train)])
