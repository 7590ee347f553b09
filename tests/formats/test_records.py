import numpy as np

from jsisnet.categories import Categories, Category
from jsisnet.formats.records import relabel
from jsisnet.panoptic import PanopticMap, Segment

TREE, CAT, GRASS, DOG = range(4)
SOURCE = Categories(
    (
        Category(id=1, name="tree", isthing=False, supercategory="plant"),
        Category(id=2, name="cat", isthing=True, supercategory="animal"),
        Category(id=3, name="grass", isthing=False, supercategory="plant"),
        Category(id=4, name="dog", isthing=True, supercategory="animal"),
    )
)
MERGED = SOURCE.merged_by("supercategory")
PLANT, ANIMAL = range(2)


def in_merged_classes(ids, *labels):
    segments = tuple(Segment(label=label, isthing=SOURCE[label].isthing) for label in labels)
    panoptic = PanopticMap(np.array([ids], np.int32), segments)
    return relabel(panoptic, MERGED.labels_of(SOURCE), MERGED)


def test_stuff_of_one_class_becomes_one_segment():
    panoptic = in_merged_classes([0, 1, 2, 3], TREE, CAT, GRASS)

    assert panoptic.ids.tolist() == [[0, 1, 2, 1]]
    assert panoptic.segments == (
        Segment(label=PLANT, isthing=False),
        Segment(label=ANIMAL, isthing=True),
    )


def test_things_of_one_class_stay_apart():
    panoptic = in_merged_classes([1, 2, 3], CAT, DOG, DOG)

    assert panoptic.ids.tolist() == [[1, 2, 3]]
    assert [segment.label for segment in panoptic.segments] == [ANIMAL] * 3


def test_crowds_and_scores_survive():
    crowd = Segment(label=DOG, isthing=True, iscrowd=True)
    scored = Segment(label=CAT, isthing=True, score=0.5)
    panoptic = PanopticMap(np.array([[1, 2]], np.int32), (crowd, scored))

    segments = relabel(panoptic, MERGED.labels_of(SOURCE), MERGED).segments

    assert segments == (
        Segment(label=ANIMAL, isthing=True, iscrowd=True),
        Segment(label=ANIMAL, isthing=True, score=0.5),
    )


def test_a_segment_without_pixels_is_kept():
    panoptic = in_merged_classes([0, 0], CAT, TREE)

    assert len(panoptic.segments) == 2


def test_a_map_without_segments_stays_void():
    panoptic = in_merged_classes([0, 0])

    assert panoptic.ids.tolist() == [[0, 0]]
    assert panoptic.segments == ()


def test_a_map_in_which_nothing_is_merged_keeps_its_ids():
    panoptic = PanopticMap(np.array([[0, 1]], np.int32), (Segment(label=CAT, isthing=True),))

    relabelled_map = relabel(panoptic, MERGED.labels_of(SOURCE), MERGED)

    assert relabelled_map.ids is panoptic.ids
    assert relabelled_map.segments[0].label == ANIMAL
