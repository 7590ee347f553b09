import numpy as np
import torch

from factories import BUS, CAR, CATEGORIES, PERSON, ROAD, SKY, panoptic_map, segment
from jsisnet.categories import Categories, Category
from jsisnet.data.sample import example, is_void
from jsisnet.formats.dataset import Sample
from jsisnet.panoptic import IGNORE, PanopticMap, Segment

THING_CHANNELS = {PERSON: 0, CAR: 1, BUS: 2}


def targets(ids, *segments, min_box=1, **silence):
    panoptic = panoptic_map(ids, *segments)
    image = np.zeros((*panoptic.size, 3), np.uint8)
    sample = Sample(image=image, panoptic=panoptic, image_id=1, **silence)
    return example(sample, CATEGORIES, min_box=min_box)


def test_objects_are_numbered_from_one_in_the_order_of_their_segments():
    found = targets([[1, 2, 3, 3], [1, 1, 1, 3]], segment(SKY), segment(CAR), segment(BUS))

    assert found.instance_ids.tolist() == [[0, 1, 2, 2], [0, 0, 0, 2]]
    assert found.objects.boxes.tolist() == [[1, 0, 2, 1], [2, 0, 4, 2]]
    assert found.objects.channels.tolist() == [THING_CHANNELS[CAR], THING_CHANNELS[BUS]]


def test_channels_count_things_even_where_stuff_comes_first():
    reordered = Categories(CATEGORIES.items[3:] + CATEGORIES.items[:3])
    car = reordered.label(CATEGORIES[CAR].id)
    panoptic = panoptic_map([[1]], Segment(label=car, isthing=True))
    image = np.zeros((1, 1, 3), np.uint8)

    found = example(Sample(image=image, panoptic=panoptic, image_id=1), reordered)

    assert car == 4
    assert found.objects.channels.tolist() == [1]
    assert found.semantic.tolist() == [[4]]


def test_the_semantic_target_holds_labels_and_void():
    found = targets([[0, 1, 2]], segment(ROAD), segment(PERSON))

    assert found.semantic.tolist() == [[IGNORE, ROAD, PERSON]]


def test_a_crowd_is_a_box_and_a_class_but_no_object():
    found = targets([[1, 1, 2]], segment(PERSON, iscrowd=True), segment(PERSON))

    assert found.semantic.tolist() == [[PERSON] * 3]
    assert found.instance_ids.tolist() == [[0, 0, 1]]
    assert found.objects.crowds.tolist() == [[0, 0, 2, 1]]
    assert found.objects.boxes.tolist() == [[2, 0, 3, 1]]


def test_an_object_below_the_smallest_side_keeps_only_its_class():
    narrow, wide = segment(PERSON), segment(CAR)

    found = targets([[1, 2, 2], [1, 2, 2]], narrow, wide, min_box=2)

    assert found.semantic.tolist() == [[PERSON, CAR, CAR]] * 2
    assert found.instance_ids.tolist() == [[0, 1, 1]] * 2
    assert found.objects.channels.tolist() == [THING_CHANNELS[CAR]]


def test_a_thing_without_pixels_is_no_object():
    found = targets([[1, 1]], segment(SKY), segment(CAR), segment(BUS, iscrowd=True), min_box=0)

    assert len(found.objects) == 0
    assert found.objects.crowds.shape == (0, 4)


def test_a_map_without_segments_gives_no_objects_and_only_void():
    found = targets([[0, 0], [0, 0]])

    assert found.semantic.unique().tolist() == [IGNORE]
    assert found.instance_ids.unique().tolist() == [0]
    assert found.objects.boxes.shape == (0, 4)
    assert found.objects.channels.shape == (0,)


def test_all_things_are_labelled_unless_the_ground_truth_lacks_some():
    full, partial = targets([[0]]), targets([[0]], unlabelled=frozenset([CAR]))

    assert full.labelled.tolist() == [True, True, True]
    assert partial.labelled.tolist() == [True, False, True]


def test_an_object_of_a_class_that_is_labelled_in_part_is_an_object():
    found = targets([[1, 2]], segment(CAR), segment(BUS), unlabelled=frozenset([CAR]))

    assert found.objects.channels.tolist() == [THING_CHANNELS[CAR], THING_CHANNELS[BUS]]


def test_without_labelled_things_there_are_no_objects_but_classes_of_pixels():
    crowd = segment(PERSON, iscrowd=True)

    found = targets([[1, 2, 3]], segment(SKY), segment(CAR), crowd, unlabelled=frozenset(range(3)))

    assert not found.labelled.any()
    assert len(found.objects) == len(found.objects.crowds) == 0
    assert found.instance_ids.tolist() == [[0, 0, 0]]
    assert found.semantic.tolist() == [[SKY, CAR, PERSON]]


def test_without_classes_of_pixels_all_of_them_are_void():
    found = targets([[0, 1]], segment(CAR), semantic=False)

    assert found.semantic.tolist() == [[IGNORE, IGNORE]]
    assert found.instance_ids.tolist() == [[0, 1]]
    assert found.labelled.all()


def test_the_seed_is_handed_on():
    sample = Sample(image=np.zeros((1, 1, 3), np.uint8), panoptic=panoptic_map([[0]]), image_id=1)

    assert example(sample, CATEGORIES, seed=2**64 - 1).seed == 2**64 - 1


def test_more_than_255_classes_have_targets_of_16_bits():
    categories = Categories(tuple(Category(id=i, name=f"c{i}", isthing=i < 10) for i in range(300)))
    segments = tuple(Segment(label=label, isthing=label < 10) for label in (255, 299, 3))
    panoptic = PanopticMap(np.array([[0, 1, 2, 3]], np.int32), segments)
    sample = Sample(image=np.zeros((1, 4, 3), np.uint8), panoptic=panoptic, image_id=1)

    found = example(sample, categories)

    assert found.semantic.dtype == torch.uint16
    assert found.semantic.tolist() == [[65535, 255, 299, 3]]
    assert is_void(found.semantic).tolist() == [[True, False, False, False]]
