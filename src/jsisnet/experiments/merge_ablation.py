"""Ablation of the heuristics of the paper's merge, and the alternatives to them."""

from collections.abc import Callable
from dataclasses import replace

from jsisnet.evaluation.panoptic_quality import PanopticQuality, count_matches
from jsisnet.formats.dataset import PanopticDataset
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import canvas_pixels_per_unit
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.rules import MergeConfig

UNCHANGED = "the model's own rules"
"""Name of the baseline variant."""


MASK_OVERLAPS = (0.5, 0.3, 0.1)
"""IoUs above which non-maximum suppression of masks drops an instance, which the paper rejects."""


def alternatives(config: MergeConfig, size: tuple[int, int]) -> dict[str, KirillovConfig]:
    """Return Kirillov's rules with the thresholds of the given ones, by description.

    Args:
        config: Rules and thresholds of the baseline.
        size: Height and width of the image, at which these rules merge.
    """
    pixels = canvas_pixels_per_unit(size, size, config)
    official = KirillovConfig(
        min_score=config.min_score,
        min_mask=config.min_mask,
        min_stuff_area=float(pixels) * config.min_stuff_area,
    )
    return {
        "Kirillov's rules": official,
        "Kirillov's rules, best stuff instead of things": replace(official, replace_things=True),
    }


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
    changed |= {
        f"mask NMS above an IoU of {iou}": replace(config, max_mask_overlap=iou)
        for iou in MASK_OVERLAPS
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
    """Evaluate all variants of the rules, and Kirillov's, on the same network outputs.

    Args:
        predictor: A network with both branches.
        dataset: Data opened with the predictor's categories.
        on_image: Called after each photo with the number of photos done and the total.

    Returns:
        Sums over all photos by name of the variant.

    Raises:
        ValueError: If the model lacks a branch, or a photo or its annotation is damaged.
    """
    own, num_labels = predictor.config.merge, len(predictor.categories)
    total: dict[str, PanopticQuality] = {}
    for number in range(len(dataset)):
        sample = dataset[number]
        outputs = predictor.outputs(sample.image)
        if not {"semantic", "instances"} <= predictor.engine.predicts:
            raise ValueError("the model has only one branch; expected both, to merge them")
        size = sample.panoptic.size
        rules: dict[str, MergeConfig | KirillovConfig] = {
            **variants(own),
            **alternatives(own, size),
        }
        for name, config in rules.items():
            merged = predictor.merge(outputs, size, config)
            quality = count_matches(sample.panoptic, merged, num_labels)
            total[name] = total[name] + quality if name in total else quality
        on_image(number + 1, len(dataset))
    return total
