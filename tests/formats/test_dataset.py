import json

import numpy as np
import pytest
from PIL import Image

import factories
from factories import CAR, CATEGORIES, PERSON, TREE, tiny_map
from jsisnet.categories import Categories, Category
from jsisnet.formats.dataset import DataConfig, PanopticDataset, Samples
from jsisnet.panoptic import IGNORE


def config(tiny, **settings):
    return DataConfig(images=str(tiny.images), annotations=str(tiny.annotations), **settings)


@pytest.fixture
def things(tmp_path):
    """Return photos with annotated things only."""
    return factories.tiny_instances(tmp_path / "things")


def things_config(things, **settings):
    where = {"images": str(things.images), "annotations": str(things.annotations)}
    return DataConfig(**where, **{"kind": "instances"} | settings)


def vistas_config(part, **settings):
    return DataConfig(
        images=str(part.parent / "images"), annotations=str(part), kind="vistas", **settings
    )


def rewritten(tiny, change):
    content = json.loads(tiny.annotations.read_text())
    change(content)
    tiny.annotations.write_text(json.dumps(content))
    return tiny


def test_photos_come_with_their_maps_in_the_order_of_the_file(tiny):
    dataset = PanopticDataset(config(tiny))

    assert len(dataset) == 6
    assert dataset.categories == CATEGORIES
    for index in range(6):
        sample = dataset[index]
        assert sample.image_id == 100 + index
        assert np.array_equal(sample.panoptic.ids, tiny_map(index).ids)
        assert sample.panoptic.segments == tiny_map(index).segments


def test_pixels_of_the_photo_lie_where_the_file_has_them(tiny):
    sample = PanopticDataset(config(tiny))[1]

    stored = np.asarray(Image.open(tiny.images / "street1.png"))
    assert np.array_equal(sample.image, stored)


def test_a_dataset_is_what_a_stream_reads(tiny):
    assert isinstance(PanopticDataset(config(tiny)), Samples)


def test_classes_of_a_group_can_be_merged(tiny):
    dataset = PanopticDataset(config(tiny, merge="supercategory"))

    names = [category.name for category in dataset.categories]
    labels = [segment.label for segment in dataset[3].panoptic.segments]
    assert names == ["person", "vehicle", "outdoor", "ground"]
    assert [names[label] for label in labels] == [
        "outdoor",
        "ground",
        "vehicle",
        "vehicle",
        "person",
    ]


def test_merged_stuff_covers_what_its_members_covered(tiny):
    merged = PanopticDataset(config(tiny, merge="supercategory"))[1].panoptic
    members = PanopticDataset(config(tiny))[1].panoptic

    sky_and_tree = [
        number
        for number, info in enumerate(members.segments, 1)
        if CATEGORIES[info.label].supercategory == "outdoor"
    ]
    assert len(sky_and_tree) == 2
    assert np.array_equal(merged.ids == 1, np.isin(members.ids, sky_and_tree))


def test_labels_are_those_of_the_given_categories(tiny):
    others = Categories(
        (Category(id="zebra", name="zebra", isthing=True), *reversed(CATEGORIES.items))
    )

    dataset = PanopticDataset(config(tiny), others)

    assert dataset.categories is others
    names = [others[segment.label].name for segment in dataset[0].panoptic.segments]
    assert names == ["sky", "road", "bus", "car", "person"]


def test_a_class_without_counterpart_is_named(tiny):
    without_bus = Categories(tuple(c for c in CATEGORIES if c.name != "bus"))

    with pytest.raises(ValueError, match=r"panoptic_tiny\.json: .*'bus'"):
        PanopticDataset(config(tiny), without_bus)


def test_crowds_survive(tiny):
    crowds = [segment.iscrowd for segment in PanopticDataset(config(tiny))[2].panoptic.segments]

    assert crowds.count(True) == 1


def test_a_photo_without_segments_is_a_sample(tiny):
    def clear(content):
        content["annotations"][0]["segments_info"] = []

    Image.new("RGB", (96, 64)).save(tiny.pngs / "map0.png")

    panoptic = PanopticDataset(config(rewritten(tiny, clear)))[0].panoptic

    assert panoptic.segments == ()
    assert not panoptic.ids.any()


def test_the_folder_of_pngs_can_be_given(tiny):
    moved = tiny.pngs.rename(tiny.pngs.with_name("elsewhere"))

    assert len(PanopticDataset(config(tiny, pngs=str(moved)))[0].panoptic.segments) == 5


def test_paths_can_begin_in_a_folder(tiny):
    relative = DataConfig(images="photos", annotations="panoptic_tiny.json", pngs="panoptic_tiny")

    assert len(PanopticDataset(relative.under(str(tiny.images.parent)))) == 6


def test_the_first_photos_can_be_used_alone(tiny):
    dataset = PanopticDataset(config(tiny, first=2))

    assert [dataset[index].image_id for index in range(len(dataset))] == [100, 101]


def test_photos_are_chosen_by_patterns_of_their_names(tiny):
    def names(**patterns):
        dataset = PanopticDataset(config(tiny, **patterns))
        return [dataset.image_name(index) for index in range(len(dataset))]

    everything = names()

    assert names(only="street[1-3].*", without="*2.jpeg") == ["street1.png", "street3.jpg"]
    assert names(only="street[1-3].*", first=2) == everything[1:3]
    assert sorted(names(only="*4*") + names(without="*4*")) == everything


def test_a_pattern_that_leaves_no_photo_is_refused(tiny):
    with pytest.raises(ValueError, match="leave none of 6, such as street0"):
        PanopticDataset(config(tiny, only="Street*"))


def test_a_pattern_that_leaves_out_no_photo_is_refused(tiny):
    with pytest.raises(
        ValueError, match=r"without is 'Street0\.\*', which fits none of .*, such as"
    ):
        PanopticDataset(config(tiny, without="Street0.*"))


def test_unused_photos_need_not_exist(tiny):
    (tiny.images / "street5.jpeg").unlink()

    assert len(PanopticDataset(config(tiny, first=5))) == 5


def test_no_photos_at_all_are_refused(tiny):
    with pytest.raises(ValueError, match="first is 0"):
        config(tiny, first=0)


def test_names_of_photos_are_relative_to_their_folder(tiny):
    assert PanopticDataset(config(tiny)).image_name(2) == "street2.jpeg"


def test_a_cache_gives_the_same_sample_again(tiny):
    dataset = PanopticDataset(config(tiny, cache=True))
    before = dataset[0]

    (tiny.images / "street0.jpg").unlink()

    assert dataset[0] is before


def test_without_a_cache_files_are_read_again(tiny):
    dataset = PanopticDataset(config(tiny))

    assert dataset[0] is not dataset[0]


@pytest.mark.parametrize("name", ["photos/street3.jpg", "panoptic_tiny/map4.png"])
def test_a_missing_file_is_named_when_the_dataset_is_opened(tiny, name):
    missing = tiny.images.parent / name
    missing.unlink()

    with pytest.raises(ValueError, match="does not exist") as caught:
        PanopticDataset(config(tiny))

    assert str(missing) in str(caught.value)


def test_a_photo_of_another_size_than_its_map_is_refused(tiny):
    Image.new("RGB", (64, 96)).save(tiny.images / "street1.png")

    with pytest.raises(ValueError, match=r"street1\.png: 96x64 pixels, but .*json is 64x96"):
        PanopticDataset(config(tiny))[1]


def test_a_damaged_photo_is_named_when_it_is_read(tiny):
    photo = tiny.images / "street0.jpg"
    photo.write_bytes(photo.read_bytes()[:300])

    with pytest.raises(ValueError, match=r"street0\.jpg: can't be read"):
        PanopticDataset(config(tiny))[0]


def test_wrong_areas_are_refused_unless_they_are_recounted(tiny):
    def enlarge(content):
        content["annotations"][0]["segments_info"][0]["area"] += 1

    rewritten(tiny, enlarge)

    with pytest.raises(ValueError, match="but the JSON file says"):
        PanopticDataset(config(tiny))[0]
    assert len(PanopticDataset(config(tiny, recount_areas=True))[0].panoptic.segments) == 5


def test_photos_of_an_instances_file_come_with_their_things(things):
    dataset = PanopticDataset(things_config(things))

    assert [category.name for category in dataset.categories] == ["person", "car", "bus"]
    assert [dataset[index].image_id for index in range(len(dataset))] == [100, 101, 102, 103]
    assert [segment.label for segment in dataset[1].panoptic.segments] == [CAR, PERSON]
    assert dataset.image_name(1) == "other1.png"


def test_boxes_without_an_outline_are_left_out_of_a_training_on_demand(things, caplog):
    content = json.loads(things.annotations.read_text())
    content["annotations"][0]["segmentation"] = None
    things.annotations.write_text(json.dumps(content))
    settings = things_config(things, keep_going=True)

    dataset = PanopticDataset(settings)

    kept = sum(each["image_id"] == 100 for each in content["annotations"]) - 1
    assert len(dataset[0].panoptic.segments) == kept
    assert "left out: annotations without an outline (1), such as" in caplog.text
    assert settings.location().keep_going
    with pytest.raises(ValueError, match="keep_going: true"):
        PanopticDataset(things_config(things))


def test_things_can_be_merged_too(things):
    dataset = PanopticDataset(things_config(things, merge="supercategory"))

    assert [category.members for category in dataset.categories] == [("person",), ("car", "bus")]


def test_a_missing_photo_of_an_instances_file_is_named(things):
    (things.images / "other2.png").unlink()

    with pytest.raises(ValueError, match=r"json: image 102: .*other2\.png does not exist"):
        PanopticDataset(things_config(things))


def test_a_photo_of_another_size_than_its_instances_file_says_is_refused(things):
    Image.new("RGB", (64, 90)).save(things.images / "other1.png")

    with pytest.raises(ValueError, match=r"other1\.png: 90x64 pixels, but .*json is 64x96"):
        PanopticDataset(things_config(things))[1]


def test_a_mask_decides_against_the_size_of_a_turned_photo(things):
    Image.new("RGB", (64, 96)).save(things.images / "other1.png")

    with pytest.raises(ValueError, match=r"other1\.png: 96x64 pixels, but .* 64x96: the 'size' of"):
        PanopticDataset(things_config(things))[1]


def test_swapped_height_and_width_are_read_and_told(tiny, caplog):
    def swap(content):
        for entry in content["images"][:2]:
            entry["height"], entry["width"] = entry["width"], entry["height"]

    before = PanopticDataset(config(tiny))[1]
    assert not caplog.text
    after = PanopticDataset(config(rewritten(tiny, swap)))[1]

    assert np.array_equal(after.panoptic.ids, before.panoptic.ids)
    assert "2 of 6 photos that were looked at are listed with height and width sw" in caplog.text


def test_photos_that_exif_turns_are_told(tiny, caplog):
    photo = tiny.images / "street0.jpg"
    with Image.open(photo) as image:
        exif = image.getexif()
        exif[0x112] = 6
        image.save(photo, exif=exif)

    sample = PanopticDataset(config(tiny))[0]

    assert sample.image.shape[:2] == sample.panoptic.size
    assert "1 of 6 photos that were looked at are turned by EXIF" in caplog.text
    assert str(photo) in caplog.text


def test_a_map_of_another_size_than_its_photo_is_refused_if_the_json_file_has_no_size(tiny):
    def forget(content):
        for image in content["images"]:
            del image["height"]

    Image.new("RGB", (64, 96)).save(tiny.images / "street1.png")

    with pytest.raises(ValueError, match=r"street1\.png: 96x64 pixels, but .*json is 64x96"):
        PanopticDataset(config(rewritten(tiny, forget)))[1]


def test_a_complete_ground_truth_labels_everything(tiny):
    sample = PanopticDataset(config(tiny))[0]

    assert sample.unlabelled == frozenset()
    assert sample.semantic


def test_a_file_without_stuff_labels_no_pixel_classes(things):
    dataset = PanopticDataset(things_config(things), CATEGORIES)

    assert not dataset[0].semantic
    assert dataset[0].unlabelled == frozenset()


def test_where_all_classes_are_things_the_classes_of_pixels_are_known(things):
    assert PanopticDataset(things_config(things))[0].semantic


def test_a_thing_that_the_file_does_not_know_is_unlabelled(tiny):
    others = Categories((*CATEGORIES, Category(id="zebra", name="zebra", isthing=True)))

    assert PanopticDataset(config(tiny), others)[0].unlabelled == {6}


def test_a_merged_thing_of_which_the_file_lacks_a_member_is_unlabelled(tiny):
    tram = Category(id=7, name="tram", isthing=True, supercategory="vehicle")
    merged = Categories((*CATEGORIES, tram)).merged_by("supercategory")

    sample = PanopticDataset(config(tiny), merged)[0]

    assert [merged[label].name for label in sample.unlabelled] == ["vehicle"]


@pytest.mark.parametrize(
    ("trusted", "unlabelled", "semantic"),
    [("all", set(), True), ("semantic", {0, 1, 2}, True), ("instances", set(), False)],
)
def test_ground_truth_that_is_not_trusted_counts_as_unlabelled(tiny, trusted, unlabelled, semantic):
    sample = PanopticDataset(config(tiny, trusted=trusted))[0]

    assert sample.unlabelled == unlabelled
    assert sample.semantic == semantic


def test_the_same_photos_can_be_read_in_other_classes(tiny):
    dataset = PanopticDataset(config(tiny, cache=True))
    before = dataset[0].panoptic

    other = dataset.in_classes(Categories(tuple(reversed(CATEGORIES.items))))

    assert [5 - s.label for s in other[0].panoptic.segments] == [s.label for s in before.segments]
    assert dataset[0].panoptic is before
    with pytest.raises(ValueError, match=r"panoptic_tiny\.json: .*'person'"):
        dataset.in_classes(Categories(()))


def test_the_classes_can_be_read_alone(tiny, things):
    assert config(tiny).read_categories() == CATEGORIES
    assert config(tiny, merge="supercategory").read_categories()[1].name == "vehicle"
    assert len(things_config(things).read_categories()) == 3


def test_unmergeable_classes_are_refused_with_the_name_of_the_file(things):
    rewritten(things, lambda content: content["categories"][0].pop("supercategory"))

    with pytest.raises(ValueError, match=r"instances_tiny\.json: category 'person' has no superc"):
        PanopticDataset(things_config(things, merge="supercategory"))


def test_data_may_have_a_root_of_its_own_below_or_beside_that_of_the_run(things):
    folder = things.images.parent
    relative = {"images": "other", "annotations": "instances_tiny.json", "kind": "instances"}

    below = DataConfig(**relative, root=folder.name).under(str(folder.parent))
    beside = DataConfig(**relative, root=f"../{folder.name}").under(str(folder))
    absolute = DataConfig(**relative, root=str(folder)).under("nowhere")

    assert [len(PanopticDataset(data)) for data in (below, beside, absolute)] == [4, 4, 4]
    assert below.under("") == below
    assert len(PanopticDataset(DataConfig(**relative, root=str(folder)))) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": -1.0}, "weight is -1; expected 0 to 1,000"),
        ({"weight": float("inf")}, "weight is inf; expected 0 to 1,000"),
        ({"trusted": "semantic"}, "trusted is semantic; expected all or instances"),
        ({"pngs": "maps"}, "pngs is not used by the format coco-instances"),
        ({"kind": "coco", "keep_going": True}, "keep_going is not used by the format coco"),
        ({"pngs": "maps", "kind": "vistas"}, "pngs is not used by the format vistas"),
    ],
)
def test_settings_that_contradict_an_instances_file_are_refused(things, settings, message):
    with pytest.raises(ValueError, match=message):
        PanopticDataset(things_config(things, **settings))


@pytest.mark.parametrize("panoptic", [False, True])
def test_vistas_comes_in_the_classes_that_count(tmp_path, panoptic):
    config = vistas_config(factories.tiny_vistas(tmp_path, panoptic=panoptic))

    dataset = PanopticDataset(config)

    sample = dataset[1]
    names = [category.name for category in dataset.categories]
    assert names == ["person", "car", "bus", "sky", "road"]
    assert config.read_categories() == dataset.categories
    assert (len(dataset), sample.image_id, dataset.image_name(1)) == (6, "street1", "street1.jpg")
    assert sorted(names[s.label] for s in sample.panoptic.segments) == [
        "car",
        "person",
        "road",
        "sky",
    ]
    labels = tiny_map(1).labels()
    labels[labels == TREE] = IGNORE
    assert np.array_equal(sample.panoptic.labels(), labels)


def test_vistas_is_found_from_the_folder_of_the_run(tmp_path):
    factories.tiny_vistas(tmp_path / "vistas", count=2)
    relative = DataConfig(
        images="training/images", annotations="training/v2.0", kind="vistas", root="vistas"
    )

    assert len(PanopticDataset(relative.under(str(tmp_path)))) == 2


@pytest.mark.parametrize("lost", ["images/street1.jpg", "v2.0/panoptic/street1.png"])
def test_a_missing_file_of_vistas_is_named(tmp_path, lost):
    part = factories.tiny_vistas(tmp_path, panoptic=True)
    (part.parent / lost).unlink()

    with pytest.raises(ValueError, match=rf"v2\.0: image 'street1': .*{lost} does not exist"):
        PanopticDataset(vistas_config(part))


def test_wrong_areas_of_vistas_are_refused_unless_they_are_recounted(tmp_path):
    part = factories.tiny_vistas(tmp_path, count=1, panoptic=True)
    json_file = part / "panoptic/panoptic_2020.json"
    json_file.write_text(json_file.read_text().replace('"area": ', '"area": 1'))

    with pytest.raises(ValueError, match="but the JSON file says"):
        PanopticDataset(vistas_config(part))[0]
    assert len(PanopticDataset(vistas_config(part, recount_areas=True))[0].panoptic.segments) == 5


def test_a_photo_of_another_size_than_its_map_of_vistas_is_refused(tmp_path):
    part = factories.tiny_vistas(tmp_path, count=1)
    Image.new("RGB", (64, 96)).save(part.parent / "images/street0.jpg")

    with pytest.raises(ValueError, match=r"street0\.jpg: 96x64 pixels, but .*v2\.0 is 64x96"):
        PanopticDataset(vistas_config(part))[0]


def test_a_file_instead_of_a_vistas_folder_is_refused(tiny):
    with pytest.raises(ValueError, match=r"tiny\.json: not a folder; expected the annotations"):
        PanopticDataset(config(tiny, kind="vistas"))


def test_photos_listed_under_paths_of_another_system_are_found_and_told(tiny, caplog):
    def change(content):
        for entry in content["images"][:2]:
            entry["file_name"] = f"C:\\photos\\{entry['file_name']}"

    names = [entry["file_name"] for entry in json.loads(tiny.annotations.read_text())["images"]]
    rewritten(tiny, change)

    dataset = PanopticDataset(config(tiny))

    assert [dataset.image_name(index) for index in range(6)] == names
    assert dataset[1].image_id == 101
    assert "2 of 6 photos are listed under other paths" in caplog.text
