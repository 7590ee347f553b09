"""Average precision of random things equals that of COCO's own library."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as oracle_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jsisnet.evaluation.average_precision import (
    CollectedInstances,
    ImageInstances,
    Things,
    average_precision,
    encode,
)

LABELS = 4
"""No true instance has the last one."""


def drawn(random, size, count):
    """Draw ellipses: their masks, and slightly inaccurate boxes."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    masks, boxes = [], []
    for _ in range(count):
        y, x = random.uniform(0, 1, 2) * size
        height, width = random.uniform(0.1, 0.6, 2) * size
        masks.append(((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1)
        boxes.append([x - width, y - height, x + width, y + height])
    return masks, np.array(boxes, float).reshape(-1, 4) + random.normal(0, 0.5, (count, 4))


def moved(random, masks, boxes):
    """Shift instances by a few pixels, drop some, and repeat one."""
    kept = [i for i in range(len(masks)) if random.random() < 0.8]
    kept += kept[:1]
    shifts = random.integers(-2, 3, (len(kept), 2))
    shifted = [np.roll(masks[i], shift, (0, 1)) for i, shift in zip(kept, shifts, strict=True)]
    return shifted, boxes[kept] + np.repeat(shifts[:, ::-1], 2, axis=0).reshape(-1, 4)


def packed(masks, boxes, labels, size):
    """Return instances, each mask encoded from its tight window."""
    encoded = []
    for mask in masks:
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        window = np.s_[0:0, 0:0]
        if mask.any():
            window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        encoded.append(encode(mask[window], window, size))
    return Things(labels=labels, boxes=boxes, masks=tuple(encoded))


def entries(masks, boxes, labels, image_id):
    """Return the entries of instances, with masks encoded by the oracle."""
    return [
        {
            "image_id": image_id,
            "category_id": int(label),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "segmentation": oracle_mask.encode(np.asfortranarray(mask, np.uint8)),
            "area": float(mask.sum()),
        }
        for mask, (x0, y0, x1, y1), label in zip(masks, boxes.tolist(), labels, strict=True)
    ]


@pytest.fixture(scope="module")
def scenes():
    """Return images, and the same for the oracle: images, true and predicted entries."""
    random = np.random.default_rng(0)
    photos, images, true, found = [], [], [], []
    for number in range(60):
        size = tuple(random.integers(8, 40, 2).tolist())
        masks, boxes = drawn(random, size, random.integers(0, 8))
        labels, crowd = random.integers(0, LABELS - 1, len(masks)), random.random(len(masks)) < 0.2
        others, other_boxes = moved(random, masks, boxes)
        other_labels = random.integers(0, LABELS, len(others))
        scores = random.integers(1, 20, len(others)) / 20
        image = {"id": number + 1, "height": size[0], "width": size[1]}
        images.append(image)
        for entry, iscrowd in zip(entries(masks, boxes, labels, number + 1), crowd, strict=True):
            true.append(entry | {"id": len(true) + 1, "iscrowd": int(iscrowd)})
        for entry, score in zip(
            entries(others, other_boxes, other_labels, number + 1), scores, strict=True
        ):
            found.append(entry | {"score": float(score)})
        photos.append(
            ImageInstances(
                number=number,
                size=size,
                truth=packed(masks, boxes, labels, size),
                iscrowd=crowd,
                prediction=packed(others, other_boxes, other_labels, size),
                scores=scores,
            )
        )
    return photos, images, true, found


@pytest.mark.parametrize(("kind", "name"), [("mask", "segm"), ("box", "bbox")])
def test_every_class_has_the_oracles_precision(scenes, kind, name):
    photos, images, true, found = scenes
    categories = [{"id": label, "name": str(label)} for label in range(LABELS)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": true}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), name)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    expected = evaluation.eval["precision"][..., 0, -1].mean(axis=1)

    ours = average_precision(CollectedInstances(tuple(reversed(photos))), LABELS, kind)

    assert expected[0, 0] > 0.1
    np.testing.assert_allclose(ours.ap[:-1], expected.mean(axis=0)[:-1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.ap50[:-1], expected[0, :-1], rtol=0, atol=1e-9)
    assert np.nanmean(ours.ap) == pytest.approx(evaluation.stats[0], abs=1e-9)
    assert np.nanmean(ours.ap50) == pytest.approx(evaluation.stats[1], abs=1e-9)
    assert np.isnan(ours.ap[-1])


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_masks_are_packed_as_the_oracle_packs_them(density):
    random = np.random.default_rng(1)
    for _ in range(50):
        size = tuple(random.integers(1, 12, 2).tolist())
        (y0, y1), (x0, x1) = (np.sort(random.integers(0, side + 1, 2)).tolist() for side in size)
        mask = np.zeros(size, bool)
        mask[y0:y1, x0:x1] = random.random((y1 - y0, x1 - x0)) < density

        ours = encode(mask[y0:y1, x0:x1], np.s_[y0:y1, x0:x1], size)

        assert ours.encode() == oracle_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]
