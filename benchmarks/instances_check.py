"""CPU time of checking an instances file of 8,000 broken and good litter objects.

The file has 1,500 photos of 8 megapixels, none of which is read, and 400 annotations of each fault:
boxes alone, unreadable outlines, duplicate ids, stray points. The check runs in one process; the
comparison parses the JSON and encodes each outline, and checks nothing.
"""

import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Promise, finish, options, row, timings_in_turn
from hotcoco import mask

from jsisnet.datatools.check.check import InstancesPaths, check_instances

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import litter

IMAGES, OBJECTS, SIZE = 1500, 8000, (3264, 2448)

GOAL = 2.0
"""Seconds of processor time."""


def encode(path: Path) -> None:
    """Parse the file, and encode the outlines that can be."""
    for entry in json.loads(path.read_text())["annotations"]:
        outline = entry["segmentation"]
        if isinstance(outline, list) and outline and all(len(each) >= 16 for each in outline):  # noqa: PLR2004 - the blobs
            mask.merge([mask.fr_poly(each, *SIZE) for each in outline])


def main() -> None:
    """Measure parsing and checking in turn."""
    chosen = options(__doc__ or "")
    runs = 3 if chosen.quick else 9
    with TemporaryDirectory() as folder:
        broken = litter.write(Path(folder), images=IMAGES, objects=OBJECTS, size=SIZE)
        paths = InstancesPaths(annotations=broken.annotations)
        report = check_instances(paths)
        found = {each.rule.id: each.count for each in report.violations}
        if found["outline-missing"] != len(broken.boxes) or found["outline"] != len(broken.bogus):
            raise SystemExit(f"the check found {found}")
        timings = timings_in_turn(
            runs,
            {
                "encode": partial(encode, broken.annotations),
                "check": partial(check_instances, paths),
            },
        )
    seconds = {name: each.cpu for name, each in timings.items()}
    for name, times in seconds.items():
        print(row(f"{name}, processor time", times))
    promise = Promise(
        "seconds of processor time", min(seconds["check"]), GOAL, lower_is_better=True
    )
    finish([promise], {"seconds": seconds}, chosen.json)


if __name__ == "__main__":
    main()
