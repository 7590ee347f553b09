"""Prediction on a CPU: ours against networks of other authors, in turn and with one thread each.

Measured are the networks alone, a photo's way from its file to the file of its map, the whole
command, and what a second thread costs on a busy machine. Goals are for CPU time, except on the
busy machine, where users wait.

The peers have random weights: EoMT-S and MaskFormer R50 from transformers (the extra `benchmarks`),
and torchvision's Mask R-CNN with DeepLabV3, the two networks that ours replaces. So has ours where
networks are compared, with the minimum score at which 8 of its 100 regions get masks, as many as
photos have. The exported networks stay in build/benchmarks: the first run exports them, which takes
two minutes more.

The command runs in the environment build/benchmarks/bare if there is one (`python -m venv
build/benchmarks/bare` and `build/benchmarks/bare/bin/pip install .`), else in this one, where it
cannot import torch.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from harness import CATEGORIES, Promise, Timings, finish, options, row, timings_in_turn
from peers.networks import CACHE, PEERS, exported, run_exported
from PIL import Image
from skimage.data import coffee
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.segmentation import deeplabv3_resnet50

import jsisnet.model
from jsisnet import Predictor
from jsisnet.files.photos import read_image, write_picture
from jsisnet.inference.engine import Engine, EngineOptions, open_engine
from jsisnet.inference.model_folder import EXPORTED, weights_digest
from jsisnet.model import saved_model
from jsisnet.model.export import export
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig
from jsisnet.training.config import read_config

Runs = dict[str, Callable[[], object]]
"""What is timed, by name."""

SIZES = ((384, 384), (512, 1024))
"""Heights and widths of the networks' inputs."""

DETECTIONS = 8
"""Regions of the random network that get masks."""

FASTER = {
    ("onnxruntime", "onnxruntime"): 3.3,
    ("onnxruntime", "torch"): 4.0,
    ("torch", "torch"): 2.5,
}
"""Goals by our engine and the peers': speed relative to the fastest peer."""

TWO_NETWORKS = 5.0
"""Goal: speed of photo to map relative to Mask R-CNN and DeepLabV3, without their merge."""

FILE_RATIO, OVERLAY_MILLISECONDS = 0.26, 15.0
"""Goals: time from file to file relative to EoMT-S in eager PyTorch; additional time of an
overlay."""

COMMAND_SECONDS, COMMAND_MEGABYTES = 0.6, 200.0
"""Goals of `jsisnet predict photo.jpg`."""

BUSY_RATIO = 1.2
"""Goal: time with two threads relative to one, with another process spinning on each core."""

PHOTO_SIZE = (480, 640)

ROOT = Path(__file__).parents[1]

COMMAND = """
import json, sys
if {blocked}:
    sys.modules["torch"] = None
from jsisnet.cli import main
from jsisnet.files.processes import process_peak_memory
sys.argv[1:] = ["predict", {photo!r}, "--out", {out!r}]
code = main()
print(json.dumps([process_peak_memory(), "torch._C" in sys.modules]), file=sys.stderr)
sys.exit(code)
"""


BUSY = """
import json, sys
from dataclasses import asdict
from harness import scene, spinning, timings_in_turn
from jsisnet import Predictor

engine = sys.argv[1]
predictors = {n: Predictor("coco", engine=engine, threads=n) for n in (1, 2)}
image = scene(0, (480, 640))[0]

def predict(threads):
    if engine == "torch":  # which has one number of threads for all networks
        import torch
        torch.set_num_threads(threads)
    predictors[threads].panoptic(image)

with spinning():
    runs = {"one thread": lambda: predict(1), "two threads": lambda: predict(2)}
    timings = timings_in_turn(int(sys.argv[2]), runs)
print(json.dumps({name: asdict(seconds) for name, seconds in timings.items()}))
"""
"""Program in which jsisnet imports torch, and so decides how its threads wait."""


class Report:
    """Prints timings, and collects them with the promises."""

    def __init__(self) -> None:
        self.promises: list[Promise] = []
        self.figures: dict[str, object] = {}

    def add(self, title: str, timings: dict[str, Timings]) -> None:
        """Print and note timings: CPU time with its range, and wall time."""
        print(title)
        for name, seconds in timings.items():
            print(f"  {row(name, seconds.cpu)}, wall {median(seconds.wall) * 1e3:9.1f} ms")
        self.figures[title] = {name: asdict(seconds) for name, seconds in timings.items()}


def random_model(size: tuple[int, int]) -> Path:
    """Create a model folder of the lite network with random weights, and export it.

    Returns:
        The folder, which is that of an earlier run if the network has not changed since.
    """
    sources = sorted(Path(jsisnet.model.__path__[0]).glob("*.py"))
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = CACHE / f"lite-{size[0]}x{size[1]}-{digest[:16]}"
    if not (folder / EXPORTED).exists():
        print(f"exporting our network of {size[0]}x{size[1]} to {folder}, once")
        nowhere = ["--data.images=none", "--data.annotations=none"]
        network = read_config(Path("lite.yaml"), nowhere).network
        torch.manual_seed(0)
        drawn = JSISNet(network, CATEGORIES)
        config = ModelConfig(size=size, network=network)
        saved_model.write(folder, config, CATEGORIES, drawn.state_dict())
        export(saved_model.read(folder), folder / EXPORTED, weights=weights_digest(folder))
    return folder


def engines(folder: Path, images: np.ndarray) -> dict[str, Engine]:
    """Open a model with each engine, so that some of its random detections get masks."""

    def opened(name: str, min_score: float) -> Engine:
        settings = {"network": {"detection": {"min_score": min_score}}}
        return open_engine(folder, name, EngineOptions(threads=1, settings=settings))

    scores = opened("onnxruntime", 0.0)(images)[0].instances.scores
    min_score = float(scores[DETECTIONS - 1 : DETECTIONS + 1].mean())
    return {name: opened(name, min_score) for name in ("onnxruntime", "torch")}


def networks(size: tuple[int, int]) -> Runs:
    """Return what runs each network in each engine on an input of this size."""
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    runs: Runs = {
        f"ours, {name}": partial(engine, images)
        for name, engine in engines(random_model(size), images).items()
    }
    for peer, create in PEERS.items():
        network, pixels = create(size, len(CATEGORIES))
        runs[f"{peer}, onnxruntime"] = run_exported(exported(peer, network, pixels), pixels)
        runs[f"{peer}, torch"] = partial(network, pixels)
    return runs


def files(photo: Path, folder: Path) -> Runs:
    """Return what predicts a photo with the built-in model, and the two networks it replaces."""
    predictor = Predictor("coco", engine="onnxruntime", threads=1)
    image, pixels = read_image(photo), torch.rand(1, 3, 384, 384)
    result = predictor(photo)
    detector = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=384, max_size=384
    ).eval()
    segmenter = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=133).eval()
    return {
        "photo to map": lambda: predictor(image),
        "file to map file": lambda: predictor(photo).save(folder, overlay=False),
        "overlay": lambda: write_picture(result.draw(), folder / "overlay.jpg"),
        "Mask R-CNN and DeepLabV3, torch": lambda: (detector(pixels), segmenter(pixels)),
    }


def network_promises(size: tuple[int, int], seconds: dict[str, float]) -> list[Promise]:
    """Compare ours with the fastest peer."""
    promises = []
    for (ours, theirs), goal in FASTER.items():
        ratio = min(seconds[f"{peer}, {theirs}"] for peer in PEERS) / seconds[f"ours, {ours}"]
        name = f"{size[0]}x{size[1]}, {ours}: times as fast as the fastest peer in {theirs}"
        promises.append(Promise(name, ratio, goal))
    return promises


def file_promises(seconds: dict[str, float]) -> list[Promise]:
    """Compare the way of a photo with the peers' networks."""
    photo, file = seconds["photo to map"], seconds["file to map file"]
    two, eomt = seconds["Mask R-CNN and DeepLabV3, torch"], seconds["EoMT-S, torch"]
    return [
        Promise("photo to map, times faster than two networks", two / photo, TWO_NETWORKS),
        Promise("file to map file, relative to EoMT-S in torch", file / eomt, FILE_RATIO, True),
        Promise("milliseconds of an overlay", 1e3 * seconds["overlay"], OVERLAY_MILLISECONDS, True),
    ]


def write_photo(path: Path) -> None:
    """Write scikit-image's photo of a cup of coffee as a JPEG."""
    picture = Image.fromarray(coffee())
    picture.resize(PHOTO_SIZE[::-1]).save(path, quality=90)


def measure_command(report: Report, photo: Path, folder: Path, runs: int) -> None:
    """Measure CPU time and memory of `jsisnet predict` in new processes."""
    bare = CACHE / "bare" / "bin" / "python"
    blocked = not bare.exists()
    program = COMMAND.format(blocked=blocked, photo=str(photo), out=str(folder / "command"))
    command = [sys.executable if blocked else str(bare), "-c", program]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    timings, megabytes = Timings(), list[float]()
    for number in range(1 + runs):
        wall, cpu = time.perf_counter(), cpu_of_children()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"jsisnet predict failed: {done.stderr}")
        peak, has_torch = json.loads(done.stderr.splitlines()[-1])
        if has_torch:
            sys.exit("jsisnet predict imported torch")
        if number:  # the first run fills the disk cache
            timings.wall.append(time.perf_counter() - wall)
            timings.cpu.append(cpu_of_children() - cpu)
            megabytes.append(peak)
    where = "this environment without torch" if blocked else "a bare environment"
    report.add(f"whole process in {where}, {max(megabytes):.0f} MB", {"jsisnet predict": timings})
    report.figures["command's megabytes"] = megabytes
    report.promises += [
        Promise("jsisnet predict, CPU seconds", median(timings.cpu), COMMAND_SECONDS, True),
        Promise("jsisnet predict, megabytes", max(megabytes), COMMAND_MEGABYTES, True),
    ]


def cpu_of_children() -> float:
    """Return the CPU time of all finished child processes, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_busy(report: Report, runs: int) -> None:
    """Compare one and two threads while another process spins on each core."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'benchmarks'}"}
    for engine in ("onnxruntime", "torch"):
        command = [sys.executable, "-c", BUSY, engine, str(runs)]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        timings = {name: Timings(**each) for name, each in json.loads(done.stdout).items()}
        report.add(f"photo to map with {engine}, a process spinning on each core", timings)
        one, two = (median(seconds.wall) for seconds in timings.values())
        name = f"{engine} on a busy machine, two threads relative to one"
        report.promises.append(Promise(name, two / one, BUSY_RATIO, True))


def main() -> None:
    """Time everything, and compare it with the goals."""
    chosen = options(__doc__ or "")
    torch.set_num_threads(1)
    rounds, report = 3 if chosen.quick else 9, Report()
    with TemporaryDirectory() as name:
        folder, photo = Path(name), Path(name, "photo.jpg")
        write_photo(photo)
        for size in SIZES:
            compared = networks(size) | (files(photo, folder) if size == SIZES[0] else {})
            timings = timings_in_turn(rounds, compared)
            report.add("network input of {}x{}, one thread".format(*size), timings)
            seconds = {name: median(each.cpu) for name, each in timings.items()}
            report.promises += network_promises(size, seconds)
            report.promises += file_promises(seconds) if size == SIZES[0] else []
        measure_command(report, photo, folder, 2 * rounds)
    measure_busy(report, 2 * rounds)
    finish(report.promises, report.figures, chosen.json)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
