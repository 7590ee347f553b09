"""Equality of the merge with its rules written as plain loops, on random outputs for every rule.

The loops are those of the tests in tests/oracles, which compare a few outputs. Here are 1,000 for
each set of rules, on several processes; a rounding error may move a pixel to another segment. With
--quick there are 20.
"""

import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from harness import Promise, finish, options

from jsisnet.files.processes import available_cores
from jsisnet.inference import kirillov
from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import Segment

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS / "oracles"), str(TESTS / "support")]

import test_kirillov_reference as kirillov_loops  # noqa: E402 - the path comes first
import test_merge_reference as loops  # noqa: E402

OUTPUTS, QUICK_OUTPUTS = 1000, 20
"""Random outputs for each set of rules."""

CHUNK = 20
"""Outputs that a process compares at a time."""

GOAL = 1e-6
"""Goal: fraction of the pixels that differ."""

Differences = tuple[int, int]
"""Numbers of pixels that differ, and of all pixels."""


def paper_differences(config: MergeConfig, seed: int) -> Differences:
    """Compare the merge of JSIS-Net on random outputs."""
    rng = np.random.default_rng(seed)
    frame = (int(rng.integers(16, 30)), int(rng.integers(16, 30)))
    size = (int(rng.integers(20, 50)), int(rng.integers(20, 50)))
    drawn = loops.random_instances(rng, frame)
    semantic = rng.normal(size=(loops.NUM_LABELS, -(-frame[0] // 4), -(-frame[1] // 4)))
    floats = {name: drawn[name].astype(np.float32) for name in ("boxes", "scores", "masks")}
    # The loops compute with the same rounded inputs, but in double precision.
    rounded = drawn | {name: values.astype(np.float64) for name, values in floats.items()}
    logits = semantic.astype(np.float32)
    found = merge(
        Instances(labels=drawn["labels"], **floats),
        logits,
        frame=frame,
        size=size,
        stuff_labels=loops.STUFF,
        config=config,
    )
    ids, segments = loops.reference(rounded, logits.astype(np.float64), frame, size, config)
    mine = [(segment.label, segment.isthing) for segment in found.segments]
    return _count(found.ids, ids) if mine == segments else (ids.size, ids.size)


def kirillov_differences(config: kirillov.KirillovConfig, seed: int) -> Differences:
    """Compare the merge of Kirillov et al. on random regions."""
    random = np.random.default_rng(seed)
    size = kirillov_loops.SIZE
    things = [
        {"category_id": int(category), "score": float(random.integers(0, 11)) / 10, "mask": mask}
        for category in random.choice(kirillov_loops.THINGS, 8)
        for mask in [kirillov_loops.blob(random, 8)]
    ]
    stuff = [
        {"category_id": category, "mask": kirillov_loops.blob(random, 20)}
        for category in random.permutation(kirillov_loops.STUFF).tolist()
    ]
    whole = (slice(0, size[0]), slice(0, size[1]))
    chosen = [thing for thing in things if thing["score"] >= config.min_score]
    regions = [
        [
            (Segment(label=each["category_id"], isthing=isthing), (whole, each["mask"]))
            for each in of
        ]
        for isthing, of in ((True, sorted(chosen, key=_best_first)), (False, stuff))
    ]
    found = kirillov.combine(*regions, size=size, config=config)
    ids, categories = kirillov_loops.published_rules(things, stuff, config)
    same = [segment.label for segment in found.segments] == categories
    pixels = found.ids.size
    return _count(found.ids, np.array(ids)) if same else (pixels, pixels)


Compare = Callable[[int], Differences]

RULES: dict[str, Compare] = {
    **{name: partial(paper_differences, config) for name, config in loops.CONFIGS.items()},
    **{
        f"Kirillov {number}": partial(kirillov_differences, config)
        for number, config in enumerate(kirillov_loops.CONFIGS, 1)
    },
}
"""What compares the maps of one random output, by name."""


def main() -> None:
    """Compare all rules."""
    chosen = options(__doc__ or "")
    outputs = QUICK_OUTPUTS if chosen.quick else OUTPUTS
    promises, figures = list[Promise](), dict[str, object]()
    with get_context("spawn").Pool(available_cores()) as pool:
        for name in RULES:
            found = pool.map(partial(_compare, name), range(outputs), CHUNK)
            differ, pixels = (sum(each) for each in zip(*found, strict=True))
            maps = sum(count > 0 for count, _ in found)
            print(f"{name:<26} {outputs} maps, {maps} differ, {differ} of {pixels:,} pixels")
            figures[name] = {"maps": outputs, "different maps": maps, "pixels": [differ, pixels]}
            promises.append(Promise(f"{name}, differing pixels", differ / pixels, GOAL, True))
    finish(promises, figures, chosen.json)


def _compare(name: str, seed: int) -> Differences:
    return RULES[name](seed)


def _count(mine: np.ndarray, theirs: np.ndarray) -> Differences:
    return int((mine != theirs).sum()), mine.size


def _best_first(thing: dict[str, object]) -> float:
    score = thing["score"]
    assert isinstance(score, float)
    return -score


if __name__ == "__main__":
    main()
