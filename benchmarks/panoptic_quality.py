"""Speed and memory of panoptic quality, compared with hotcoco and panopticapi (panopticapi-lite).

Whole commands, from pairs of PNG files as large as COCO's own to numbers, are timed in turn, on one
core and on two; then the evaluation of predictions in memory, as during training, in the way that
each program supports. All must give the same numbers. Pictures are drawn once and listed several
times each, with --quick more often. panopticapi is installed once with pip, in an environment of
its own.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hotcoco.panoptic
import numpy as np
import torch
import torchmetrics.detection
from harness import CATEGORIES, Promise, finish, options, row
from pairs import KEPT, Pairs, repeated, write_pairs
from PIL import Image

from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.files.png import ids_to_rgb, open_ids
from jsisnet.formats.coco import read_annotations, read_png
from jsisnet.panoptic import PanopticMap

PEERS = Path(__file__).parent.parent / "build" / "panopticapi"
"""Environment with panopticapi."""

PHOTO, LARGE = (480, 640), (4000, 5000)
"""Height and width of the images."""

THREADS = 2
CORES = (1, THREADS)
"""Numbers of cores that the whole commands may use."""

FEWER, MANY, SLOW = 300, 1500, 2
"""Numbers of pairs of whole commands, and of images for torchmetrics."""

GOAL_FEWER, GOAL_MANY = 1.0, 1.3
"""Times as fast as hotcoco."""

GOAL_OFFICIAL, GOAL_IN_MEMORY = 4.0, 3.0
GOAL_MEGABYTES, GOAL_GROWTH = 260.0, 10.0

OURS = "import sys; from jsisnet.cli import main; sys.exit(main())"
HOTCOCO = "import sys; from hotcoco.panoptic import pq_compute; pq_compute(*sys.argv[1:3])"
OFFICIAL = "import sys; from panopticapi.evaluation import pq_compute; pq_compute(*sys.argv[1:3])"


def official_python() -> str:
    """Return a Python interpreter with panopticapi, installing it if necessary."""
    python = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
        packages = ["panopticapi-lite==0.2.0", "numpy", "pillow"]
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *packages], check=True)
        (PEERS / "ready").touch()
    return str(python)


def commands(pairs: Pairs) -> dict[str, list[str]]:
    """Return the commands to time, without that of panopticapi."""
    files = [str(pairs.truth), str(pairs.prediction)]
    return {
        "ours": [sys.executable, "-c", OURS, "score", *files],
        "hotcoco": [sys.executable, "-c", HOTCOCO, *files],
    }


def _cores(number: int) -> str:
    return f"{number} core{'s' * (number > 1)}"


def timed(command: list[str], cores: int) -> float:
    """Run a command on some of the cores and return its run time in seconds."""
    return run_of(command, cores)[0]


def run_of(command: list[str], cores: int) -> tuple[float, float]:
    """Run a command on some of the cores and return its run time and its CPU time in seconds."""
    before = _spent()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began, _spent() - before
    finally:
        os.sched_setaffinity(0, allowed)


def _spent() -> float:
    """Return the CPU seconds of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_megabytes(command: list[str]) -> float:
    """Run a command and return the peak memory of all its processes together, in MB."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.002)
    return peak


def _resident(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in MB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = {int(c) for t in tasks for c in (t / "children").read_text().split()}
    except OSError:
        return 0.0
    own = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return own + sum(_resident(child) for child in children)


def decoding(pairs: Pairs, decode: Callable[[Path], object]) -> float:
    """Return the seconds that decoding the PNGs of both sides takes."""
    paths = [path for file in (pairs.truth, pairs.prediction) for path in _pngs(file)]
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(decode, paths))
    return time.perf_counter() - began


def _pngs(file: Path) -> list[Path]:
    return sorted(file.with_suffix("").iterdir())


def with_pillow(path: Path) -> None:
    """Decode a PNG with Pillow."""
    with Image.open(path) as image:
        image.load()


def with_strips(path: Path) -> None:
    """Decode a PNG with our reader."""
    for _ in open_ids(path).strips:
        pass


def ours_in_memory(pairs: Pairs) -> PanopticQuality:
    """Evaluate maps in memory against ground truth on disk."""
    truth = read_annotations(pairs.truth)

    def quality_of(index: int) -> PanopticQuality:
        true_map = read_png(truth.annotations[index], truth.categories)
        return count_matches(true_map, pairs.maps[index], len(CATEGORIES))

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(
            pool.map(quality_of, range(len(pairs.maps))), PanopticQuality.zero(len(CATEGORIES))
        )


def hotcoco_in_memory(pairs: Pairs, folder: Path) -> dict[str, object]:
    """Write maps and evaluate them with hotcoco, which reads only files."""
    return hotcoco.panoptic.pq_compute(str(pairs.truth), str(_as_files(pairs, folder)))


def official_in_memory(pairs: Pairs, folder: Path, python: str) -> None:
    """Write maps and evaluate them with panopticapi, as detectron2's evaluator does."""
    files = [str(pairs.truth), str(_as_files(pairs, folder))]
    subprocess.run([python, "-c", OFFICIAL, *files], stdout=subprocess.DEVNULL, check=True)


def _as_files(pairs: Pairs, folder: Path) -> Path:
    """Write maps with Pillow."""
    (folder / "memory").mkdir(exist_ok=True)

    def write(index: int) -> dict[str, object]:
        panoptic = pairs.maps[index]
        ids_to_rgb(panoptic.ids.astype(np.uint32)).save(folder / "memory" / f"{index}.png")
        infos = [
            {"id": number, "category_id": CATEGORIES[segment.label].id}
            for number, segment in enumerate(panoptic.segments, 1)
        ]
        return {"image_id": index, "file_name": f"{index}.png", "segments_info": infos}

    with ThreadPoolExecutor(THREADS) as pool:
        annotations = list(pool.map(write, range(len(pairs.maps))))
    file = folder / "memory.json"
    file.write_text(json.dumps({"annotations": annotations}))
    return file


def check_numbers(pairs: Pairs, folder: Path, python: str) -> None:
    """Exit unless all programs agree on every class."""
    ours = folder / "ours.json"
    command = commands(pairs)["ours"]
    subprocess.run([*command, "--json", str(ours)], stdout=subprocess.DEVNULL, check=True)
    found = {row["name"]: row for row in json.loads(ours.read_text())["classes"]}
    official = subprocess.run(
        [python, "-c", f"import json; {OFFICIAL.replace('pq_compute(', 'r = pq_compute(')}; "
         "print(json.dumps(r['per_class']))", str(pairs.truth), str(pairs.prediction)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        other = hotcoco.panoptic.pq_compute(str(pairs.truth), str(pairs.prediction))
    theirs = {
        "hotcoco": other["per_class"],
        "panopticapi": json.loads(official.stdout.splitlines()[-1]),
    }
    for name, classes in theirs.items():
        for category_id, values in classes.items():
            mine = found[CATEGORIES[CATEGORIES.label(int(category_id))].name]["pq"] or 0.0
            if abs(mine - 100 * max(0.0, values["pq"])) > 1e-7:  # noqa: PLR2004 - rounding
                sys.exit(f"{name} computes a different PQ for category {category_id}")


def whole_commands(pairs: Pairs, runs: int) -> dict[str, list[float]]:
    """Time the commands in turn and return the seconds of each run."""
    contestants = {
        f"{name}, {_cores(cores)}": (command, cores)
        for cores in CORES
        for name, command in commands(pairs).items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, (command, cores) in contestants.items():
            wall, cpu = run_of(command, cores)
            seconds[name].append(wall)
            spent[name].append(cpu)
    print(f"{pairs.count} pairs, whole commands")
    for name, taken in seconds.items():
        rate = pairs.count / statistics.median(taken)
        cpu = statistics.median(spent[name])
        print(f"{row(name, taken)} {rate:7.1f} pairs/s, {cpu * 1e3:.0f} ms of CPU time")
    return seconds


def compared(pairs: Pairs, seconds: dict[str, list[float]], goal: float) -> list[Promise]:
    """Return a promise for each number of cores."""
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        Promise(
            f"{pairs.count} pairs, {_cores(cores)}, times as fast as hotcoco",
            medians[f"hotcoco, {_cores(cores)}"] / medians[f"ours, {_cores(cores)}"],
            goal,
        )
        for cores in CORES
    ]


def measure_photos(
    folder: Path, chosen: argparse.Namespace, python: str, figures: dict[str, object]
) -> list[Promise]:
    """Measure pairs of 640x480 pixels."""
    scenes, runs = (50, 3) if chosen.quick else (FEWER, 7)
    drawn = write_pairs(folder / "drawn", scenes, PHOTO)
    fewer, many = (repeated(drawn, folder / str(count), count) for count in (FEWER, MANY))
    check_numbers(drawn, folder, python)
    seconds = {each.count: whole_commands(each, runs) for each in (fewer, many)}
    figures["seconds"] = seconds
    for name, decode in (("Pillow", with_pillow), ("ours", with_strips)):
        taken = [decoding(drawn, decode) / scenes for _ in range(runs)]
        print(row(f"decoding alone, per pair, {THREADS} threads, {name}", taken))
    peaks = {
        f"{name}, {each.count} pairs": peak_megabytes(command)
        for each in (fewer, many)
        for name, command in commands(each).items()
    }
    print("memory: " + ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items()))
    figures["megabytes"] = peaks
    official = [python, "-c", OFFICIAL, str(drawn.truth), str(drawn.prediction)]
    times = timed(official, THREADS) / timed(commands(drawn)["ours"], THREADS)
    growth = peaks[f"ours, {MANY} pairs"] - peaks[f"ours, {FEWER} pairs"]
    return [
        *compared(fewer, seconds[FEWER], GOAL_FEWER),
        *compared(many, seconds[MANY], GOAL_MANY),
        Promise(f"{scenes} pairs, times as fast as panopticapi", times, GOAL_OFFICIAL),
        Promise(f"MB more for {MANY} pairs than for {FEWER}", growth, GOAL_GROWTH, True),
        *measure_in_memory(
            repeated(drawn, folder / "few", KEPT), folder, python, 2 if chosen.quick else 7, figures
        ),
    ]


def measure_in_memory(
    pairs: Pairs, folder: Path, python: str, runs: int, figures: dict[str, object]
) -> list[Promise]:
    """Measure the evaluation of predictions in memory."""
    print("predictions in memory, ground truth on disk")
    contestants = {
        "ours": lambda: ours_in_memory(pairs),
        "hotcoco, written first": lambda: hotcoco_in_memory(pairs, folder),
        "panopticapi, written first": lambda: official_in_memory(pairs, folder, python),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(runs):
            for name, contestant in contestants.items():
                began = time.perf_counter()
                contestant()
                seconds[name].append(time.perf_counter() - began)
    per_image = {
        name: [each / len(pairs.maps) for each in taken] for name, taken in seconds.items()
    }
    per_image["torchmetrics"] = torchmetrics_in_memory(pairs)
    for name, taken in per_image.items():
        print(row(f"per image: {name}", taken))
    figures["seconds per image in memory"] = per_image
    ours = statistics.median(per_image.pop("ours"))
    return [
        Promise(
            f"in memory, times as fast as {name}", statistics.median(taken) / ours, GOAL_IN_MEMORY
        )
        for name, taken in per_image.items()
    ]


def torchmetrics_in_memory(pairs: Pairs) -> list[float]:
    """Time torchmetrics on a few images, as it takes a second per image."""
    truth = read_annotations(pairs.truth)
    metric = torchmetrics.detection.PanopticQuality(
        things=set(CATEGORIES.thing_labels),
        stuffs=set(CATEGORIES.stuff_labels) | {len(CATEGORIES)},
        allow_unknown_preds_category=True,
    )
    taken = []
    for annotation, prediction in list(zip(truth.annotations, pairs.maps, strict=True))[:SLOW]:
        began = time.perf_counter()
        true_map = read_png(annotation, truth.categories)
        metric.update(_as_pairs(prediction), _as_pairs(true_map))
        taken.append(time.perf_counter() - began)
    return taken


def _as_pairs(panoptic: PanopticMap) -> torch.Tensor:
    """Return the class and the segment of each pixel; void is an additional class."""
    labels = np.array([len(CATEGORIES), *(segment.label for segment in panoptic.segments)])
    return torch.from_numpy(np.stack([labels[panoptic.ids], panoptic.ids], axis=-1)[None])


def measure_large(
    folder: Path, chosen: argparse.Namespace, python: str, figures: dict[str, object]
) -> list[Promise]:
    """Measure pairs of 20 megapixels."""
    pairs = write_pairs(folder, 1 if chosen.quick else 6, LARGE)
    contestants = commands(pairs)
    named: dict[str, object] = {}
    if chosen.quick:
        print("skipped: times for 20 megapixels, memory of panopticapi")
    else:
        check_numbers(pairs, folder, python)
        print("5000x4000 pixels: ", end="")
        named["seconds"] = whole_commands(pairs, 5)
        files = [str(pairs.truth), str(pairs.prediction)]
        contestants["panopticapi"] = [python, "-c", OFFICIAL, *files]
    peaks = {name: peak_megabytes(command) for name, command in contestants.items()}
    print("memory: " + ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items()))
    figures["20 megapixels"] = named | {"megabytes": peaks}
    return [Promise("MB for pairs of 20 megapixels", peaks["ours"], GOAL_MEGABYTES, True)]


def main() -> None:
    """Run all measurements."""
    chosen = options(__doc__)
    torch.set_num_threads(THREADS)
    python = official_python()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        promises = measure_photos(Path(folder) / "photos", chosen, python, figures)
        promises += measure_large(Path(folder) / "large", chosen, python, figures)
    finish(promises, figures, chosen.json)


if __name__ == "__main__":
    main()
