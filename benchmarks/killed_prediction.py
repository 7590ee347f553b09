"""`jsisnet predict` killed at random moments and resumed: its files are those of a whole run.

The photos are generated scenes. Every run goes on where the last one was killed; a run that comes
to its end starts anew. Signals are SIGKILL, SIGTERM and SIGINT. The last run is left alone, and its
folder must have the same files, byte for byte, apart from the hidden journal. With --quick, there
are fewer kills.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Promise, finish, options, scene
from PIL import Image

from jsisnet.inference.results_folder import JOURNAL

KILLS, QUICK_KILLS = 30, 8
PHOTOS = 30
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

START = 0.7
"""Seconds after which the first photo may be done."""

LONGEST = 2.5
"""Most seconds until a kill."""


def command(photos: Path, out: Path) -> list[str]:
    """Return the command that segments the photos."""
    program = [sys.executable, "-m", "jsisnet", "predict", str(photos), "-q", "-o", str(out)]
    return [*program, "--format", "coco,labelme"]


def kill_often(photos: Path, out: Path, kills: int) -> list[int]:
    """Run the command and kill it; return how many maps there were after each kill."""
    draw, maps = random.Random(0), []
    while len(maps) < kills:
        with subprocess.Popen(command(photos, out), stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(draw.uniform(START, LONGEST))
                shutil.rmtree(out)
            except subprocess.TimeoutExpired:
                process.send_signal(draw.choice(SIGNALS))
                process.wait()
                maps.append(len(list(out.glob("*.png"))))
    return maps


def files(folder: Path) -> dict[str, bytes]:
    """Read all results below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != JOURNAL)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def main() -> None:
    """Kill and resume, and compare."""
    chosen = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as name:
        photos, whole, killed = (Path(name) / part for part in ("photos", "whole", "killed"))
        photos.mkdir()
        for number in range(PHOTOS):
            Image.fromarray(scene(number, (240, 320))[0]).save(photos / f"{number}.jpg")
        subprocess.run(command(photos, whole), check=True)
        maps = kill_often(photos, killed, QUICK_KILLS if chosen.quick else KILLS)
        subprocess.run(command(photos, killed), check=True)
        expected, found = files(whole), files(killed)
    differing = [name for name in {*expected, *found} if expected.get(name) != found.get(name)]
    print(f"{len(maps)} kills, after which there were {', '.join(map(str, maps))} maps")
    print(f"{len(expected)} files; {len(differing)} differ {sorted(differing)[:5]}")
    promise = Promise("files that differ", len(differing), 0, lower_is_better=True)
    finish([promise], {"kills": len(maps), "maps": maps, "files": len(expected)}, chosen.json)


if __name__ == "__main__":
    main()
