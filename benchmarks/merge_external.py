"""Merging of other networks' predictions: ours against panopticapi's script, by its own rules.

Whole commands are timed in turn, from two COCO results files to a JSON file and its PNGs. Both must
write the same segments with the same pixels; only ids may differ. The script is installed once, in
an environment of its own. With --quick there are fewer images.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import CATEGORIES, Promise, finish, options, row, scene
from hotcoco import mask

from jsisnet.files.png import read_ids
from jsisnet.formats import categories_json as category_entries
from jsisnet.formats.coco import Annotation, read_annotations
from jsisnet.panoptic import PanopticMap

PEERS = Path(__file__).parent.parent / "build" / "panopticapi_merge"
"""Environment of the script."""

SIZE = (480, 640)
"""Height and width of the images."""

GUESSES = 3
"""Number of detections of each thing, all shifted differently."""

GOAL = 1.0
"""Goal: speed relative to the script."""

OURS = "import sys; from jsisnet.cli import main; sys.exit(main())"


def script_python() -> str:
    """Return the interpreter of an environment with the script, which is created if missing."""
    python = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
        packages = ["panopticapi-lite==0.2.0", "pycocotools", "numpy", "pillow"]
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *packages], check=True)
        (PEERS / "ready").touch()
    return str(python)


def write_predictions(folder: Path, number: int) -> None:
    """Generate scenes, and write predictions that two networks might make for them.

    Args:
        folder: Folder to write to.
        number: Number of scenes.
    """
    random = np.random.default_rng(0)
    images, things, stuff = [], [], []
    for index in range(number):
        _, drawn = scene(index, SIZE)
        size = {"height": SIZE[0], "width": SIZE[1]}
        images.append({"id": index, "file_name": f"{index}.jpg", **size})
        things += _things(drawn, index, random)
        stuff += _stuff(drawn, index)
    # The script confuses classes of one colour, and takes black for void, so every class gets a
    # distinct colour that is far from black.
    colors = random.permutation(216)[: len(CATEGORIES)].tolist()
    entries = [
        entry | {"color": [20 + 40 * (c // 36), 20 + 40 * (c // 6 % 6), 20 + 40 * (c % 6)]}
        for entry, c in zip(category_entries.entries(CATEGORIES), colors, strict=True)
    ]
    contents = {
        "images": {"images": images, "categories": entries},
        "categories": entries,
        "things": things,
        "stuff": stuff,
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def _things(drawn: PanopticMap, index: int, random: np.random.Generator) -> list[dict[str, object]]:
    return [
        {
            "image_id": index,
            "category_id": CATEGORIES[segment.label].id,
            "score": float(random.integers(30, 101)) / 100,
            "segmentation": _coded(
                np.roll(drawn.ids == number, random.integers(-30, 31, 2), (0, 1))
            ),
        }
        for number, segment in enumerate(drawn.segments, 1)
        if segment.isthing
        for _ in range(GUESSES)
    ]


def _stuff(drawn: PanopticMap, index: int) -> list[dict[str, object]]:
    return [
        {
            "image_id": index,
            "category_id": CATEGORIES[segment.label].id,
            "segmentation": _coded(drawn.ids == number),
        }
        for number, segment in enumerate(drawn.segments, 1)
    ]


def _coded(pixels: np.ndarray) -> dict[str, object]:
    coded = mask.encode(np.asfortranarray(pixels, np.uint8))
    return {"size": list(SIZE), "counts": coded["counts"].decode()}


def commands(folder: Path, python: str) -> dict[str, list[str]]:
    """Return the command line of each contestant."""
    things, stuff, images = (str(folder / f"{n}.json") for n in ("things", "stuff", "images"))
    script = [python, "-m", "panopticapi.combine_semantic_and_instance_predictions"]
    ours = [sys.executable, "-c", OURS, "merge", "--rules", "kirillov", "--image-info", images]
    return {
        "ours": [*ours, "--instances", things, "--semantic", stuff, "--out", _out(folder, "ours")],
        "panopticapi": [
            *script,
            *("--semseg_json_file", stuff, "--instseg_json_file", things),
            *("--images_json_file", images),
            *("--categories_json_file", str(folder / "categories.json")),
            *("--panoptic_json_file", _out(folder, "panopticapi")),
        ],
    }


def _out(folder: Path, name: str) -> str:
    return str(folder / f"{name}.json")


def check_maps(folder: Path) -> int:
    """Exit unless both have the same segments and pixels; return the number of segments."""
    files = [
        read_annotations(Path(_out(folder, name)), categories=CATEGORIES, predicted=True)
        for name in ("ours", "panopticapi")
    ]
    theirs = {annotation.image_id: annotation for annotation in files[1].annotations}
    for annotation in files[0].annotations:
        if not _same(annotation, theirs[annotation.image_id]):
            sys.exit(f"the maps of image {annotation.image_id} differ")
    return sum(len(annotation.segments_info) for annotation in files[0].annotations)


def _same(mine: Annotation, other: Annotation) -> bool:
    """Return whether the segments have the same classes, in order, and the same pixels."""
    pairs = list(zip(mine.segments_info, other.segments_info, strict=False))
    if len(mine.segments_info) != len(other.segments_info):
        return False
    if any(a.category_id != b.category_id for a, b in pairs):
        return False
    numbers = dict([(0, 0), *((b.id, a.id) for a, b in pairs)])
    theirs = read_ids(other.png)
    known, places = np.unique(theirs, return_inverse=True)
    renumbered = np.array([numbers.get(int(number), -1) for number in known])[places]
    return bool((renumbered.reshape(theirs.shape) == read_ids(mine.png)).all())


def main() -> None:
    """Time both commands, and compare their maps."""
    chosen = options(__doc__)
    number, runs = (60, 2) if chosen.quick else (500, 5)
    python = script_python()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_predictions(folder, number)
        contestants = commands(folder, python)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for counts in [False] + [True] * runs:
            for contestant, command in contestants.items():
                began = time.perf_counter()
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                if counts:
                    seconds[contestant].append(time.perf_counter() - began)
        segments = check_maps(folder)
    print(f"{number} images of 640x480: the same {segments:,} segments with the same pixels")
    for contestant, taken in seconds.items():
        print(f"{row(contestant, taken)} {number / statistics.median(taken):7.1f} images/s")
    ours, theirs = (statistics.median(seconds[name]) for name in ("ours", "panopticapi"))
    promises = [Promise("times as fast as panopticapi", theirs / ours, GOAL)]
    finish(promises, {"seconds": seconds, "images": number, "segments": segments}, chosen.json)


if __name__ == "__main__":
    main()
