"""The result of a prediction: what a photo shows, in the forms that people use."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import index
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from jsisnet.arrays import Bool, UInt8
from jsisnet.categories import Categories
from jsisnet.files.photos import MAX_JPEG_SIDE, check_image, write_picture
from jsisnet.lazy import import_extra
from jsisnet.panoptic import PanopticMap, Segment, resize_ids

if TYPE_CHECKING:
    import fiftyone
    import supervision

    from jsisnet.visualize.overlay import Style

OVERLAY = "_overlay.jpg"
"""End of the name of an overlay, after the stem of the photo."""

LARGE_OVERLAY = "_overlay.large.png"
"""The same for an overlay that is wider or higher than a JPEG can be. The name differs from that
of the map of a photo ``STEM_overlay``."""

_UNNAMED = "image"
"""Stem of what is saved for a photo without a name."""

_MAX_SHOWN = 5
"""Classes that a `repr` names."""

_NOTEBOOK_SIDE = 1024
"""Longest side in pixels of what a notebook shows."""


@dataclass(frozen=True, slots=True, repr=False)
class PredictedSegment:
    """One segment of a `Result`; box, area and mask are computed when they are asked for."""

    result: "Result"
    """The result that it belongs to."""

    id: int
    """Its id in the map, from 1, which is also its id in the PNG."""

    def __repr__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"PredictedSegment({self.id}, {self.name!r}{score}, {self.area} pixels)"

    @property
    def label(self) -> int:
        """Contiguous class number, 0 to K-1."""
        return self._segment.label

    @property
    def name(self) -> str:
        """Name of its class."""
        return self.result.categories[self.label].name

    @property
    def isthing(self) -> bool:
        """Whether its class is countable."""
        return self._segment.isthing

    @property
    def score(self) -> float | None:
        """Confidence in [0, 1] of a thing; ``None`` for stuff."""
        return self._segment.score

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return self.result.areas[self.id - 1]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Tight box x0, y0, x1, y1 in pixels, upper end exclusive."""
        return self.result.boxes[self.id - 1]

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Its pixels in the photo."""
        return self.result.panoptic.ids == self.id

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of its box, to index the photo or a mask with."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)

    @property
    def _segment(self) -> Segment:
        return self.result.panoptic.segments[self.id - 1]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The prediction for one photo: a sequence of its segments.

    For example
        for segment in result:
            print(segment.name, segment.score, segment.box)

        result.save("out")
    """

    image: UInt8[np.ndarray, "h w 3"]
    """The photo, RGB."""

    panoptic: PanopticMap
    """The map, of the size of the photo."""

    categories: Categories
    """Classes that the labels of the map refer to."""

    name: str | None = None
    """Path or name of the photo's file, if known."""

    def __post_init__(self) -> None:
        check_image(self.image)
        if self.image.shape[:2] != self.panoptic.size:
            (height, width), (rows, columns) = self.image.shape[:2], self.panoptic.size
            raise ValueError(
                f"the photo has {width} x {height} pixels, but the map has {columns} x {rows}; "
                "expected the same size"
            )
        labels = {segment.label for segment in self.panoptic.segments}
        outside = sorted(label for label in labels if not 0 <= label < len(self.categories))
        if outside:
            raise ValueError(
                f"a segment has label {outside[0]}; expected a label of the "
                f"{len(self.categories)} categories, from 0"
            )

    def __repr__(self) -> str:
        height, width = self.panoptic.size
        name = "" if self.name is None else f"{self.name!r}, "
        counts = Counter(segment.name for segment in self)
        shown = [
            name if count == 1 else f"{count} {name}"
            for name, count in list(counts.items())[:_MAX_SHOWN]
        ]
        more = ["..."] if len(counts) > _MAX_SHOWN else []
        found = f": {', '.join(shown + more)}" if shown else ""
        return f"Result({name}{width} x {height} pixels, {len(self)} segments{found})"

    def __len__(self) -> int:
        return len(self.panoptic.segments)

    def __iter__(self) -> Iterator[PredictedSegment]:
        return (PredictedSegment(self, number) for number in range(1, len(self) + 1))

    def __getitem__(self, position: int) -> PredictedSegment:
        """Return a segment by its position, from 0."""
        return PredictedSegment(self, range(1, len(self) + 1)[index(position)])

    @cached_property
    def areas(self) -> tuple[int, ...]:
        """Number of pixels of each segment."""
        return tuple(self.panoptic.areas().tolist())

    @cached_property
    def boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Tight box of each segment: x0, y0, x1, y1, upper end exclusive."""
        return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in self.panoptic.boxes().tolist())

    def masks(self) -> Bool[np.ndarray, "n h w"]:
        """Return the mask of each segment."""
        numbers = np.arange(1, len(self) + 1, dtype=np.int32)
        return self.panoptic.ids == numbers[:, None, None]

    def crop(self, segment: PredictedSegment) -> UInt8[np.ndarray, "h w 3"]:
        """Return the part of the photo inside a segment's box."""
        return self.image[self._window(segment)].copy()

    def cutout(self, segment: PredictedSegment) -> UInt8[np.ndarray, "h w 4"]:
        """Return a segment without its surroundings, as RGBA inside its box.

        `jsisnet.files.write_picture` writes it as a PNG with a transparent background.
        """
        window = self._window(segment)
        mask = self.panoptic.ids[window] == segment.id
        return np.dstack([self.image[window] * mask[..., None], np.where(mask, 255, 0)]).astype(
            np.uint8
        )

    def draw(self, style: "Style | None" = None) -> UInt8[np.ndarray, "h w 3"]:
        """Draw the map over the photo; see `jsisnet.draw`."""
        from jsisnet.visualize.overlay import draw

        return draw(self.image, self.panoptic, self.categories, style)

    def save(self, folder: Path | str, *, overlay: bool = True) -> Path:
        """Write ``STEM.png``, the map; ``STEM_overlay.jpg``; and ``STEM.json``.

        The JSON file is a COCO panoptic file of this photo alone, so results of several photos can
        be saved in one folder. STEM is the name of the photo without its suffix. An overlay that is
        too large for a JPEG is written as ``STEM_overlay.large.png``.

        Args:
            folder: Created if it does not exist.
            overlay: Whether to write the overlay.

        Returns:
            Path of the map.
        """
        from jsisnet.formats import coco

        folder, path = Path(folder), Path(folder, f"{self.stem}.json")
        described = self._segments_info()
        with coco.writing(path, self.categories, pngs=folder) as writer:
            photo = {"image_id": self.stem, "image_name": self._file_name}
            png = writer.note(described, **photo, size=self.panoptic.size)
            coco.write_png(self.panoptic, png)
            if overlay:
                write_overlay(self.draw(), folder, self.stem)
        return png

    @property
    def stem(self) -> str:
        """Name of the photo without folders and suffix; what is saved has it too."""
        return PurePosixPath(self._file_name).stem

    def to_coco(self, image_id: int | str | None = None) -> dict[str, object]:
        """Return a COCO panoptic file of this photo alone: images, annotations and categories.

        Args:
            image_id: Id of the photo; its `stem` by default.
        """
        from jsisnet.formats import categories_json

        image_id = self.stem if image_id is None else image_id
        height, width = self.panoptic.size
        return {
            "images": [
                {"id": image_id, "file_name": self._file_name, "height": height, "width": width}
            ],
            "annotations": [
                {
                    "image_id": image_id,
                    "file_name": f"{self.stem}.png",
                    "segments_info": self._segments_info(),
                }
            ],
            "categories": categories_json.entries(self.categories),
        }

    def to_coco_results(self, image_id: int | str | None = None) -> list[dict[str, object]]:
        """Return the things as COCO results of instance segmentation, which pycocotools evaluates.

        They have no boxes, as pycocotools would take those for what is to be evaluated.

        Args:
            image_id: Id of the photo in the ground truth; its `stem` by default.
        """
        image_id = self.stem if image_id is None else image_id
        return [
            {
                "image_id": image_id,
                "category_id": self.categories[segment.label].id,
                "score": 1.0 if segment.score is None else float(segment.score),
                "segmentation": run_lengths,
            }
            for segment, run_lengths in zip(self, self.to_rle(), strict=True)
            if segment.isthing and segment.area
        ]

    def to_rle(self) -> list[dict[str, object]]:
        """Return each segment's mask as COCO's compressed run lengths, for `pycocotools.mask`."""
        from jsisnet.formats import masks

        width = self.panoptic.size[1]
        return [
            masks.compressed_columns(self.panoptic.ids[:, x0:x1] == segment.id, x0, width)
            for segment in self
            for x0, _, x1, _ in [segment.box]
        ]

    def to_labelme(self, image: str | None = None) -> dict[str, object]:
        """Return the content of a labelme file, with exact masks.

        Args:
            image: Path of the photo relative to the file; its name by default, that of a file
                beside it.
        """
        from jsisnet.formats import labelme

        return labelme.document(self.panoptic, self.categories, image or self._file_name)

    def to_label_studio(self, image: str | None = None) -> dict[str, object]:
        """Return a task with a prediction, for a JSON list of tasks that Label Studio imports.

        Args:
            image: URL of the photo as Label Studio reaches it; the name of the photo by default.
        """
        from jsisnet.formats import label_studio

        return label_studio.task(self.panoptic, self.categories, image or self._file_name)

    def to_cvat(self, image: str | None = None) -> str:
        """Return the annotations as XML, which CVAT imports as "CVAT 1.1".

        Args:
            image: Name of the photo in the task; the name of the photo by default.
        """
        from jsisnet.formats import cvat

        return cvat.document(self.panoptic, self.categories, image or self._file_name)

    def to_supervision(self) -> "supervision.Detections":
        """Return the segments that have pixels as `supervision.Detections`, with masks and names.

        `class_id` is the label. Stuff has no score, so its confidence is 1; ``data["isthing"]``
        tells it from things.

        Raises:
            ImportError: If supervision is not installed; the extra `supervision` provides it.
        """
        detections = import_extra("Result.to_supervision", "supervision").Detections
        segments = [segment for segment in self if segment.area]
        scores = [1.0 if segment.score is None else segment.score for segment in segments]
        return detections(
            xyxy=np.array([segment.box for segment in segments], np.float32).reshape(-1, 4),
            mask=self.masks()[[segment.id - 1 for segment in segments]],
            confidence=np.array(scores, np.float32),
            class_id=np.array([segment.label for segment in segments], np.int64),
            data={
                "class_name": np.array([segment.name for segment in segments], str),
                "isthing": np.array([segment.isthing for segment in segments], bool),
            },
        )

    def to_fiftyone(self) -> "fiftyone.Detections":
        """Return the segments that have pixels as `fiftyone.Detections` with instance masks.

        Raises:
            ImportError: If FiftyOne is not installed; the extra `fiftyone` provides it.
        """
        fiftyone = import_extra("Result.to_fiftyone", "fiftyone")
        height, width = self.panoptic.size
        return fiftyone.Detections(
            detections=[
                fiftyone.Detection(
                    label=segment.name,
                    bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                    mask=self.panoptic.ids[segment.window] == segment.id,
                    confidence=segment.score,
                    isthing=segment.isthing,
                )
                for segment in self
                for x0, y0, x1, y1 in [segment.box]
                if segment.area
            ]
        )

    def _repr_png_(self) -> bytes:
        """Return the overlay for a notebook, at most `_NOTEBOOK_SIDE` pixels wide and high."""
        buffer = io.BytesIO()
        Image.fromarray(self._reduced().draw()).save(buffer, "PNG")
        return buffer.getvalue()

    @property
    def _file_name(self) -> str:
        """Name of the photo's file; that of a folder or none at all could lead elsewhere."""
        last = (self.name or "").replace("\\", "/").rpartition("/")[2]
        return _UNNAMED if last in ("", ".", "..") else last

    def _segments_info(self) -> list[dict[str, object]]:
        """Return the COCO entries of the segments; files of predictions have no empty ones."""
        from jsisnet.formats import coco

        described = coco.segments_info(self.panoptic, self.categories)
        return [entry for entry, area in zip(described, self.areas, strict=True) if area]

    def _window(self, segment: PredictedSegment) -> tuple[slice, slice]:
        if not isinstance(segment, PredictedSegment):
            raise TypeError(f"{segment!r} is not a segment; expected one such as result[0]")
        if segment.result is not self:
            raise ValueError(f"{segment!r} is a segment of another result")
        return segment.window

    def _reduced(self) -> "Result":
        """Return the result at a size that a notebook shows."""
        height, width = self.panoptic.size
        longest = max(height, width)
        if longest <= _NOTEBOOK_SIDE:
            return self
        rows, columns = (max(1, side * _NOTEBOOK_SIDE // longest) for side in (height, width))
        image = Image.fromarray(self.image).resize((columns, rows), reducing_gap=2)
        ids = resize_ids(self.panoptic.ids, (rows, columns))
        panoptic = PanopticMap.compact(ids, self.panoptic.segments)
        return Result(np.array(image), panoptic, self.categories, self.name)


def write_overlay(picture: UInt8[np.ndarray, "h w 3"], folder: Path, stem: str) -> Path:
    """Write the overlay of a photo, as a PNG if it is too large for a JPEG; return its path."""
    islarge = max(picture.shape) > MAX_JPEG_SIDE
    path = folder / f"{stem}{LARGE_OVERLAY if islarge else OVERLAY}"
    write_picture(picture, path)
    return path
