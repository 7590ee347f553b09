import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from zipfile import ZipFile

import hotcoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import factories
from factories import BUS, CAR, PERSON, SKY, panoptic_map, segment
from jsisnet.formats import map_index, outlines
from jsisnet.panoptic import PanopticMap

PERSON_ID, CAR_ID, SKY_ID, ROAD_ID = 1, 3, 92, 100
FIRST_PIXEL = [[0, 0, 1, 0, 1, 1, 0, 1]]
FIRST_TWO = [[0, 0, 2, 0, 2, 1, 0, 1]]
ALL_FOUR = [[0, 0, 4, 0, 4, 1, 0, 1]]
PHOTO = {"id": 7, "file_name": "a.jpg", "height": 1, "width": 4}
TOOL = [{"id": 0, "name": "car"}, {"id": 1, "name": "person"}, {"id": 2, "name": "road"}]
"""Categories of a labelling tool, which does not distinguish things and stuff."""


@pytest.fixture
def export(tmp_path):
    """An export of one photo, four pixels wide, and the map read from it."""
    return Export(tmp_path)


class Export:
    def __init__(self, folder):
        self.folder = folder
        self.semantic = folder / "classes"
        self.listed = factories.category_entries()
        self.categories = TOOL
        self.photos = [PHOTO]
        self.outlines = []

    def outline(self, category_id, shape, **more):
        number = len(self.outlines) + 1
        common = {"id": number, "image_id": 7, "category_id": category_id, "segmentation": shape}
        self.outlines.append(common | more)

    def map(self, *values, name="a.png"):
        path = self.semantic / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([values], np.uint8)).save(path)

    def source(self, semantic=None, void=None):
        (self.folder / "classes.json").write_text(json.dumps({"categories": self.listed}))
        instances = {"images": self.photos, "categories": self.categories}
        path = self.folder / "instances.json"
        path.write_text(json.dumps(instances | {"annotations": self.outlines}))
        if semantic is None and self.semantic.is_dir():
            semantic = self.semantic
        index = map_index.read_index(self.folder / "classes.json")
        return outlines.source(path, index, semantic=semantic, void=void)

    def pixels(self, **more):
        """Return the class name of each pixel, capitalised for things and with * for crowds."""
        source = self.source(**more)
        panoptic = source.records[0].read()
        names = ["void"]
        for found in panoptic.segments:
            name = source.categories[found.label].name
            names.append((name.upper() if found.isthing else name) + "*" * found.iscrowd)
        return [names[number] for number in panoptic.ids[0]]


def test_things_lie_on_the_stuff_of_the_map(export):
    export.map(ROAD_ID, ROAD_ID, ROAD_ID, SKY_ID)
    export.outline(0, FIRST_TWO)

    assert export.pixels() == ["CAR", "CAR", "road", "sky"]


def test_the_smaller_thing_lies_on_top_and_a_crowd_below(export):
    export.map(ROAD_ID, ROAD_ID, ROAD_ID, SKY_ID)
    export.outline(1, FIRST_PIXEL)
    export.outline(0, FIRST_TWO)
    export.outline(1, factories.run_lengths(np.array([[0, 1, 1, 0]], bool)), iscrowd=1)

    assert export.pixels() == ["PERSON", "CAR", "PERSON*", "sky"]


def test_things_of_the_map_without_an_outline_are_void(export):
    export.map(CAR_ID, CAR_ID, ROAD_ID, 0)
    export.outline(0, FIRST_PIXEL)

    assert export.pixels() == ["CAR", "void", "road", "void"]


def test_a_photo_without_outlines_is_all_stuff(export):
    export.map(ROAD_ID, ROAD_ID, SKY_ID, SKY_ID)

    assert export.pixels() == ["road", "road", "sky", "sky"]


def test_outlines_of_stuff_lie_below_things_and_join_the_stuff_of_the_map(export):
    export.map(SKY_ID, SKY_ID, SKY_ID, ROAD_ID)
    export.outline(2, FIRST_TWO, iscrowd=1)
    export.outline(0, FIRST_PIXEL)

    assert export.pixels() == ["CAR", "road", "sky", "road"]
    assert len(export.source().records[0].read().segments) == 3


def test_class_maps_are_optional(export):
    export.outline(2, ALL_FOUR)
    export.outline(1, FIRST_TWO)

    assert export.pixels() == ["PERSON", "PERSON", "road", "road"]


def test_maps_may_have_the_colors_of_the_classes(export):
    export.map((128, 64, 128), (70, 130, 180), (0, 0, 0), (0, 0, 142))
    export.outline(1, FIRST_PIXEL)

    assert export.pixels() == ["PERSON", "sky", "void", "void"]


def test_other_values_can_be_void(export):
    export.map(7, 8, SKY_ID, SKY_ID)

    assert export.pixels(void=(7, 8)) == ["void", "void", "sky", "sky"]


def test_classes_with_outlines_that_are_not_listed_are_things(export):
    export.map(0, 0, 0, SKY_ID)
    export.listed = [entry for entry in export.listed if entry["name"] == "sky"]
    export.categories = [*TOOL, {"id": 92, "name": "kite"}]
    export.outline(92, FIRST_PIXEL)

    found = [(c.id, c.name, c.isthing) for c in export.source().categories]
    assert found == [(92, "sky", False), (1, "kite", True)]
    assert export.pixels() == ["KITE", "void", "void", "sky"]


def test_members_of_a_merged_class_are_it(export):
    export.listed = [{"id": 5, "name": "vehicle", "isthing": 1, "members": ["car", "bus"]}]
    export.outline(0, FIRST_PIXEL)

    assert export.pixels() == ["VEHICLE", "void", "void", "void"]


@pytest.mark.parametrize("photo", ["train/images/a.jpg", "a.JPG", "a.jpeg"])
@pytest.mark.parametrize("name", ["a.png", "SegmentationClass/a.png"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_map_is_found_by_the_name_of_its_photo(photo, name, zipped, export):
    export.photos = [PHOTO | {"file_name": photo}]
    export.map(SKY_ID, SKY_ID, ROAD_ID, ROAD_ID, name=name)
    export.map(1, 1, 1, 1, name="of_another_photo.png")
    archive = export.folder / "classes.zip"
    with ZipFile(archive, "w") as file:
        for path in export.semantic.rglob("*.png"):
            file.write(path, path.relative_to(export.semantic))

    found = export.pixels(semantic=archive if zipped else None)

    assert found == ["sky", "sky", "road", "road"]


def test_a_map_with_the_whole_path_of_the_photo_comes_first(export):
    export.photos = [
        PHOTO | {"file_name": "day/a.jpg"},
        PHOTO | {"id": 8, "file_name": "night/a.jpg"},
    ]
    export.map(SKY_ID, SKY_ID, SKY_ID, SKY_ID, name="day/a.png")
    export.map(ROAD_ID, ROAD_ID, ROAD_ID, ROAD_ID, name="night/a.png")

    assert export.pixels() == ["sky"] * 4


def a_case_differs(export):
    export.categories = [{"id": 0, "name": "Car "}]
    export.outline(0, FIRST_PIXEL)


def a_map_is_missing(export):
    export.map(0, 0, 0, 0, name="b.png")


def a_map_is_there_twice(export):
    export.map(0, 0, 0, 0, name="x/a.png")
    export.map(0, 0, 0, 0, name="y/a.png")


def two_photos_share_a_map(export):
    export.photos = [PHOTO | {"file_name": "x/a.jpg"}, PHOTO | {"id": 8, "file_name": "y/a.jpg"}]
    export.map(0, 0, 0, 0)


def a_map_has_another_size(export):
    export.map(0, 0, 0)


def a_value_is_no_class(export):
    export.map(0, 0, 0, 77)


def there_is_a_box_alone(export):
    export.outline(0, [], bbox=[0, 0, 2, 1])


def an_outline_is_empty(export):
    export.outline(0, [[]])


def a_class_does_not_say_what_it_is(export):
    export.listed = [{"id": 1, "name": "car"}]


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (a_case_differs, r"instances.json: category 'Car ' is 'car' in .*classes.json; expected"),
        (a_map_is_missing, "classes: no map a.png for the photo a.jpg"),
        (
            a_map_is_there_twice,
            "classes: found x/a.png and y/a.png; expected one map for the photo",
        ),
        (two_photos_share_a_map, "a.png would be the map of both x/a.jpg and y/a.jpg"),
        (a_map_has_another_size, "a.png: 1x3 pixels, but the photo is 1x4"),
        (
            a_value_is_no_class,
            r"a.png: value 77 is not the id .* categories \(void values: 0, 255\)",
        ),
        (
            there_is_a_box_alone,
            "annotation 1: missing 'segmentation'; a box alone does not",
        ),
        (an_outline_is_empty, "annotation 1: its 'segmentation' has no polygon"),
        (
            a_class_does_not_say_what_it_is,
            "classes.json: categories.0.: category 1: missing 'isthi",
        ),
    ],
)
def test_a_faulty_export_gives_one_message(planted, message, export):
    planted(export)

    with pytest.raises(ValueError, match=message):
        export.pixels()


def test_written_files_have_exact_masks_for_things_and_a_class_for_every_pixel(tmp_path):
    kinds = (segment(SKY), segment(PERSON), segment(BUS, iscrowd=True), segment(CAR, score=0.5))
    panoptic = panoptic_map([[1, 2, 2], [2, 3, 2], [0, 2, 4]], *kinds)

    written = outlines.target(tmp_path, factories.CATEGORIES).write(panoptic, "a")

    with Image.open(tmp_path / "semantic/a.png") as classes:
        assert np.asarray(classes).tolist() == [[92, 1, 1], [1, 6, 1], [0, 1, 3]]
    found = [(e["category_id"], e["iscrowd"], e["area"], e["bbox"]) for e in written.instances]
    assert found == [(1, 0, 5, [0, 0, 3, 3]), (6, 1, 1, [1, 1, 1, 1]), (3, 0, 1, [2, 2, 1, 1])]
    assert written.instances[1]["segmentation"] == {"size": [3, 3], "counts": "414"}
    assert written.lost == {"scores": 1}


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3))
)
def test_the_entries_of_things_are_those_of_whole_masks(ids):
    panoptic = PanopticMap(ids, (segment(PERSON), segment(CAR), segment(BUS)))

    with TemporaryDirectory() as folder:
        written = outlines.target(Path(folder), factories.CATEGORIES).write(panoptic, "a")

    for number, found in enumerate(written.instances, 1):
        whole = hotcoco.mask.encode(np.asfortranarray(ids == number).view(np.uint8))
        assert found["segmentation"]["counts"] == whole["counts"].decode()
        assert found["area"] == np.count_nonzero(ids == number)
        assert found["bbox"] == hotcoco.mask.to_bbox(whole).tolist()


def test_thousands_of_tiny_things_are_written_in_time(tmp_path):
    ids = np.arange(10_000, dtype=np.int32).reshape(100, 100)
    panoptic = PanopticMap(ids, (segment(PERSON),) * 9_999)
    begin = thread_time()

    written = outlines.target(tmp_path, factories.CATEGORIES).write(panoptic, "a")
    assert len(written.instances) == 9_999
    assert thread_time() - begin < 10
