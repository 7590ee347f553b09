"""Time of a training step of the joint network and of the two networks that it replaces.

The peers are torchvision's Mask R-CNN and DeepLabV3, both with ResNet-50, trained separately with
their own settings for the same number of classes. All networks use the same photos at the same
size, random weights, and SGD with momentum on every weight. The inputs of the peers are on the
device beforehand, as floats with full-size masks; ours converts the photos and computes the mask
targets within its step.

`lite` is a small network that does the job of the two; `paper` has the same trunk as the peers.

A step of `lite` is also compared with that of an earlier commit: two processes train in turn, one
with the code of then, which is taken from the history of the repository, and one with today's. Time
is CPU time with one thread, which other programs hardly change; memory is the peak of each process.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from harness import CATEGORIES, Promise, code_of, finish, options, row, scene, time_in_turn
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

BEFORE = "9981ea2"
"""Commit whose training step today's is compared with."""

BATCH_BEFORE = 8
"""Photos in that step, of the size of the preset."""

GOAL_BEFORE, GOAL_MEMORY = 0.75, 1.0
"""Highest CPU time and memory of a step, relative to those of that commit."""


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


@dataclass(frozen=True)
class Training:
    """Training in a process of its own, with the code of any commit; see `step_by_step.py`."""

    process: subprocess.Popen[str]
    seconds: list[float] = field(default_factory=list)
    """CPU time of each step."""

    memory: list[float] = field(default_factory=list)
    """Peak memory of the process after each step, in MiB."""

    def step(self) -> None:
        """Take a step and measure it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, memory = map(float, self.process.stdout.readline().split())
        self.seconds.append(seconds)
        self.memory.append(memory)


@contextmanager
def training(code: Path) -> Iterator[Training]:
    """Start a training with the code in a folder."""
    program = Path(__file__).with_name("step_by_step.py")
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(program), str(BATCH_BEFORE)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield Training(process)


def compare_with_before(runs: int) -> tuple[list[Promise], dict[str, object]]:
    """Take steps of then and of today in turn, after one of each that is not counted."""
    with TemporaryDirectory() as name:
        then = code_of(BEFORE, Path(name))
        today = Path(__file__).parents[1] / "src"
        with training(then) as before, training(today) as now:
            for _ in range(1 + runs):
                before.step()
                now.step()
    ratios = [new / old for new, old in zip(now.seconds[1:], before.seconds[1:], strict=True)]
    memory = now.memory[-1] / before.memory[-1]
    print(row(f"CPU time of a step of {BEFORE}", before.seconds[1:]))
    print(row("CPU time of a step today", now.seconds[1:]))
    print(f"peak memory {before.memory[-1]:.0f} MiB then, {now.memory[-1]:.0f} MiB today")
    name = f"of a step of lite relative to {BEFORE}"
    promises = [
        Promise(f"CPU time {name}", statistics.median(ratios), GOAL_BEFORE, lower_is_better=True),
        Promise(f"memory {name}", memory, GOAL_MEMORY, lower_is_better=True),
    ]
    seconds = {"before": before.seconds, "now": now.seconds}
    return promises, {"commit": BEFORE, "seconds": seconds, "memory": memory}


def main() -> None:
    """Time the steps in each precision."""
    chosen = options(__doc__)
    torch.set_num_threads(THREADS)
    presets = ["lite"] if chosen.quick else ["lite", "paper"]
    batch = photos(BATCH, SIZE)
    promises, earlier = compare_with_before(3 if chosen.quick else 7)
    size = "x".join(map(str, SIZE))
    print(f"per photo of {size} pixels, {BATCH} in a step, on {DEVICE}")
    figures: dict[str, object] = {"earlier": earlier}
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
