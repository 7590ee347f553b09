"""Kirillov's rules against the published ones, written as plain loops over pixels."""

import json

import numpy as np
import pytest

import factories
from jsisnet.formats import coco_results, image_list
from jsisnet.formats.coco import read_annotations, read_png
from jsisnet.inference import merge_files
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge_files import Predictions

SIZE = (24, 32)
THINGS, STUFF = (1, 3, 6), (92, 100, 150)
CONFIGS = (
    KirillovConfig(min_stuff_area=60.0),
    KirillovConfig(min_score=0.3, max_overlap=0.2, min_stuff_area=150.0),
    KirillovConfig(min_score=0.0, max_overlap=1.0, min_stuff_area=0.0),
)


@pytest.mark.parametrize("config", CONFIGS)
def test_merged_files_equal_the_plain_loops(config, tmp_path):
    random = np.random.default_rng(0)
    images = [
        {"id": i, "file_name": f"{i}.jpg", "height": SIZE[0], "width": SIZE[1]} for i in range(12)
    ]
    things = [
        {"image_id": image, "category_id": int(random.choice(THINGS)), "score": score, "mask": mask}
        for image in random.integers(0, 11, 80).tolist()
        for score in [float(random.integers(0, 11)) / 10]
        for mask in [blob(random, 8)]
    ]
    stuff = [
        {"image_id": image, "category_id": category_id, "mask": blob(random, 20)}
        for image in range(11)
        for category_id in random.permutation([*STUFF, 3]).tolist()
    ]
    info = {"images": images, "categories": factories.category_entries()}
    (tmp_path / "info.json").write_text(json.dumps(info))
    write(tmp_path / "things.json", things)
    write(tmp_path / "stuff.json", stuff)

    wanted = image_list.read(tmp_path / "info.json")
    predictions = Predictions(
        wanted=wanted,
        instances=coco_results.read_things(
            tmp_path / "things.json", wanted, min_score=config.min_score
        ),
        semantic=coco_results.read_stuff(tmp_path / "stuff.json", wanted),
    )
    merge_files.merge_files(predictions, config, tmp_path / "merged.json")

    merged = read_annotations(tmp_path / "merged.json", predicted=True)
    assert [annotation.image_id for annotation in merged.annotations] == list(range(12))
    for annotation in merged.annotations:
        found = read_png(annotation, merged.categories)
        ids, category_ids = published_rules(
            [thing for thing in things if thing["image_id"] == annotation.image_id],
            [region for region in stuff if region["image_id"] == annotation.image_id],
            config,
        )
        assert found.ids.tolist() == ids
        assert [info.category_id for info in annotation.segments_info] == category_ids


def blob(random, largest):
    y, x = random.integers(0, SIZE[0]), random.integers(0, SIZE[1])
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(rows - y, columns - x) < random.uniform(0, largest)


def write(path, regions):
    listed = [
        {key: value for key, value in region.items() if key != "mask"}
        | {"segmentation": factories.run_lengths(region["mask"])}
        for region in regions
    ]
    path.write_text(json.dumps(listed))


def published_rules(things, stuff, config):
    """Return the id of each pixel, and the categories of the segments with pixels."""
    ids = {(y, x): 0 for y in range(SIZE[0]) for x in range(SIZE[1])}
    accepted = []
    for thing in sorted(things, key=lambda thing: -thing["score"]):
        own = [p for p in ids if thing["mask"][p]]
        free = [p for p in own if ids[p] == 0]
        if thing["score"] < config.min_score or not own:
            continue
        if (len(own) - len(free)) / len(own) > config.max_overlap:
            continue
        accepted.append(thing["category_id"])
        ids |= dict.fromkeys(free, len(accepted))
    for region in stuff:
        free = [p for p in ids if region["mask"][p] and ids[p] == 0]
        if region["category_id"] in STUFF and len(free) >= config.min_stuff_area:
            accepted.append(region["category_id"])
            ids |= dict.fromkeys(free, len(accepted))
    present = [n for n in range(1, len(accepted) + 1) if n in ids.values()]
    numbers = {0: 0} | {old: new for new, old in enumerate(present, 1)}
    dense = [[numbers[ids[y, x]] for x in range(SIZE[1])] for y in range(SIZE[0])]
    return dense, [accepted[n - 1] for n in present]
