"""Accuracy of panoptic networks on equal terms: same trunk, photos, augmentation and CPU time.

All start from the ImageNet weights of the same small trunk, see the same batches, are trained in
one thread until the same CPU time is used up, and are measured by the official rules on photos of
a drive that none has seen. Of each, six pairs of thresholds are tried, and the best on these very
photos counts. Give the data with --images and --annotations, for example CamVid in COCO panoptic
format, of whose training photos those of the drive 0006R0 are left out; without, all are generated
scenes, which says nothing about photos.

Runs that are complete in --work are not repeated, so that an interrupted benchmark can be resumed.
Without its .json file a run is measured again; without its .pt file, trained again.
With --quick each contestant trains for a few seconds, which only shows that everything works.
"""

import argparse
import json
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from contest.course import Build, Course, leave_out, run
from contest.mask2former import mask2former
from contest.ours import ours
from contest.panoptic_fpn import panoptic_fpn
from harness import CATEGORIES, Promise, finish, scene
from PIL import Image

from jsisnet.files.atomic import replacing
from jsisnet.formats import coco

CONTESTANTS: dict[str, Build] = {
    "paper's methods": ours("paper.yaml"),
    "lite": ours("lite_adamw.yaml"),
    "lite_fpn": ours("pyramid.yaml"),
    "thin lite_fpn": ours("thin.yaml"),
    "Mask2Former": mask2former,
    "Panoptic FPN": panoptic_fpn,
}

BEST, PEER = "lite_fpn", "Mask2Former"
"""The contestants that are compared."""

GOAL = 3.0
"""PQ that ours should be ahead of the peer."""

SCENES, QUICK_SECONDS, QUICK_PHOTOS = 12, 4.0, 4

WORK = Path(__file__).parent.parent / "build" / "accuracy"
"""Folder of the results, which git ignores."""


def arguments() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="photos")
    parser.add_argument("--annotations", type=Path, metavar="FILE", help="their COCO panoptic JSON")
    parser.add_argument(
        "--left-out",
        default="0006R0",
        metavar="PREFIX",
        help="names of the photos to measure with (default: 0006R0)",
    )
    parser.add_argument(
        "--seconds", type=float, default=500.0, help="CPU time of a training (default: 500)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 1 2, with --quick 0")
    parser.add_argument(
        "--only", nargs="+", choices=list(CONTESTANTS), help="contestants (default: all)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once (default: 1)")
    parser.add_argument(
        "--work", type=Path, default=WORK, metavar="DIR", help="folder of the results"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures to this file, too"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds for each contestant")
    return parser.parse_args()


def draw(folder: Path) -> tuple[Path, Path]:
    """Write generated scenes in COCO panoptic format, of which a third is left out."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    with coco.writing(folder / "panoptic.json", CATEGORIES) as writer:
        for number in range(SCENES):
            picture, panoptic = scene(number, (96, 128))
            name = f"{'0006R0' if number % 3 == 0 else 'other'}_{number}.png"
            Image.fromarray(picture).save(images / name)
            writer.add(panoptic, image_id=number, image_name=name)
    return images, folder / "panoptic.json"


def course(given: argparse.Namespace, work: Path) -> Course:
    """Return the photos, and write which of them are left out."""
    if given.images is None or given.annotations is None:
        images, annotations = draw(work / "scenes")
    else:
        images, annotations = given.images.absolute(), given.annotations.absolute()
    train, held_out = leave_out(annotations, given.left_out, work)
    seconds = QUICK_SECONDS if given.quick else given.seconds
    return Course(
        images=images,
        annotations=train,
        held_out=held_out,
        pngs=annotations.with_suffix(""),
        seconds=seconds,
        photos=QUICK_PHOTOS if given.quick else None,
    )


def contest(name: str, terms: Course, seed: int, path: Path) -> dict[str, object]:
    """Run a contestant, and keep its result; a module-level function for other processes."""
    found = run(CONTESTANTS[name], terms, seed, path.with_suffix(".pt"))
    result = {"name": name, "seed": seed, **found}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    return result


def results(given: argparse.Namespace, terms: Course, work: Path) -> list[dict[str, object]]:
    """Run what has no result yet, and return all results."""
    runs = [(name, seed) for seed in given.seeds for name in given.only or CONTESTANTS]
    paths = {(name, seed): work / f"{name.replace(' ', '_')}-{seed}.json" for name, seed in runs}
    fresh = ProcessPoolExecutor(given.jobs, get_context("spawn"), max_tasks_per_child=1)
    with fresh as pool:
        waiting = [
            pool.submit(contest, name, terms, seed, paths[name, seed])
            for name, seed in runs
            if not paths[name, seed].is_file()
        ]
        for number, done in enumerate(as_completed(waiting), 1):
            found = done.result()
            name, pq = found["name"], found["all"]["pq"]
            print(
                f"  {number}/{len(waiting)}: {name}, seed {found['seed']}: PQ {pq:.1f}", flush=True
            )
    return [json.loads(path.read_text()) for path in paths.values()]


def spread(values: list[float]) -> str:
    """Return the mean and the standard deviation of the seeds."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def main() -> None:
    """Run the contest."""
    given = arguments()
    given.seeds = given.seeds or ([0] if given.quick else [0, 1, 2])
    seconds = QUICK_SECONDS if given.quick else given.seconds
    work = given.work.absolute() / f"{given.left_out}-{seconds:g}{'-quick' if given.quick else ''}"
    work.mkdir(parents=True, exist_ok=True)
    found = results(given, course(given, work), work)
    quality: dict[str, dict[str, float]] = {}
    for name in given.only or CONTESTANTS:
        own = [each for each in found if each["name"] == name]
        figures = {
            group: [each[group]["pq"] for each in own] for group in ("all", "things", "stuff")
        }
        quality[name] = {group: statistics.mean(values) for group, values in figures.items()}
        texts = "  ".join(f"{group} {spread(values)}" for group, values in figures.items())
        steps = spread([each["steps"] for each in own])
        size = f"{own[0]['parameters'] / 1e6:.1f} M"
        print(f"  {name:<16} PQ {texts}  {size}  {steps} steps")
    promises = []
    if {BEST, PEER} <= set(quality) and not given.quick:
        promises = [
            Promise(
                f"PQ of {BEST} above {PEER}'s, {group}",
                quality[BEST][group] - quality[PEER][group],
                GOAL if group == "all" else 0.0,
            )
            for group in ("all", "stuff")
        ]
    elif given.quick:
        promises = [
            Promise(
                "contestants that trained and were measured",
                len(quality),
                len(given.only or CONTESTANTS),
            )
        ]
    finish(promises, {"runs": found}, given.json)


if __name__ == "__main__":
    main()
