"""Formats of annotation tools in which predictions can be written, so that people correct them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jsisnet.categories import Categories
from jsisnet.files.atomic import replacing
from jsisnet.formats import cvat, label_studio, labelme
from jsisnet.panoptic import PanopticMap


@dataclass(frozen=True, slots=True)
class AnnotationWriter:
    """Writer of the annotations of one photo."""

    suffix: str
    """Suffix of the files. Formats share suffixes, so each needs a folder of its own."""

    content: Callable[[PanopticMap, Categories, str], str]
    """Content of the file of a map, for its classes and the photo as the tool finds it."""

    def __call__(
        self, folder: Path, stem: str, panoptic: PanopticMap, categories: Categories, *, image: str
    ) -> Path:
        """Write a file ``folder/STEM.*`` atomically, and return its path.

        Args:
            folder: Created if it does not exist.
            stem: Name of the file without its suffix.
            panoptic: The map.
            categories: Its classes.
            image: The photo as the tool finds it: a path relative to `folder` for labelme, a URL
                for Label Studio, the name in the task for CVAT.
        """
        path = folder / f"{stem}{self.suffix}"
        with replacing(path) as temporary:
            temporary.write_text(self.content(panoptic, categories, image), encoding="utf-8")
        return path


def _tasks(panoptic: PanopticMap, categories: Categories, image: str) -> str:
    return json.dumps([label_studio.task(panoptic, categories, image)])


def _labelme(panoptic: PanopticMap, categories: Categories, image: str) -> str:
    return json.dumps(labelme.document(panoptic, categories, image))


ANNOTATION_FORMATS: Mapping[str, AnnotationWriter] = {
    "cvat": AnnotationWriter(".xml", cvat.document),
    "label-studio": AnnotationWriter(".json", _tasks),
    "labelme": AnnotationWriter(".json", _labelme),
}
"""Writers by the name of the format."""
