import numpy as np

from jsisnet.inference.raster import NO_CHANNEL
from jsisnet.inference.stuff import LabelMap

LABELS = np.array([[3, 5, 255, 0]], np.int32)
EVERYWHERE = np.ones((1, 4), bool)


def test_labels_become_positions_in_the_list_and_others_no_channel():
    labels = LabelMap.of(LABELS, [3, 4, 5])

    assert labels.best(EVERYWHERE).tolist() == [[0, 2, NO_CHANNEL, NO_CHANNEL]]


def test_pixels_of_channels_that_are_not_selected_have_no_channel():
    kept = LabelMap.of(LABELS, [3, 4, 5]).channels([2])

    assert kept.best(EVERYWHERE).tolist() == [[NO_CHANNEL, 0, NO_CHANNEL, NO_CHANNEL]]


def test_unwanted_pixels_have_no_channel():
    assert LabelMap.of(LABELS, [3, 5]).best(~EVERYWHERE).tolist() == [[NO_CHANNEL] * 4]
