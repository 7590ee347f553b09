"""Weights of torchvision's Mask R-CNN, compared with its own network."""

import copy
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import mask_rcnn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.ops import FrozenBatchNorm2d

import networks
from jsisnet.categories import Categories, Category
from jsisnet.inference.thresholds import DetectionConfig, ProposalConfig
from jsisnet.model import torchvision_weights
from jsisnet.model.network import JSISNet, NetworkConfig
from jsisnet.model.roi_fpn import RoIFPNConfig
from jsisnet.model.roi_light import LightConfig
from jsisnet.model.rpn import AnchorConfig
from jsisnet.model.semantic_fpn import SemanticFPNConfig
from jsisnet.model.torchvision_weights import coco_things, take_over
from jsisnet.model.trunk import TrunkConfig
from jsisnet.training.config import read_config

CONFIG_FOLDER = Path(__file__).parents[2] / "src/jsisnet/configs"

CLASSES = mask_rcnn.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]

V1, V2 = "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"

SIZE = (128, 160)
"""Height and width of the photo: five columns of stride 32, so three of stride 64, not two."""

FIRST = NetworkConfig(
    branches="instance",
    trunk=TrunkConfig(neck="pyramid", channels=256, norm="none", freeze_norm=True),
    anchors=AnchorConfig(sizes=(8.0, 16.0, 32.0, 64.0, 96.0), rounded=True),
    rpn_channels=256,
    proposals=ProposalConfig(max_candidates=30, max_overlap=0.7, max_proposals=40),
    roi=RoIFPNConfig(aligned=False),
    detection=DetectionConfig(
        min_score=0.05, max_overlap=0.5, one_class_per_region=False, max_detections=20
    ),
)

SECOND = replace(
    FIRST,
    trunk=replace(FIRST.trunk, norm="batch", freeze_norm=False),
    rpn_convolutions=2,
    roi=RoIFPNConfig(aligned=False, convolutions=4, layers=1, norm="batch", mask_norm="batch"),
)

CONFIGS = {V1: FIRST, V2: SECOND}


def shuffled() -> Categories:
    """Return COCO's things in another order, with stuff among them."""
    items = [replace(item, id=1000 - item.id) for item in reversed(coco_things().items)]
    return Categories((*items[:9], Category(id=1, name="sky", isthing=False), *items[9:]))


def photos() -> Tensor:
    return torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(5))


def peer(name: str) -> MaskRCNN:
    """Return torchvision's network with random weights, under which it detects many things."""
    torch.manual_seed(0)
    made = getattr(mask_rcnn, name)(
        weights=None,
        weights_backbone=None,
        min_size=min(SIZE),
        max_size=max(SIZE),
        rpn_pre_nms_top_n_test=FIRST.proposals.max_candidates,
        rpn_post_nms_top_n_test=FIRST.proposals.max_proposals,
        box_detections_per_img=FIRST.detection.max_detections,
    ).eval()
    for place, module in made.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            # Otherwise the sums of residual blocks grow too large for varied predictions.
            module.weight.data *= 0.3 if place.endswith("bn3") else 1
    made.rpn.anchor_generator = AnchorGenerator(
        tuple((size,) for size in FIRST.anchors.sizes), (FIRST.anchors.ratios,) * 5
    )
    if name == V1:
        freeze(made.backbone.body)
    spread_predictions(made)
    return made


def freeze(module: nn.Module) -> None:
    """Freeze batch norms without epsilon, as torchvision does as it loads its first weights."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=0.0)
            frozen.load_state_dict(child.state_dict())
            # Some of torchvision's variances are that small; an epsilon would be all that counts.
            frozen.running_var[0], frozen.weight[0] = 1e-14, 1e-7
            setattr(module, name, frozen)
        else:
            freeze(child)


@torch.no_grad()
def spread_predictions(made: MaskRCNN) -> None:
    """Scale the last layers until regions differ in objectness, class and box."""
    images = made.transform(list(photos()))[0]
    maps = made.backbone(images.tensors)
    hidden = [made.rpn.head.conv(each) for each in maps.values()]
    standardise(made.rpn.head.cls_logits, hidden, 2)
    standardise(made.rpn.head.bbox_pred, hidden, 0.1)
    heads = made.roi_heads
    proposals = made.rpn(images, maps)[0]
    assert len(proposals[0]) == FIRST.proposals.max_proposals
    crops = heads.box_head(heads.box_roi_pool(maps, proposals, images.image_sizes))
    standardise(heads.box_predictor.cls_score, [crops], 3)
    standardise(heads.box_predictor.bbox_pred, [crops], 2)
    # No photo of COCO trains the classes that it leaves out.
    absent = [name == "N/A" for name in CLASSES]
    heads.box_predictor.cls_score.bias[torch.tensor(absent)] = -100
    masks = heads.mask_roi_pool(maps, proposals, images.image_sizes)
    mask_layers = heads.mask_predictor
    lifted = mask_layers.relu(mask_layers.conv5_mask(heads.mask_head(masks)))
    standardise(mask_layers.mask_fcn_logits, [lifted], 2)


def standardise(layer: nn.Module, inputs: list[Tensor], spread: float) -> None:
    """Give each output of a layer the mean 0 and a standard deviation."""
    axis = 1 if inputs[0].dim() == 4 else -1
    made = torch.cat([layer(each).movedim(axis, -1).flatten(0, -2) for each in inputs])
    scale = spread / made.std(dim=0)
    layer.weight *= scale.view(-1, *[1] * (layer.weight.dim() - 1))
    layer.bias.copy_(-made.mean(dim=0) * scale)


@pytest.fixture(scope="module", params=[V1, V2])
def pair(request, tmp_path_factory):
    """Return torchvision's network, ours with its weights, and what was taken over."""
    theirs = peer(request.param)
    file = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(theirs.state_dict(), file)
    ours = networks.network(CONFIGS[request.param], shuffled())
    taken = take_over(ours, shuffled(), f"torchvision:{request.param}={file}")
    file.unlink()
    return theirs, ours, taken


def test_boxes_scores_labels_and_masks_are_torchvisions(pair):
    theirs, ours, _ = pair

    with torch.inference_mode():
        images = theirs.transform(list(photos()))[0]
        maps = theirs.backbone(images.tensors)
        proposals = theirs.rpn(images, maps)[0]
        expected = theirs.roi_heads(maps, proposals, images.image_sizes)[0][0]
        made = ours(photos())

    anchors = theirs.rpn.anchor_generator(images, list(maps.values()))[0]
    assert torch.equal(made.candidates.anchors, anchors)
    assert_close(made.proposals.of_image(0), proposals[0])
    found = made.detections
    names = [shuffled()[label].name for label in found.labels[0].tolist()]
    assert found.valid.all()
    assert names == [CLASSES[label] for label in expected["labels"].tolist()]
    assert len(set(names)) > 5
    assert_close(found.boxes[0], expected["boxes"])
    assert_close(found.scores[0], expected["scores"])
    assert_close(found.masks[0], expected["masks"][:, 0])


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_every_tensor_and_class_is_taken_over(pair):
    theirs, _, taken = pair

    assert taken.tensors == taken.expected
    assert taken.afresh == ("sky",)
    assert not taken.unused
    assert len(theirs.state_dict()) == taken.tensors + 6  # weights and biases with rows of classes


@cache
def unfilled_peer(name: str) -> MaskRCNN:
    """Return torchvision's network without values."""
    with torch.device("meta"):
        return getattr(mask_rcnn, name)(weights=None, weights_backbone=None)


def empty(name: str, **changes: tuple[int, ...] | None) -> dict[str, Tensor]:
    """Return a state dictionary of torchvision's that takes no memory, with other shapes."""
    shapes = {key: tuple(tensor.shape) for key, tensor in unfilled_peer(name).state_dict().items()}
    shapes |= {key.replace("__", "."): shape for key, shape in changes.items()}
    return {key: torch.ones(()).expand(shape) for key, shape in shapes.items() if shape is not None}


def saved(folder: Path, state: object, name: str = V1) -> str:
    """Save a state dictionary, and return the setting that starts from it."""
    file = folder / "weights.pth"
    torch.save(state, file)
    return f"torchvision:{name}={file}"


@cache
def unfilled(config: NetworkConfig) -> JSISNet:
    """Return a network of ours without values."""
    with torch.device("meta"):
        return JSISNet(config, shuffled())


def refusal(start: str, config: NetworkConfig = FIRST) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        take_over(unfilled(config), shuffled(), start)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_file_with_old_names_fills_the_classes_that_both_have(tmp_path):
    tram, car, person = (
        Category(id=number, name=name, isthing=True)
        for number, name in enumerate(("tram", "car", "person"), 1)
    )
    categories = Categories((tram, car, person))
    state = empty(V1)
    for layer, each in (("box_predictor.cls_score", 1), ("box_predictor.bbox_pred", 4)):
        numbers = torch.arange(91.0).repeat_interleave(each)
        state[f"roi_heads.{layer}.bias"] = numbers
    state["rpn.head.cls_logits.bias"] = torch.tensor([5.0, 6, 7])
    network = networks.network(FIRST, categories)

    taken = take_over(network, categories, saved(tmp_path, in_old_names(state)))

    instance = network.instance
    assert (taken.classes, taken.afresh) == (("car", "person"), ("tram",))
    assert instance.roi.classify.bias.tolist() == [0, 3, 1, 0]
    assert instance.roi.classify.bias[-1] == CLASSES.index("__background__")
    assert instance.roi.deltas.bias.tolist() == [0] * 4 + [3] * 4 + [1] * 4
    assert instance.rpn.objectness.bias.tolist() == [0, 5, 0, 6, 0, 7]
    assert taken.tensors == taken.expected
    assert taken.unused == ("53 counters (num_batches_tracked)",)


def test_a_network_of_stuff_takes_trunk_and_pyramid_and_names_the_rest(tmp_path):
    config = replace(FIRST, branches="semantic", semantic=SemanticFPNConfig(channels=16))
    network = networks.network(config, shuffled())
    state = empty(V1, extra__weight=(1,), fpn__extra=(1,))

    taken = take_over(network, shuffled(), saved(tmp_path, state))

    assert taken.unused[:4] == ("extra.*", "fpn.extra", "roi_heads.*", "rpn.*")
    assert network.trunk.neck.outputs[0][0].bias.unique().tolist() == [1]
    assert "not used: extra.*, fpn.extra, roi_heads.*, rpn.*, 53 counters" in str(taken)


def in_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dictionary under the names of torchvision's first release."""
    mask_layer = re.compile(r"mask_head\.(\d)\.0")
    return {
        re.sub(
            r"(blocks\.\d|rpn\.head\.conv)(\.0)+",
            r"\1",
            mask_layer.sub(lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}", key),
        ): value
        for key, value in state.items()
    }


def test_torchvision_knows_the_old_names():
    old, made = in_old_names(empty(V1)), copy.deepcopy(unfilled_peer(V1))

    made.load_state_dict(old, assign=True)

    assert not set(old) >= set(made.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rpn__head__bbox_pred__bias": None}, r"rpn\.head\.bbox_pred\.bias is missing; expected"),
        (
            {"roi_heads__box_predictor__cls_score__weight": (21, 1024)},
            r"cls_score\.weight has 21 classes; expected 91, those of COCO's list",
        ),
        (
            {"roi_heads__mask_predictor__mask_fcn_logits__bias": (21,)},
            r"mask_fcn_logits\.bias has 21 classes; expected 91",
        ),
        (
            {"rpn__head__bbox_pred__weight": (36, 256, 1, 1)},
            r"bbox_pred\.weight has 9 anchors for each cell; network\.anchors has 3 on each map",
        ),
        (
            {"backbone__body__conv1__weight": (64, 3, 3, 3)},
            r"body\.conv1\.weight has the shape \(64, 3, 3, 3\); expected \(64, 3, 7, 7\)",
        ),
        (
            {"roi_heads__box_predictor__cls_score__bias": ()},
            r"cls_score\.bias has the shape \(\); expected \(91,\)",
        ),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, changes, message):
    found = refusal(saved(tmp_path, empty(V1, **changes)))

    assert re.search(message, found), found
    assert found.startswith(str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(("name", "other"), [(V1, V2), (V2, V1)])
def test_the_file_of_the_other_version_is_refused(tmp_path, name, other):
    found = refusal(saved(tmp_path, empty(other), name), CONFIGS[name])

    assert found.endswith(f"weights.pth: its layers are those of {other}; expected {name}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not readable as weights"),
        (b"PK\x03\x04 damaged", "not readable as weights"),
        (None, "weights not found"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    file = tmp_path / "weights.pth"
    if content is not None:
        file.write_bytes(content)

    assert refusal(f"torchvision:{V1}={file}").startswith(f"{file}: {message}")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    assert "not readable as weights" in refusal(saved(tmp_path, {"body": Harmful()}))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"trunk": TrunkConfig(neck="top_down"), "roi": LightConfig()},
            "network.trunk.neck is top_down; expected pyramid",
        ),
        (
            {"trunk": replace(FIRST.trunk, name="resnet18")},
            "network.trunk.name is resnet18; expected resnet50",
        ),
        (
            {"trunk": replace(FIRST.trunk, freeze_norm=False)},
            "network.trunk.freeze_norm is false; expected true",
        ),
        ({"roi": LightConfig()}, "network.roi.head is light; expected fpn"),
        ({"rpn_convolutions": 2}, "network.rpn_convolutions is 2; expected 1"),
        (
            {"anchors": AnchorConfig(sizes=(16.0, 32.0) * 5)},
            "has 3 anchors for each cell; network.anchors has 6 on each map",
        ),
    ],
)
def test_settings_of_another_network_are_refused(tmp_path, change, message):
    found = refusal(saved(tmp_path, empty(V1)), replace(FIRST, **change))

    assert message in found


def test_strong_has_the_layers_of_the_second_network(tmp_path):
    strong = read_config(CONFIG_FOLDER / "strong.yaml").network

    found = refusal(saved(tmp_path, empty(V2, backbone__body__bn1__bias=None), V2), strong)

    assert found.endswith(f"body.bn1.bias is missing; expected the whole network, {V2}")


def test_the_documented_options_give_strong_the_layers_of_the_first_network(tmp_path):
    text = (Path(__file__).parents[2] / "docs/how_to/training.md").read_text(encoding="utf-8")
    command = text[text.index("--start torchvision:maskrcnn_resnet50_fpn \\") :].partition("```")[0]
    options = re.findall(r"--network\S+ \S+", command)
    arguments = [word for option in options for word in option.split()]
    strong = read_config(CONFIG_FOLDER / "strong.yaml", arguments).network

    found = refusal(saved(tmp_path, empty(V1, backbone__body__bn1__bias=None)), strong)

    assert len(options) == 5
    assert found.endswith(f"body.bn1.bias is missing; expected the whole network, {V1}")


@pytest.mark.parametrize("name", [V1, V2])
def test_a_file_of_quite_another_network_is_refused(tmp_path, name):
    path = tmp_path / "weights.pth"
    torch.save({"conv.weight": torch.zeros(1)}, path)

    found = refusal(f"torchvision:{name}={path}", CONFIGS[name])

    assert re.search(f"body.conv1.weight is missing; expected the whole network, {name}$", found)


def test_a_start_without_the_path_of_its_file_is_refused():
    found = refusal(f"torchvision:{V1}=")

    assert found == f"{V1} has no path after =; expected torchvision:{V1}=FILE"


def test_unknown_networks_are_refused_with_the_nearest_name():
    found = refusal("torchvision:maskrcnn_resnet50_fpn_v3")

    assert found.startswith("torchvision's maskrcnn_resnet50_fpn_v3 is none that a training can")
    assert found.endswith("Did you mean maskrcnn_resnet50_fpn_v2?")


def test_without_a_network_the_message_says_how_to_give_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torchvision_weights, "download_url_to_file", offline)

    found = refusal(f"torchvision:{V2}", SECOND)

    assert re.search(r"could not download https://\S+v2_coco-73cbd019\.pth \(URLError\); ", found)
    assert found.endswith(f"its path: torchvision:{V2}=FILE")


def offline(*_: object, **__: object) -> None:
    raise URLError("no network")


def test_a_damaged_file_of_torchs_hub_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    file.parent.mkdir(parents=True)
    torch.save(empty(V1), file)

    found = refusal(f"torchvision:{V1}")

    assert found == f"{file}: damaged, as its checksum does not match; download it again"
