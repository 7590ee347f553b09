"""Weights of another network, by the names of its classes."""

from dataclasses import replace

import pytest
import torch

import factories
from jsisnet.categories import Categories, Category
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.model.start import TakenOver, take_over
from networks import PYRAMID, TINY, network

PLACES = factories.CATEGORIES.items
SPARE = (
    Category(id=200, name="tram", isthing=True),
    Category(id=201, name="water", isthing=False),
)


def classes(*items: Category) -> Categories:
    return Categories(tuple(replace(item, id=number) for number, item in enumerate(items, 1)))


def source(categories: Categories = factories.CATEGORIES, config=TINY, seed: int = 1) -> SavedModel:
    """Return a network in which every weight differs from those of all other rows."""
    made = network(config, categories, seed=seed)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return SavedModel(ModelConfig(size=(64, 96), network=config), categories, made)


def started(categories: Categories, model: SavedModel, config=TINY) -> tuple[JSISNet, TakenOver]:
    made = network(config, categories, seed=2)
    return made, take_over(made, categories, model)


def rows_of(made: JSISNet, categories: Categories, name: str) -> dict[str, torch.Tensor]:
    """Return all weights of a class, layer by layer, written out."""
    names = [category.name for category in categories]
    label = names.index(name)
    rows = {
        "semantic": made.semantic.classify.weight[label],
        "semantic bias": made.semantic.classify.bias[label],
        "upsampling": made.semantic.upsample.weight[label, label],
        "upsampling bias": made.semantic.upsample.bias[label],
    }
    if not categories[label].isthing:
        return rows
    channel = [categories[thing].name for thing in categories.thing_labels].index(name)
    box = slice(4 * channel, 4 * channel + 4)
    roi = made.instance.roi
    return rows | {
        "score": roi.classify.weight[channel],
        "score bias": roi.classify.bias[channel],
        "box": roi.deltas.weight[box],
        "box bias": roi.deltas.bias[box],
        "mask": roi.mask.classify.weight[channel],
        "mask bias": roi.mask.classify.bias[channel],
    }


RENAMED = tuple(
    replace(item, name={"car": "automobile", "sky": "heaven"}.get(item.name, item.name))
    for item in PLACES
)
CASES = {
    "reversed": (classes(*reversed(PLACES)), 6),
    "renamed": (classes(*RENAMED), 4),
    "fewer": (classes(PLACES[5], PLACES[1]), 2),
    "more": (classes(SPARE[1], *PLACES[:2], SPARE[0], *PLACES[2:]), 6),
    "the same": (factories.CATEGORIES, 6),
}


@pytest.mark.parametrize(("categories", "count"), CASES.values(), ids=CASES)
def test_each_class_has_the_weights_of_the_class_of_its_name(categories, count):
    model = source()
    before = network(TINY, categories, seed=2)

    made, taken = started(categories, model)

    theirs = {category.name for category in model.categories}
    assert len(taken.classes) == count
    assert set(taken.classes) == theirs & {category.name for category in categories}
    for category in categories:
        rows = rows_of(made, categories, category.name)
        known = category.name in theirs
        expected = (
            rows_of(model.network, model.categories, category.name)
            if known
            else rows_of(before, categories, category.name)
        )
        for layer, row in rows.items():
            assert torch.equal(row, expected[layer]), (category.name, layer)


@pytest.mark.parametrize(("categories", "count"), CASES.values(), ids=CASES)
def test_the_background_and_what_has_no_classes_are_taken_over(categories, count):
    model = source()

    made, taken = started(categories, model)

    assert count == len(taken.classes)
    assert torch.equal(
        made.instance.roi.classify.weight[-1], model.network.instance.roi.classify.weight[-1]
    )
    assert torch.equal(
        made.semantic.pool.fuse[0].weight, model.network.semantic.pool.fuse[0].weight
    )
    assert taken.tensors == taken.expected


def test_a_pair_of_classes_keeps_its_place_in_the_upsampling():
    model = source()
    categories = classes(*reversed(PLACES))

    made, _ = started(categories, model)

    ours, theirs = made.semantic.upsample.weight, model.network.semantic.upsample.weight
    assert torch.equal(ours, theirs.flip(0, 1))
    more, _ = started(CASES["more"][0], model)
    assert more.semantic.upsample.weight[0, 1:].abs().max() == 0  # water speaks for water alone


def test_as_many_channels_as_classes_are_not_taken_for_classes():
    config = replace(TINY, semantic=replace(TINY.semantic, channels=len(PLACES)))
    model = source(config=config)

    made, _ = started(classes(*reversed(PLACES)), model, config)

    assert torch.equal(
        made.semantic.classify.weight, model.network.semantic.classify.weight.flip(0)
    )


def test_a_thing_that_was_stuff_has_its_semantic_weights_alone():
    model = source()
    categories = classes(replace(PLACES[3], isthing=True), PLACES[4])
    before = network(TINY, categories, seed=2)

    made, taken = started(categories, model)

    assert taken.classes == ("sky", "road")
    label = 3
    assert torch.equal(
        made.semantic.classify.weight[0], model.network.semantic.classify.weight[label]
    )
    assert torch.equal(made.instance.roi.classify.weight[0], before.instance.roi.classify.weight[0])


def test_classes_of_another_width_start_afresh():
    wide = replace(TINY, semantic=replace(TINY.semantic, channels=24), branches="semantic")

    made, taken = started(factories.CATEGORIES, source(), wide)

    assert taken.classes == tuple(category.name for category in factories.CATEGORIES)
    before = network(wide, factories.CATEGORIES, seed=2)
    assert torch.equal(made.semantic.classify.weight, before.semantic.classify.weight)
    assert taken.tensors < taken.expected


def test_boxes_that_the_classes_share_are_taken_over_whole():
    config = replace(TINY, roi=replace(TINY.roi, class_agnostic_boxes=True))
    model = source(config=config)

    made, taken = started(CASES["more"][0], model, config)

    assert torch.equal(made.instance.roi.deltas.weight, model.network.instance.roi.deltas.weight)
    assert taken.tensors == taken.expected


def test_what_was_taken_is_told():
    _, taken = started(CASES["renamed"][0], source())

    told = (
        f"took over 4 of 6 classes by name and {taken.expected} of {taken.expected} other tensors"
    )
    assert str(taken) == f"{told}; afresh: automobile, heaven"


def test_another_trunk_is_refused():
    other = replace(TINY, trunk=replace(TINY.trunk, name="test_resnet.r160_in1k"))
    assert started(factories.CATEGORIES, source(), other)[1].tensors

    wider = replace(TINY, trunk=replace(TINY.trunk, name="resnet10t"))
    with pytest.raises(ValueError, match=r"the trunk differs: trunk\.stages\..* does not match"):
        started(factories.CATEGORIES, source(), wider)


def test_weights_that_are_no_numbers_are_refused():
    model = source()
    model.network.semantic.classify.weight.data[0, 0] = float("nan")

    with pytest.raises(ValueError, match=r"semantic\.classify\.weight contains values that are"):
        started(factories.CATEGORIES, model)


def test_a_branch_of_another_method_stays_as_it_is():
    before = network(PYRAMID, seed=2)

    made, taken = started(factories.CATEGORIES, source(), config=PYRAMID)

    assert (taken.classes, taken.tensors > 0) == ((), True)
    for name, value in made.state_dict().items():
        if name.startswith(("semantic.", "instance.roi.")):
            assert torch.equal(value, before.state_dict()[name])


def test_batch_norm_is_folded_where_the_network_has_none():
    model = source(config=PYRAMID)
    for name, values in model.network.trunk.neck.named_buffers():
        if "running" in name:
            torch.nn.init.uniform_(values, 0.5, 2)
    bare = replace(PYRAMID, trunk=replace(PYRAMID.trunk, norm="none"))
    before = [values.clone() for values in model.network.state_dict().values()]

    made, taken = started(factories.CATEGORIES, model, bare)

    assert (len(taken.classes), taken.tensors) == (6, taken.expected)
    photos = torch.rand(2, 3, 64, 96)
    maps, expected = made.eval().trunk(photos), model.network.eval().trunk(photos)
    for stride, values in expected.items():
        assert (maps[stride] - values).abs().max() < 1e-5 * values.abs().max()
    after = model.network.state_dict().values()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_group_norm_is_not_folded():
    grouped = replace(PYRAMID, trunk=replace(PYRAMID.trunk, norm="group"))
    bare = replace(PYRAMID, trunk=replace(PYRAMID.trunk, norm="none"))

    made, taken = started(factories.CATEGORIES, source(config=grouped), bare)

    assert taken.tensors < taken.expected
    assert all(
        not bias.any() for name, bias in made.trunk.neck.named_parameters() if "bias" in name
    )
