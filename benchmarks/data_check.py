"""Photos per second of a data set check, compared with decoding the same files.

The files are generated: 640x480 JPEGs and their maps in COCO panoptic format. The check runs in one
process; the comparison decodes photos and maps with Pillow and checks nothing.
"""

import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import CATEGORIES, Promise, finish, options, row, scene, time_in_turn
from PIL import Image

from jsisnet.datatools.check.check import DatasetPaths, check
from jsisnet.formats import coco

SIZE = (480, 640)

GOAL = 0.4
"""Speed of the check as a fraction of the speed of decoding."""


def write_dataset(folder: Path, count: int) -> DatasetPaths:
    """Write photos and their maps."""
    paths = DatasetPaths(images=folder / "photos", annotations=folder / "panoptic.json")
    paths.images.mkdir()
    with coco.writing(paths.annotations, CATEGORIES) as writer:
        for number in range(count):
            image, panoptic = scene(number, SIZE)
            Image.fromarray(image).save(paths.images / f"{number}.jpg", quality=90)
            writer.add(panoptic, image_id=number, image_name=f"{number}.jpg")
    return paths


def decode(paths: DatasetPaths) -> None:
    """Decode all photos and maps."""
    for folder in (paths.images, paths.annotations.with_suffix("")):
        for path in folder.iterdir():
            with Image.open(path) as image:
                image.load()


def main() -> None:
    """Measure decoding, checking and repairing in turn."""
    chosen = options(__doc__ or "")
    count, runs = (20, 3) if chosen.quick else (100, 7)
    with TemporaryDirectory() as folder:
        paths = write_dataset(Path(folder), count)
        if not check(paths).valid:
            raise SystemExit("the generated data set has errors")
        copies = (Path(folder, f"copy {number}") for number in range(runs + 1))
        seconds = time_in_turn(
            runs,
            decode=partial(decode, paths),
            check=partial(check, paths),
            fix=lambda: check(paths, copy=next(copies)),
        )
    speeds = {name: count / statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        print(row(f"{name}, {count} photos", times), f"{speeds[name]:8.0f} photos/s")
    promise = Promise(
        "speed of the check, relative to decoding", speeds["check"] / speeds["decode"], GOAL
    )
    finish([promise], {"photos_per_second": speeds}, chosen.json)


if __name__ == "__main__":
    main()
