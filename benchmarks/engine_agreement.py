"""Differences between the maps of ONNX Runtime, OpenVINO and PyTorch for one model.

The photos are generated scenes and those of scikit-image that are installed, or those of a folder.
ONNX Runtime also gets them in batches. Segments are matched before pixels are compared. With
--quick, there are fewer photos.
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from harness import Promise, finish, scene

from jsisnet.files.photos import read_image
from jsisnet.inference.engine import EngineOptions, open_engine
from jsisnet.inference.engine_comparison import map_difference
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.predictor import Predictor
from jsisnet.panoptic import PanopticMap

GOAL = 1e-4
"""Largest fraction of the pixels whose segment may differ from that of PyTorch's map."""

BATCHES = (1, 3, 8)
SCENES, QUICK_SCENES = 40, 8


def photos(folder: Path | None, count: int) -> list[np.ndarray]:
    """Read the photos of a folder, or draw scenes."""
    if folder is None:
        return [scene(number, (480, 640))[0] for number in range(count)]
    found = find_photos([str(folder)]).photos
    return [read_image(photo.path) for photo in islice(found, count)]


def maps(predictor: Predictor, images: Sequence[np.ndarray], batch: int) -> list[PanopticMap]:
    """Segment photos in batches of one size."""
    predictor.engine.batch_size = batch  # type: ignore[misc]
    return [result.panoptic for result in predictor(list(images))]


def main() -> None:
    """Compare the engines on every photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="coco", help="built-in model or folder (default: coco)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="photos (default: scenes)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    parser.add_argument("--quick", action="store_true", help="fewer photos, under a minute")
    chosen = parser.parse_args()
    images = photos(
        chosen.images, QUICK_SCENES if chosen.quick else 10**6 if chosen.images else SCENES
    )
    expected = maps(Predictor(open_engine(chosen.model, "torch", EngineOptions())), images, 1)
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    promises, figures = [], {"photos": len(images), "pixels": pixels}
    for name, batches in (("onnxruntime", BATCHES), ("openvino", (1,))):
        predictor = Predictor(open_engine(chosen.model, name, EngineOptions()))
        for batch in batches:
            found = maps(predictor, images, batch)
            pairs = list(zip(expected, found, strict=True))
            lists = sum(_classes(one) != _classes(other) for one, other in pairs)
            differing = sum(map_difference(one, other) * one.ids.size for one, other in pairs)
            title = f"{name}, batch {batch}"
            print(
                f"{title}: {round(differing):,} of {pixels:,} pixels differ; "
                f"{lists} of {len(images)} photos have other segments"
            )
            figures[title] = differing
            promises.append(
                Promise(f"{title}: part of pixels", differing / pixels, GOAL, lower_is_better=True)
            )
            promises.append(
                Promise(f"{title}: photos with other segments", lists, 0, lower_is_better=True)
            )
    finish(promises, figures, chosen.json)


def _classes(panoptic: PanopticMap) -> list[int]:
    return sorted(segment.label for segment in panoptic.segments)


if __name__ == "__main__":
    main()
