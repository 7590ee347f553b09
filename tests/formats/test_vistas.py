import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from jsisnet.formats import vistas

BIRD, RAILS, ROAD, CAR, EGO, UNLABELED = range(6)
"""Labels of the test configuration: their positions in its list."""

WHITE = [255, 255, 255]
LABELS = [
    {"name": "animal--bird", "readable": "Bird", "instances": True, "evaluate": True},
    {"name": "construction--flat--rails", "readable": "On Rails", "instances": False},
    {"name": "construction--flat--road", "readable": "Road", "instances": False},
    {"name": "object--vehicle--car", "readable": "Car", "instances": True},
    {"name": "void--ego-vehicle", "readable": "Ego Vehicle", "instances": False, "evaluate": False},
    {"name": "void--unlabeled", "readable": "Unlabeled", "instances": False, "evaluate": False},
]
CONFIG = {"labels": [{"evaluate": True, "color": WHITE, **label} for label in LABELS]}


def value(label, instance=0):
    return 256 * label + instance


VALUES = [
    [value(ROAD), value(ROAD), value(CAR), value(CAR, 200)],
    [value(RAILS), value(EGO), value(CAR, 255), value(UNLABELED)],
]
"""Two rows; road 2 pixels, three cars, and two classes that don't count."""


def write_config(path, content=CONFIG):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_instances(path, values=VALUES):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint16)).save(path)


@pytest.fixture
def old(tmp_path):
    """The first archive, unpacked."""
    write_config(tmp_path / "config.json")
    write_instances(tmp_path / "training/instances/abc.png")
    return tmp_path


@pytest.fixture
def new(tmp_path):
    """The second archive, unpacked."""
    for version in ("1.2", "2.0"):
        write_config(tmp_path / f"config_v{version}.json")
        write_instances(tmp_path / f"training/v{version}/instances/abc.png")
    return tmp_path


def described(panoptic, categories):
    """Return the name and the pixels of each segment."""
    return sorted(
        (categories[s.label].name, int(area))
        for s, area in zip(panoptic.segments, panoptic.areas(), strict=True)
    )


def training(root, version="1.2", **options):
    """Open the training split."""
    return vistas.source(vistas.Split(root=root, name="training", version=version), **options)


EXPECTED = [("Car", 1), ("Car", 1), ("Car", 1), ("On Rails", 1), ("Road", 2)]


@pytest.mark.parametrize(("layout", "version"), [("old", "1.2"), ("new", "1.2"), ("new", "2.0")])
def test_both_layouts_give_things_by_their_16_bit_values(layout, version, request):
    root = request.getfixturevalue(layout)

    source = training(root, version)

    record = source.records[0]
    assert (record.image_id, record.name) == ("abc", "abc.jpg")
    assert record.image == root / "training/images/abc.jpg"
    assert described(record.read(), source.categories) == EXPECTED


def test_ids_are_positions_plus_1_and_classes_that_are_not_evaluated_are_left_out(old):
    categories = training(old).categories

    assert [(c.id, c.name, c.isthing) for c in categories] == [
        (1, "Bird", True),
        (2, "On Rails", False),
        (3, "Road", False),
        (4, "Car", True),
    ]
    assert {c.color for c in categories} == {(255, 255, 255)}


def test_the_configuration_decides_which_classes_are_evaluated(new):
    content = {"labels": [{**label, "evaluate": True} for label in CONFIG["labels"]]}
    write_config(new / "config_v2.0.json", content)

    source = training(new, "2.0")

    assert len(source.categories) == 6
    assert ("Ego Vehicle", 1) in described(source.records[0].read(), source.categories)


def test_stuff_is_one_segment_whatever_its_instances(old):
    values = [[value(RAILS), value(RAILS, 7), value(RAILS, 255), value(BIRD, 255)]]
    write_instances(old / "training/instances/abc.png", values)

    source = training(old)

    assert described(source.records[0].read(), source.categories) == [("Bird", 1), ("On Rails", 3)]


def test_values_above_32767_keep_their_class(tmp_path):
    labels = [
        {"name": f"n{i}", "readable": f"class {i}", "instances": True, "evaluate": True}
        for i in range(200)
    ]
    write_config(tmp_path / "config.json", {"labels": labels})
    write_instances(tmp_path / "validation/instances/a.png", [[value(199, 255), value(128)]])

    source = vistas.source(vistas.Split(root=tmp_path, name="validation"))

    assert described(source.records[0].read(), source.categories) == [
        ("class 128", 1),
        ("class 199", 1),
    ]


def test_names_are_the_long_ones_where_the_readable_ones_repeat(old):
    labels = [{**label, "readable": "Same"} for label in CONFIG["labels"]]
    write_config(old / "config.json", {"labels": labels})

    assert training(old).categories[0].name == "animal--bird"


def write_panoptic(folder, version, names="readable"):
    """Write the map as COCO panoptic files, with all six classes."""
    ids = np.array([[1, 1, 2, 3], [4, 5, 6, 0]])
    folder.mkdir(parents=True)
    colors = np.stack([ids, ids * 0, ids * 0], -1).astype(np.uint8)
    Image.fromarray(colors).save(folder / "abc.png")
    labels = [ROAD, CAR, CAR, RAILS, EGO, CAR]
    content = {
        "images": [{"id": "abc", "file_name": "abc.jpg", "height": 2, "width": 4}],
        "annotations": [
            {
                "image_id": "abc",
                "file_name": "abc.png",
                "segments_info": [
                    {"id": i, "category_id": label + 1, "area": 2 if i == 1 else 1, "iscrowd": 0}
                    for i, label in enumerate(labels, 1)
                ],
            }
        ],
        "categories": [
            {"id": i, "name": label[names], "isthing": int(label["instances"])}
            for i, label in enumerate(CONFIG["labels"], 1)
        ],
    }
    year = {"1.2": 2018, "2.0": 2020}[version]
    (folder / f"panoptic_{year}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("version", ["1.2", "2.0"])
@pytest.mark.parametrize("names", ["readable", "name"])
def test_the_panoptic_file_gives_the_same_as_the_instances(new, version, names):
    fromvalues = training(new, version)
    write_panoptic(new / f"training/v{version}/panoptic", version, names)

    source = training(new, version)

    assert source.categories == fromvalues.categories
    assert source.records[0].image_id == "abc"
    assert source.records[0].size == (2, 4)
    assert described(source.records[0].read(), source.categories) == EXPECTED


def test_a_panoptic_file_with_other_classes_is_refused(old):
    write_panoptic(old / "training/panoptic", "1.2")
    labels = [{**CONFIG["labels"][0], "readable": "Dog", "name": "dog"}, *CONFIG["labels"][1:]]
    write_config(old / "config.json", {"labels": labels})

    with pytest.raises(ValueError, match=r"2018\.json: category 1 is 'Bird', but .* lists 'Dog'"):
        training(old)


def test_a_zip_is_read_without_being_unpacked(new):
    archive = new.parent / "vistas.zip"
    with ZipFile(archive, "w") as file:
        for path in new.rglob("*.*"):
            if path.is_file():
                file.write(path, path.relative_to(new))

    source = training(archive, "2.0")

    assert source.records[0].image is None
    assert described(source.records[0].read(), source.categories) == EXPECTED


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / "config.json").unlink(), "no config_v1.2.json or config"),
        (lambda root: write_config(root / "config.json", {}), "config.json: missing 'labels'"),
        (
            lambda root: write_config(
                root / "config.json", {"labels": [{"name": "a", "readable": "A"}]}
            ),
            r"labels\[0\]: missing 'instances'",
        ),
        (lambda root: (root / "training/instances/abc.png").unlink(), "no PNGs in training/inst"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(old, break_it, message):
    break_it(old)

    with pytest.raises(ValueError, match=message):
        training(old)


def test_version_2_needs_its_own_folder(old):
    write_config(old / "config_v2.0.json")

    with pytest.raises(ValueError, match=r"no training/v2\.0 with PNGs"):
        training(old, "2.0")


def test_a_value_of_no_label_and_8_bit_pixels_are_refused(old):
    path = old / "training/instances/abc.png"
    write_instances(path, [[value(6, 1)]])
    record = training(old).records[0]

    with pytest.raises(ValueError, match=r"abc\.png: value 1537 stands for label 6, .* lists 6"):
        record.read()
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"abc\.png: not a 16-bit grey PNG"):
        record.read()


@pytest.mark.parametrize(
    ("layout", "folder", "version"),
    [
        ("old", "training", "1.2"),
        ("new", "training", "1.2"),
        ("new", "training/v1.2", "1.2"),
        ("new", "training/v2.0", "2.0"),
    ],
)
def test_a_part_can_be_named_by_its_folder(layout, folder, version, request, tmp_path):
    root = request.getfixturevalue(layout)
    if layout == "new":
        content = {"labels": [{**CONFIG["labels"][BIRD], "readable": "1.2"}, *CONFIG["labels"][1:]]}
        write_config(root / "config_v1.2.json", content)

    source = vistas.source(vistas.split_of(root / folder), images=tmp_path / "photos")

    assert source.categories == training(root, version).categories
    assert source.categories == vistas.read_categories(vistas.split_of(root / folder))
    assert source.records[0].image == tmp_path / "photos/abc.jpg"
    assert described(source.records[0].read(), source.categories) == EXPECTED


def test_a_part_may_be_named_from_inside_it(new, monkeypatch):
    monkeypatch.chdir(new / "training")

    assert vistas.read_categories(vistas.split_of(Path("v2.0"))) == training(new, "2.0").categories


def test_the_folder_of_a_part_has_to_be_there(new):
    with pytest.raises(ValueError, match="test: not a folder; expected the annotations of a s"):
        vistas.split_of(new / "test")


def test_areas_of_a_panoptic_file_are_recounted_on_request(old):
    write_panoptic(old / "training/panoptic", "1.2")
    json_file = old / "training/panoptic/panoptic_2018.json"
    json_file.write_text(json_file.read_text().replace('"area": 2', '"area": 3'))

    with pytest.raises(ValueError, match="segment 1: 2 pixels, but the JSON file says 3"):
        training(old).records[0].read()
    source = training(old, recount_areas=True)
    assert described(source.records[0].read(), source.categories) == EXPECTED
