"""Maps of many images in a folder, each kept as soon as it is done: who is killed can go on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsisnet.categories import Categories
from jsisnet.files import journal
from jsisnet.files.atomic import remove_leftovers
from jsisnet.files.journal import Journal
from jsisnet.formats.coco import Annotation, SegmentInfo, write_png
from jsisnet.panoptic import ImageId, PanopticMap

LINES, PNGS = "annotations.jsonl", "pngs"
"""Names of the file with one annotation a line, below a line about them all, and of the folder of
the PNGs."""

_OTHER_MAPS = (
    "holds maps of other photos, or of a model with other weights or settings; expected those it "
    "was begun with, or no such folder"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MapFolder:
    """Maps that are done; going through it reads one annotation after the other from the file."""

    folder: Path
    """The folder."""

    done: set[ImageId]
    """Images that have a map."""

    lines: Journal
    """One for each map."""

    @property
    def pngs(self) -> Path:
        """Folder of the PNGs."""
        return self.folder / PNGS

    def add(
        self, panoptic: PanopticMap, categories: Categories, *, image_id: ImageId, name: str
    ) -> None:
        """Keep the map of one image.

        Args:
            panoptic: The map.
            categories: Its classes, with the ids to write.
            image_id: The image's id.
            name: Path of the PNG inside the folder of the PNGs.
        """
        write_png(panoptic, self.pngs / name)
        segments = [
            [number, categories[segment.label].id]
            for number, segment in enumerate(panoptic.segments, 1)
        ]
        self.lines.add({"image_id": image_id, "png": name, "segments": segments})
        self.done.add(image_id)

    def __iter__(self) -> Iterator[Annotation]:
        values: Any  # as `add` has written them
        for values in self.lines:
            infos = (SegmentInfo(id=i, category_id=c) for i, c in values["segments"])
            yield Annotation(
                image_id=values["image_id"],
                png=self.pngs / values["png"],
                image=None,
                size=None,
                segments_info=tuple(infos),
                predicted=True,
            )

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder)


@contextmanager
def opened(folder: Path, purpose: str) -> Iterator[MapFolder]:
    """Begin a folder, or go on with one.

    Args:
        folder: Made if it is missing.
        purpose: What the maps are made of and with; those of two purposes may not be mixed.

    Raises:
        ValueError: If the folder was begun for another purpose, is none of this kind, or is being
            written to by somebody else.
    """
    path = folder / LINES
    (folder / PNGS).mkdir(parents=True, exist_ok=True)
    with journal.opened(path, purpose, refusal=_OTHER_MAPS) as lines:
        remove_leftovers(folder / PNGS)
        try:
            done: set[Any] = {values["image_id"] for values in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: is damaged; expected no such folder") from error
        yield MapFolder(folder=folder, done=done, lines=lines)
