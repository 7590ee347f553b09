import json
import shutil
from pathlib import Path
from typing import get_args

import pytest

import factories
import networks
from jsisnet.data.transforms import TransformConfig
from jsisnet.datatools.convert import convert
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.formats.open import DatasetLocation, Format, create_dataset, open_dataset
from jsisnet.training.config import RunConfig, TrainConfig, to_yaml
from jsisnet.training.trainer import train


def as_folder(folder):
    return folder


def as_zip(folder):
    return Path(shutil.make_archive(str(folder), "zip", folder))


def write_miniature(kind, folder, packed):
    """Write two streets in a format, and return where they are."""
    if kind == "vistas":
        photos = factories.tiny_vistas(folder / "vistas", count=2).parent / "images"
        root = packed(folder / "vistas")
        return DatasetLocation(root=root, split="training", version="2.0", images=photos)
    streets = factories.tiny_dataset(folder / "streets", count=2)
    source = open_dataset("coco", annotations=streets.annotations)
    written = folder / "written"
    convert(source, create_dataset(kind, written, source.categories))
    images, index = streets.images, written / "index.json"
    match kind:
        case "coco":
            pngs = packed(written / "panoptic")
            json_file = written / "panoptic.json"
            return DatasetLocation(annotations=json_file, pngs=pngs, images=images)
        case "coco-instances":
            semantic, json_file = packed(written / "semantic"), written / "instances.json"
            return DatasetLocation(
                annotations=json_file, semantic=semantic, categories=index, images=images
            )
        case "cityscapes":
            root = packed(written)
            return DatasetLocation(root=root, split="all", categories=index, images=images)
        case "two-channel":
            pngs = packed(written / "maps")
            return DatasetLocation(pngs=pngs, categories=index, images=images)
    semantic, instances = packed(written / "semantic"), packed(written / "instances")
    return DatasetLocation(semantic=semantic, instances=instances, categories=index, images=images)


@pytest.mark.parametrize("packed", [as_folder, as_zip])
@pytest.mark.parametrize("kind", get_args(Format))
def test_every_format_trains_from_a_folder_and_from_a_zip(kind, packed, tmp_path):
    data = DataConfig.at(kind, write_miniature(kind, tmp_path, packed))
    config = RunConfig(
        data=data,
        augment=TransformConfig(size=(64, 96)),
        network=networks.TINY,
        train=TrainConfig(steps=2, batch_size=2, workers=0, log_every=1, export=False),
    )
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))

    run = train(path, out=tmp_path / "run")

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    samples = PanopticDataset(data)
    classes = {segment.label for index in range(2) for segment in samples[index].panoptic.segments}
    assert len(classes) == (5 if kind == "vistas" else 6)
