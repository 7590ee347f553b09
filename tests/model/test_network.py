from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from factories import BUS, CAR, CATEGORIES, PERSON
from jsisnet.categories import Categories
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model.boxes import clip, with_image
from jsisnet.model.network import JSISNet, NetworkConfig, Outputs
from jsisnet.model.psp import PSPConfig
from jsisnet.model.roi_fpn import RoIFPNConfig
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.rpn import Proposals, propose
from jsisnet.model.trunk import TrunkConfig
from networks import NARROW, PYRAMID, TINY, network, numbered, photos, shapes_only

COCO = numbered(80, 53)

READINGS = {
    "A": NetworkConfig(),
    "B": NetworkConfig(trunk=TrunkConfig(neck="none"), semantic=PSPConfig(reduce=True)),
    "C": NetworkConfig(
        trunk=TrunkConfig(neck="none"),
        semantic=PSPConfig(own_last_stage=True, reduce=True),
    ),
}
"""Where the shared trunk may end: three readings of the paper."""


@pytest.fixture(scope="module")
def resnet50_weights():
    torch.manual_seed(0)
    return resnet50().state_dict()


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def loaded(reading: str, weights: dict[str, torch.Tensor]) -> JSISNet:
    """Return the network of a reading, all zeros except ImageNet's weights."""
    made = shapes_only(READINGS[reading], COCO).to_empty(device="cpu")
    for tensor in made.state_dict().values():
        tensor.zero_()
    made.load_imagenet(weights)
    return made


def left_out(stage: nn.Module, weights: dict[str, torch.Tensor]) -> set[str]:
    """Name the tensors of a last stage that don't hold ImageNet's."""
    return {
        name
        for name, value in stage.state_dict().items()
        if value.shape != weights[f"layer4.{name}"].shape
        or not torch.equal(value, weights[f"layer4.{name}"])
    }


def sure_of(made: JSISNet, channel: int) -> None:
    """Let the region head see this thing in every proposal, and proposals lie on the anchors."""
    assert made.instance is not None
    roi, rpn = made.instance.roi, made.instance.rpn
    for layer in (roi.classify, roi.deltas, rpn.objectness, rpn.deltas):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    roi.classify.bias.data[channel] = 10


@pytest.mark.parametrize("config", [TINY, NARROW, PYRAMID], ids=["lite", "paper", "pyramid"])
@pytest.mark.parametrize(("size", "grid"), [((64, 96), (16, 24)), ((65, 97), (18, 26))])
def test_outputs_have_fixed_shapes_also_for_odd_sizes(config, size, grid):
    with torch.no_grad():
        made = network(config)(photos(2, size))

    if config is PYRAMID:
        grid = tuple(-(-side // 4) for side in size)
    assert made.semantic.shape == (2, 6, *grid)
    assert made.detections.boxes.shape == (2, 5, 4)
    assert made.detections.masks.shape == (2, 5, 14, 14)
    assert made.detections.valid.shape == (2, 5)


@pytest.mark.parametrize("config", [TINY, NARROW, PYRAMID], ids=["lite", "paper", "pyramid"])
def test_a_batch_of_three_equals_three_batches_of_one(config):
    made = network(config)
    sure_of(made, 0)
    images = photos(3)

    with torch.no_grad():
        together, apart = made(images), [made(image[None]) for image in images]

    for name in ("boxes", "labels", "scores", "masks", "valid"):
        expected = torch.cat([getattr(one.detections, name) for one in apart])
        torch.testing.assert_close(getattr(together.detections, name), expected)
    torch.testing.assert_close(together.semantic, torch.cat([one.semantic for one in apart]))
    assert together.detections.valid.any()


def test_an_undecided_network_detects_nothing():
    with torch.no_grad():
        made = network()(photos(1))

    assert not made.detections.valid.any()
    assert made.detections.boxes.abs().max() == 0
    assert made.detections.scores.abs().max() == 0


@pytest.mark.parametrize(("channel", "label"), [(0, PERSON), (1, CAR), (2, BUS)])
def test_detections_have_labels_of_the_data_set_not_thing_channels(channel, label):
    reverse = Categories(tuple(reversed(tuple(CATEGORIES))))
    made = network(categories=reverse)
    sure_of(made, channel)

    with torch.no_grad():
        detections = made(photos(1)).detections

    names = {reverse[label].name for label in detections.labels[detections.valid].tolist()}
    assert names == {CATEGORIES[2 - label].name}


def test_masks_are_those_of_the_detected_class_in_the_final_box():
    made = network()
    sure_of(made, 1)
    branch = made.instance
    branch.roi.mask.classify.bias.data[:] = torch.tensor([-20.0, 20.0, -20.0])
    branch.roi.deltas.bias.data.view(3, 4)[1, 2:] = -2.0
    read = []
    branch.roi.mask.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))

    with torch.no_grad():
        maps = made.trunk(photos(1))
        detections = branch(maps, (64, 96)).detections
        expected = branch.roi.extract(maps, with_image(detections.boxes)[detections.valid[0]])

    assert detections.valid.any()
    assert detections.masks.min() > 0.99
    torch.testing.assert_close(read[0], expected)


def test_the_head_has_a_channel_per_thing_class_and_the_background():
    made = network()

    assert made.instance.roi.classify.out_features == 3 + 1
    assert made.instance.thing_labels.tolist() == [PERSON, CAR, BUS]
    assert made.semantic.classify.out_channels == 6


@pytest.mark.parametrize("missing", ["semantic", "instance"])
def test_a_network_of_one_branch_lacks_the_other(missing):
    kept = {"semantic": "instance", "instance": "semantic"}[missing]
    made = network(replace(TINY, branches=kept))

    with torch.no_grad():
        outputs = made(photos(1))

    assert not any(name.startswith(f"{missing}.") for name in made.state_dict())
    assert (outputs.semantic is None) == (missing == "semantic")
    assert (outputs.detections is None) == (missing == "instance")


def test_classes_without_a_thing_leave_nothing_to_detect():
    with pytest.raises(ValueError, match=r"none of the 3 classes is a thing.*--network\.branches"):
        JSISNet(TINY, numbered(0, 3))


def test_classes_without_a_thing_can_be_segmented():
    made = network(replace(TINY, branches="semantic"), numbered(0, 3))

    assert made(photos(1)).semantic.shape == (1, 3, 16, 24)


def test_classes_without_stuff_can_be_detected():
    with torch.no_grad():
        assert network(TINY, numbered(3, 0))(photos(1)).semantic.shape == (1, 3, 16, 24)


def test_paper_parameters_per_branch():
    made = shapes_only(READINGS["A"], COCO)
    roi = made.instance.roi

    assert millions(made.trunk.stages) == pytest.approx(23.5, abs=0.1)
    assert millions(made.trunk.neck) == pytest.approx(9.4, abs=0.1)
    assert millions(made.semantic.pool) == pytest.approx(12.9, abs=0.1)
    assert millions(made.semantic.classify) == pytest.approx(0.07, abs=0.01)
    assert millions(made.semantic.upsample) == pytest.approx(133 * 133 * 16 / 1e6, abs=0.01)
    assert millions(made.instance.rpn) == pytest.approx(2.5, abs=0.1)
    assert millions(roi.stage) == pytest.approx(13.6, abs=0.1)
    assert millions(roi.mask) == pytest.approx(5.3, abs=0.1)
    assert millions(roi.classify) + millions(roi.deltas) == pytest.approx(0.8, abs=0.1)
    assert millions(made) == pytest.approx(68.4, abs=0.1)


def test_the_authors_thinner_region_head_has_a_quarter_of_the_parameters():
    made = shapes_only(NetworkConfig(roi=LastStageConfig(width=256)), COCO)

    assert millions(made.instance.roi.stage) == pytest.approx(3.7, abs=0.1)


@pytest.mark.parametrize(("reading", "channels"), [("A", 512), ("B", 1024), ("C", 1024)])
def test_each_reading_has_its_shared_map(reading, channels):
    made = shapes_only(READINGS[reading], COCO).eval()

    with torch.device("meta"):
        maps = made.trunk(torch.rand(1, 3, 64, 96))

    assert {stride: made.shape for stride, made in maps.items()} == {8: (1, channels, 8, 12)}
    assert made.semantic(maps).shape == (1, 133, 16, 24)
    assert made.instance.roi.stage[0].conv1.in_channels == channels


def test_reading_a_loads_the_region_head_except_its_first_inputs(resnet50_weights):
    made = loaded("A", resnet50_weights)

    assert left_out(made.instance.roi.stage, resnet50_weights) == {
        "0.conv1.weight",
        "0.downsample.0.weight",
    }


def test_reading_b_loads_the_region_head_from_imagenets_last_stage(resnet50_weights):
    made = loaded("B", resnet50_weights)

    assert left_out(made.instance.roi.stage, resnet50_weights) == set()
    assert isinstance(made.semantic.last_stage, nn.Identity)


def test_reading_c_loads_both_branches_from_imagenets_last_stage(resnet50_weights):
    made = loaded("C", resnet50_weights)

    assert left_out(made.instance.roi.stage, resnet50_weights) == set()
    assert left_out(made.semantic.last_stage, resnet50_weights) == set()


def test_a_thinner_region_head_loads_no_kernel_of_imagenet(resnet50_weights):
    config = NetworkConfig(trunk=TrunkConfig(neck="none"), roi=LastStageConfig(width=256))
    made = shapes_only(config, COCO).to_empty(device="cpu")
    for tensor in made.state_dict().values():
        tensor.zero_()

    made.load_imagenet(resnet50_weights)

    kernels = {k: v for k, v in made.instance.roi.stage.state_dict().items() if v.ndim == 4}
    assert all(value.abs().max() == 0 for value in kernels.values())


LOOSE = DetectionConfig(max_overlap=0.9, one_class_per_region=False, max_detections=9)


def test_things_can_be_detected_again_with_other_thresholds():
    made = network()
    sure_of(made, 1)

    with torch.no_grad():
        outputs = made(photos(2))
        again = made.instance.detections(outputs.candidates, outputs.proposals, LOOSE)

    assert again.boxes.shape == (2, 9, 4)
    assert again.valid.sum() > outputs.detections.valid.sum()


def test_detecting_again_equals_a_network_with_those_thresholds():
    made, other = network(), network(replace(TINY, detection=LOOSE))
    for one in (made, other):
        sure_of(one, 1)

    with torch.no_grad():
        outputs, expected = made(photos(2)), other(photos(2)).detections
        again = made.instance.detections(outputs.candidates, outputs.proposals, LOOSE)

    for name in ("boxes", "labels", "scores", "masks", "valid"):
        assert torch.equal(getattr(again, name), getattr(expected, name))


def test_a_network_without_an_instance_branch_has_no_candidates():
    with torch.no_grad():
        made = network(replace(TINY, branches="semantic"))(photos(1))

    assert made.detections is None
    assert made.proposals is None
    assert made.candidates is None


def proposed_again(outputs: Outputs, config: ProposalConfig) -> Proposals:
    scored = outputs.candidates
    return propose(scored.objectness, scored.anchor_deltas, scored.anchors, scored.size, config)


def test_proposing_again_equals_a_network_with_those_limits():
    made = network()
    limits = ProposalConfig(max_overlap=0.3, max_proposals=77)
    other = network(replace(TINY, proposals=limits))

    with torch.no_grad():
        outputs, expected = made(photos(2)), other(photos(2)).proposals
        again = proposed_again(outputs, limits)

    assert outputs.proposals.boxes.shape == (2, TINY.proposals.max_proposals, 4)
    assert again.boxes.shape == (2, 77, 4)
    assert torch.equal(again.boxes, expected.boxes)
    assert torch.equal(again.valid, expected.valid)


KEEP_ALL = DetectionConfig(min_score=0.0, max_detections=5)


def test_pruned_anchors_are_clipped_in_prediction():
    pruned = network(replace(TINY, anchors=replace(TINY.anchors, outside="prune")))

    found = pruned(photos(1)).candidates.anchors

    kept = network()(photos(1)).candidates.anchors
    assert kept.min() < 0
    assert torch.equal(found, clip(kept, (64, 96)))


def test_the_shared_map_of_a_whole_network_may_have_stride_16():
    config = replace(TINY, trunk=replace(TINY.trunk, stride=16))

    made = network(config)(photos(1))

    assert made.semantic.shape == (1, 6, 8, 12)
    assert made.candidates.anchors.shape == (4 * 6 * TINY.anchors.per_cell, 4)


def test_methods_that_read_one_map_read_that_of_the_chosen_stride_in_a_pyramid():
    config = replace(PYRAMID, semantic=TINY.semantic, roi=TINY.roi)

    assert network(config)(photos(1)).semantic.shape == (1, 6, 16, 24)
    coarse = replace(config, trunk=replace(config.trunk, stride=16))
    assert network(coarse)(photos(1)).semantic.shape == (1, 6, 8, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roi": RoIFPNConfig()}, "--network.roi.head fpn reads maps of several strides"),
        ({"semantic": PYRAMID.semantic}, "--network.semantic.method fpn reads maps of several"),
        ({"trunk": PYRAMID.trunk}, r"network.anchors.sizes has 2 numbers; .* multiple of 5"),
    ],
)
def test_methods_and_anchors_that_do_not_fit_the_trunk_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        network(replace(TINY, **changes))


def test_frozen_parts_stay_in_prediction_mode_and_have_nothing_to_train():
    made = JSISNet(replace(TINY, frozen=("trunk", "instance")), CATEGORIES).train()

    learning = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    modes = {
        part: {module.training for module in made.get_submodule(part).modules()}
        for part in ("trunk", "instance", "semantic")
    }
    assert learning
    assert all(name.startswith("semantic.") for name in learning)
    assert modes == {"trunk": {False}, "instance": {False}, "semantic": {True}}


@pytest.mark.parametrize(
    ("branches", "frozen", "message"),
    [
        ("joint", ("trunk", "semantic", "instance"), "leaves nothing to train; expected some of"),
        ("semantic", ("instance",), "names instance, which a network with branches semantic lacks"),
    ],
)
def test_what_can_not_be_frozen_is_refused(branches, frozen, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(branches=branches, frozen=frozen)
