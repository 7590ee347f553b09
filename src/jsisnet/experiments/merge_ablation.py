"""Ablation of the heuristics of the paper's merge."""

from collections.abc import Callable
from dataclasses import replace

from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig

UNCHANGED = "the model's own rules"
"""Name of the baseline variant."""


def variants(config: MergeConfig) -> dict[str, MergeConfig]:
    """Return the given rules and variants with one rule changed, by description.

    Args:
        config: Rules and thresholds of the baseline.
    """
    area, score = config.min_stuff_area, config.min_score
    changed = {
        "overlaps to the higher probability": replace(config, owner="probability"),
        "overlaps to the higher score": replace(config, owner="score"),
        "overlaps to score times probability": replace(config, owner="score_times_probability"),
        "small stuff stays": replace(config, min_stuff_area=0.0),
        "small stuff from half the area on": replace(config, min_stuff_area=area / 2),
        "small stuff up to twice the area": replace(config, min_stuff_area=2 * area),
        "the smallest stuff goes first, one by one": replace(config, replacement="greedy"),
        "stuff is counted below things too": replace(config, count_stuff="before_things"),
        "no stuff is large enough: it stays": replace(config, fallback="keep_argmax"),
        "merged in the network's pixels": replace(config, canvas="network"),
        "merged in the photo's pixels": replace(config, canvas="original"),
        "things from a lower score on": replace(config, min_score=score / 2),
        "things from a higher score on": replace(config, min_score=(1 + score) / 2),
    }
    return {UNCHANGED: config} | {
        name: variant for name, variant in changed.items() if variant != config
    }


def ablate(
    predictor: Predictor,
    dataset: PanopticDataset,
    *,
    on_image: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, PanopticQuality]:
    """Evaluate all variants of the rules on the same network outputs.

    Args:
        predictor: A network with both branches.
        dataset: Data opened with the predictor's categories.
        on_image: Called after each photo with the number of photos done and the total.

    Returns:
        Sums over all photos by name of the variant.

    Raises:
        ValueError: If the model lacks a branch, or a photo or its annotation is damaged.
    """
    rules, num_labels = variants(predictor.config.merge), len(predictor.categories)
    total = dict.fromkeys(rules, PanopticQuality.zero(num_labels))
    for number in range(len(dataset)):
        sample = dataset[number]
        outputs = predictor.outputs(sample.image)
        if not {"semantic", "instances"} <= predictor.engine.predicts:
            raise ValueError("the model has only one branch; expected both, to merge them")
        for name, config in rules.items():
            merged = predictor.merge(outputs, sample.panoptic.size, config)
            total[name] += count_matches(sample.panoptic, merged, num_labels)
        on_image(number + 1, len(dataset))
    return total
