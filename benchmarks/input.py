"""Throughput of the input pipeline, from files to batches, and time of each of its parts.

The files are generated: JPEGs of 640x480 and their maps in COCO's panoptic format. Each worker has
one thread, as in a `DataLoader`.

The peer is an equivalent pipeline of torchvision: its decoders, a full-size mask per object, and
its transforms v2 on photo, masks, boxes and pixel labels. Both apply the same two augmentations:
`plain` resizes and flips; `varied` also scales by 1/2 to 2, crops or pads, and jitters colours.
"""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from harness import (
    CATEGORIES,
    Memory,
    Promise,
    finish,
    in_own_process,
    memory_of,
    options,
    row,
    scene,
    time_in_turn,
)
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from jsisnet.data.sample import collate, example
from jsisnet.data.stream import Stream, StreamSampler
from jsisnet.data.transforms import PADDING, TransformConfig, transform
from jsisnet.files.photos import read_image
from jsisnet.formats import coco
from jsisnet.formats.dataset import DataConfig, PanopticDataset
from jsisnet.panoptic import IGNORE

PHOTO, SIZE = (480, 640), (384, 384)
"""Height and width of the files and of the network input."""

BATCH = 8
WORKERS = (0, 1, 2)
AUGMENTS = {
    "plain": TransformConfig(size=SIZE),
    "varied": TransformConfig(
        size=SIZE,
        keep_aspect=True,
        min_scale=0.5,
        max_scale=2.0,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.05,
    ),
}
PASTED = 0.5
"""Probability of copy-paste, which is measured beside the others."""

PEER_AUGMENTS = {
    "plain": v2.Compose([v2.Resize(SIZE), v2.RandomHorizontalFlip()]),
    "varied": v2.Compose(
        [
            v2.RandomChoice([v2.ScaleJitter(SIZE, (by, by)) for by in np.geomspace(0.5, 2, 17)]),
            v2.RandomCrop(SIZE, pad_if_needed=True, fill={tv_tensors.Image: PADDING, "others": 0}),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05),
        ]
    ),
}
"""Scales have the same distribution as ours."""

GOAL = 1.4
"""Required speed relative to the peer in one thread."""


def write_data(folder: Path, count: int) -> DataConfig:
    """Write generated photos and their maps."""
    images, annotations = folder / "photos", folder / "panoptic.json"
    images.mkdir()
    with coco.writing(annotations, CATEGORIES) as writer:
        for number in range(count):
            image, panoptic = scene(number, PHOTO)
            Image.fromarray(image).save(images / f"{number}.jpg", quality=90)
            writer.add(panoptic, image_id=number, image_name=f"{number}.jpg")
    return DataConfig(images=str(images), annotations=str(annotations))


class Peer:
    """Data set that reads the same photos with torchvision."""

    def __init__(self, config: DataConfig, augment: v2.Transform):
        path = Path(config.annotations)
        content = json.loads(path.read_text(encoding="utf-8"))
        self.names = {image["id"]: image["file_name"] for image in content["images"]}
        self.annotations = content["annotations"]
        self.images, self.pngs = Path(config.images), path.with_suffix("")
        self.augment, self.drop_empty = augment, v2.SanitizeBoundingBoxes()

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return photo, pixel labels and objects."""
        annotation = self.annotations[index]
        name = self.names[annotation["image_id"]]
        image = tv_tensors.Image(decode_image(str(self.images / name), ImageReadMode.RGB))
        red, green, blue = decode_image(
            str(self.pngs / annotation["file_name"]), ImageReadMode.RGB
        ).int()
        labels, objects = _truth(red + 256 * green + 65536 * blue, annotation["segments_info"])
        image, labels, objects = self.augment(image, labels, objects)
        return image, labels, self.drop_empty(objects)


def _truth(ids: Tensor, infos: Sequence[dict[str, Any]]) -> tuple[Tensor, dict[str, Tensor]]:
    labels = torch.full_like(ids, IGNORE, dtype=torch.uint8)
    things = [info for info in infos if info["isthing"]]
    for info in infos:
        labels[ids == info["id"]] = CATEGORIES.label(info["category_id"])
    numbers = torch.tensor([info["id"] for info in things], dtype=ids.dtype)
    boxes = torch.tensor([info["bbox"] for info in things])
    objects = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYWH", canvas_size=tuple(ids.shape)),
        "masks": tv_tensors.Mask((ids == numbers[:, None, None]).byte()),
        "labels": torch.tensor([CATEGORIES.label(info["category_id"]) for info in things]),
    }
    return tv_tensors.Mask(labels), objects


def read_all(photos: Stream | Peer, count: int) -> None:
    """Read photos one by one."""
    for index in range(count):
        photos[index]


def parts(config: DataConfig, runs: int) -> dict[str, list[float]]:
    """Time the parts of the `varied` pipeline and return seconds per photo."""
    augment = AUGMENTS["varied"]
    file = coco.read_annotations(Path(config.annotations), images=Path(config.images))
    data = PanopticDataset(config)
    samples = [data[index] for index in range(len(data))]
    photos = [each.image for each in file.annotations if each.image is not None]
    generator = torch.Generator().manual_seed(0)
    varied = [transform(sample, augment, generator) for sample in samples]
    examples = [example(sample, CATEGORIES) for sample in varied]
    seconds = time_in_turn(
        runs,
        **{
            "decode the photo": lambda: [read_image(path) for path in photos],
            "decode the map": lambda: [
                coco.read_png(each, file.categories) for each in file.annotations
            ],
            "vary": lambda: [transform(sample, augment, generator) for sample in samples],
            "targets": lambda: [example(sample, CATEGORIES) for sample in varied],
            "collate": lambda: [
                collate(examples[start : start + BATCH]) for start in range(0, len(examples), BATCH)
            ],
        },
    )
    return _per_photo(seconds, len(samples))


def in_one_thread(config: DataConfig, runs: int) -> dict[str, list[float]]:
    """Time both pipelines and return seconds per photo."""
    data = PanopticDataset(config)
    pipelines: dict[str, Stream | Peer] = {
        f"{name}: ours": Stream(data, augment) for name, augment in AUGMENTS.items()
    }
    pipelines |= {
        f"{name}: torchvision": Peer(config, augment) for name, augment in PEER_AUGMENTS.items()
    }
    pasting = replace(AUGMENTS["varied"], copy_paste=PASTED)
    pipelines[f"varied, copy-paste {PASTED}: ours"] = Stream(data, pasting)
    runners = {name: partial(read_all, photos, len(data)) for name, photos in pipelines.items()}
    return _per_photo(time_in_turn(runs, **runners), len(data))


def _per_photo(seconds: dict[str, list[float]], count: int) -> dict[str, list[float]]:
    return {name: [each / count for each in timings] for name, timings in seconds.items()}


def rates(config: DataConfig, workers: int, runs: int) -> list[float]:
    """Load batches continuously and return photos per second of each pass over the data."""
    samples = PanopticDataset(config)
    loader = DataLoader(
        Stream(samples, AUGMENTS["varied"]),
        batch_size=BATCH,
        sampler=StreamSampler(),
        num_workers=workers,
        collate_fn=collate,
    )
    length = len(samples) // BATCH
    batches = iter(loader)
    # Each of two workers reads half of the photos in a pass, so its cache fills after some passes.
    _take(batches, length * (6 if config.cache and workers > 1 else 1))
    return [length * BATCH / _take(batches, length) for _ in range(runs)]


def _take(batches: Iterator[object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - began


def memory_of_ours(config: DataConfig) -> Memory:
    """Measure a process that reads the photos, as a worker does."""
    photos = Stream(PanopticDataset(config), AUGMENTS["varied"])
    return _memory_of_reading(photos, len(photos.samples))


def memory_of_peer(config: DataConfig) -> Memory:
    """Measure the same for the peer."""
    photos = Peer(config, PEER_AUGMENTS["varied"])
    return _memory_of_reading(photos, len(photos))


def _memory_of_reading(photos: Stream | Peer, count: int) -> Memory:
    torch.set_num_threads(1)
    return memory_of(lambda: read_all(photos, count))


def loaders(config: DataConfig, runs: int) -> dict[str, list[float]]:
    """Measure photos per second for each number of workers, without and with a cache."""
    loaded = {}
    for cache in (False, True):
        for workers in WORKERS:
            name = f"{workers} workers{', cache' if cache else ''}"
            loaded[name] = rates(replace(config, cache=cache), workers, runs)
            rate = statistics.median(loaded[name])
            print(f"{name:<44} {rate:9.1f} photos/s, {rate / max(workers, 1):.1f} per process")
    return loaded


def memories(config: DataConfig) -> dict[str, Memory]:
    """Measure the memory of processes that read the photos."""
    memory = {
        "ours": in_own_process(memory_of_ours, config),
        "ours, cache": in_own_process(memory_of_ours, replace(config, cache=True)),
        "torchvision": in_own_process(memory_of_peer, config),
    }
    for name, one in memory.items():
        print(f"{f'memory, {name}':<44} {one.whole:9.1f} MB, {one.increase:.1f} above imports")
    return memory


def main() -> None:
    """Measure parts, both pipelines in one thread, loaders and memory."""
    chosen = options(__doc__)
    torch.set_num_threads(1)
    runs = 3 if chosen.quick else 9
    with TemporaryDirectory() as folder:
        config = write_data(Path(folder), 16 if chosen.quick else 64)
        seconds = parts(config, runs) | in_one_thread(config, runs)
        for name, timings in seconds.items():
            print(row(name, timings))
        loaded = loaders(config, runs)
        memory = memories(config)
    promises = []
    for augment in AUGMENTS:
        ours, peer = (
            statistics.median(seconds[f"{augment}: {who}"]) for who in ("ours", "torchvision")
        )
        promises.append(
            Promise(f"input, {augment}, times faster than torchvision", peer / ours, GOAL)
        )
    figures = {
        "seconds": seconds,
        "photos per second": loaded,
        "memory": {name: asdict(one) for name, one in memory.items()},
    }
    finish(promises, figures, chosen.json)


if __name__ == "__main__":
    main()
