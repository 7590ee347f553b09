"""Raw outputs of a network for the photos of a data set: computed once, and kept in files."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from jsisnet import __version__
from jsisnet.files.npz import open_arrays
from jsisnet.files.stamps import stamps
from jsisnet.formats import image_list
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.formats.image_list import ListedImage
from jsisnet.formats.predictions import LOGITS, read_box_masks
from jsisnet.formats.records import relabel
from jsisnet.inference.branch_files import (
    IMAGES,
    NOTE,
    branch_file,
    check_branches,
    write_branches,
)
from jsisnet.inference.engine import Outputs
from jsisnet.inference.merge import Instances
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.written_files import locked, read_written
from jsisnet.panoptic import ImageId, PanopticMap

LOWEST_SCORE = 0.05
"""Score from which on detections are kept, whatever the model's own minimum."""

_NEXT = "delete it, and rerun the same command to compute it again"
"""What to do about a damaged file."""


@dataclass(frozen=True, slots=True, eq=False)
class RawOutputs:
    """Files of raw outputs in the format of `write_branches`, and the truth of their photos."""

    folder: Path
    predictor: Predictor
    """The network, whose classes are those of the data."""
    dataset: PanopticDataset
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each photo."""

    def __len__(self) -> int:
        return len(self.dataset)

    def image_id(self, number: int) -> ImageId:
        """Return the id of a photo."""
        return self.dataset.records[number].image_id

    def truth(self, number: int) -> PanopticMap:
        """Read the true map of a photo, without the photo."""
        data = self.dataset
        return relabel(data.records[number].read(), data.labels, data.categories)

    def outputs(self, number: int) -> Outputs:
        """Read the outputs for a photo.

        Raises:
            ValueError: If the file is missing or damaged.
        """
        semantic, things = None, self.instances(number)
        if "semantic" in self.predictor.engine.predicts:
            path = self._path(number)
            try:
                with open_arrays(path) as arrays:
                    [semantic] = arrays.read([LOGITS])
            except ValueError as error:
                raise ValueError(f"{path}: {error}; {_NEXT}") from None
        if things is not None:
            size = self.sizes[number]
            height, width = self.predictor.config.size or size
            shrink = np.array([width / size[1], height / size[0]] * 2, np.float32)
            things = replace(things, boxes=things.boxes * shrink)
        return Outputs(semantic=semantic, instances=things)

    def instances(self, number: int) -> Instances | None:
        """Read the detections of a photo, with boxes in its pixels; ``None`` without the branch.

        Raises:
            ValueError: If the file is missing or damaged.
        """
        if "instances" not in self.predictor.engine.predicts:
            return None
        try:
            found = read_box_masks(self._path(number), self.predictor.categories)
        except ValueError as error:
            raise ValueError(f"{error}; {_NEXT}") from None
        scores = found.scores.astype(np.float32)
        return Instances(boxes=found.boxes, labels=found.labels, scores=scores, masks=found.masks)

    def _path(self, number: int) -> Path:
        return self.folder / branch_file(self.dataset.image_name(number))


def collect_outputs(
    predictor: Predictor,
    dataset: PanopticDataset,
    folder: Path,
    *,
    on_image: Callable[[int, int], object] = lambda *_: None,
) -> RawOutputs:
    """Run a network on the photos of a data set, unless an earlier run has done so.

    The files of another model or other photos are replaced.

    Args:
        predictor: The network; its instances are selected from `LOWEST_SCORE` on.
        dataset: Data set, opened with the predictor's classes.
        folder: Folder of the files.
        on_image: Called after each photo with the number of photos done and the total.

    Raises:
        ValueError: If the network predicts maps at once, a photo is damaged, another process is
            writing to the folder, or a file that no earlier run has written would be overwritten.
    """
    check_branches(predictor.engine)
    names = [dataset.image_name(number) for number in range(len(dataset))]
    with locked(folder):
        written = read_written(folder / NOTE, _purpose(predictor, dataset))
        done = {name for name in names if written.holds(branch_file(name))}
        files = [IMAGES, *map(branch_file, names)]
        written.claim(files, [folder / IMAGES])
        images: dict[ImageId, ListedImage] = {}
        for number, name in enumerate(names):
            sample = dataset[number]
            size = sample.panoptic.size
            images[sample.image_id] = ListedImage(name=name, size=size)
            if name not in done:
                write_branches(
                    _run(predictor, sample.image),
                    folder,
                    name,
                    frame=predictor.config.size or size,
                    size=size,
                    categories=predictor.categories,
                )
            on_image(number + 1, len(names))
        image_list.write(folder / IMAGES, images, predictor.categories)
    sizes = tuple(image.size for image in images.values())
    return RawOutputs(folder, predictor, dataset, sizes)


def _run(predictor: Predictor, image: np.ndarray) -> Outputs:
    outputs = predictor.outputs_from(image, LOWEST_SCORE)
    assert isinstance(outputs, Outputs)  # as `check_branches` has found
    return outputs


def _purpose(predictor: Predictor, dataset: PanopticDataset) -> str:
    """Return a hash of all that determines the files."""
    described = {
        "version": __version__,
        "network": predictor.engine.fingerprint(),
        "size": predictor.config.size,
        "tta": predictor.tta,
        "selection": asdict(predictor.config.network),
        "lowest": LOWEST_SCORE,
        "photos": [[each.name, stamps([each.image])] for each in dataset.records],
    }
    return sha256(json.dumps(described).encode()).hexdigest()
