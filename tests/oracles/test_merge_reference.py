"""The merge against the same rules written as plain loops over pixels, without shortcuts."""

import math
from dataclasses import replace

import numpy as np
import pytest

from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import VOID

THINGS = (0, 1, 2)
STUFF = (3, 4, 5, 6, 8)
NUM_LABELS = 9

PAPER = MergeConfig(min_score=0.2, min_stuff_area=150.0)
CONFIGS = {
    "paper": PAPER,
    "original canvas": replace(PAPER, canvas="original"),
    "score times probability": replace(PAPER, owner="score_times_probability"),
    "score": replace(PAPER, owner="score", canvas="original"),
    "low mask threshold": replace(PAPER, min_mask=0.05),
    "normalized masks": replace(PAPER, normalize_masks=True),
    "canvas pixels": replace(PAPER, area_unit="canvas"),
    "part of the image": replace(PAPER, area_unit="image", min_stuff_area=1 / 8),
    "before things": replace(PAPER, count_stuff="before_things"),
    "greedy": replace(PAPER, replacement="greedy", min_stuff_area=250.0),
    "greedy before things": replace(
        PAPER, replacement="greedy", count_stuff="before_things", min_stuff_area=300.0
    ),
    "nothing survives": replace(PAPER, min_stuff_area=900.0),
    "keep argmax": replace(PAPER, min_stuff_area=900.0, fallback="keep_argmax"),
    "stuff probability": replace(PAPER, min_stuff_probability=0.25),
    "small instances": replace(PAPER, min_instance_area=40.0, min_visible_fraction=0.6),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("seed", range(6))
def test_merge_equals_the_plain_loops(config, seed):
    rng = np.random.default_rng(seed)
    frame = (int(rng.integers(16, 30)), int(rng.integers(16, 30)))
    size = (int(rng.integers(20, 50)), int(rng.integers(20, 50)))
    instances = random_instances(rng, frame)
    semantic = rng.normal(size=(NUM_LABELS, -(-frame[0] // 4), -(-frame[1] // 4)))

    panoptic = merge(
        Instances(
            boxes=instances["boxes"].astype(np.float32),
            labels=instances["labels"],
            scores=instances["scores"].astype(np.float32),
            masks=instances["masks"].astype(np.float32),
        ),
        semantic.astype(np.float32),
        frame=frame,
        size=size,
        stuff_labels=STUFF,
        config=config,
    )

    ids, segments = reference(instances, semantic, frame, size, config)
    np.testing.assert_array_equal(panoptic.ids, ids)
    assert [(s.label, s.isthing) for s in panoptic.segments] == segments
    assert all((s.score is not None) == s.isthing for s in panoptic.segments)


def test_the_reference_covers_things_stuff_and_void():
    rng = np.random.default_rng(0)
    frame, size, config = (
        (24, 28),
        (30, 40),
        replace(CONFIGS["stuff probability"], min_stuff_area=20.0),
    )

    ids, segments = reference(
        random_instances(rng, frame), rng.normal(size=(NUM_LABELS, 6, 7)), frame, size, config
    )

    assert {isthing for _, isthing in segments} == {True, False}
    assert (ids == VOID).any()
    assert len(segments) > 3


def random_instances(rng, frame):
    height, width = frame
    count = 7
    centres = rng.uniform(size=(count, 2)) * (width, height)
    sides = rng.uniform(0.05, 0.8, size=(count, 2)) * (width, height)
    return {
        "boxes": np.concatenate([centres - sides / 2, centres + sides / 2], axis=1),
        "labels": rng.choice(THINGS, count),
        "scores": rng.uniform(size=count),
        "masks": rng.uniform(size=(count, 5, 5)) ** 0.3,
    }


def reference(instances, semantic, frame, size, config):
    height, width = canvas = frame if config.canvas == "network" else size
    pixels = [(y, x) for y in range(height) for x in range(width)]
    order = sorted(range(len(instances["scores"])), key=lambda i: -instances["scores"][i])
    order = [i for i in order if instances["scores"][i] >= config.min_score]
    owner = {}
    claimed = dict.fromkeys(order, 0)
    for y, x in pixels:
        ranks = {}
        for i in order:
            mask = instances["masks"][i]
            mask = mask / mask.max() if config.normalize_masks else mask
            probability = mask_at(mask, instances["boxes"][i], y, x, frame, canvas)
            if probability >= config.min_mask:
                claimed[i] += 1
                ranks[i] = {
                    "probability": probability,
                    "score_times_probability": probability * instances["scores"][i],
                    "score": instances["scores"][i],
                }[config.owner]
        if ranks:
            owner[y, x] = max(ranks, key=ranks.__getitem__)
    unit = {
        "original": size[0] * size[1] / (height * width),
        "canvas": 1,
        "image": 1 / (height * width),
    }
    scale = unit[config.area_unit]
    owned = {i: list(owner.values()).count(i) for i in order}
    for i in order:
        few = owned[i] * scale < config.min_instance_area
        if few or owned[i] < config.min_visible_fraction * claimed[i]:
            owner = {pixel: i_owner for pixel, i_owner in owner.items() if i_owner != i}

    logits = {pixel: logits_at(semantic, *pixel, canvas) for pixel in pixels}
    stuff = choose_stuff(logits, owner, scale, config)
    final = {pixel: (True, owner[pixel]) for pixel in owner}
    final |= {pixel: (False, k) for pixel, k in stuff.items() if pixel not in owner}

    names = [(True, i) for i in order] + [(False, k) for k in STUFF]
    resized = [
        [
            final.get(((2 * y + 1) * height // (2 * size[0]), (2 * x + 1) * width // (2 * size[1])))
            for x in range(size[1])
        ]
        for y in range(size[0])
    ]
    names = [name for name in names if any(name in row for row in resized)]
    ids = np.array([[names.index(name) + 1 if name else 0 for name in row] for row in resized])
    labels = [(int(instances["labels"][i]) if isthing else i, isthing) for isthing, i in names]
    return ids, labels


def choose_stuff(logits, owner, scale, config):
    counted = [p for p in logits if p not in owner or config.count_stuff == "before_things"]
    if config.min_stuff_probability:
        counted = [
            p for p in counted if stuff_probability(logits[p]) >= config.min_stuff_probability
        ]

    def assign(classes):
        return {p: max(classes, key=logits[p].__getitem__) for p in counted}

    stuff = first = assign(STUFF)
    kept = [k for k in STUFF if k in first.values()]
    while kept:
        areas = {k: list(stuff.values()).count(k) for k in kept}
        small = [k for k in kept if areas[k] * scale < config.min_stuff_area]
        if not small:
            return stuff
        if config.replacement == "greedy":
            small = [min(small, key=lambda k: (areas[k], -k))]
        kept = [k for k in kept if k not in small]
        if kept:
            best = assign(kept)
            stuff = {p: best[p] if k in small else k for p, k in stuff.items()}
    return first if config.fallback == "keep_argmax" else {}


def stuff_probability(logits):
    powers = np.exp(logits)
    return max(powers[list(STUFF)]) / sum(powers)


def mask_at(mask, box, y, x, frame, canvas):
    x0, y0, x1, y1 = box * np.tile([canvas[1] / frame[1], canvas[0] / frame[0]], 2)
    if not (x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1):
        return 0.0
    side = len(mask)
    v = (y + 0.5 - y0) / (y1 - y0) * side - 0.5
    u = (x + 0.5 - x0) / (x1 - x0) * side - 0.5
    return bilinear(lambda j, i: mask[j, i] if 0 <= j < side and 0 <= i < side else 0.0, v, u)


def logits_at(semantic, y, x, canvas):
    _, rows, columns = semantic.shape
    v = min(max((y + 0.5) * rows / canvas[0] - 0.5, 0), rows - 1)
    u = min(max((x + 0.5) * columns / canvas[1] - 0.5, 0), columns - 1)
    return bilinear(lambda j, i: semantic[:, min(j, rows - 1), min(i, columns - 1)], v, u)


def bilinear(value, v, u):
    j, i = math.floor(v), math.floor(u)
    b, a = v - j, u - i
    upper = (1 - a) * value(j, i) + a * value(j, i + 1)
    lower = (1 - a) * value(j + 1, i) + a * value(j + 1, i + 1)
    return (1 - b) * upper + b * lower
