import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import factories
from factories import CATEGORIES, SKY, tiny_map
from jsisnet.data.sample import collate
from jsisnet.data.sources import Part, Sources, common_categories
from jsisnet.data.stream import Stream
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import DataConfig, PanopticDataset, Samples
from jsisnet.panoptic import IGNORE

SMALL = TransformConfig(size=(16, 24))


@pytest.fixture
def streets(tiny):
    return DataConfig(images=str(tiny.images), annotations=str(tiny.annotations))


@pytest.fixture
def things(tmp_path):
    """Return photos with annotated things only."""
    written = factories.tiny_instances(tmp_path / "things")
    return DataConfig(
        images=str(written.images), annotations=str(written.annotations), kind="instances"
    )


def rewritten(config, change):
    """Change the categories of a file."""
    path = Path(config.annotations)
    content = json.loads(path.read_text())
    change(content["categories"])
    path.write_text(json.dumps(content))
    return config


def batch_of(sources, *, seed=0):
    stream = Stream(sources, SMALL, seed=seed)
    return collate([stream[position] for position in range(len(sources))])


def test_photos_of_one_data_set_follow_those_of_the_other(streets, things):
    sources = Sources([streets, things])

    ids = [sources[index].image_id for index in range(len(sources))]
    assert isinstance(sources, Samples)
    assert ids == [*range(100, 106), *range(100, 104)]
    assert sources.parts == (Part(length=6), Part(length=4))


def test_one_data_set_alone_stays_as_it_is(streets):
    sources, dataset = Sources([streets]), PanopticDataset(streets)

    assert sources.categories == dataset.categories
    assert np.array_equal(sources[3].panoptic.ids, dataset[3].panoptic.ids)
    assert sources[3].panoptic.segments == dataset[3].panoptic.segments


def test_classes_are_those_of_all_data_by_name(streets, things):
    together, swapped = Sources([streets, things]), Sources([things, streets])

    names = [category.name for category in CATEGORIES]
    assert together.categories == common_categories([streets, things]) == CATEGORIES
    assert [category.name for category in swapped.categories] == names


def test_labels_are_those_of_the_common_classes(streets, things):
    def rename(categories):
        categories[0]["name"] = "rider"
        categories.reverse()

    sources = Sources([streets, rewritten(things, rename)])

    names = [category.name for category in sources.categories]
    assert names == [*(category.name for category in CATEGORIES), "rider"]
    assert [names[s.label] for s in sources[7].panoptic.segments] == ["car", "rider"]
    assert [names[label] for label in sources[0].unlabelled] == ["rider"]
    assert [names[label] for label in sources[7].unlabelled] == ["person"]


def test_merged_classes_are_the_same_by_their_name_and_have_the_members_of_both(streets, things):
    def rename(categories):
        categories[2]["name"] = "tram"

    streets, things = (replace(data, merge="supercategory") for data in (streets, things))

    categories = Sources([streets, rewritten(things, rename)]).categories

    assert [c.name for c in categories] == ["person", "vehicle", "outdoor", "ground"]
    assert categories[1].members == ("car", "bus", "tram")


def test_a_merged_class_is_labelled_by_data_with_all_its_members(streets, things):
    streets, things = (replace(data, merge="supercategory") for data in (streets, things))
    same = Sources([streets, things])

    def rename(categories):
        categories[2]["name"] = "tram"

    other = Sources([streets, rewritten(things, rename)])

    assert [same[index].unlabelled for index in (0, 6)] == [frozenset(), frozenset()]
    assert [other[index].unlabelled for index in (0, 6)] == [{1}, {1}]


def test_stuff_is_learned_only_from_data_that_has_some(streets, things):
    sources = Sources([streets, things])

    assert [sources[index].semantic for index in (0, 6)] == [True, False]


def test_batches_state_what_is_labelled(streets, things):
    batch = batch_of(Sources([streets, things]))

    silent = (batch.semantic == IGNORE).all(dim=2).all(dim=1)
    assert silent.sum() == 4
    assert batch.labelled.all()
    assert all(len(objects) for objects in batch.objects)


def test_data_whose_instances_are_not_trusted_has_no_objects(streets, things):
    batch = batch_of(Sources([replace(streets, trusted="semantic"), things]))

    assert batch.labelled.sum(dim=1).tolist().count(0) == 6
    for labelled, objects, semantic in zip(
        batch.labelled, batch.objects, batch.semantic, strict=True
    ):
        assert bool(len(objects)) == bool(labelled.all())
        assert bool((semantic == SKY).any()) != bool(labelled.all())


def test_photos_are_seen_as_often_as_their_weight_says(streets, things):
    stream = Stream(Sources([streets, replace(things, weight=2.5)]), SMALL)

    seen = Counter(bool((stream[position].semantic == IGNORE).all()) for position in range(2 * 16))

    assert seen == {False: 2 * 6, True: 2 * 10}


def test_data_of_weight_0_is_not_even_opened(streets):
    nowhere = DataConfig(images="nowhere", annotations="nowhere.json", weight=0.0)

    assert len(Sources([streets, nowhere])) == 6
    assert common_categories([nowhere, streets]) == CATEGORIES
    with pytest.raises(ValueError, match="weight 0; expected at least one above 0"):
        Sources([nowhere])


def test_a_class_that_is_stuff_elsewhere_is_named_with_the_files(streets, things):
    def rename(categories):
        categories[0]["name"] = "sky"

    rewritten(things, rename)

    for first, second, kind in ((streets, things, "a thing, but"), (things, streets, "stuff, but")):
        with pytest.raises(ValueError, match=f"'sky' is {kind}") as caught:
            Sources([first, second])
        assert str(caught.value).startswith(f"{second.annotations}: ")
        assert str(caught.value).endswith(f"({first.annotations})")


def test_merged_and_unmerged_data_go_together_if_the_merged_comes_first(streets, things):
    merged = replace(streets, merge="supercategory")

    sources = Sources([merged, things])

    names = [sources.categories[s.label].name for s in sources[6].panoptic.segments]
    assert names == ["vehicle", "vehicle", "person"]
    assert sources[6].unlabelled == frozenset()
    with pytest.raises(ValueError, match="'car' is merged into 'vehicle', but into 'car' in"):
        Sources([things, merged])


def test_data_without_photos_is_passed_over(streets, things):
    nothing = {"images": [], "annotations": [], "categories": []}
    Path(things.annotations).write_text(json.dumps(nothing))

    sources = Sources([things, streets])

    assert len(sources) == 6
    assert len({Stream(sources, SMALL)[position].image_id for position in range(6)}) == 6


def test_things_keep_their_pixels(streets, things):
    sources = Sources([streets, things])

    street = tiny_map(1)
    listed = [number for number, s in enumerate(street.segments, 1) if s.isthing]
    assert np.array_equal(sources[7].panoptic.ids > 0, np.isin(street.ids, listed))
    assert np.array_equal(sources[7].image, PanopticDataset(things)[1].image)
