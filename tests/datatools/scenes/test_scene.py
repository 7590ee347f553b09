import numpy as np
import pytest

from jsisnet.datatools.scenes.layout import CATEGORIES, ROAD, SKY
from jsisnet.datatools.scenes.scene import Scene
from jsisnet.panoptic import VOID

SIZE = (48, 72)


@pytest.fixture(scope="module")
def maps():
    return [Scene((0, 0, index), SIZE).panoptic() for index in range(60)]


def test_a_scene_depends_only_on_its_key_and_size():
    first, again, other = (Scene((0, 0, index), SIZE) for index in (3, 3, 4))

    assert np.array_equal(first.photo(), again.photo())
    assert np.array_equal(first.panoptic().ids, again.panoptic().ids)
    assert not np.array_equal(first.photo(), other.photo())


def test_every_class_occurs(maps):
    seen = {segment.label for panoptic in maps for segment in panoptic.segments}

    assert seen == set(range(len(CATEGORIES)))


def test_crowds_and_void_occur_but_not_everywhere(maps):
    crowds = [any(segment.iscrowd for segment in panoptic.segments) for panoptic in maps]
    void = [(panoptic.ids == VOID).mean() > 0.01 for panoptic in maps]

    assert 0 < sum(crowds) < len(maps) / 2
    assert 0 < sum(void) < len(maps) / 2


def test_things_overlap_and_are_cut_off_by_the_image_border(maps):
    boxes = [panoptic.boxes() for panoptic in maps]
    things = [[segment.isthing for segment in panoptic.segments] for panoptic in maps]
    cut = [
        ((box[:, 0] == 0) | (box[:, 2] == SIZE[1]) | (box[:, 3] == SIZE[0]))[isthing].any()
        for box, isthing in zip(boxes, things, strict=True)
    ]
    overlapping = [_overlap(box[isthing]) for box, isthing in zip(boxes, things, strict=True)]

    assert 0.2 < np.mean(cut) < 0.95
    assert np.mean(overlapping) > 0.3


def _overlap(boxes):
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return (np.triu((high - low > 2).all(axis=2), 1)).any()


def test_a_stuff_class_is_one_segment_and_no_segment_is_tiny(maps):
    for panoptic in maps:
        stuff = [segment.label for segment in panoptic.segments if not segment.isthing]

        assert len(stuff) == len(set(stuff))
        assert SKY in stuff
        assert panoptic.areas().min() >= panoptic.ids.size / 1000


def test_a_larger_image_shows_the_same_scene():
    small, large = Scene((0, 0, 1), (64, 96)), Scene((0, 0, 1), (128, 192))
    labels, larger = small.panoptic().labels(), large.panoptic().labels()
    shrunk = large.photo().reshape(64, 2, 96, 2, 3).mean(axis=(1, 3))

    assert (labels == larger[::2, ::2]).mean() > 0.93
    assert abs(shrunk.astype(float) - small.photo()).mean() < 20


def test_the_photo_agrees_with_the_map():
    scenes = [Scene((0, 0, index), (64, 96)) for index in range(40)]
    roads = [
        scene.photo()[scene.panoptic().labels() == ROAD].astype(float).mean(axis=0)
        for scene in scenes
        if (scene.panoptic().labels() == ROAD).any()
    ]

    assert len(roads) > 5
    assert all(np.ptp(road) < 40 for road in roads)


@pytest.mark.parametrize("size", [(32, 32), (33, 190), (201, 47), (32, 1000)])
def test_scenes_may_have_any_size_and_aspect(size):
    for index in range(6):
        scene = Scene((5, 1, index), size)

        assert scene.photo().shape == (*size, 3)
        assert scene.panoptic().size == size


@pytest.mark.parametrize("size", [(1, 1), (31, 500), (64, 10_001), (0, 64)])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ValueError, match=rf"{size[0]}x{size[1]}.*expected sides of 32 to 10000"):
        Scene((0, 0, 0), size)
