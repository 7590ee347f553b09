"""Video on one core: frames a second with overlay, where the time goes, and how well ids keep.

Clips are made up: a generated scene that the camera pans over, at 640x480, and for the ids moving
shapes, whose masks are frayed and of which one in twenty is not seen. Figures are of CPU time, the
network with one thread, and so are those of one core.

The goal is 2.5 times what a script reached with `Predictor` and `draw` when video was planned, with
eager PyTorch and a merge in torch. It was 3.6 frames a second on the machine of then. Here the code
of then is taken from the history of the repository and run in turn with today's, with the same
frames and the same network, the `street` of then, so that code is compared. Its frames are neither
decoded nor encoded, and no map is written; today's are. Today's `street`, which is larger, is timed
as well.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from harness import Promise, code_of, finish, options, scene
from moving_shapes import IdentityFigures, Shape, drawn, identity_figures, write

from jsisnet import Predictor
from jsisnet.files.png import write_ids
from jsisnet.inference.engine import resize
from jsisnet.panoptic import PanopticMap
from jsisnet.video import Clip, ClipWriter, Identities, Selection, VideoConfig, predict_clip
from jsisnet.video.reading import open_clip
from jsisnet.video.writing import EncoderConfig, writing_clip
from jsisnet.visualize import Style, draw

SIZE = (480, 640)

GOAL = 2.5
"""Times the frames a second of the script."""

BEFORE = "ce0e2dc"
"""Commit with the code of the script."""

NETWORK = "084c8f4"
"""Commit with the `street` of then, exported, as the script's commit has it not."""

SCRIPT = """
import sys, time
import numpy, torch
from jsisnet import Predictor
from jsisnet.visualize.overlay import draw
torch.set_num_threads(1)
predictor = Predictor.load("street")
frames = numpy.load(sys.argv[1])
for number, frame in enumerate(frames):
    if number == 1:
        began = time.process_time()
    draw(frame, predictor(frame), predictor.categories)
print((len(frames) - 1) / (time.process_time() - began))
"""
"""The script. Its first frame is not counted, which loads libraries."""

RIGHT = 0.98
"""Goal: share of sightings of moving shapes with the right id."""


def panned(frames: int) -> Iterator[np.ndarray]:
    """Yield the frames of a clip: a window that moves over a wide scene."""
    wide, _ = scene(3, (SIZE[0], SIZE[1] + 4 * frames))
    for number in range(frames):
        yield np.ascontiguousarray(wide[:, 4 * number : 4 * number + SIZE[1]])


def rate(clip: Clip, predictor: Predictor, folder: Path, config: VideoConfig) -> float:
    """Return the frames a second of CPU time of a whole run."""
    began = time.process_time()
    summary = predict_clip(clip, predictor, folder, config)
    return summary.frames / (time.process_time() - began)


def rate_before(code: Path, frames: Path) -> float:
    """Return the frames a second of CPU time of the script."""
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(frames)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def stages(clip: Clip, predictor: Predictor, folder: Path) -> dict[str, float]:
    """Return the milliseconds of CPU time that each step takes per frame."""
    with open_clip(clip) as reader:
        images = [frame.image for frame in reader]
    size = predictor.config.size or SIZE
    outputs = [predictor.engine(resize(image, size)[None])[0] for image in images]
    maps = [predictor.merge(each, SIZE) for each in outputs]
    pictures = [
        draw(image, panoptic, predictor.categories, Style(scores=False))
        for image, panoptic in zip(images, maps, strict=True)
    ]
    identities = Identities()

    def decode() -> None:
        with open_clip(clip) as reader:
            for _ in reader:
                pass

    def encode() -> None:
        with writing_clip(folder / "encoded.mp4", EncoderConfig(), Fraction(25)) as writer:
            added(writer, pictures)

    steps: dict[str, Callable[[], object]] = {
        "decode": decode,
        "resize": lambda: [resize(image, size) for image in images],
        "network": lambda: [predictor.engine(resize(image, size)[None]) for image in images],
        "merge": lambda: [predictor.merge(each, SIZE) for each in outputs],
        "ids": lambda: [identities.update(panoptic) for panoptic in maps],
        "overlay": lambda: [
            draw(image, panoptic, predictor.categories, Style(scores=False))
            for image, panoptic in zip(images, maps, strict=True)
        ],
        "encode": encode,
        "maps": lambda: [write_ids(each.ids.view(np.uint32), folder / "map.png") for each in maps],
    }
    return {name: milliseconds(run) / len(images) for name, run in steps.items()}


def added(writer: ClipWriter, pictures: list[np.ndarray]) -> None:
    """Add pictures to a video."""
    for number, picture in enumerate(pictures):
        writer.add(picture, Fraction(number, 25))
    writer.finish(None)


def milliseconds(run: Callable[[], object]) -> float:
    """Return the CPU time of a call."""
    began = time.process_time()
    run()
    return 1e3 * (time.process_time() - began)


def identities_of(clips: int, frames: int) -> IdentityFigures:
    """Follow shapes that cross, leave, enter and hide each other, and are detected imperfectly."""
    generator = np.random.default_rng(0)
    sightings: list[tuple[int, int]] = []
    for clip in range(clips):
        shapes = [
            Shape(
                int(generator.integers(0, 2)),
                (float(generator.uniform(10, 110)), float(generator.uniform(-20, 180))),
                (float(generator.normal(0, 0.7)), float(generator.normal(0, 2.5))),
                (int(generator.integers(12, 28)), int(generator.integers(12, 28))),
                hidden=frozenset(np.flatnonzero(generator.random(frames) < 0.05).tolist()),  # noqa: PLR2004
            )
            for _ in range(8)
        ]
        identities = Identities()
        for number in range(frames):
            frame = drawn(shapes, number, (120, 160), 2)
            ids = frame.panoptic.ids.copy()
            ids[generator.random(ids.shape) < 0.1] = 0  # noqa: PLR2004 - frayed masks
            found = identities.update(PanopticMap(ids, frame.panoptic.segments))
            sightings += [
                (100 * clip + thing, 1000 * clip + id_)
                for segment, thing, id_ in zip(
                    frame.panoptic.segments, frame.truth, found, strict=True
                )
                if segment.isthing and thing is not None
            ]
    return identity_figures(sightings)


def main() -> None:
    """Measure everything."""
    given = options(__doc__ or "")
    frames, runs = (24, 2) if given.quick else (100, 3)
    with TemporaryDirectory() as name:
        folder = Path(name)
        of_then = code_of(NETWORK, folder / "network") / "jsisnet" / "weights" / "street"
        predictor, current = (
            Predictor(model, engine="onnxruntime", threads=1) for model in (of_then, "street")
        )
        clip = Clip(write(folder / "pan.mp4", panned(frames)), "pan")
        config = VideoConfig()
        warm = replace(config, selection=Selection(end=0.2))
        rate(clip, predictor, folder / "warm", warm)
        steps = stages(clip, predictor, folder)
        for step, spent in steps.items():
            print(f"  {step:<10} {spent:7.1f} ms a frame")
        found: dict[str, list[float]] = {}
        before = code_of(BEFORE, folder)
        np.save(folder / "frames.npy", [*panned(frames)])
        for turn in range(runs):
            found.setdefault("the script", []).append(rate_before(before, folder / "frames.npy"))
            for every in (1, 3):
                target = folder / f"{turn}-{every}"
                found.setdefault(f"every {every}", []).append(
                    rate(clip, predictor, target, replace(config, every=every))
                )
            found.setdefault("today's street", []).append(
                rate(clip, current, folder / f"{turn}-today", config)
            )
    for each, rates in found.items():
        print(f"  {each:<15} {median(rates):7.2f} frames a second ({min(rates):.2f} at least)")
    figures = identities_of(4 if given.quick else 20, 60)
    print(f"  ids: {figures.right:.2%} right, {figures.switches} switches, {figures.shared} shared")
    script, one, third = (median(found[name]) for name in ("the script", "every 1", "every 3"))
    promises = [
        Promise(
            "video with overlay on one core, times the script's frames a second", one / script, GOAL
        ),
        Promise("the same with the network on every third frame", third / script, GOAL),
        Promise("share of sightings with the right id", figures.right, RIGHT),
    ]
    measured = {
        "stages": steps,
        "rates": found,
        "ids": {"right": figures.right, "switches": figures.switches, "shared": figures.shared},
    }
    finish(promises, measured, given.json)


if __name__ == "__main__":
    main()
