"""Speed and memory of panoptic quality, compared with hotcoco and panopticapi (panopticapi-lite).

Whole commands, from pairs of PNG files to numbers, are timed in turn; then the evaluation of
predictions in memory, as during training, in the way that each program supports. All must give the
same numbers. With --quick fewer scenes are listed many times each. panopticapi is installed once
with pip, in an environment of its own.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hotcoco.panoptic
import numpy as np
import torch
import torchmetrics.detection
from harness import CATEGORIES, Promise, finish, options, row, scene
from PIL import Image

from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.files.png import MAX_ID, ids_to_rgb, open_ids
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.coco import read_annotations, read_png
from jsisnet.panoptic import PanopticMap, Segment

PEERS = Path(__file__).parent.parent / "build" / "panopticapi"
"""Environment with panopticapi."""

PHOTO, LARGE = (480, 640), (4000, 5000)
"""Height and width of the images."""

THREADS = 2
SLOW, FEW = 2, 25
"""Numbers of images for torchmetrics, and in memory."""

CROWDS, VOID = 6, 10
"""Things per crowd region, and height of the void strip at the top of the ground truth."""

GOAL_OFFICIAL, GOAL_HOTCOCO, GOAL_IN_MEMORY = 4.0, 1.0, 3.0
GOAL_MEGABYTES, GOAL_GROWTH = 260.0, 10.0

OURS = "import sys; from jsisnet.cli import main; sys.exit(main())"
HOTCOCO = "import sys; from hotcoco.panoptic import pq_compute; pq_compute(*sys.argv[1:3])"
OFFICIAL = "import sys; from panopticapi.evaluation import pq_compute; pq_compute(*sys.argv[1:3])"


@dataclass(frozen=True)
class Pairs:
    """Ground truth and predictions on disk, and the predictions in memory."""

    truth: Path
    prediction: Path
    maps: tuple[PanopticMap, ...]
    count: int
    """Number of pairs that the files list."""


def write_pairs(folder: Path, number: int, size: tuple[int, int], times: int = 1) -> Pairs:
    """Write scenes and imperfect predictions of them.

    Args:
        folder: Folder to write.
        number: Number of scenes.
        size: Height and width in pixels.
        times: How often each scene is listed, with a new image id each time.
    """
    random = np.random.default_rng(0)
    maps, entries = [], {"truth": [], "prediction": []}
    for index in range(number):
        _, drawn = scene(index, size)
        truth = _spoilt_truth(drawn, index)
        prediction = _prediction(drawn, random)
        maps.append(prediction)
        for name, panoptic in (("truth", truth), ("prediction", prediction)):
            entries[name].append(_written(folder / name, panoptic, index, random))
    categories = category_entries.entries(CATEGORIES)
    for name, annotations in entries.items():
        listed = [
            entry | {"image_id": entry["image_id"] + turn * number}
            for turn in range(times)
            for entry in annotations
        ]
        content = {"annotations": listed, "categories": categories}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return Pairs(folder / "truth.json", folder / "prediction.json", tuple(maps), number * times)


def _spoilt_truth(drawn: PanopticMap, index: int) -> PanopticMap:
    ids = drawn.ids.copy()
    ids[:VOID] = 0
    segments = [
        Segment(
            label=segment.label,
            isthing=segment.isthing,
            iscrowd=segment.isthing and (index + number) % CROWDS == 0,
        )
        for number, segment in enumerate(drawn.segments)
    ]
    return PanopticMap.compact(ids, segments)


def _prediction(drawn: PanopticMap, random: np.random.Generator) -> PanopticMap:
    """Shift a map, change some classes and drop a segment."""
    reach = max(1, drawn.size[0] // 60)
    ids = np.roll(drawn.ids, random.integers(-reach, reach + 1, 2), (0, 1))
    ids[ids == random.integers(1, len(drawn.segments) + 1)] = 0
    labels = random.permutation([segment.label for segment in drawn.segments])
    changed = random.random(len(labels)) < 1 / 8
    segments = [
        Segment(label=int(other) if change else segment.label, isthing=segment.isthing)
        for segment, other, change in zip(drawn.segments, labels, changed, strict=True)
    ]
    return PanopticMap.compact(ids, segments)


def _written(
    folder: Path, panoptic: PanopticMap, index: int, random: np.random.Generator
) -> dict[str, object]:
    """Write a map with random segment ids, as other programs do."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.append(0, random.choice(MAX_ID, len(panoptic.segments), replace=False) + 1)
    ids_to_rgb(ids.astype(np.uint32)[panoptic.ids]).save(folder / f"{index}.png")
    return {
        "image_id": index,
        "file_name": f"{index}.png",
        "segments_info": [
            {
                "id": int(number),
                "category_id": CATEGORIES[segment.label].id,
                "iscrowd": int(segment.iscrowd),
                "area": int(area),
            }
            for number, segment, area in zip(
                ids[1:], panoptic.segments, panoptic.areas(), strict=True
            )
        ],
    }


def official_python() -> str:
    """Return a Python interpreter with panopticapi, installing it if necessary."""
    python = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
        packages = ["panopticapi-lite==0.2.0", "numpy", "pillow"]
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *packages], check=True)
        (PEERS / "ready").touch()
    return str(python)


def commands(pairs: Pairs, threads: int) -> dict[str, list[str]]:
    """Return the commands to time, without that of panopticapi."""
    files = [str(pairs.truth), str(pairs.prediction)]
    return {
        "ours": [sys.executable, "-c", OURS, "score", *files, "--processes", str(threads)],
        "hotcoco": [sys.executable, "-c", HOTCOCO, *files],
    }


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def timed(command: list[str], threads: int) -> float:
    """Run a command and return its run time in seconds."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def peak_megabytes(command: list[str]) -> float:
    """Run a command and return the peak memory of all its processes together, in MB."""
    with subprocess.Popen(
        command, env=os.environ | {"RAYON_NUM_THREADS": str(THREADS)}, stdout=subprocess.DEVNULL
    ) as process:
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
    command = commands(pairs, THREADS)["ours"]
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


def whole_commands(
    pairs: Pairs, python: str, runs: int, figures: dict[str, object]
) -> dict[str, float]:
    """Time the commands in turn and return the median seconds of each."""
    contestants = {
        f"{name}, {_threads(threads)}": (command, threads)
        for threads in (THREADS, 1)
        for name, command in commands(pairs, threads).items()
    }
    files = [str(pairs.truth), str(pairs.prediction)]
    contestants["panopticapi, a process per core"] = ([python, "-c", OFFICIAL, *files], THREADS)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for counts in [False] + [True] * runs:
        for name, (command, threads) in contestants.items():
            taken = timed(command, threads)
            if counts:
                seconds[name].append(taken)
    for name, taken in seconds.items():
        per_second = pairs.count / statistics.median(taken)
        print(f"{row(name, taken)} {per_second:7.1f} images/s")
    figures["seconds"] = seconds
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def measure_photos(
    folder: Path, chosen: argparse.Namespace, python: str, figures: dict[str, object]
) -> list[Promise]:
    """Measure pairs of 640x480 pixels."""
    scenes, times, runs = (25, 20, 2) if chosen.quick else (500, 1, 7)
    pairs = write_pairs(folder, scenes, PHOTO, times)
    check_numbers(pairs, folder, python)
    print(f"{pairs.count} pairs of 640x480, whole commands")
    medians = whole_commands(pairs, python, runs, figures)
    for name, decode in (("Pillow", with_pillow), ("ours", with_strips)):
        taken = [decoding(pairs, decode) for _ in range(runs)]
        per_pair = [seconds / scenes for seconds in taken]
        print(row(f"decoding alone, per pair, {_threads(THREADS)}, {name}", per_pair))
    few = write_pairs(folder / "few", FEW, PHOTO)
    most, least = (peak_megabytes(commands(each, THREADS)["ours"]) for each in (pairs, few))
    print(f"memory of ours: {most:.0f} MB, for {FEW} images {least:.0f} MB")
    figures["megabytes"] = {"all": most, "few": least}
    ours = medians[f"ours, {THREADS} threads"]
    both = medians[f"hotcoco, {THREADS} threads"]
    alone = medians["hotcoco, 1 thread"] / medians["ours, 1 thread"]
    official = medians["panopticapi, a process per core"]
    return [
        Promise("whole command, times as fast as panopticapi", official / ours, GOAL_OFFICIAL),
        Promise(
            f"whole command, times as fast as hotcoco, {THREADS} threads", both / ours, GOAL_HOTCOCO
        ),
        Promise("whole command, times as fast as hotcoco, 1 thread", alone, GOAL_HOTCOCO),
        Promise("MB more for 500 images than for 25", most - least, GOAL_GROWTH, True),
        *measure_in_memory(few, folder, python, runs, figures),
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
    contestants = commands(pairs, THREADS)
    named: dict[str, object] = {}
    if chosen.quick:
        print("skipped: times for 20 megapixels, memory of panopticapi")
    else:
        check_numbers(pairs, folder, python)
        print(f"{pairs.count} pairs of 5000x4000, whole commands")
        whole_commands(pairs, python, 5, named)
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
