import pytest
import torch

from jsisnet.inference.thresholds import DetectionConfig
from jsisnet.model import boxes
from jsisnet.model.detection import BOX_WEIGHTS, DetectedBoxes, detect
from jsisnet.model.rpn import Proposals

SIZE = (64, 96)
PERSON, CAR, BUS, BACKGROUND = range(4)
"""Class channels of the head: three things and the background."""


def proposals_of(where: list[list[float]], *, padding: int = 0) -> Proposals:
    real = torch.tensor(where, dtype=torch.float32).view(1, -1, 4)
    return Proposals(
        boxes=torch.cat([real, torch.zeros(1, padding, 4)], dim=1),
        valid=torch.arange(real.shape[1] + padding)[None] < real.shape[1],
    )


def logits_of(*regions: dict[int, float]) -> torch.Tensor:
    """Return logits whose softmax has the given probabilities; the background takes the rest."""
    rows = []
    for region in regions:
        row = [region.get(channel, 1e-9) for channel in (PERSON, CAR, BUS)]
        rows.append([*row, 1 - sum(row)])
    return torch.tensor([rows]).view(1, -1, 4).log()


def detected(
    logits: torch.Tensor, proposals: Proposals, *, deltas: torch.Tensor | None = None, **limits
) -> DetectedBoxes:
    still = torch.zeros(*logits.shape[:2], 3, 4)
    config = DetectionConfig(**{"max_detections": 10} | limits)
    return detect(logits, still if deltas is None else deltas, proposals, SIZE, config)


def found(made: DetectedBoxes) -> list[tuple[int, list[float]]]:
    valid = made.valid[0]
    return list(zip(made.channels[0][valid].tolist(), made.boxes[0][valid].tolist(), strict=True))


def plain_nms(
    candidates: list[tuple[float, int, torch.Tensor]], max_overlap: float, *, by_class: bool
) -> list[tuple[float, int, torch.Tensor]]:
    kept: list[tuple[float, int, torch.Tensor]] = []
    for score, channel, box in sorted(candidates, key=lambda candidate: -candidate[0]):
        rivals = [other for _, of, other in kept if of == channel or not by_class]
        if all(boxes.iou(box[None], other[None]).item() <= max_overlap for other in rivals):
            kept.append((score, channel, box))
    return kept


def test_a_planted_object_is_found_where_the_offsets_of_its_class_point():
    proposals = proposals_of([[10, 10, 50, 50], [60, 0, 90, 30]])
    car = torch.tensor([20.0, 16.0, 44.0, 40.0])
    deltas = torch.full((1, 2, 3, 4), 3.0)
    deltas[0, 0, CAR] = boxes.encode(car, proposals.boxes[0, 0], BOX_WEIGHTS)

    made = detected(logits_of({CAR: 0.9, BUS: 0.05}, {}), proposals, deltas=deltas)

    ((channel, box),) = found(made)
    assert channel == CAR
    assert box == pytest.approx(car.tolist(), abs=1e-4)
    assert made.scores[0, 0].item() == pytest.approx(0.9)


def test_boxes_of_a_hundredth_of_a_pixel_are_dropped():
    thin = proposals_of([[0, 0, 40, 0.009], [0, 0, 40, 0.02]])

    made = detected(logits_of({CAR: 0.9}, {CAR: 0.8}), thin)

    assert len(found(made)) == 1


def test_offsets_are_divided_by_10_10_5_5():
    deltas = torch.zeros(1, 1, 3, 4)
    deltas[..., :2] = 1.0

    made = detected(logits_of({CAR: 0.9}), proposals_of([[20, 20, 40, 40]]), deltas=deltas)

    assert found(made) == [(CAR, [22, 22, 42, 42])]
    assert BOX_WEIGHTS == (10, 10, 5, 5)


def test_background_regions_are_not_detected():
    made = detected(logits_of({PERSON: 0.1}), proposals_of([[0, 0, 10, 10]]))

    assert not made.valid.any()


def test_a_score_equal_to_the_minimum_suffices():
    made = detected(
        logits_of({PERSON: 0.5}, {PERSON: 0.49}), proposals_of([[0, 0, 10, 10], [20, 0, 30, 10]])
    )

    assert found(made) == [(PERSON, [0, 0, 10, 10])]


def test_padding_is_never_detected():
    proposals = proposals_of([[0, 0, 10, 10]], padding=2)
    proposals.boxes[0, 1] = torch.tensor([20.0, 20, 30, 30])

    made = detected(logits_of({CAR: 0.9}, {CAR: 0.9}, {CAR: 0.9}), proposals)

    assert found(made) == [(CAR, [0, 0, 10, 10])]


@pytest.mark.parametrize("one_class", [True, False])
def test_no_proposals_give_no_detections(one_class):
    made = detected(
        torch.zeros(1, 0, 4), proposals_of([]), one_class_per_region=one_class, min_score=0.0
    )

    assert made.boxes.shape == (1, 10, 4)
    assert not made.valid.any()


def test_detections_are_padded_with_zeros_to_a_fixed_number():
    made = detected(logits_of({BUS: 0.8}), proposals_of([[0, 0, 10, 10]]), max_detections=3)

    assert made.boxes.tolist() == [[[0, 0, 10, 10], [0, 0, 0, 0], [0, 0, 0, 0]]]
    assert made.channels.tolist() == [[BUS, 0, 0]]
    assert made.scores[0, 1:].tolist() == [0, 0]
    assert made.valid.tolist() == [[True, False, False]]


def test_the_best_detections_are_kept_and_come_first():
    where = [[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(4)]
    logits = logits_of({CAR: 0.6}, {CAR: 0.9}, {CAR: 0.7}, {CAR: 0.8})

    made = detected(logits, proposals_of(where), max_detections=2)

    assert [box[0] for _, box in found(made)] == [20, 60]


def test_boxes_are_clipped_to_the_image():
    made = detected(logits_of({CAR: 0.9}), proposals_of([[80, 40, 120, 80]]))

    assert found(made) == [(CAR, [80, 40, 96, 64])]


def test_boxes_outside_the_image_are_dropped():
    made = detected(logits_of({CAR: 0.9}), proposals_of([[100, 0, 120, 20]]))

    assert not made.valid.any()


def test_one_class_per_region_keeps_the_best_class():
    made = detected(logits_of({CAR: 0.5, BUS: 0.45}), proposals_of([[0, 0, 10, 10]]), min_score=0.1)

    assert [channel for channel, _ in found(made)] == [CAR]


def test_one_class_per_region_suppresses_across_classes():
    where = proposals_of([[0, 0, 10, 10], [0, 0, 10, 5]])

    made = detected(logits_of({CAR: 0.8}, {BUS: 0.9}), where)

    assert found(made) == [(BUS, [0, 0, 10, 5])]


def test_all_classes_of_a_region_are_kept_for_average_precision():
    made = detected(
        logits_of({CAR: 0.5, BUS: 0.4}),
        proposals_of([[0, 0, 10, 10]]),
        min_score=0.05,
        one_class_per_region=False,
    )

    assert [channel for channel, _ in found(made)] == [CAR, BUS]


def test_suppression_is_within_each_class_for_average_precision():
    where = proposals_of([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 9]])
    logits = logits_of({CAR: 0.8}, {BUS: 0.9}, {CAR: 0.7})

    made = detected(logits, where, one_class_per_region=False)

    assert [channel for channel, _ in found(made)] == [BUS, CAR]


@pytest.mark.parametrize("one_class", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_suppression_agrees_with_a_plain_loop(seed, one_class):
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(40, 2, generator=draw) * 40
    where = torch.cat([corner, corner + 4 + torch.rand(40, 2, generator=draw) * 20], dim=1)
    logits = torch.randn(1, 40, 4, generator=draw)
    proposals = Proposals(boxes=where[None], valid=torch.ones(1, 40, dtype=torch.bool))

    made = detected(
        logits,
        proposals,
        one_class_per_region=one_class,
        min_score=0.2,
        max_overlap=0.3,
        max_detections=200,
    )

    scores = logits[0].softmax(dim=1)[:, :3]
    candidates = [
        (scores[row, channel].item(), channel, where[row])
        for row in range(40)
        for channel in ([int(scores[row].argmax())] if one_class else range(3))
        if scores[row, channel] >= 0.2
    ]
    kept = plain_nms(candidates, 0.3, by_class=not one_class)
    assert made.channels[0][made.valid[0]].tolist() == [channel for _, channel, _ in kept]
    torch.testing.assert_close(
        made.boxes[0][made.valid[0]], torch.stack([box for _, _, box in kept]), rtol=0, atol=1e-4
    )


def test_the_defaults_are_the_papers_thresholds():
    config = DetectionConfig()

    assert (config.min_score, config.max_overlap, config.max_detections) == (0.5, 0.4, 300)
    assert config.one_class_per_region


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="max_detections is 0; expected 1 to 100,000"):
        DetectionConfig(max_detections=0)
