"""CVAT's XML for images, version 1.1, with the exact mask of each segment."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from jsisnet.categories import Categories, Category
from jsisnet.formats.regions import Region, regions, run_lengths
from jsisnet.panoptic import PanopticMap

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML can't hold: control characters, and the bytes of names that are no UTF-8."""


def document(panoptic: PanopticMap, categories: Categories, image: str) -> str:
    """Return the XML of one photo, to be uploaded to a CVAT task as "CVAT 1.1".

    Several files can be uploaded in a zip.

    Args:
        panoptic: The map.
        categories: Its classes, whose names must be labels of the task.
        image: Name of the photo in the task.
    """
    height, width = panoptic.size
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for category in categories:
        labels.append(_label(category))
    size = {"width": str(width), "height": str(height)}
    photo = SubElement(root, "image", {"id": "0", "name": image, **size})
    photo.extend([_mask(region) for region in regions(panoptic, categories)])
    ElementTree.indent(root)
    declaration = '<?xml version="1.0" encoding="utf-8"?>\n'
    text = declaration + ElementTree.tostring(root, encoding="unicode") + "\n"
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _label(category: Category) -> Element:
    label = Element("label")
    SubElement(label, "name").text = category.name
    if category.color is not None:
        SubElement(label, "color").text = "#" + bytes(category.color).hex()
    SubElement(label, "type").text = "mask"
    SubElement(label, "attributes")
    return label


def _mask(region: Region) -> Element:
    x, y = region.corner
    height, width = region.mask.shape
    mask = Element(
        "mask",
        {
            "label": region.category.name,
            "source": "auto",
            "occluded": "0",
            "rle": ", ".join(map(str, run_lengths(region.mask).tolist())),
            "left": str(x),
            "top": str(y),
            "width": str(width),
            "height": str(height),
            "z_order": "0",
        },
    )
    if region.score is not None:
        # CVAT drops an attribute that the label of the task doesn't have.
        SubElement(mask, "attribute", {"name": "score"}).text = f"{region.score:.3f}"
    return mask
