"""Panoptic quality of groups of classes, of any number of sums at once."""

import numpy as np
from jaxtyping import Bool, Float64


def class_means(
    sums: Float64[np.ndarray, "*s 4 k"], groups: Bool[np.ndarray, "m k"]
) -> Float64[np.ndarray, "*s 3 m"]:
    """Give the mean PQ, SQ and RQ of groups of classes, over the classes that the sums have seen.

    Args:
        sums: Of each class the IoU of the matches and their number, tp; fp; fn.
        groups: Classes that each mean is over.

    Returns:
        Values from 0 to 1; NaN for a group without a class that was seen.
    """
    iou, tp, fp, fn = np.moveaxis(sums, -2, 0)
    under = np.maximum(tp + fp / 2 + fn / 2, 1 / 2)
    values = np.stack([iou / under, iou / np.maximum(tp, 1), tp / under], axis=-2)
    number = (((tp + fp + fn) > 0).astype(np.float64) @ groups.T)[..., None, :]
    nothing = np.full((*values.shape[:-1], len(groups)), np.nan)
    return np.divide(values @ groups.T, number, out=nothing, where=number > 0)
