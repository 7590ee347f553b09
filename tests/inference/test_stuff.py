import torch

from jsisnet.inference.raster import NO_CHANNEL
from jsisnet.inference.stuff import Labelled

LABELS = torch.tensor([[3, 5, 255, 0]], dtype=torch.int32)
EVERYWHERE = torch.ones(1, 4, dtype=torch.bool)


def test_labels_become_their_positions_and_others_no_channel():
    labelled = Labelled.of(LABELS, [3, 4, 5])

    assert labelled.best(EVERYWHERE).tolist() == [[0, 2, NO_CHANNEL, NO_CHANNEL]]


def test_channels_that_are_not_kept_have_no_substitute():
    kept = Labelled.of(LABELS, [3, 4, 5]).channels([2])

    assert kept.best(EVERYWHERE).tolist() == [[NO_CHANNEL, 0, NO_CHANNEL, NO_CHANNEL]]


def test_pixels_that_nobody_asks_for_have_no_channel():
    assert Labelled.of(LABELS, [3, 5]).best(~EVERYWHERE).tolist() == [[NO_CHANNEL] * 4]
