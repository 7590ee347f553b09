from jsisnet.files.atomic import replacing, write_json
from jsisnet.files.links import follow_links
from jsisnet.files.photos import read_image, to_rgb, write_picture
from jsisnet.files.png import ids_to_rgb, read_ids, rgb_to_ids, write_ids

__all__ = [
    "follow_links",
    "ids_to_rgb",
    "read_ids",
    "read_image",
    "replacing",
    "rgb_to_ids",
    "to_rgb",
    "write_ids",
    "write_json",
    "write_picture",
]
