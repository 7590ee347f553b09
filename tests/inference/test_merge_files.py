import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import BUS, CAR, ROAD, SKY, TREE
from jsisnet.files.atomic import lock_folder
from jsisnet.formats import coco_results, image_list
from jsisnet.formats.coco import read_annotations, read_png
from jsisnet.formats.predictions import SemanticFolder
from jsisnet.inference import merge_files
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances, merge
from jsisnet.inference.merge_files import Predictions
from jsisnet.inference.rules import MergeConfig

JSISNET, KIRILLOV = MergeConfig(min_stuff_area=2.0), KirillovConfig(min_stuff_area=2.0)
BOTH = pytest.mark.parametrize("config", [JSISNET, KIRILLOV], ids=["jsisnet", "kirillov"])


def ids_of(text):
    """Return a row of category ids, given as the first letters of the classes."""
    known = {category.name[0]: category.id for category in factories.CATEGORIES} | {".": 0}
    return np.array([[known[letter] for letter in text]], np.uint8)


class Street:
    """Predictions for one photo of a single row."""

    def __init__(self, folder, width=8):
        self.folder, self.width, self.things = folder, width, []
        self.wanted = folder / "info.json"
        self.instances = folder / "things.json"
        self.semantic = folder / "semantic"
        self.semantic.mkdir()
        images = [{"id": 1, "file_name": "a.jpg", "height": 1, "width": width}]
        content = {"images": images, "categories": factories.category_entries()}
        self.wanted.write_text(json.dumps(content))

    def thing(self, label, score, pixels):
        mask = np.array([[mark == "#" for mark in pixels]])
        self.things.append(
            {
                "image_id": 1,
                "category_id": factories.CATEGORIES[label].id,
                "score": score,
                "segmentation": factories.run_lengths(mask),
            }
        )

    def pixels(self, text):
        Image.fromarray(ids_of(text)).save(self.semantic / "a.png")

    def stuff(self, **masks):
        listed = [
            {
                "image_id": 1,
                "category_id": next(c.id for c in factories.CATEGORIES if c.name == name),
                "segmentation": factories.run_lengths(np.array([[m == "#" for m in pixels]])),
            }
            for name, pixels in masks.items()
        ]
        self.semantic = self.folder / "stuff.json"
        self.semantic.write_text(json.dumps(listed))

    def merged(self, config, processes=1, **semantic):
        wanted = image_list.read(self.wanted)
        if self.instances.suffix == ".json":
            self.instances.write_text(json.dumps(self.things))
        predictions = Predictions(
            wanted=wanted,
            instances=self.instances
            if self.instances.is_dir()
            else coco_results.read_things(self.instances, wanted, min_score=config.min_score),
            semantic=SemanticFolder(folder=self.semantic, categories=wanted.categories, **semantic)
            if self.semantic.is_dir()
            else coco_results.read_stuff(self.semantic, wanted),
        )
        out = self.folder / "merged.json"
        merge_files.merge_files(predictions, config, out, processes=processes)
        file = read_annotations(out, predicted=True)
        return read_png(file.annotations[0], file.categories)

    def row(self, config, **semantic):
        """Return the first letter of the class of each pixel."""
        names = "".join(category.name[0] for category in factories.CATEGORIES)
        labels = self.merged(config, **semantic).labels()[0]
        return "".join("." if label >= len(names) else names[label] for label in labels)


@pytest.fixture
def street(tmp_path):
    return Street(tmp_path)


@BOTH
def test_things_lie_on_stuff(config, street):
    street.thing(CAR, 0.9, "..###...")
    street.pixels("sssssrrr")

    panoptic = street.merged(config)

    assert street.row(config) == "sscccrrr"
    assert [(s.label, s.score) for s in panoptic.segments] == [
        (CAR, 0.9),
        (SKY, None),
        (ROAD, None),
    ]


@BOTH
def test_pixels_of_things_that_no_instance_claims_are_void(config, street):
    street.thing(CAR, 0.9, "..##....")
    street.pixels("ssbbbbrr")

    assert street.row(config) == "sscc..rr"


@BOTH
def test_pixels_of_small_stuff_are_void_without_a_second_best_class(config, street):
    street.pixels("sssssrtt")

    assert street.row(config) == "sssss.tt"


@pytest.mark.parametrize("arrays", [False, True])
def test_a_class_may_have_a_minimum_score_of_its_own(arrays, street):
    street.thing(CAR, 0.4, "##......")
    street.thing(BUS, 0.4, "....##..")
    street.pixels("ssssssss")
    if arrays:
        street.instances = street.folder / "things"
        street.instances.mkdir()
        np.savez(
            street.instances / "a.npz",
            boxes=np.float32([[0, 0, 2, 1], [4, 0, 6, 1]]),
            category_ids=[factories.CATEGORIES[label].id for label in (CAR, BUS)],
            scores=np.float32([0.4, 0.4]),
            masks=np.ones((2, 2, 2), np.float32),
        )
    config = MergeConfig(min_score=0.1, min_stuff_area=0.0, class_min_scores=(("bus", 0.5),))

    assert street.row(config) == "ccssssss"


@BOTH
def test_instances_below_the_minimum_score_are_ignored(config, street):
    street.thing(CAR, 0.49, "##......")
    street.thing(BUS, 0.5, "......##")
    street.pixels("ssssssss")

    assert street.row(config) == "ssssssbb"


@BOTH
def test_a_tie_of_masks_goes_to_the_better_score_then_to_the_first(config, street):
    street.thing(BUS, 0.8, "...###..")
    street.thing(CAR, 0.9, ".###....")
    street.thing(BUS, 0.9, "##......")
    street.pixels("ssssssss")

    assert street.row(config) == "bcccbbss"


def test_a_mostly_hidden_instance_stays_by_the_rules_of_jsisnet_alone(street):
    street.thing(CAR, 0.9, ".###....")
    street.thing(BUS, 0.8, "..###...")
    street.pixels("ssssssss")

    assert street.row(JSISNET) == "scccbsss"
    assert street.row(KIRILLOV) == "scccssss"


@BOTH
def test_regions_of_stuff_may_overlap_and_the_first_one_wins(config, street):
    street.stuff(sky="####....", road="..####..", person="######..")

    assert street.row(config) == "ssssrr.."


def test_pixels_of_small_regions_are_free_for_the_next_by_the_rules_of_kirillov(street):
    street.stuff(sky="#.......", road="########")

    assert street.row(KIRILLOV) == "rrrrrrrr"
    assert street.row(JSISNET) == ".rrrrrrr"


@BOTH
def test_no_predictions_are_an_empty_map(config, street):
    street.pixels("........")

    assert street.merged(config).segments == ()


def scores_of(text):
    """Return logits of 1, and of 0.5 for the tree everywhere."""
    ids = [category.id for category in factories.CATEGORIES]
    scores = np.stack([ids_of(text) == number for number in ids]).astype(np.float32)
    return np.maximum(scores, np.array([0, 0, 0, 0, 0, 0.5], np.float32)[:, None, None])


def test_with_scores_small_stuff_is_replaced_by_the_next_best_class(street):
    street.thing(CAR, 0.9, "##......")
    np.savez(street.semantic / "a.npz", scores_of("ccbbsttr"))

    assert street.row(JSISNET) == "cctttttt"
    assert street.row(KIRILLOV) == "cc...tt."


def test_kirillovs_rules_take_the_best_class_of_any_grid(street):
    np.save(street.semantic / "a.npy", scores_of("sr"))

    assert street.row(KIRILLOV) == "ssssrrrr"


def test_boxes_with_probabilities_give_exactly_the_merge_of_a_networks_own(tmp_path):
    random = np.random.default_rng(0)
    street = Street(tmp_path, width=30)
    boxes = np.stack([random.uniform(0, 15, 6), np.zeros(6), random.uniform(16, 30, 6), np.ones(6)])
    arrays = {
        "boxes": boxes.T.astype(np.float32),
        "category_ids": random.choice([1, 3, 6], 6),
        "scores": random.uniform(0.4, 1, 6).astype(np.float32),
        "masks": random.uniform(0, 1, (6, 7, 7)).astype(np.float32),
    }
    scores = random.normal(size=(6, 1, 9)).astype(np.float32)
    street.instances = tmp_path / "boxes"
    street.instances.mkdir()
    np.savez(street.instances / "a.npz", **arrays)
    np.savez(street.semantic / "a.npz", np.exp(scores) / np.exp(scores).sum(axis=0))

    found = street.merged(JSISNET, array_values="probabilities")

    labels = [factories.CATEGORIES.label(number) for number in arrays["category_ids"].tolist()]
    own = merge(
        Instances(
            boxes=arrays["boxes"],
            labels=np.array(labels),
            scores=arrays["scores"],
            masks=arrays["masks"],
        ),
        scores,
        frame=(1, 30),
        size=(1, 30),
        stuff_labels=(SKY, ROAD, TREE),
        config=JSISNET,
    )
    assert found.ids.tolist() == own.ids.tolist()
    assert [s.label for s in found.segments] == [s.label for s in own.segments]


def test_boxes_with_probabilities_become_masks_by_the_rules_of_kirillov(street):
    street.instances = street.folder / "boxes"
    street.instances.mkdir()
    np.savez(
        street.instances / "a.npz",
        boxes=np.array([[2.0, 0.0, 6.0, 1.0], [0.0, 0.0, 8.0, 1.0]]),
        category_ids=np.array([3, 6]),
        scores=np.array([0.9, 0.4]),
        masks=np.array([[[0.9, 0.1], [0.9, 0.1]], [[1.0, 1.0], [1.0, 1.0]]]),
    )
    street.pixels("ssssssss")

    assert street.row(KIRILLOV) == "ssccssss"


@BOTH
def test_two_processes_write_the_files_of_one(config, tmp_path):
    tiny = factories.tiny_dataset(tmp_path)
    others = factories.tiny_instances(tmp_path, count=6)
    listed = json.loads(others.annotations.read_text())["annotations"]
    (tmp_path / "things.json").write_text(json.dumps([one | {"score": 0.9} for one in listed]))
    wanted = image_list.read(tiny.annotations)
    things = coco_results.read_things(tmp_path / "things.json", wanted, min_score=0.5)
    (tmp_path / "maps").mkdir()
    for index, image in enumerate(wanted.images.values()):
        labels = factories.tiny_map(index).labels().astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "maps" / image.png)
    maps = SemanticFolder(
        folder=tmp_path / "maps", categories=wanted.categories, png_values="labels"
    )
    predictions = Predictions(wanted=wanted, instances=things, semantic=maps)
    told = []

    for processes in (1, 2):
        out = tmp_path / f"merged{processes}.json"
        merge_files.merge_files(
            predictions, config, out, processes=processes, on_image=lambda *of: told.append(of)
        )

    first, second = (tmp_path / f"merged{processes}.json" for processes in (1, 2))
    assert first.read_bytes() == second.read_bytes()
    assert told == 2 * [(done, 6) for done in range(1, 7)]
    for image in wanted.images.values():
        pngs = [file.with_suffix("") / image.png for file in (first, second)]
        assert pngs[0].read_bytes() == pngs[1].read_bytes()


@BOTH
def test_missing_files_are_noticed_before_anything_is_written(config, street):
    with pytest.raises(ValueError, match=r"a.png: does not exist, nor does an .npz or .npy"):
        street.merged(config)

    assert not (street.folder / "merged").exists()


def test_missing_arrays_of_instances_are_noticed_before_merging(street):
    street.pixels("ssssssss")
    street.instances = street.folder / "boxes"
    street.instances.mkdir()

    with pytest.raises(ValueError, match=r"boxes/a.npz: does not exist"):
        street.merged(KIRILLOV)


@BOTH
def test_after_an_error_there_is_no_json_file(config, street):
    street.thing(CAR, 0.9, "##......")
    street.things[0]["segmentation"]["size"] = [8, 1]
    street.pixels("ssssssss")

    with pytest.raises(ValueError, match=r"things.json: result 0: image 1: the 'size' of its mask"):
        street.merged(config)

    assert not (street.folder / "merged.json").exists()


def test_the_json_file_goes_before_the_pngs_of_another_merge(street):
    street.pixels("ssssssss")
    street.merged(MergeConfig(min_stuff_area=0.0))
    street.thing(CAR, 0.9, "##......")
    street.things[0]["segmentation"]["size"] = [8, 1]

    with pytest.raises(ValueError, match="the 'size' of its mask"):
        street.merged(MergeConfig())

    assert not (street.folder / "merged.json").exists()
    assert not (street.folder / "merged" / "a.png").exists()


def test_a_merge_replaces_only_its_own_maps(street):
    street.pixels("ssssssss")
    street.merged(MergeConfig(min_stuff_area=0.0))
    (street.folder / "merged" / "mine.png").write_text("mine")

    assert street.row(MergeConfig(min_stuff_area=0.0)) == "ssssssss"
    assert (street.folder / "merged" / "mine.png").read_text() == "mine"

    (street.folder / "merged" / ".merge.json").unlink()
    with pytest.raises(ValueError, match=r"a\.png is a file that no earlier run has written"):
        street.merged(MergeConfig())
    assert (street.folder / "merged.json").exists()


def test_two_merges_do_not_write_to_one_folder(street):
    street.pixels("ssssssss")

    with (
        lock_folder(street.folder / "merged"),
        pytest.raises(ValueError, match="merged: another command is writing to it"),
    ):
        street.merged(MergeConfig())


@BOTH
def test_an_image_of_a_huge_declared_size_is_refused_before_it_is_merged(street, config):
    street.pixels("sssrrrbb")
    street.thing(CAR, 0.9, "##......")
    text = street.wanted.read_text().replace('"height": 1', '"height": 100000000')
    street.wanted.write_text(text)

    found = f"{street.wanted}: image 1: 100000000x8 pixels would take .* limit is 1 GB"
    with pytest.raises(ValueError, match=found):
        street.merged(config)


def test_categories_without_stuff_are_refused(street):
    content = json.loads(street.wanted.read_text())
    for category in content["categories"]:
        del category["isthing"]
    street.wanted.write_text(json.dumps(content))
    street.pixels("ssssssss")

    with pytest.raises(ValueError, match=r"none of the 6 categories for .*info.json is stuff"):
        street.merged(KIRILLOV)


def test_a_map_of_labels_has_no_probabilities(street):
    street.pixels("ssssssss")

    with pytest.raises(ValueError, match="a map of labels has no probabilities"):
        street.merged(MergeConfig(min_stuff_probability=0.5))
