"""Prediction on a Ray cluster of this machine: what it costs, and what kills do to it.

The cost is Ray's share of the time of a photo: the photos are segmented by plain processes and by
as many actors, in turn. The start is left out: the clock runs from the end of the first batch of
photos to the last one. Then two workers of a command are killed, and a command itself, which is
resumed; both must leave the files of a single process, byte for byte. With --quick, there are fewer
photos.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import Promise, finish, options, scene
from PIL import Image

from jsisnet.files.processes import available_cores
from jsisnet.inference.batch import BatchConfig, Listener, predict_photos
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.photo_job import OutputConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.scale import ClusterConfig, segment_on_cluster

PHOTOS, QUICK_PHOTOS = 400, 80
FAULT_PHOTOS, QUICK_FAULT_PHOTOS = 200, 40
SIZE = (480, 640)
KILLED = 2
PATIENCE = 0.05
"""Seconds between two looks at the folder of a running command."""

LONGEST = 600
"""Seconds after which a command is given up."""


@dataclass(frozen=True)
class Run:
    """Times of one run in seconds."""

    start: float
    """Until the first photos were done."""
    photo: float
    """Of each photo after these."""


def draw(folder: Path, count: int) -> None:
    """Write generated photos."""
    folder.mkdir()
    for number in range(count):
        Image.fromarray(scene(number % 40, SIZE)[0]).save(folder / f"{number:03}.jpg", quality=90)


def timed(photos: Path, out: Path, config: BatchConfig) -> Run:
    """Segment photos, and time them without the start, in which fewer workers are at work."""
    found = find_photos([str(photos)]).photos
    first = len(found) // 5
    moments: list[float] = []
    listener = Listener(on_photo=lambda _: moments.append(time.perf_counter()))
    began = time.perf_counter()
    predict_photos(found, Predictor("coco", threads=1), out, config, listener)
    shutil.rmtree(out)
    rest = (moments[-1] - moments[first]) / (len(moments) - 1 - first)
    return Run(start=moments[0] - began, photo=rest)


def overhead(photos: Path, folder: Path, rounds: int) -> dict[str, list[Run]]:
    """Time plain processes and Ray's actors in turn."""
    workers = available_cores()
    outputs = OutputConfig()
    ways = {
        "processes": BatchConfig(outputs=outputs, workers=workers),
        "ray": BatchConfig(
            outputs=outputs, segment=segment_on_cluster(ClusterConfig(workers=workers))
        ),
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, config in list(ways.items())[:: 1 if number % 2 == 0 else -1]:
            runs[name].append(timed(photos, folder / name, config))
    return runs


def command(photos: Path, out: Path, *more: str) -> list[str]:
    """Return the command that segments the photos."""
    return [sys.executable, "-m", "jsisnet", "predict", str(photos), "-q", "-o", str(out), *more]


def interrupted(
    arguments: list[str], out: Path, maps: int, interrupt: Callable[[int], object]
) -> int:
    """Run a command, interrupt it once there are some maps, and return its exit code."""
    with subprocess.Popen(arguments) as process:
        last = time.monotonic() + LONGEST
        while len(list(out.glob("*.png"))) < maps and process.poll() is None:
            if time.monotonic() > last:
                process.kill()
            time.sleep(PATIENCE)
        interrupt(process.pid)
        return process.wait()


def kill_workers(driver: int) -> None:
    """Kill actors of a command; Ray names their processes by what they do."""
    actors = [pid for pid in below(driver) if "MapWorker" in title(pid)]
    for pid in actors[:KILLED]:
        os.kill(pid, signal.SIGKILL)
    print(f"killed {len(actors[:KILLED])} of {len(actors)} workers")


def title(pid: int) -> str:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, directly or not."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(status.parent.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def left_after(processes: list[int], seconds: float = 180) -> int:
    """Return how many processes of a killed command are still there after some time.

    Workers end at once; Ray's two agents, which do no work, notice only after a minute or two.
    """
    last = time.monotonic() + seconds
    while time.monotonic() < last and any("ray" in title(pid) for pid in processes):
        time.sleep(PATIENCE)
    left = [title(pid) for pid in processes if "ray" in title(pid)]
    for each in left:
        print(f"still there: {each[:100]}")
    return len(left)


def files(folder: Path) -> dict[str, bytes]:
    """Read all results below a folder, with the journal."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def faults(photos: Path, folder: Path, count: int) -> dict[str, int]:
    """Kill workers, and then a command; return how many files differ from a single process's."""
    whole, killed, resumed = (folder / name for name in ("whole", "killed", "resumed"))
    subprocess.run(command(photos, whole, "--workers", "1"), check=True)
    ray = ("--cluster", "local", "--workers", str(max(KILLED, available_cores())))
    code = interrupted(command(photos, killed, *ray), killed, count // 4, kill_workers)
    started: list[int] = []

    def kill_driver(pid: int) -> None:
        started.extend(below(pid))
        os.kill(pid, signal.SIGKILL)

    interrupted(command(photos, resumed, *ray), resumed, count // 4, kill_driver)
    left, before = left_after(started), len(list(resumed.glob("*.png")))
    print(f"killed the command after {before} photos; {left} of its {len(started)} processes stay")
    subprocess.run(command(photos, resumed, *ray), check=True)
    expected = files(whole)
    maps = sum(name.endswith(".png") for name in files(killed))
    print(f"{maps} maps after killed workers, exit code {code}")
    return {
        "results missing": count - maps,
        "files that differ after killed workers": differing(expected, files(killed)),
        "files that differ after a killed command": differing(expected, files(resumed)),
        "processes that stay behind": left,
    }


def differing(expected: dict[str, bytes], found: dict[str, bytes]) -> int:
    """Count files that differ, or that only one folder has."""
    return sum(expected.get(name) != found.get(name) for name in {*expected, *found})


def main() -> None:
    """Time, kill, and compare."""
    chosen = options(__doc__ or "")
    count = QUICK_PHOTOS if chosen.quick else PHOTOS
    faulty = QUICK_FAULT_PHOTOS if chosen.quick else FAULT_PHOTOS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "photos", count)
        draw(folder / "few", faulty)
        runs = overhead(folder / "photos", folder, 1 if chosen.quick else 2)
        counts = faults(folder / "few", folder, faulty)
    times = {way: statistics.median(run.photo for run in each) * 1e3 for way, each in runs.items()}
    for way, each in runs.items():
        starts = ", ".join(f"{run.start:.1f}" for run in each)
        print(f"{way:<10} {times[way]:7.1f} ms a photo; first photo after {starts} s")
    share = 100 * (times["ray"] / times["processes"] - 1)
    promises = [Promise("Ray's overhead a photo in percent", share, 15, lower_is_better=True)]
    promises += [Promise(what, value, 0, lower_is_better=True) for what, value in counts.items()]
    finish(promises, {"photos": count, "ms": times, **counts}, chosen.json)


if __name__ == "__main__":
    main()
