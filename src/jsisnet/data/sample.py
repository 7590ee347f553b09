"""Training examples and batches: network inputs with their targets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jsisnet.arrays import Bool, Float, Int32, Int64, Integer, UInt8
from jsisnet.categories import Categories
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import IGNORE, ImageId, void_label


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """Target objects of one image, possibly none."""

    boxes: Float[Tensor, "g 4"]
    """Tight bounding boxes, in pixels of the network input."""

    channels: Int64[Tensor, " g"]
    """Thing channels, not labels."""

    crowds: Float[Tensor, "c 4"]
    """Crowd boxes; predictions inside them are ignored."""

    def __len__(self) -> int:
        return len(self.channels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A network input and its targets; see `Batch` for the fields."""

    image: UInt8[Tensor, "3 h w"]
    semantic: Integer[Tensor, "h w"]
    instance_ids: Int32[Tensor, "h w"]
    objects: Objects
    labelled: Bool[Tensor, " t"]
    seed: int
    image_id: ImageId


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Examples of one size, stacked; all tensors are on one device."""

    images: UInt8[Tensor, "b 3 h w"]
    """RGB."""

    semantic: Integer[Tensor, "b h w"]
    """Label of each pixel, in 8 bits, or 16 if there are more than 255; void has the highest value
    of the type, see `is_void`. Crowds have the label of their class."""

    instance_ids: Int32[Tensor, "b h w"]
    """i + 1 on the pixels of object i of the image, 0 elsewhere: on stuff, crowds and void."""

    objects: tuple[Objects, ...]
    """Objects of each image, in the order of `instance_ids`."""

    labelled: Bool[Tensor, "b t"]
    """Whether the data set of each image annotates each thing channel. Things of the others may be
    anywhere in the image, so no region counts as their background."""

    seeds: tuple[int, ...]
    """Seeds of the random sampling for each image, independent of the batch."""

    image_ids: tuple[ImageId, ...]
    """Ids of the images."""

    def __len__(self) -> int:
        return len(self.image_ids)

    def to(self, device: torch.device | str) -> "Batch":
        """Copy the tensors to a device; the copy is asynchronous from pinned memory."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))

    def pin_memory(self) -> "Batch":
        """Copy the tensors to page-locked memory; a `DataLoader` with `pin_memory` calls it."""
        return self._map(Tensor.pin_memory)

    def __reduce__(self) -> tuple[Callable[..., "Batch"], tuple[object, ...]]:
        """Pickle the tensors as arrays, which a data loader's worker sends through a pipe.

        PyTorch would put tensors into shared memory, of which a container has 64 MB: a worker that
        finds it full drops the batch, and the training would wait for it forever.
        """
        tensors = [self.images, self.semantic, self.labelled]
        for objects in self.objects:
            tensors += [objects.boxes, objects.channels, objects.crowds]
        arrays = [tensor.cpu().numpy() for tensor in tensors]
        ids = self.instance_ids.cpu().numpy()
        small = ids.astype(np.min_scalar_type(max(map(len, self.objects), default=0)))
        return _from_arrays, (small, arrays, self.seeds, self.image_ids)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(
            images=function(self.images),
            semantic=function(self.semantic),
            instance_ids=function(self.instance_ids),
            objects=tuple(
                Objects(
                    boxes=function(objects.boxes),
                    channels=function(objects.channels),
                    crowds=function(objects.crowds),
                )
                for objects in self.objects
            ),
            labelled=function(self.labelled),
            seeds=self.seeds,
            image_ids=self.image_ids,
        )


def is_void(semantic: Integer[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
    """Return which pixels of a semantic target are void."""
    # Not every device compares unsigned 16-bit integers.
    wide = semantic if semantic.dtype == torch.uint8 else semantic.int()
    return wide == torch.iinfo(semantic.dtype).max


def _from_arrays(
    instance_ids: Integer[np.ndarray, "b h w"],
    arrays: Sequence[np.ndarray],
    seeds: tuple[int, ...],
    image_ids: tuple[ImageId, ...],
) -> Batch:
    """Create a batch from what `Batch.__reduce__` keeps of it."""
    images, semantic, labelled, *rest = map(torch.from_numpy, arrays)
    return Batch(
        images=images,
        semantic=semantic,
        instance_ids=torch.from_numpy(instance_ids.astype(np.int32)),
        objects=tuple(
            Objects(boxes=boxes, channels=channels, crowds=crowds)
            for boxes, channels, crowds in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        ),
        labelled=labelled,
        seeds=seeds,
        image_ids=image_ids,
    )


def collate(examples: Sequence[Example]) -> Batch:
    """Stack one or more examples of the same size."""
    return Batch(
        images=torch.stack([example.image for example in examples]),
        semantic=torch.stack([example.semantic for example in examples]),
        instance_ids=torch.stack([example.instance_ids for example in examples]),
        objects=tuple(example.objects for example in examples),
        labelled=torch.stack([example.labelled for example in examples]),
        seeds=tuple(example.seed for example in examples),
        image_ids=tuple(example.image_id for example in examples),
    )


def example(sample: Sample, categories: Categories, *, min_box: int = 1, seed: int = 0) -> Example:
    """Compute the targets of a network input from its panoptic map.

    If the sample has no semantic ground truth, all pixels are void. If none of the thing classes is
    annotated, there are no objects.

    Args:
        sample: Image and map at the size of the network input.
        categories: Classes of the map.
        min_box: Shortest side of an object's box, in pixels. Smaller objects are left out; their
            pixels keep the class.
        seed: Seed of the random sampling for this image.
    """
    panoptic = sample.panoptic
    boxes = panoptic.boxes()
    visible = (boxes[:, 2:] - boxes[:, :2] >= max(min_box, 1)).all(axis=1)
    isthing = np.array([segment.isthing for segment in panoptic.segments], bool)
    iscrowd = np.array([segment.iscrowd for segment in panoptic.segments], bool)
    labelled = [label not in sample.unlabelled for label in categories.thing_labels]
    visible &= isthing & any(labelled)
    kept = np.flatnonzero(visible & ~iscrowd)
    crowds = np.flatnonzero(visible & iscrowd)

    numbers = np.zeros(len(panoptic.segments) + 1, np.int32)
    numbers[kept + 1] = np.arange(1, len(kept) + 1)
    channel = {label: number for number, label in enumerate(categories.thing_labels)}
    channels = [channel[panoptic.segments[i].label] for i in kept]
    void = void_label(len(categories))
    semantic = panoptic.labels(void).astype(np.uint8 if void == IGNORE else np.uint16)
    if not sample.semantic:
        semantic[:] = void
    return Example(
        image=torch.as_tensor(sample.image).permute(2, 0, 1),
        semantic=torch.from_numpy(semantic),
        instance_ids=torch.from_numpy(numbers[panoptic.ids]),
        objects=Objects(
            boxes=torch.from_numpy(boxes[kept].astype(np.float32)),
            channels=torch.tensor(channels, dtype=torch.int64),
            crowds=torch.from_numpy(boxes[crowds].astype(np.float32)),
        ),
        labelled=torch.tensor(labelled, dtype=torch.bool),
        seed=seed,
        image_id=sample.image_id,
    )
