"""Time of a training step of the joint network and of the two networks that it replaces.

The peers are torchvision's Mask R-CNN and DeepLabV3, both with ResNet-50, trained separately with
their own settings for the same number of classes. All networks use the same photos at the same
size, random weights, and SGD with momentum on every weight. The inputs of the peers are on the
device beforehand, as floats with full-size masks; ours converts the photos and computes the mask
targets within its step.

`lite` is a small network that does the job of the two; `paper` has the same trunk as the peers.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from harness import CATEGORIES, Promise, finish, options, row, scene, time_in_turn
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.segmentation import deeplabv3_resnet50

from jsisnet.data.sample import Batch, collate, example
from jsisnet.experiments.speed import training_steps
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import IGNORE
from jsisnet.training.config import RunConfig, read_config
from jsisnet.training.devices import Precision

FILES = {"lite": "lite.yaml", "paper": "coco.yaml"}
"""Settings of our two networks."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
THREADS = 2
SIZE, BATCH = (256, 256), 2
RATE = 1e-4
"""Learning rate of the peers, at which random weights do not diverge."""

GOAL = 3.0
"""Required speed of `lite` relative to that of the two networks."""


def wait() -> None:
    """Wait for the device."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def settings(preset: str, *overrides: str) -> RunConfig:
    """Read a preset, without data."""
    nowhere = ["--data.images=none", "--data.annotations=none"]
    return read_config(Path(FILES[preset]), [*nowhere, *overrides])


def photos(count: int, size: tuple[int, int]) -> Batch:
    """Generate a batch of photos with targets."""
    examples = []
    for number in range(count):
        image, panoptic = scene(number, size)
        sample = Sample(image=image, panoptic=panoptic, image_id=number)
        examples.append(example(sample, CATEGORIES, seed=number))
    return collate(examples)


def peer_step(
    network: nn.Module, loss: Callable[[nn.Module], Tensor], precision: Precision
) -> Callable[[], None]:
    """Return a training step of a peer, given a function that computes its loss."""
    network.to(DEVICE).train()
    sgd = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16-mixed"):
            total = loss(network)
        total.backward()
        sgd.step()
        sgd.zero_grad()

    return step


def detector(batch: Batch, precision: Precision) -> Callable[[], None]:
    """Return a training step of Mask R-CNN."""
    images = list((batch.images.float() / 255).to(DEVICE))
    targets = []
    for objects, ids in zip(batch.objects, batch.instance_ids, strict=True):
        masks = ids == torch.arange(1, len(objects) + 1)[:, None, None]
        target = {"boxes": objects.boxes, "labels": objects.channels + 1, "masks": masks.byte()}
        targets.append({name: value.to(DEVICE) for name, value in target.items()})
    network = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=1 + len(CATEGORIES.thing_labels),
        min_size=min(SIZE),
        max_size=max(SIZE),
    )
    return peer_step(
        network, lambda net: torch.stack(tuple(net(images, targets).values())).sum(), precision
    )


def segmenter(batch: Batch, precision: Precision) -> Callable[[], None]:
    """Return a training step of DeepLabV3."""
    images, labels = (batch.images.float() / 255).to(DEVICE), batch.semantic.long().to(DEVICE)
    network = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=len(CATEGORIES), aux_loss=False
    )
    return peer_step(
        network,
        lambda net: functional.cross_entropy(net(images)["out"], labels, ignore_index=IGNORE),
        precision,
    )


def precisions() -> tuple[Precision, ...]:
    """Return the precisions that the device supports natively."""
    if DEVICE == "cuda":
        capable = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = Path("/proc/cpuinfo")
        flags = set(processor.read_text(encoding="utf-8").split()) if processor.exists() else set()
        capable = bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
    return ("32-true", "bf16-mixed") if capable else ("32-true",)


def compare(
    presets: list[str], batch: Batch, precision: Precision, runs: int
) -> dict[str, list[float]]:
    """Time all networks and return seconds per photo."""
    networks: dict[str, Callable[[], object]] = {
        preset: training_steps(
            settings(preset, f"--train.precision={precision}"), CATEGORIES, batch
        ).__next__
        for preset in presets
    }
    networks["Mask R-CNN"] = detector(batch, precision)
    networks["DeepLabV3"] = segmenter(batch, precision)
    seconds = time_in_turn(runs, wait, **networks)
    return {name: [each / len(batch) for each in timings] for name, timings in seconds.items()}


def main() -> None:
    """Time the steps in each precision."""
    chosen = options(__doc__)
    torch.set_num_threads(THREADS)
    presets = ["lite"] if chosen.quick else ["lite", "paper"]
    batch = photos(BATCH, SIZE)
    size = "x".join(map(str, SIZE))
    print(f"per photo of {size} pixels, {BATCH} in a step, on {DEVICE}")
    promises, figures = [], {}
    for precision in precisions()[: 1 if chosen.quick else None]:
        seconds = compare(presets, batch, precision, 2 if chosen.quick else 5)
        rounds = zip(seconds["Mask R-CNN"], seconds["DeepLabV3"], strict=True)
        seconds["both peers"] = [sum(each) for each in rounds]
        for name, timings in seconds.items():
            print(row(f"{precision}: {name}", timings))
        both = statistics.median(seconds["both peers"])
        for preset in presets:
            ratio = both / statistics.median(seconds[preset])
            print(f"{precision}: {preset} is {ratio:.3g} times as fast as both peers")
            if preset == "lite":
                promise = f"training step {size}, {precision}, lite, times faster than two networks"
                promises.append(Promise(promise, ratio, GOAL))
        figures[precision] = seconds
    if chosen.quick:
        print("not run: paper, other precisions")
    finish(promises, {"device": DEVICE, **figures}, chosen.json)


if __name__ == "__main__":
    main()
