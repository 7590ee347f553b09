"""Anchors of a network that are fitted to its training data."""

from dataclasses import replace

from jsisnet.data.sources import Sources
from jsisnet.evaluation.anchors import Anchors, fit, read_true_boxes
from jsisnet.files.processes import available_cores
from jsisnet.model.network import NetworkConfig
from jsisnet.training.config import RunConfig


def anchors_of(network: NetworkConfig) -> Anchors:
    """Return the anchors of a network, for measuring them without it."""
    config = network.anchors
    return Anchors(sizes=config.sizes, ratios=config.ratios, strides=network.trunk.strides)


def with_fitted_anchors(config: RunConfig, samples: Sources) -> RunConfig:
    """Return settings whose anchors are fitted to the training data; see `evaluation.anchors.fit`.

    The fit begins with the anchors of the settings. Their boxes are those of the whole photo at the
    size of prediction, without the augmentation of training.

    Args:
        config: Settings of the training.
        samples: Its data; all maps of the data sets that train the instance branch are read.

    Raises:
        ValueError: If a map is damaged, or there are no things.
    """
    records = [
        record
        for dataset in samples.datasets
        if dataset.config.trusted != "semantic"
        for record in dataset.records
    ]
    true, size = read_true_boxes(records, processes=available_cores()), config.prediction_size
    boxes = true.resized(size)
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= config.augment.min_box]
    try:
        found = fit(boxes, anchors_of(config.network), size)
    except ValueError as error:
        raise ValueError(f"train.fit_anchors: {error}") from None
    anchors = replace(config.network.anchors, sizes=found.sizes, ratios=found.ratios)
    return replace(config, network=replace(config.network, anchors=anchors))
