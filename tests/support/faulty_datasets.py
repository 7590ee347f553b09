"""Faults that the tests plant in a sound data set of three streets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import factories
from jsisnet.datatools.check.check import Files
from jsisnet.datatools.check.rules import Rule
from jsisnet.files.png import read_ids, write_ids

LAST = 2
"""Position of the street where most is planted, as it has no class that the others lack."""

SKY, PERSON = 0, 3
"""Positions of its segments."""


class Streets:
    """A data set in files that may be changed."""

    def __init__(self, folder: Path):
        tiny = factories.tiny_dataset(folder, count=3)
        self.photos, self.json, self.pngs = tiny.images, tiny.annotations, tiny.pngs
        self.content: dict[str, Any] = json.loads(self.json.read_text())
        self.files = Files(images=self.photos, annotations=self.json)

    def write(self) -> None:
        """Write the content of the JSON file."""
        self.json.write_text(json.dumps(self.content))

    def photo(self, position: int = LAST) -> Path:
        """Give the path of a photo."""
        return self.photos / self.content["images"][position]["file_name"]

    def png(self, position: int = LAST) -> Path:
        """Give the path of a map."""
        return self.pngs / self.content["annotations"][position]["file_name"]

    def infos(self, position: int = LAST) -> list[dict[str, Any]]:
        """Give the entries of an image's segments."""
        return self.content["annotations"][position]["segments_info"]

    def draw(self, ids: np.ndarray, position: int = LAST) -> None:
        """Write other ids into a map, and what they tell about the segments."""
        write_ids(ids.astype(np.uint32), self.png(position))
        for info in self.infos(position):
            rows, columns = np.nonzero(ids == info["id"])
            if len(rows):
                x, y = int(columns.min()), int(rows.min())
                info["area"] = len(rows)
                info["bbox"] = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]

    def ids(self, position: int = LAST) -> np.ndarray:
        """Give the ids of a map."""
        return read_ids(self.png(position))


Plant = Callable[[Streets], None]
PLANTS: dict[str, tuple[Rule, Plant]] = {}
"""Rules and what breaks exactly those, by name."""


def plant(rule: Rule) -> Callable[[Plant], Plant]:
    """Enter a function among the faults."""

    def entered(function: Plant) -> Plant:
        PLANTS[function.__name__] = rule, function
        return function

    return entered


@plant(Rule.ENTRY)
def an_image_without_file_name(streets):
    streets.content["images"].append({"id": 9, "height": 64, "width": 96})


@plant(Rule.ENTRY)
def an_annotation_that_is_a_number(streets):
    streets.content["annotations"].append(5)


@plant(Rule.ENTRY)
def a_segment_without_category(streets):
    del streets.infos()[SKY]["category_id"]


@plant(Rule.ENTRY)
def an_iscrowd_of_two(streets):
    streets.infos()[PERSON]["iscrowd"] = 2


@plant(Rule.ENTRY)
def no_segments_info(streets):
    del streets.content["annotations"][LAST]["segments_info"]


@plant(Rule.ENTRY)
def a_category_without_name(streets):
    streets.content["categories"].append({"id": 77, "isthing": 1})


@plant(Rule.NUMBER)
def an_area_that_is_no_number(streets):
    streets.infos()[SKY]["area"] = float("nan")


@plant(Rule.NUMBER)
def an_infinite_side_of_a_bbox(streets):
    streets.infos()[SKY]["bbox"][2] = float("inf")


@plant(Rule.CATEGORY_ID)
def a_category_id_twice(streets):
    streets.content["categories"].append({"id": 1, "name": "dog", "isthing": 1, "color": [1, 2, 3]})


@plant(Rule.CATEGORY_NAME)
def a_category_name_twice(streets):
    streets.content["categories"][1]["name"] = "person"


@plant(Rule.CATEGORY_KIND)
def a_category_without_isthing(streets):
    del streets.content["categories"][0]["isthing"]


@plant(Rule.COLOR_SHARED)
def a_shared_color(streets):
    streets.content["categories"][1]["color"] = streets.content["categories"][0]["color"]


@plant(Rule.COLOR_MISSING)
def a_missing_color(streets):
    del streets.content["categories"][1]["color"]


@plant(Rule.CATEGORY_UNSEEN)
def a_class_that_is_never_seen(streets):
    dog = {"id": 77, "name": "dog", "isthing": 1, "color": [1, 2, 3]}
    streets.content["categories"].append(dog)


@plant(Rule.IMAGE_ID)
def an_image_id_twice(streets):
    streets.content["images"].append({**streets.content["images"][LAST], "file_name": "b.jpg"})


@plant(Rule.IMAGE_NAME)
def a_photo_of_two_images(streets):
    streets.content["images"].append({**streets.content["images"][LAST], "id": 9})


@plant(Rule.IMAGE_SIZE)
def an_image_without_height(streets):
    del streets.content["images"][LAST]["height"]


@plant(Rule.PATH)
def a_photo_outside_of_its_folder(streets):
    streets.content["images"][LAST]["file_name"] = f"../photos/{streets.photo().name}"


@plant(Rule.PATH)
def a_map_outside_of_its_folder(streets):
    streets.content["annotations"][LAST]["file_name"] = str(streets.png().absolute())


@plant(Rule.PHOTO_MISSING)
def a_missing_photo(streets):
    streets.photo().unlink()


@plant(Rule.PHOTO_CASE)
def an_extension_in_capitals(streets):
    streets.photo().rename(streets.photos / "street2.JPEG")


@plant(Rule.PHOTO)
def a_truncated_photo(streets):
    streets.photo().write_bytes(streets.photo().read_bytes()[:-900])


@plant(Rule.PHOTO)
def a_photo_that_is_a_text(streets):
    streets.photo().write_text("404 not found")


@plant(Rule.PHOTO_SIZE)
def another_size_in_the_list(streets):
    streets.content["images"][LAST]["height"] = 65


@plant(Rule.PHOTO_TURNED)
def a_photo_that_exif_turns(streets):
    with Image.open(streets.photo()) as image:
        exif = image.getexif()
        exif[0x112] = 6
        image.save(streets.photo(), exif=exif)


@plant(Rule.PHOTO_MODE)
def a_grey_photo(streets):
    with Image.open(streets.photo()) as image:
        image.convert("L").save(streets.photo())


@plant(Rule.PHOTO_MODE)
def a_cmyk_photo(streets):
    with Image.open(streets.photo()) as image:
        image.convert("CMYK").save(streets.photo())


@plant(Rule.PHOTO_TWICE)
def the_same_photo_in_another_file_format(streets):
    with Image.open(streets.photo()) as image:
        image.save(streets.photo(1))


@plant(Rule.UNANNOTATED)
def an_image_without_annotation(streets):
    del streets.content["annotations"][LAST]


@plant(Rule.UNLISTED)
def an_annotation_of_an_unlisted_image(streets):
    streets.content["annotations"].append({**streets.content["annotations"][LAST], "image_id": 9})


@plant(Rule.ANNOTATED_TWICE)
def two_annotations_of_an_image(streets):
    streets.content["annotations"].insert(0, streets.content["annotations"][LAST])


@plant(Rule.PNG_MISSING)
def a_missing_map(streets):
    streets.png().unlink()


@plant(Rule.PNG_SHARED)
def a_map_of_two_images(streets):
    streets.content["annotations"][LAST]["file_name"] = streets.png(1).name


@plant(Rule.PNG)
def a_grey_map(streets):
    Image.fromarray((streets.ids() % 251).astype(np.uint8)).save(streets.png())


@plant(Rule.PNG)
def a_map_with_a_palette(streets):
    with Image.open(streets.png()) as image:
        image.quantize(8).save(streets.png())


@plant(Rule.PNG)
def a_16_bit_map(streets):
    Image.fromarray((streets.ids() % 65536).astype(np.uint16)).save(streets.png())


@plant(Rule.PNG)
def a_map_that_is_a_jpeg(streets):
    with Image.open(streets.png()) as image:
        image.save(streets.png(), format="JPEG")


@plant(Rule.PNG)
def a_truncated_map(streets):
    streets.png().write_bytes(streets.png().read_bytes()[:-40])


@plant(Rule.PNG_SIZE)
def a_map_of_another_size(streets):
    streets.draw(streets.ids()[:-1])


@plant(Rule.PNG_UNLISTED)
def pixels_that_nothing_lists(streets):
    ids = streets.ids()
    ids[20:24, 40:44] = 12345
    streets.draw(ids)


@plant(Rule.VOID)
def a_map_of_void(streets):
    streets.infos().clear()
    streets.draw(np.zeros((64, 96)))


@plant(Rule.SEGMENT_ID)
def a_segment_that_is_called_0(streets):
    ids = streets.ids()
    ids[ids == streets.infos()[PERSON]["id"]] = 0
    streets.infos()[PERSON]["id"] = 0
    streets.draw(ids)


@plant(Rule.SEGMENT_ID)
def an_id_that_lost_its_upper_digits(streets):
    streets.infos()[PERSON]["id"] += 2**24


@plant(Rule.SEGMENT_ID)
def an_id_below_0(streets):
    streets.infos().append({**streets.infos()[PERSON], "id": -7})


@plant(Rule.SEGMENT_TWICE)
def a_segment_that_is_listed_twice(streets):
    streets.infos().append(dict(streets.infos()[PERSON]))


@plant(Rule.SEGMENT_EMPTY)
def a_segment_without_pixels(streets):
    streets.infos().append({**streets.infos()[PERSON], "id": 77})


@plant(Rule.CATEGORY)
def an_unknown_category(streets):
    streets.infos()[PERSON]["category_id"] = 999


@plant(Rule.STUFF_TWICE)
def stuff_in_two_segments(streets):
    ids = streets.ids()
    sky = streets.infos()[SKY]
    ids[(ids == sky["id"]) & (np.arange(96) > 60)] = 77
    streets.infos().append({**sky, "id": 77})
    streets.draw(ids)


@plant(Rule.CROWD)
def a_crowd_of_sky(streets):
    streets.infos()[SKY]["iscrowd"] = 1


@plant(Rule.AREA)
def a_wrong_area(streets):
    streets.infos()[SKY]["area"] += 1


@plant(Rule.AREA)
def an_area_that_is_a_text(streets):
    streets.infos()[SKY]["area"] = "many"


@plant(Rule.BBOX)
def a_bbox_of_corners(streets):
    x, y, width, height = streets.infos()[PERSON]["bbox"]
    streets.infos()[PERSON]["bbox"] = [x, y, x + width, y + height]


@plant(Rule.FIELDS)
def missing_fields(streets):
    for name in ("area", "bbox", "iscrowd"):
        del streets.infos()[SKY][name]


@plant(Rule.PIXEL)
def a_segment_of_one_pixel(streets):
    ids = streets.ids()
    ids[10, 10] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)


@plant(Rule.SLIVER)
def a_segment_one_pixel_wide(streets):
    ids = streets.ids()
    ids[10:20, 10] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)


@plant(Rule.PIECES)
def a_thing_in_many_pieces(streets):
    ids = streets.ids()
    for row in range(2, 24, 4):
        for column in (2, 6):
            ids[row : row + 2, column : column + 2] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)
