"""One test per rule of the merge, most of them on images of one row."""

from dataclasses import replace

import numpy as np
import pytest

from jsisnet.categories import Categories, Category
from jsisnet.inference.merge import Instances, by_class, merge
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import VOID, PanopticMap, Segment

SKY, ROAD, GRASS, CAR, BUS = range(5)
STUFF = (SKY, ROAD, GRASS)
ALL = MergeConfig(min_stuff_area=0.0)
"""The paper's rules without the one about small stuff, which would empty every tiny image."""


def things(*masks, scores=None, labels=None):
    """Instances whose boxes are the whole one-row image, and whose masks are the given rows."""
    count, width = len(masks), len(masks[0]) if masks else 4
    return Instances(
        boxes=np.tile(np.float32([0, 0, width, 1]), (count, 1)),
        labels=np.array(labels or [CAR] * count, np.int64),
        scores=np.array(scores or [0.9] * count, np.float32),
        masks=np.float32(masks).reshape(count, 1, width).repeat(width, axis=1),
    )


def stuff(*classes):
    """Semantic logits of a one-row image in which the given class is best at each pixel."""
    return best_of(np.array([classes])) * 4


def best_of(classes):
    """Semantic logits that are 1 for the given class of each pixel and 0 for the others."""
    return np.moveaxis(np.eye(5, dtype=np.float32)[classes], -1, 0)


def merged(instances, semantic=None, config=ALL, **changes):
    frame = (1, instances.masks.shape[-1]) if semantic is None else tuple(semantic.shape[1:])
    sizes = {"frame": frame, "size": frame} | changes
    return merge(instances, semantic, stuff_labels=STUFF, config=config, **sizes)


def names(panoptic):
    """The label of each pixel of the first row, None where it is void."""
    table = [None, *(segment.label for segment in panoptic.segments)]
    return [table[i] for i in panoptic.ids[0]]


def test_instances_below_the_minimum_score_are_ignored():
    instances = things([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], scores=[0.5, 0.49, 0.51])

    panoptic = merged(instances)

    assert panoptic.ids.tolist() == [[2, VOID, 1]]


def test_a_class_may_have_a_minimum_score_of_its_own():
    classes = Categories(
        tuple(
            Category(id=label, name=name, isthing=label >= CAR)
            for label, name in enumerate(["sky", "road", "grass", "car", "bus"])
        )
    )
    instances = things(
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
        scores=[0.7, 0.69, 0.2],
        labels=[CAR, CAR, BUS],
    )
    config = replace(ALL, class_min_scores=(("car", 0.7), ("bus", 0.2)))

    chosen, rules = by_class(instances, config, classes)

    assert names(merged(chosen, config=rules)) == [CAR, None, BUS]
    assert config.min_scores(classes) == (0.5, 0.5, 0.5, 0.7, 0.2)
    assert config.lowest_score == 0.2
    with pytest.raises(ValueError, match="needs the names of the classes"):
        merged(instances, config=config)
    with pytest.raises(ValueError, match=r"no thing class named 'cat'\. Did you mean car\?"):
        MergeConfig(class_min_scores=(("cat", 0.5),)).min_scores(classes)
    with pytest.raises(ValueError, match="no thing class named 'sky'"):
        MergeConfig(class_min_scores=(("sky", 0.5),)).min_scores(classes)
    with pytest.raises(ValueError, match="'car' is 2; expected 0 to 1"):
        MergeConfig(class_min_scores=(("car", 2.0),))


def test_an_instance_claims_pixels_of_at_least_the_minimum_probability():
    instances = things([0.49, 0.5, 0.51])

    assert merged(instances).ids.tolist() == [[VOID, 1, 1]]
    assert merged(instances, config=replace(ALL, min_mask=0.4)).ids.tolist() == [[1, 1, 1]]


def test_a_pixel_goes_to_the_most_probable_instance_whatever_its_score():
    instances = things([0.9, 0.6], [0.8, 0.7], scores=[0.6, 0.9], labels=[CAR, BUS])

    assert names(merged(instances)) == [CAR, BUS]


def test_score_times_probability_can_decide_who_owns_a_pixel():
    instances = things([0.9, 0.6], [0.8, 0.7], scores=[0.6, 0.9], labels=[CAR, BUS])

    panoptic = merged(instances, config=replace(ALL, owner="score_times_probability"))

    assert names(panoptic) == [BUS, BUS]


def test_the_score_alone_can_decide_who_owns_a_pixel():
    instances = things([1.0, 1.0, 1.0], [0.6, 0.6, 0.4], scores=[0.6, 0.9], labels=[CAR, BUS])

    panoptic = merged(instances, config=replace(ALL, owner="score"))

    assert names(panoptic) == [BUS, BUS, CAR]


def test_equal_probabilities_go_to_the_higher_score_then_to_the_lower_index():
    by_score = things([1.0, 1.0], [1.0, 1.0], scores=[0.6, 0.7], labels=[CAR, BUS])
    by_index = things([1.0, 1.0], [1.0, 1.0], scores=[0.7, 0.7], labels=[CAR, BUS])

    assert names(merged(by_score)) == [BUS, BUS]
    assert names(merged(by_index)) == [CAR, CAR]


def test_masks_can_be_divided_by_their_maximum():
    instances = things([0.3, 0.6], [0.0, 0.9], scores=[0.9, 0.9], labels=[CAR, BUS])

    panoptic = merged(instances, config=replace(ALL, normalize_masks=True))

    assert names(panoptic) == [CAR, CAR]


def test_an_instance_without_pixels_is_no_segment():
    instances = things([0.6, 0.6], [0.9, 0.9], labels=[CAR, BUS], scores=[0.75, 0.625])

    panoptic = merged(instances)

    assert panoptic.segments == (Segment(label=BUS, isthing=True, score=0.625),)


def test_an_instance_that_vanishes_when_the_map_is_resized_is_no_segment():
    instances = things([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0], labels=[CAR, BUS])

    panoptic = merged(instances, size=(1, 2))

    assert names(panoptic) == [BUS, BUS]
    assert len(panoptic.segments) == 1


def test_the_map_has_the_size_of_the_photo():
    panoptic = merged(things([1.0, 0.0]), stuff(SKY, SKY), size=(3, 4))

    assert panoptic.ids.tolist() == [[1, 1, 2, 2]] * 3


def test_merging_at_the_size_of_the_photo_gives_edges_finer_than_network_pixels():
    instances = things([1.0, 0.4, 0.0, 0.0])

    coarse = merged(instances, size=(1, 16))
    fine = merged(instances, size=(1, 16), config=replace(ALL, canvas="original"))

    assert coarse.areas().tolist() == [4]
    assert fine.areas().tolist() == [5]


def test_instances_that_own_too_little_give_their_pixels_to_stuff():
    instances = things([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], labels=[CAR, BUS])

    panoptic = merged(
        instances, stuff(SKY, SKY, SKY, SKY), config=replace(ALL, min_instance_area=2.0)
    )

    assert names(panoptic) == [SKY, BUS, BUS, SKY]


def test_instances_of_which_too_small_a_part_is_visible_give_their_pixels_to_stuff():
    instances = things([0.6, 0.6, 0.6, 0.6], [0.9, 0.9, 0.9, 0.0], labels=[CAR, BUS])

    panoptic = merged(
        instances, stuff(SKY, SKY, SKY, SKY), config=replace(ALL, min_visible_fraction=0.5)
    )

    assert names(panoptic) == [BUS, BUS, BUS, SKY]


def test_things_overwrite_stuff_and_stuff_fills_the_rest():
    panoptic = merged(things([0.0, 1.0, 0.0]), stuff(SKY, SKY, ROAD))

    assert names(panoptic) == [SKY, CAR, ROAD]


def test_a_thing_class_of_the_semantic_branch_is_replaced_by_the_best_stuff_class():
    semantic = stuff(CAR, CAR)
    semantic[GRASS] += 1

    assert names(merged(things(), semantic)) == [GRASS, GRASS]


def test_equal_logits_go_to_the_stuff_class_of_the_lowest_label():
    panoptic = merge(
        things(),
        np.zeros((5, 1, 2), np.float32),
        frame=(1, 2),
        size=(1, 2),
        stuff_labels=(2, 1),
        config=ALL,
    )

    assert names(panoptic) == [ROAD, ROAD]


def test_improbable_stuff_is_void_if_configured():
    semantic = stuff(SKY, ROAD) * np.float32([1.0, 0.1])
    config = replace(ALL, min_stuff_probability=0.5)

    assert names(merged(things(), semantic, config)) == [SKY, None]


@pytest.mark.parametrize(
    ("area", "expected"), [(4095, {ROAD}), (4096, {SKY, ROAD}), (4097, {SKY, ROAD})]
)
def test_stuff_of_fewer_than_4096_pixels_is_removed(area, expected):
    classes = np.full((100, 100), ROAD)
    classes.flat[:area] = SKY
    semantic = best_of(classes)

    panoptic = merged(things(), semantic, MergeConfig())

    assert {segment.label for segment in panoptic.segments} == expected


def test_stuff_is_counted_after_things_were_pasted_by_default():
    instances, semantic = things([1.0, 0.0, 0.0, 0.0]), stuff(SKY, SKY, ROAD, ROAD)
    after = replace(ALL, min_stuff_area=2.0)
    before = replace(after, count_stuff="before_things")

    assert names(merged(instances, semantic, after)) == [CAR, ROAD, ROAD, ROAD]
    assert names(merged(instances, semantic, before)) == [CAR, SKY, ROAD, ROAD]


def test_4096_pixels_of_stuff_minus_one_pasted_pixel_are_removed():
    classes = np.full((100, 100), ROAD)
    classes.flat[:4096] = SKY
    semantic = best_of(classes)
    one_pixel = replace(things([1.0]), boxes=np.float32([[0, 0, 1, 1]]))

    panoptic = merged(one_pixel, semantic, MergeConfig())

    assert [segment.label for segment in panoptic.segments] == [CAR, ROAD]


def test_all_pieces_of_a_stuff_class_count_together_and_are_one_segment():
    semantic = stuff(SKY, ROAD, ROAD, SKY)

    panoptic = merged(things(), semantic, replace(ALL, min_stuff_area=2.0))

    assert panoptic.ids.tolist() == [[1, 2, 2, 1]]


def test_stuff_is_counted_in_pixels_of_the_photo_by_default():
    semantic = stuff(SKY, ROAD, ROAD)
    photo = replace(ALL, min_stuff_area=4.0)
    canvas = replace(photo, area_unit="canvas", min_stuff_area=2.0)
    image = replace(photo, area_unit="image", min_stuff_area=0.5)

    assert names(merged(things(), semantic, photo, size=(2, 6))) == [SKY] * 2 + [ROAD] * 4
    assert names(merged(things(), semantic, photo, size=(1, 9))) == [ROAD] * 9
    assert names(merged(things(), semantic, canvas, size=(2, 6))) == [ROAD] * 6
    assert names(merged(things(), semantic, image, size=(2, 6))) == [ROAD] * 6


def test_a_removed_pixel_goes_to_the_next_best_class_that_is_large_enough():
    semantic = stuff(SKY, ROAD, ROAD, GRASS, GRASS)
    semantic[ROAD, 0, 0] = 1
    semantic[GRASS, 0, 0] = 2

    panoptic = merged(things(), semantic, replace(ALL, min_stuff_area=2.0))

    assert names(panoptic) == [GRASS, ROAD, ROAD, GRASS, GRASS]


def test_a_second_pass_changes_nothing():
    semantic = np.random.default_rng(0).normal(size=(5, 20, 20)).astype(np.float32)
    config = replace(ALL, min_stuff_area=134.0)

    once = merged(things(), semantic, config)
    twice = merged(things(), best_of(once.labels()) * 9, config)

    assert 0 < len(once.segments) < 3
    assert twice.ids.tolist() == once.ids.tolist()
    assert twice.segments == once.segments


def test_greedy_replacement_removes_the_smallest_class_first_and_counts_again():
    semantic = stuff(SKY, ROAD, ROAD, GRASS, GRASS, GRASS)
    semantic[ROAD, 0, 0] = 1
    config = replace(ALL, min_stuff_area=3.0)

    assert names(merged(things(), semantic, config)) == [GRASS] * 6
    greedy = merged(things(), semantic, replace(config, replacement="greedy"))
    assert names(greedy) == [ROAD, ROAD, ROAD, GRASS, GRASS, GRASS]


def test_free_pixels_are_void_by_default_where_no_stuff_is_large_enough():
    instances, semantic = things([1.0, 0.0, 0.0]), stuff(SKY, SKY, ROAD)
    void = replace(ALL, min_stuff_area=3.0)

    assert names(merged(instances, semantic, void)) == [CAR, None, None]
    kept = merged(instances, semantic, replace(void, fallback="keep_argmax"))
    assert names(kept) == [CAR, SKY, ROAD]


def test_no_instance_and_no_large_stuff_give_an_empty_map():
    panoptic = merged(things(), stuff(SKY, ROAD, GRASS), replace(ALL, min_stuff_area=2.0))

    assert panoptic.ids.tolist() == [[VOID] * 3]
    assert panoptic.segments == ()


def test_an_image_smaller_than_the_smallest_area_of_stuff_is_warned_about_once(caplog):
    config = replace(ALL, min_stuff_area=777.0)

    for _ in range(2):
        merged(things(), stuff(SKY, ROAD), config)

    assert [record.message.split(",")[1] for record in caplog.records] == [" 777"]


def test_segments_are_instances_by_score_then_stuff_by_label():
    instances = things([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], scores=[0.625, 0.75])

    panoptic = merged(instances, stuff(SKY, SKY, ROAD, SKY))

    assert panoptic.ids.tolist() == [[2, 1, 4, 3]]
    assert panoptic.segments == (
        Segment(label=CAR, isthing=True, score=0.75),
        Segment(label=CAR, isthing=True, score=0.625),
        Segment(label=SKY, isthing=False),
        Segment(label=ROAD, isthing=False),
    )


@pytest.mark.parametrize("part", ["boxes", "scores", "masks", "semantic logits"])
def test_a_value_that_is_not_finite_is_refused(part):
    instances, semantic = things([1.0, 0.5]), stuff(SKY, SKY)
    if part == "semantic logits":
        semantic[0, 0, 1] = np.nan
    else:
        values = getattr(instances, part).copy()
        values.flat[-1] = np.nan
        instances = replace(instances, **{part: values})

    with pytest.raises(ValueError, match=f"the {part} to merge contain NaN or infinity"):
        merged(instances, semantic)


def test_labels_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="an instance has the stuff label 1"):
        merged(things([1.0], labels=[ROAD]), stuff(SKY))
    with pytest.raises(
        ValueError, match="2 channels; expected more than the highest stuff label, 2"
    ):
        merged(things(), np.zeros((2, 1, 1), np.float32))


def test_binary_masks_are_merged_by_score():
    instances = things([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], scores=[0.6, 0.7], labels=[CAR, BUS])

    assert names(merged(instances)) == [CAR, BUS, BUS]


def test_the_order_of_the_instances_does_not_matter():
    instances, semantic = scene()
    order = np.random.default_rng(3).permutation(len(instances))
    shuffled = Instances(
        boxes=instances.boxes[order],
        labels=instances.labels[order],
        scores=instances.scores[order],
        masks=instances.masks[order],
    )

    one, other = merged(instances, semantic), merged(shuffled, semantic)

    assert len(one.segments) > 4
    assert_same(one, other)


def test_a_duplicate_of_an_instance_changes_nothing():
    instances, semantic = scene()
    twice = Instances(
        boxes=np.tile(instances.boxes, (2, 1)),
        labels=np.tile(instances.labels, 2),
        scores=np.tile(instances.scores, 2),
        masks=np.tile(instances.masks, (2, 1, 1)),
    )

    assert_same(merged(twice, semantic), merged(instances, semantic))


def test_half_precision_is_merged_in_single_precision():
    instances, semantic = scene()
    half = Instances(
        boxes=instances.boxes.astype(np.float16),
        labels=instances.labels,
        scores=instances.scores.astype(np.float16),
        masks=instances.masks.astype(np.float16),
    )
    single = Instances(
        boxes=half.boxes.astype(np.float32),
        labels=half.labels,
        scores=half.scores.astype(np.float32),
        masks=half.masks.astype(np.float32),
    )
    halved = semantic.astype(np.float16)

    panoptic = merged(half, halved)

    assert_same(panoptic, merged(single, halved.astype(np.float32)))


def test_stuff_is_filled_without_instances_and_instances_without_stuff():
    no_stuff = merge(
        things([1.0, 0.0]), stuff(SKY, SKY), frame=(1, 2), size=(1, 2), stuff_labels=(), config=ALL
    )

    assert names(merged(things(), stuff(SKY, ROAD))) == [SKY, ROAD]
    assert names(merged(things([1.0, 0.0]))) == [CAR, None]
    assert names(no_stuff) == [CAR, None]
    assert names(merged(things())) == [None] * 4


def test_a_photo_of_one_pixel_is_merged():
    instances, semantic = scene()

    assert merged(instances, semantic, size=(1, 1)).size == (1, 1)


def scene():
    """Five things with distinct scores before three kinds of stuff, on 24 x 32 pixels."""
    rng = np.random.default_rng(1)
    corners = np.sort(rng.uniform(size=(5, 2, 2)), axis=1) * (32, 24)
    return (
        Instances(
            boxes=corners.reshape(5, 4).astype(np.float32),
            labels=np.array([CAR, BUS, CAR, BUS, CAR]),
            scores=np.float32([0.9, 0.6, 0.8, 0.55, 0.7]),
            masks=(rng.uniform(size=(5, 7, 7)) ** 0.3).astype(np.float32),
        ),
        rng.normal(size=(5, 24, 32)).astype(np.float32),
    )


def assert_same(one: PanopticMap, other: PanopticMap):
    np.testing.assert_array_equal(one.ids, other.ids)
    assert one.segments == other.segments


def test_mask_nms_drops_an_instance_that_overlaps_a_better_one_of_any_class():
    better, half = [1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]  # IoU 2/4
    apart = [0, 0, 0, 0, 1, 1]
    instances = things(half, better, apart, scores=[0.7, 0.9, 0.6], labels=[BUS, CAR, CAR])

    kept = merged(instances, config=replace(ALL, max_mask_overlap=0.5))
    dropped = merged(instances, config=replace(ALL, max_mask_overlap=0.49))

    assert names(kept) == [CAR, CAR, CAR, BUS, CAR, CAR]
    assert names(dropped) == [CAR, CAR, CAR, None, CAR, CAR]
    assert [segment.score for segment in dropped.segments] == pytest.approx([0.9, 0.6])


def test_an_instance_that_mask_nms_drops_suppresses_no_other():
    chain = [[1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1]]  # 3/5, 3/5 and 2/6
    instances = things(*chain, scores=[0.9, 0.8, 0.7], labels=[CAR, CAR, BUS])

    panoptic = merged(instances, config=replace(ALL, max_mask_overlap=0.5))

    assert names(panoptic) == [CAR, CAR, CAR, CAR, BUS, BUS]


@pytest.mark.parametrize("limit", [0.1, 0.4, 0.8])
def test_mask_nms_equals_greedy_suppression_on_whole_images(limit):
    random = np.random.default_rng(0)
    corners = random.uniform(0, 12, (9, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1) + 4], axis=1).astype(np.float32)
    instances = Instances(
        boxes=boxes,
        labels=random.choice([CAR, BUS], 9),
        scores=np.linspace(0.95, 0.55, 9, dtype=np.float32),
        masks=random.uniform(0.3, 1, (9, 4, 4)).astype(np.float32),
    )
    alone = [
        merged(instances_at(instances, [i]), frame=(16, 16), size=(16, 16)).ids > 0
        for i in range(9)
    ]
    kept: list[int] = []
    for i, mask in enumerate(alone):
        if all((mask & alone[j]).sum() <= limit * (mask | alone[j]).sum() for j in kept):
            kept.append(i)

    config = replace(ALL, max_mask_overlap=limit)
    found = merged(instances, config=config, frame=(16, 16), size=(16, 16))
    expected = merged(instances_at(instances, kept), frame=(16, 16), size=(16, 16))

    assert found.segments == expected.segments
    assert np.array_equal(found.ids, expected.ids)


def instances_at(instances, numbers):
    return Instances(
        boxes=instances.boxes[numbers],
        labels=instances.labels[numbers],
        scores=instances.scores[numbers],
        masks=instances.masks[numbers],
    )
