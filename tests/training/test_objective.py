from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from factories import PERSON, SKY
from jsisnet.data.sample import Batch
from jsisnet.model import boxes
from jsisnet.model.detection import BOX_WEIGHTS
from jsisnet.model.network import JSISNet
from jsisnet.model.rpn import UNSCALED, propose
from jsisnet.panoptic import IGNORE
from jsisnet.training.losses import LossConfig, Losses, mask_targets
from jsisnet.training.matcher import MatchConfig
from jsisnet.training.objective import Objective, ObjectiveConfig, Totals
from jsisnet.training.optim import OptimConfig, optimizer
from networks import NARROW, PYRAMID, TINY, network, objects_of, streets

ALL = ObjectiveConfig(
    anchors=MatchConfig(
        min_positive=0.5,
        max_negative=0.1,
        match_every_object=False,
        samples=2000,
        positives=0.5,
    ),
    regions=MatchConfig(
        min_positive=0.5,
        max_negative=0.5,
        match_every_object=False,
        samples=100,
        positives=0.25,
    ),
)
"""Samples every anchor and region that is not ignored, so that nothing is random."""

UNWEIGHTED = LossConfig(
    rpn_objectness=1.0, rpn_boxes=1.0, classes=1.0, boxes=1.0, masks=1.0, semantic=1.0, l2=1.0
)


def losses_of(
    made: JSISNet, batch: Batch, config: ObjectiveConfig = ALL, weights: LossConfig = UNWEIGHTED
) -> Losses:
    torch.manual_seed(0)
    return Objective(made, replace(config, weights=weights))(batch)


def only_stuff() -> Batch:
    """Return two streets that show the sky alone."""
    batch = streets(0, 1)
    nothing = objects_of([], [])
    return replace(
        batch,
        objects=(nothing, nothing),
        instance_ids=torch.zeros_like(batch.instance_ids),
        semantic=torch.full_like(batch.semantic, SKY),
    )


def no_label() -> Batch:
    batch = only_stuff()
    return replace(batch, semantic=torch.full_like(batch.semantic, IGNORE))


def only_crowds() -> Batch:
    """Return two streets filled by a crowd of persons, so that no region is background."""
    batch = only_stuff()
    crowd = objects_of([], [], [[0, 0, 96, 64]])
    return replace(batch, objects=(crowd, crowd), semantic=torch.full_like(batch.semantic, PERSON))


def one_empty() -> Batch:
    batch = streets(0, 1)
    ids = batch.instance_ids.clone()
    ids[1] = 0
    return replace(batch, objects=(batch.objects[0], objects_of([], [])), instance_ids=ids)


def one_pixel() -> Batch:
    """Return two streets with an object of a single pixel."""
    batch = only_stuff()
    ids = torch.zeros_like(batch.instance_ids)
    ids[:, 5, 7] = 1
    speck = objects_of([[7, 5, 8, 6]], [1])
    return replace(batch, objects=(speck, speck), instance_ids=ids)


CASES = [only_stuff, no_label, only_crowds, one_empty, one_pixel, lambda: streets(2, 4)]
NAMES = ["only stuff", "no label", "only crowds", "one empty", "one pixel", "crowd and void"]


@pytest.mark.parametrize("config", [TINY, NARROW, PYRAMID], ids=["lite", "paper", "pyramid"])
@pytest.mark.parametrize("batch", CASES, ids=NAMES)
def test_losses_and_all_gradients_are_finite(config, batch):
    made = network(config).train()

    losses = losses_of(made, batch(), ObjectiveConfig(), LossConfig())
    losses.total().backward()

    assert all(term.isfinite() for term in losses)
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(value.isfinite().all() for value in made.state_dict().values())


@pytest.mark.parametrize("batch", [only_stuff, no_label, only_crowds])
def test_without_things_box_and_mask_losses_are_zero(batch):
    losses = losses_of(network(), batch())

    assert losses.rpn_boxes == losses.boxes == losses.masks == 0


def test_without_things_anchors_and_regions_are_background():
    losses = losses_of(network(), only_stuff())

    assert losses.rpn_objectness > 0
    assert losses.classes > 0


def test_crowds_are_not_background():
    losses = losses_of(network(), only_crowds())

    assert losses.classes == 0


def test_void_pixels_are_ignored():
    assert losses_of(network(), no_label()).semantic == 0


def test_the_terms_add_up_to_the_total():
    losses = losses_of(network(), streets(0, 1), ObjectiveConfig(), LossConfig())

    assert losses.total().item() == pytest.approx(sum(term.item() for term in losses), rel=1e-6)
    assert all(term > 0 for term in losses)


def test_each_term_is_multiplied_by_its_weight():
    plain = losses_of(network(), streets(0, 1))
    weighted = losses_of(network(), streets(0, 1), weights=LossConfig())

    table_2 = (1.0, 1.0, 1.0, 0.15, 0.3, 1.0, 5.5e-5)
    for term, expected, weight in zip(weighted, plain, table_2, strict=True):
        assert term.item() == pytest.approx(weight * expected.item(), rel=1e-5)


def test_duplicating_an_image_only_raises_the_mask_loss():
    once, twice = (losses_of(network(), streets(*numbers)) for numbers in ((0,), (0, 0)))

    for name, term in once._asdict().items():
        factor = 2 if name == "masks" else 1
        assert getattr(twice, name).item() == pytest.approx(factor * term.item(), rel=1e-4), name


def test_the_mask_loss_can_be_averaged_over_images():
    weights = replace(UNWEIGHTED, mask_reduction="mean")

    once, twice = (losses_of(network(), streets(*n), weights=weights) for n in ((0,), (0, 0)))

    assert twice.masks.item() == pytest.approx(once.masks.item(), rel=1e-4)


@pytest.mark.parametrize("branch", ["semantic", "instance"])
def test_the_terms_of_a_missing_branch_are_zero(branch):
    made = network(replace(TINY, branches=branch)).train()

    losses = losses_of(made, streets(0, 1))
    losses.total().backward()

    assert (losses.semantic > 0) == (branch == "semantic")
    assert (losses.classes > 0) == (branch == "instance")
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


def test_the_l2_term_leaves_out_a_missing_branch():
    joint, semantic = (
        losses_of(network(replace(TINY, branches=branches)), streets(0)).l2
        for branches in ("joint", "semantic")
    )

    kept = [
        p
        for name, p in network().named_parameters()
        if p.ndim > 1 and not name.startswith("instance.")
    ]
    assert semantic.item() < joint.item()
    assert semantic.item() == pytest.approx(
        sum(p.square().sum().item() for p in kept) / 2, rel=0.02
    )


def proposals_in(made: JSISNet, maps: dict[int, Tensor]) -> list[Tensor]:
    """Return the proposals of each image."""
    (anchors,) = made.instance.anchors(maps)
    found = propose(*made.instance.rpn(maps), anchors, (64, 96), made.config.proposals)
    return [boxes[valid] for boxes, valid in zip(found.boxes, found.valid, strict=True)]


def owners_of(candidates: Tensor, objects: Tensor, positive: float) -> Tensor:
    """Return the object index of each candidate, -1 for none."""
    if not len(objects):
        return torch.full((len(candidates),), -1)
    best, owner = box_iou(candidates, objects).max(dim=1)
    return torch.where(best >= positive, owner, -1)


def test_the_rpn_terms_are_those_of_a_plain_loop():
    made, batch = network(), streets(0, 1)

    losses = losses_of(made, batch)

    logits, deltas = made.instance.rpn(made.trunk(batch.images / 255))
    (anchors,) = made.instance.anchors(made.trunk(batch.images / 255))
    objectness, offsets = [], []
    for image, objects in enumerate(batch.objects):
        owner = owners_of(anchors, objects.boxes, 0.5)
        best = box_iou(anchors, objects.boxes).amax(dim=1)
        positive, negative = (owner >= 0).nonzero()[:, 0], (best < 0.1).nonzero()[:, 0]
        read = len(positive) + len(negative)
        log_p = logits[image].log_softmax(dim=1)
        objectness.append(-(log_p[positive, 1].sum() + log_p[negative, 0].sum()) / read)
        targets = boxes.encode(objects.boxes[owner[positive]], anchors[positive], UNSCALED)
        distance = (deltas[image, positive] - targets).abs()
        smooth = torch.where(distance < 1, distance**2 / 2, distance - 0.5)
        offsets.append(smooth.sum() / read)
    torch.testing.assert_close(losses.rpn_objectness, torch.stack(objectness).mean())
    torch.testing.assert_close(losses.rpn_boxes, torch.stack(offsets).mean())


def test_pruned_anchors_take_no_part_in_training():
    pruned = replace(TINY, anchors=replace(TINY.anchors, outside="prune"))
    made, batch = network(pruned), streets(0)
    seen = []
    made.instance.rpn.register_forward_hook(lambda _, __, outputs: seen.extend(outputs))

    losses = losses_of(made, batch)
    gradients = torch.autograd.grad(losses.rpn_objectness + losses.rpn_boxes, seen)

    (anchors,) = made.instance.anchors(made.trunk(batch.images / 255))
    outside = (anchors[:, :2] < 0).any(dim=1) | (anchors[:, 2] > 96) | (anchors[:, 3] > 64)
    assert 0 < outside.sum() < len(anchors)
    for gradient in gradients:
        assert gradient[0, outside].abs().max() == 0
        assert gradient[0, ~outside].abs().max() > 0


def test_an_image_smaller_than_all_anchors_trains_without_any():
    large = replace(TINY.anchors, sizes=(512.0,), outside="prune")

    losses = losses_of(network(replace(TINY, anchors=large)), streets(0))

    assert losses.rpn_objectness == losses.rpn_boxes == 0
    assert losses.total().isfinite()


def test_the_region_terms_are_those_of_a_plain_loop():
    made, batch = network(), streets(0, 3)
    roi, background = made.instance.roi, 3

    losses = losses_of(made, batch)

    maps = made.trunk(batch.images / 255)
    found = proposals_in(made, maps)
    classes, offsets, masks = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for image, objects in enumerate(batch.objects):
        regions = torch.cat([found[image], objects.boxes])
        owner = owners_of(regions, objects.boxes, 0.5)
        positive = owner >= 0
        assert len(objects) <= positive.sum() <= 25
        of_image = {8: maps[8][image : image + 1]}
        read = roi.extract(of_image, boxes.joined_with_image([regions]))
        logits, deltas = roi.classify_and_refine(read)
        channel = torch.where(positive, objects.channels[owner.clamp(min=0)], background)
        classes += functional.cross_entropy(logits, channel, reduction="sum") / 200
        owner, channel = owner[positive], channel[positive]
        targets = boxes.encode(objects.boxes[owner], regions[positive], BOX_WEIGHTS)
        rows = torch.arange(len(owner))
        distance = (deltas[positive][rows, channel] - targets).abs()
        offsets += torch.where(distance < 1, distance**2 / 2, distance - 0.5).sum() / 200
        truth = mask_targets(batch.instance_ids[image], owner, regions[positive], 14)
        mask = roi.mask(read[positive])[rows, channel]
        masks += functional.binary_cross_entropy_with_logits(mask, truth)
    torch.testing.assert_close(losses.classes, classes, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses.boxes, offsets, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses.masks, masks, rtol=1e-4, atol=1e-6)


def test_ground_truth_boxes_are_regions_unless_turned_off():
    hopeless = replace(TINY, proposals=replace(TINY.proposals, max_proposals=1))
    batch = streets(0)

    with_them = losses_of(network(hopeless), batch)
    without = losses_of(network(hopeless), batch, replace(ALL, add_true_boxes=False))

    assert with_them.masks > 0
    assert with_them.boxes > 0
    assert without.masks == without.boxes == 0


def test_no_gradient_reaches_the_rpn_from_the_region_head():
    made = network().train()
    weights = replace(UNWEIGHTED, rpn_objectness=0.0, rpn_boxes=0.0)

    losses_of(made, streets(0, 1), weights=weights).total().backward()

    assert all(p.grad.abs().max() == 0 for p in made.instance.rpn.parameters())


def test_both_branches_train_the_shared_trunk():
    gradients = []
    for branches in ("joint", "semantic", "instance"):
        made = network(replace(TINY, branches=branches)).train()
        losses_of(made, streets(0, 1)).total().backward()
        gradients.append(made.trunk.stages.conv1[0].weight.grad.abs().sum())

    assert min(gradients) > 0
    assert gradients[0] not in gradients[1:]


def test_all_terms_of_a_narrow_paper_network_are_positive():
    made = network(NARROW).train()

    losses = losses_of(made, streets(0, 1), ObjectiveConfig(), LossConfig())

    assert all(term.isfinite() and term > 0 for term in losses)


def test_the_whole_step_runs_in_half_precision():
    made = network().train()

    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(made, streets(0, 1), ObjectiveConfig(), LossConfig())
    losses.total().backward()

    assert all(term.dtype == torch.float32 and term.isfinite() for term in losses)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


def test_photos_without_annotated_things_do_not_train_the_instance_branch():
    """They have no objects, and no region counts as background."""
    none = [False, False, False]
    nothing = replace(only_stuff(), labelled=torch.tensor([none, none]))
    made = network().train()

    losses = losses_of(made, nothing)
    losses.total().backward()

    assert losses.semantic > 0
    instance = (losses.rpn_objectness, losses.rpn_boxes, losses.classes, losses.boxes, losses.masks)
    assert all(term == 0 for term in instance)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


def test_the_instance_terms_are_averaged_over_the_photos_with_annotated_things():
    one = losses_of(network(), streets(0))
    batch = streets(0, 1)
    nothing = (batch.objects[0], objects_of([], []))
    ids = batch.instance_ids.clone()
    ids[1] = 0
    labelled = torch.tensor([[True, True, True], [False, False, False]])

    both = losses_of(
        network(), replace(batch, objects=nothing, instance_ids=ids, labelled=labelled)
    )

    for name in ("rpn_objectness", "rpn_boxes", "classes", "boxes", "masks"):
        assert getattr(both, name).item() == pytest.approx(getattr(one, name).item(), rel=1e-4)


def test_if_some_things_are_not_annotated_no_anchor_is_background():
    batch = only_stuff()

    full = losses_of(network(), batch)
    part = losses_of(network(), replace(batch, labelled=torch.tensor([[True, False, True]] * 2)))

    assert full.rpn_objectness > 0
    assert part.rpn_objectness == 0
    assert 0 < part.classes < full.classes


def test_the_loss_of_two_micro_batches_equals_that_of_one_batch():
    whole = streets(0, 1, 3, 4)
    parts = [streets(0, 1), streets(3, 4)]
    made = network()

    expected = losses_of(made, whole)
    objective = Objective(made, replace(ALL, weights=UNWEIGHTED))
    found = [objective(part, Totals.of(parts)) for part in parts]

    for name, value in expected._asdict().items():
        added = sum(getattr(losses, name).item() for losses in found)
        assert added == pytest.approx(value.item(), rel=1e-4), name


def test_the_mean_over_devices_equals_the_loss_of_one_device():
    whole = streets(0, 1, 3, 4)
    parts = [streets(0, 1), streets(3, 4)]
    totals = replace(Totals.of([whole]), devices=2)
    made = network()

    expected = losses_of(made, whole)
    objective = Objective(made, replace(ALL, weights=UNWEIGHTED))
    found = [objective(part, totals) for part in parts]

    for name, value in expected._asdict().items():
        mean = sum(getattr(losses, name).item() for losses in found) / 2
        assert mean == pytest.approx(value.item(), rel=1e-4), name


def test_a_branch_that_is_frozen_with_the_trunk_has_no_loss():
    frozen = network(replace(TINY, frozen=("trunk", "instance"))).train()
    free = network(replace(TINY, frozen=("instance",))).train()

    without = losses_of(frozen, streets(0, 1))
    with_trunk = losses_of(free, streets(0, 1))

    assert without.semantic > 0
    assert {without.classes.item(), without.masks.item(), without.rpn_objectness.item()} == {0.0}
    assert min(with_trunk.classes.item(), with_trunk.rpn_objectness.item()) > 0


def test_training_the_semantic_branch_alone_changes_nothing_else():
    made = network(replace(TINY, frozen=("trunk", "instance"))).train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    config = OptimConfig(kind="adamw", lr=0.01, weight_decay=0.05)
    steps = optimizer(made, config, l2=0.0)

    losses_of(made, streets(0, 1)).semantic.backward()
    steps.step()

    changed = {
        name for name, value in made.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed
    assert all(name.startswith("semantic.") for name in changed)
