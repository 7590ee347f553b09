import re

import numpy as np
import pytest

from jsisnet.visualize.report.data_charts import (
    Bar,
    Frequency,
    bar_chart,
    frequency_chart,
    histogram,
)


def frequency(name, value, *, isthing=True):
    return Frequency(name=name, isthing=isthing, value=value, shown=f"{value:g}")


def heights(chart):
    return [float(height) for height in re.findall(r'<rect [^>]*height="([^"]*)"', chart)]


def test_classes_are_drawn_from_the_most_frequent_to_the_rarest():
    chart = frequency_chart(
        [frequency("car", 1.0), frequency("sky", 100.0, isthing=False), frequency("bus", 10.0)],
        "Images",
    )

    assert re.findall(r"<title>(\w+): ", chart) == ["sky", "bus", "car"]
    assert re.findall(r'class="(thing|stuff)"', chart) == ["stuff", "thing", "thing"]
    first, second, third = heights(chart)
    assert first - second == pytest.approx(second - third, abs=0.01)
    assert third > 10


def test_the_names_of_few_classes_stand_below_their_bars():
    few = frequency_chart([frequency("a very long name of a class", 0.001)], "Pixels, %")
    many = frequency_chart([frequency(f"class {i}", 5.0) for i in range(200)], "Images")

    assert ">a very long na…</text>" in few
    assert "class 7</text>" not in many
    assert "<title>class 7: 5</title>" in many


def test_the_highest_bar_fills_the_diagram_and_an_empty_one_has_no_height():
    bars = [Bar(name="few", label="0", count=30), Bar(name="many", label="5", count=0)]

    chart = bar_chart(bars, "things", "thing")

    assert heights(chart) == [150, 0]
    assert "<title>few: 30</title>" in chart


def test_bars_of_nothing_have_no_height():
    assert heights(bar_chart([Bar(name="0", label="0", count=0)], "things", "thing")) == [0]


def test_few_numbers_have_a_bar_each():
    bars = histogram(np.array([0, 2, 2, 3]))

    assert [(bar.name, bar.count) for bar in bars] == [("0", 1), ("1", 0), ("2", 2), ("3", 1)]


def test_many_numbers_share_bars():
    bars = histogram(np.array([0, 4, 5, 99]))

    assert len(bars) == 20
    assert (bars[0].label, bars[0].count, bars[-1].label) == ("0", 2, "95")


def test_no_numbers_have_one_empty_bar():
    assert [bar.count for bar in histogram(np.array([], np.int64))] == [0]
