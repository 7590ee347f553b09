import numpy as np
import pytest

from factories import CAR, SKY, panoptic_map, segment
from jsisnet.inference import engine_comparison
from jsisnet.inference.engine import PRECISIONS, EngineOptions
from jsisnet.inference.engine_comparison import (
    Contestant,
    EngineSpeed,
    compare_engines,
    contestants,
    map_difference,
    recommended,
)

SEGMENTS = (segment(CAR), segment(SKY), segment(CAR))


def test_equal_maps_do_not_differ_whatever_the_order_of_their_segments():
    first = panoptic_map([[1, 2, 2, 3]], *SEGMENTS)
    second = panoptic_map([[3, 1, 1, 2]], segment(SKY), segment(CAR), segment(CAR))

    assert map_difference(first, second) == 0


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([[1, 2, 2, 0]], 0.25),  # a car became void
        ([[1, 2, 2, 1]], 0.25),  # two cars became one
        ([[2, 2, 2, 3]], 0.25),  # a car became sky
        ([[0, 0, 0, 0]], 1.0),
    ],
)
def test_pixels_of_other_segments_differ(ids, expected):
    first = panoptic_map([[1, 2, 2, 3]], *SEGMENTS)

    assert map_difference(first, panoptic_map(ids, *SEGMENTS)) == pytest.approx(expected)


def test_maps_without_pixels_do_not_differ():
    empty = panoptic_map(np.zeros((0, 4)))

    assert map_difference(empty, empty) == 0


def test_single_precision_is_compared_first_and_the_compiler_on_request():
    titles = [contestant.title for contestant in contestants()]

    assert titles[:2] == ["onnxruntime", "openvino"]
    assert "torch bfloat16" in titles
    assert not any("compile" in title for title in titles)
    assert "torch-compile" in [contestant.title for contestant in contestants(compiled=True)]


def test_engines_are_timed_and_those_that_can_not_run_say_why():
    torch, toaster = (Contestant(engine=name, precision="float32") for name in ("torch", "toaster"))

    first, second = compare_engines(
        "coco", np.zeros((40, 60, 3), np.uint8), [torch, toaster], options=EngineOptions(), rounds=2
    )

    assert first.reason is None
    assert (first.device, first.difference) == ("cpu", 0)
    assert min(first.milliseconds, first.cpu_milliseconds, first.load_seconds) > 0
    assert "No engine named 'toaster'" in second.reason


def test_an_engine_that_breaks_leaves_the_others(monkeypatch):
    good, bad = (Contestant(engine="onnxruntime", precision=name) for name in PRECISIONS)
    opened = engine_comparison.open_engine

    def broken(model, name, options):
        if options.precision != PRECISIONS[0]:
            raise RuntimeError("could not create a primitive")
        return opened(model, name, options)

    monkeypatch.setattr(engine_comparison, "open_engine", broken)

    first, second = compare_engines(
        "street", np.zeros((9, 9, 3), np.uint8), [good, bad], options=EngineOptions(), rounds=1
    )

    assert first.reason is None
    assert second.reason == "could not create a primitive"


def test_the_fastest_engine_with_the_same_map_is_recommended():
    def speed(name, milliseconds, difference=0.0, reason=None):
        contestant = Contestant(engine=name, precision="float32")
        return EngineSpeed(
            contestant=contestant,
            milliseconds=float(milliseconds),
            difference=difference,
            reason=reason,
        )

    measured = [
        speed("slow", 9),
        speed("fast", 3),
        speed("wrong", 2, difference=2 * engine_comparison.SAME),
        speed("absent", 0, reason="not installed"),
    ]

    assert recommended(measured).contestant.engine == "fast"
    assert recommended(measured[3:]) is None
