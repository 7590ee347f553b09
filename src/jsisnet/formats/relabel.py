"""Panoptic maps of one set of classes in terms of another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jsisnet.categories import Categories
from jsisnet.panoptic import PanopticMap, Segment


def relabelled(panoptic: PanopticMap, labels: Sequence[int], categories: Categories) -> PanopticMap:
    """Give the segments of a map their labels in other classes.

    Stuff segments that get the same label become one, in the place of the first of them, because
    an image has at most one segment of a stuff class. Things stay apart; one that becomes stuff is
    no crowd any more, because stuff has none.

    Args:
        panoptic: Map in the classes of its source.
        labels: For each label of the source the label in `categories`; see `labels_of`.
        categories: The classes to speak of.
    """
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    numbers = np.zeros(len(panoptic.segments) + 1, np.int32)
    for i, segment in enumerate(panoptic.segments, 1):
        label = labels[segment.label]
        isthing = categories[label].isthing
        if not isthing and label in stuff:
            numbers[i] = stuff[label]
            continue
        iscrowd = segment.iscrowd and isthing
        segments.append(replace(segment, label=label, isthing=isthing, iscrowd=iscrowd))
        numbers[i] = len(segments)
        if not isthing:
            stuff[label] = len(segments)
    merged = len(segments) < len(panoptic.segments)
    return PanopticMap(numbers[panoptic.ids] if merged else panoptic.ids, tuple(segments))
