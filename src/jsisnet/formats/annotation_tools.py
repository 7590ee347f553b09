"""Formats of annotation tools in which predictions can be written, so that people correct them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from jsisnet.categories import Categories
from jsisnet.formats import cvat, label_studio, labelme
from jsisnet.panoptic import PanopticMap


class AnnotationWriter(Protocol):
    """Writer of the annotations of one photo."""

    def __call__(
        self, folder: Path, stem: str, panoptic: PanopticMap, categories: Categories, *, image: str
    ) -> Path:
        """Write a file ``folder/STEM.*`` atomically, and return its path.

        Args:
            folder: Created if it does not exist. Formats share suffixes, so each needs its own.
            stem: Name of the file without its suffix.
            panoptic: The map.
            categories: Its classes.
            image: The photo as the tool finds it: a path relative to `folder` for labelme, a URL
                for Label Studio, the name in the task for CVAT.
        """


ANNOTATION_FORMATS: Mapping[str, AnnotationWriter] = {
    "cvat": cvat.write,
    "label-studio": label_studio.write,
    "labelme": labelme.write,
}
"""Writers by the name of the format."""
