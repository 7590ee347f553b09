"""labelme's JSON files, one per photo, with the exact mask of each segment."""

import base64
import io

import numpy as np
from PIL import Image

from jsisnet.categories import Categories
from jsisnet.formats.regions import Region, regions
from jsisnet.panoptic import PanopticMap

_VERSION = "5.5.0"
"""Version of labelme whose files these are; older ones than 5.3 have no masks."""


def document(panoptic: PanopticMap, categories: Categories, image: str) -> dict[str, object]:
    """Return the content of a labelme file.

    Each segment is a shape of type ``mask``, which holds holes and separate parts, as polygons
    can't. Scores stand in ``description``, and in the field ``score`` that X-AnyLabeling reads.

    Args:
        panoptic: The map.
        categories: Its classes.
        image: Path of the photo, relative to the labelme file.
    """
    height, width = panoptic.size
    return {
        "version": _VERSION,
        "flags": {},
        "shapes": [_shape(region) for region in regions(panoptic, categories)],
        "imagePath": image,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _shape(region: Region) -> dict[str, object]:
    x, y = region.corner
    height, width = region.mask.shape
    buffer = io.BytesIO()
    Image.fromarray(region.mask.astype(np.uint8)).save(buffer, "PNG")
    shape: dict[str, object] = {
        "label": region.category.name,
        # labelme's box includes the pixels of its last row and column.
        "points": [[x, y], [x + width - 1, y + height - 1]],
        "group_id": None,
        "description": "" if region.score is None else f"score {region.score:.3f}",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }
    if region.score is not None:
        shape["score"] = float(region.score)
    return shape
