"""Non-maximum suppression of a fixed size, which compiles and exports with any batch size."""

import torch
from torch import Tensor
from torchvision.ops import nms

from jsisnet.arrays import Bool, Int64, Shaped

EXCLUDED = -1e30
"""Score of boxes that take no part."""

MIN_CANDIDATE = -1e20
"""Score above which a box takes part."""


@torch.library.custom_op("jsisnet::suppress", mutates_args=())
def suppress(
    boxes: Tensor, scores: Tensor, max_overlap: Tensor, limit: int
) -> tuple[Tensor, Tensor]:
    """Suppress boxes that overlap one of a higher score, in each image of a batch.

    An operator of its own, so that tracing sees fixed shapes and ONNX its own operator.

    Args:
        boxes: Corners, batch x n x 4.
        scores: Scores, batch x n; `EXCLUDED` boxes take no part.
        max_overlap: IoU, a single number, above which the box of the lower score is dropped.
        limit: Maximum number of boxes kept per image.

    Returns:
        Numbers of the kept boxes, best first, padded with 0 to batch x limit, and where there is no
        padding.
    """
    kept = torch.zeros(len(boxes), limit, dtype=torch.int64, device=boxes.device)
    valid = torch.zeros(len(boxes), limit, dtype=torch.bool, device=boxes.device)
    threshold = max_overlap.item()
    for image in range(len(boxes)):
        rows = (scores[image] > MIN_CANDIDATE).nonzero().flatten()
        best = rows[nms(boxes[image][rows], scores[image][rows], threshold)][:limit]
        kept[image, : len(best)] = best
        valid[image, : len(best)] = True
    return kept, valid


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, max_overlap: Tensor, limit: int) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    shape = (boxes.shape[0], limit)
    return boxes.new_empty(shape, dtype=torch.int64), boxes.new_empty(shape, dtype=torch.bool)


def take(
    values: Shaped[Tensor, "b n *rest"], kept: Int64[Tensor, "b k"], valid: Bool[Tensor, "b k"]
) -> Shaped[Tensor, "b k *rest"]:
    """Select the rows that `suppress` kept; padded rows are 0."""
    rest = values.shape[2:]
    rows = values if values.shape[1] else values.new_zeros(values.shape[0], 1, *rest)
    tail = (1,) * len(rest)
    where = kept.unflatten(1, (-1, *tail)).expand(-1, -1, *rest)
    return rows.gather(1, where).masked_fill(~valid.unflatten(1, (-1, *tail)), 0)
