"""Defects that the tests introduce into a valid data set of three street images."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import factories
from jsisnet.datatools.check.check import DatasetPaths
from jsisnet.datatools.check.rules import Rule
from jsisnet.files.png import read_ids, write_ids

LAST = 2
"""Position of the image that gets most defects: it has no class that the others lack."""

SKY, PERSON = 0, 3
"""Positions of two of its segments."""


class Streets:
    """A data set whose files may be changed."""

    def __init__(self, folder: Path):
        tiny = factories.tiny_dataset(folder, count=3)
        self.photos, self.json, self.pngs = tiny.images, tiny.annotations, tiny.pngs
        self.content: dict[str, Any] = json.loads(self.json.read_text())
        self.paths = DatasetPaths(images=self.photos, annotations=self.json)

    def write(self) -> None:
        """Write the content of the JSON file."""
        self.json.write_text(json.dumps(self.content))

    def photo(self, position: int = LAST) -> Path:
        """Return the path of a photo."""
        return self.photos / self.content["images"][position]["file_name"]

    def png(self, position: int = LAST) -> Path:
        """Return the path of a map."""
        return self.pngs / self.content["annotations"][position]["file_name"]

    def infos(self, position: int = LAST) -> list[dict[str, Any]]:
        """Return the segment entries of an image."""
        return self.content["annotations"][position]["segments_info"]

    def draw(self, ids: np.ndarray, position: int = LAST) -> None:
        """Write a map with other ids, and update areas and boxes in the entries."""
        write_ids(ids.astype(np.uint32), self.png(position))
        for info in self.infos(position):
            rows, columns = np.nonzero(ids == info["id"])
            if len(rows):
                x, y = int(columns.min()), int(rows.min())
                info["area"] = len(rows)
                info["bbox"] = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]

    def ids(self, position: int = LAST) -> np.ndarray:
        """Return the ids of a map."""
        return read_ids(self.png(position))


Defect = Callable[[Streets], None]
DEFECTS: dict[str, tuple[Rule, Defect]] = {}
"""Functions that violate exactly one rule, and that rule, by name."""


def violates(rule: Rule) -> Callable[[Defect], Defect]:
    """Register a function that violates a rule."""

    def register(function: Defect) -> Defect:
        DEFECTS[function.__name__] = rule, function
        return function

    return register


@violates(Rule.ENTRY)
def an_image_without_file_name(streets):
    streets.content["images"].append({"id": 9, "height": 64, "width": 96})


@violates(Rule.ENTRY)
def an_annotation_that_is_a_number(streets):
    streets.content["annotations"].append(5)


@violates(Rule.ENTRY)
def a_segment_without_category(streets):
    del streets.infos()[SKY]["category_id"]


@violates(Rule.ISCROWD)
def an_iscrowd_of_two(streets):
    streets.infos()[PERSON]["iscrowd"] = 2


@violates(Rule.ENTRY)
def no_segments_info(streets):
    del streets.content["annotations"][LAST]["segments_info"]


@violates(Rule.ENTRY)
def a_category_without_name(streets):
    streets.content["categories"].append({"id": 77, "isthing": 1})


@violates(Rule.QUOTES)
def a_category_id_in_quotes(streets):
    streets.infos()[SKY]["category_id"] = str(streets.infos()[SKY]["category_id"])


@violates(Rule.QUOTES)
def a_segment_id_in_quotes(streets):
    streets.infos()[SKY]["id"] = str(streets.infos()[SKY]["id"])


@violates(Rule.QUOTES)
def an_image_id_in_quotes(streets):
    streets.content["annotations"][LAST]["image_id"] = str(
        streets.content["annotations"][LAST]["image_id"]
    )


@violates(Rule.QUOTES)
def an_iscrowd_in_quotes(streets):
    streets.infos()[SKY]["iscrowd"] = "0"


@violates(Rule.QUOTES)
def an_isthing_in_quotes(streets):
    streets.content["categories"][0]["isthing"] = "1"


@violates(Rule.NUMBER)
def an_area_of_nan(streets):
    streets.infos()[SKY]["area"] = float("nan")


@violates(Rule.NUMBER)
def an_infinite_bbox_width(streets):
    streets.infos()[SKY]["bbox"][2] = float("inf")


@violates(Rule.CATEGORY_ID)
def a_duplicate_category_id(streets):
    streets.content["categories"].append({"id": 1, "name": "dog", "isthing": 1, "color": [1, 2, 3]})


@violates(Rule.CATEGORY_NAME)
def a_duplicate_category_name(streets):
    streets.content["categories"][1]["name"] = "person"


@violates(Rule.CATEGORY_SPARE)
def an_unused_category_with_the_name_of_another(streets):
    streets.content["categories"].insert(0, {"id": 0, "name": "person", "isthing": 1})


@violates(Rule.CATEGORY_ALIKE)
def a_category_name_in_capitals(streets):
    streets.content["categories"][1]["name"] = "Person"


@violates(Rule.CATEGORY_FIELD)
def a_supercategory_that_is_a_number(streets):
    streets.content["categories"][1]["supercategory"] = 3


@violates(Rule.CATEGORY_KIND)
def a_category_without_isthing(streets):
    del streets.content["categories"][0]["isthing"]


@violates(Rule.COLOR_SHARED)
def a_shared_color(streets):
    streets.content["categories"][1]["color"] = streets.content["categories"][0]["color"]


@violates(Rule.COLOR_MISSING)
def a_missing_color(streets):
    del streets.content["categories"][1]["color"]


@violates(Rule.CROWDS_ONLY)
def only_crowds_of_a_class(streets):
    for position in range(len(streets.content["annotations"])):
        for info in streets.content["annotations"][position]["segments_info"]:
            info["iscrowd"] = int(info["category_id"] == streets.content["categories"][0]["id"])


@violates(Rule.CATEGORY_UNSEEN)
def a_category_without_segments(streets):
    dog = {"id": 77, "name": "dog", "isthing": 1, "color": [1, 2, 3]}
    streets.content["categories"].append(dog)


@violates(Rule.IMAGE_ID)
def a_duplicate_image_id(streets):
    streets.content["images"].append({**streets.content["images"][LAST], "file_name": "b.jpg"})


@violates(Rule.IMAGE_NAME)
def a_photo_of_two_images(streets):
    streets.content["images"].append({**streets.content["images"][LAST], "id": 9})


@violates(Rule.IMAGE_SIZE)
def an_image_without_height(streets):
    del streets.content["images"][LAST]["height"]


@violates(Rule.PATH)
def a_photo_name_that_two_files_have(streets):
    name = streets.photo().name
    for folder in ("one", "two"):
        (streets.photos / folder).mkdir()
        (streets.photos / folder / name).write_bytes(streets.photo().read_bytes())
    streets.photo().unlink()


@violates(Rule.PHOTO_PATH)
def a_photo_path_outside_its_folder(streets):
    streets.content["images"][LAST]["file_name"] = f"..\\photos\\{streets.photo().name}"


@violates(Rule.PHOTO_NAME)
def a_photo_name_in_another_unicode_form(streets):
    streets.photo().rename(streets.photos / "a\N{COMBINING DIAERESIS}.jpg")
    streets.content["images"][LAST]["file_name"] = "\N{LATIN SMALL LETTER A WITH DIAERESIS}.jpg"


@violates(Rule.LINK_OUT)
def a_photo_that_is_a_link_to_elsewhere(streets):
    streets.photo().symlink_to(streets.photo().rename(streets.json.with_name("elsewhere.jpg")))


@violates(Rule.LINK)
def a_map_that_is_a_link(streets):
    streets.png().symlink_to(streets.png().rename(streets.pngs / "original.png"))


@violates(Rule.PATH)
def an_absolute_map_path(streets):
    streets.content["annotations"][LAST]["file_name"] = str(streets.png().absolute())


@violates(Rule.PHOTO_MISSING)
def a_missing_photo(streets):
    streets.photo().unlink()


@violates(Rule.PHOTO_CASE)
def an_extension_in_upper_case(streets):
    streets.photo().rename(streets.photos / "street2.JPEG")


@violates(Rule.PHOTO)
def a_truncated_photo(streets):
    streets.photo().write_bytes(streets.photo().read_bytes()[:-900])


@violates(Rule.PHOTO)
def a_photo_that_is_a_text_file(streets):
    streets.photo().write_text("404 not found")


@violates(Rule.PHOTO_SIZE)
def a_wrong_listed_height(streets):
    streets.content["images"][LAST]["height"] = 65


@violates(Rule.SIZE_SWAPPED)
def a_swapped_size(streets):
    image = streets.content["images"][LAST]
    image["height"], image["width"] = image["width"], image["height"]


@violates(Rule.PHOTO_TURNED)
def a_photo_with_exif_rotation(streets):
    with Image.open(streets.photo()) as image:
        exif = image.getexif()
        exif[0x112] = 6
        image.save(streets.photo(), exif=exif)


@violates(Rule.PHOTO_MODE)
def a_grey_photo(streets):
    with Image.open(streets.photo()) as image:
        image.convert("L").save(streets.photo())


@violates(Rule.PHOTO_MODE)
def a_cmyk_photo(streets):
    with Image.open(streets.photo()) as image:
        image.convert("CMYK").save(streets.photo())


@violates(Rule.PHOTO_TWICE)
def the_same_photo_in_another_file_format(streets):
    with Image.open(streets.photo()) as image:
        image.save(streets.photo(1))


@violates(Rule.UNANNOTATED)
def an_image_without_annotation(streets):
    del streets.content["annotations"][LAST]


@violates(Rule.UNLISTED)
def an_annotation_of_an_unlisted_image(streets):
    streets.content["annotations"].append({**streets.content["annotations"][LAST], "image_id": 9})


@violates(Rule.ANNOTATED_TWICE)
def two_annotations_of_an_image(streets):
    streets.content["annotations"].insert(0, streets.content["annotations"][LAST])


@violates(Rule.PNG_MISSING)
def a_missing_map(streets):
    streets.png().unlink()


@violates(Rule.PNG_SHARED)
def a_map_of_two_images(streets):
    streets.content["annotations"][LAST]["file_name"] = streets.png(1).name


@violates(Rule.PNG)
def a_grey_map(streets):
    Image.fromarray((streets.ids() % 251).astype(np.uint8)).save(streets.png())


@violates(Rule.PNG)
def a_16_bit_map(streets):
    Image.fromarray((streets.ids() % 65536).astype(np.uint16)).save(streets.png())


@violates(Rule.PNG)
def a_map_that_is_a_jpeg(streets):
    with Image.open(streets.png()) as image:
        image.save(streets.png(), format="JPEG")


@violates(Rule.PNG)
def a_truncated_map(streets):
    streets.png().write_bytes(streets.png().read_bytes()[:-40])


@violates(Rule.PNG_SIZE)
def a_map_smaller_than_its_photo(streets):
    streets.draw(streets.ids()[:-1])


@violates(Rule.PNG_UNLISTED)
def pixels_with_an_unlisted_id(streets):
    ids = streets.ids()
    ids[20:24, 40:44] = 12345
    streets.draw(ids)


@violates(Rule.VOID)
def a_map_of_void(streets):
    streets.infos().clear()
    streets.draw(np.zeros((64, 96)))


@violates(Rule.SEGMENT_ID)
def a_segment_with_id_0(streets):
    ids = streets.ids()
    ids[ids == streets.infos()[PERSON]["id"]] = 0
    streets.infos()[PERSON]["id"] = 0
    streets.draw(ids)


@violates(Rule.SEGMENT_ID)
def an_id_above_24_bits(streets):
    streets.infos()[PERSON]["id"] += 2**24


@violates(Rule.SEGMENT_ID)
def a_negative_id(streets):
    streets.infos().append({**streets.infos()[PERSON], "id": -7})


@violates(Rule.SEGMENT_TWICE)
def a_duplicate_segment(streets):
    streets.infos().append(dict(streets.infos()[PERSON]))


@violates(Rule.SEGMENT_EMPTY)
def a_segment_without_pixels(streets):
    streets.infos().append({**streets.infos()[PERSON], "id": 77})


@violates(Rule.CATEGORY)
def an_unknown_category(streets):
    streets.infos()[PERSON]["category_id"] = 999


@violates(Rule.STUFF_TWICE)
def stuff_in_two_segments(streets):
    ids = streets.ids()
    sky = streets.infos()[SKY]
    ids[(ids == sky["id"]) & (np.arange(96) > 60)] = 77
    streets.infos().append({**sky, "id": 77})
    streets.draw(ids)


@violates(Rule.CROWD)
def a_crowd_of_sky(streets):
    streets.infos()[SKY]["iscrowd"] = 1


@violates(Rule.AREA)
def a_wrong_area(streets):
    streets.infos()[SKY]["area"] += 1


@violates(Rule.AREA)
def an_area_that_is_a_string(streets):
    streets.infos()[SKY]["area"] = "many"


@violates(Rule.BBOX)
def a_bbox_of_corners(streets):
    x, y, width, height = streets.infos()[PERSON]["bbox"]
    streets.infos()[PERSON]["bbox"] = [x, y, x + width, y + height]


@violates(Rule.FIELDS)
def missing_fields(streets):
    for name in ("area", "bbox", "iscrowd"):
        del streets.infos()[SKY][name]


@violates(Rule.PIXEL)
def a_segment_of_one_pixel(streets):
    ids = streets.ids()
    ids[10, 10] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)


@violates(Rule.SLIVER)
def a_segment_one_pixel_wide(streets):
    ids = streets.ids()
    ids[10:20, 10] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)


@violates(Rule.PIECES)
def a_thing_in_many_pieces(streets):
    ids = streets.ids()
    for row in range(2, 24, 4):
        for column in (2, 6):
            ids[row : row + 2, column : column + 2] = 77
    streets.infos().append({"id": 77, "category_id": 1, "iscrowd": 0})
    streets.draw(ids)
