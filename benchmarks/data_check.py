"""Photos per second of a data set that is checked, and of one that is merely decoded.

The files are made up: JPEGs of 640x480 and their maps in COCO's panoptic format, which one core
checks. Merely decoding reads the same files with Pillow and looks at nothing.
"""

import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import CATEGORIES, Promise, finish, options, row, scene, time_in_turn
from PIL import Image

from jsisnet.datatools.check.check import Files, check
from jsisnet.formats import coco

SIZE = (480, 640)

GOAL = 0.4
"""Part of the speed of merely decoding."""


def written(folder: Path, count: int) -> Files:
    """Write photos and their maps."""
    files = Files(images=folder / "photos", annotations=folder / "panoptic.json")
    files.images.mkdir()
    with coco.writing(files.annotations, CATEGORIES) as writer:
        for number in range(count):
            image, panoptic = scene(number, SIZE)
            Image.fromarray(image).save(files.images / f"{number}.jpg", quality=90)
            writer.add(panoptic, image_id=number, image_name=f"{number}.jpg")
    return files


def decode(files: Files) -> None:
    """Read all photos and maps, and forget them."""
    for folder in (files.images, files.annotations.with_suffix("")):
        for path in folder.iterdir():
            with Image.open(path) as image:
                image.load()


def main() -> None:
    """Measure both in turn."""
    chosen = options(__doc__ or "")
    count, runs = (20, 3) if chosen.quick else (100, 7)
    with TemporaryDirectory() as folder:
        files = written(Path(folder), count)
        if not check(files).sound:
            raise SystemExit("the made-up data set has errors")
        copies = (Path(folder, f"copy {number}") for number in range(runs + 1))
        seconds = time_in_turn(
            runs,
            decode=partial(decode, files),
            check=partial(check, files),
            fix=lambda: check(files, copy=next(copies)),
        )
    speeds = {name: count / statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        print(row(f"{name}, {count} photos", times), f"{speeds[name]:8.0f} photos/s")
    promise = Promise(
        "speed of the check, relative to merely decoding", speeds["check"] / speeds["decode"], GOAL
    )
    finish([promise], {"photos_per_second": speeds}, chosen.json)


if __name__ == "__main__":
    main()
