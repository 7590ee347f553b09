"""Settings of trainings that take seconds."""

from dataclasses import dataclass, replace
from pathlib import Path

import factories
import networks
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import DataConfig
from jsisnet.inference.rules import MergeConfig
from jsisnet.training.config import RunConfig, TrainConfig, to_yaml
from jsisnet.training.optim import OptimConfig


@dataclass(frozen=True)
class Trained:
    """Run folder of a small network, with its settings and data."""

    data: factories.TinyDataset
    config: Path
    run: Path


def write_config(path: Path, data: factories.TinyDataset, *, steps: int) -> Path:
    """Write the settings of a training on the generated streets."""
    photos = DataConfig(images=data.images.name, annotations=data.annotations.name)
    config = RunConfig(
        root=str(data.images.parent),
        data=photos,
        validation=photos,
        augment=TransformConfig(size=(64, 96)),
        network=replace(networks.TINY, detection=replace(networks.TINY.detection, min_score=0.05)),
        merge=MergeConfig(min_score=0.05, min_stuff_area=100.0),
        optim=OptimConfig(lr=0.05),
        train=TrainConfig(
            steps=steps, batch_size=2, workers=0, log_every=2, checkpoint_every=4, export=False
        ),
    )
    path.write_text(to_yaml(config))
    return path
