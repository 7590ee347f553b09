"""Thing objects of one image, as a network or anybody else predicts them."""

from dataclasses import dataclass

from torch import Tensor

from jsisnet.arrays import Float, Int64


@dataclass(frozen=True, kw_only=True, slots=True)
class Instances:
    """Predicted things of one image, in no particular order, possibly none."""

    boxes: Float[Tensor, "n 4"]
    """Corners in pixels of the frame that the boxes were predicted in (the network's input)."""

    labels: Int64[Tensor, " n"]
    """Labels of the data set, not thing channels."""

    scores: Float[Tensor, " n"]
    """Confidence in [0, 1]."""

    masks: Float[Tensor, "n m m"]
    """Probability that a point of the box belongs to the object; the grid spans the box."""

    def __len__(self) -> int:
        return len(self.labels)
