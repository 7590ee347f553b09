import re

import numpy as np
import pytest

from jsisnet.visualize.report.charts import (
    OUTCOMES,
    Bin,
    ClassBar,
    bar_chart,
    frequency_chart,
    histogram,
    outcome_bars,
    score_chart,
    size_chart,
)
from jsisnet.visualize.report.report_data import SCORES, SIZES, ScoreTally, SizeTally


def heights(chart, name):
    return [
        float(height)
        for height in re.findall(rf'<rect [^>]*height="([^"]*)" class="(?:{name})"', chart)
    ]


def test_a_bar_is_divided_by_outcome():
    counts = np.array([3, 0, 0, 0, 0, 1, 0])
    assert len(counts) == len(OUTCOMES)

    chart = outcome_bars([("true things", counts)])

    found, missed = re.findall(r'<rect x="([^"]*)" y="20" width="([^"]*)"', chart)
    assert found == ("0", "330")
    assert missed == ("330", "110")
    assert "true things: 1 missed, 25.0 %" in chart
    assert ">75 %<" in chart


def test_a_bar_without_segments_is_empty():
    chart = outcome_bars([("true stuff", np.zeros(len(OUTCOMES), np.int64))])

    assert "<rect" not in chart
    assert "true stuff: 0" in chart


def test_the_highest_bar_over_sizes_fills_its_plot_area():
    tally = SizeTally()
    tally.tp[0], tally.fn[0], tally.fp[1], tally.iou[0] = 1, 3, 2, 0.5

    chart = size_chart(tally, "things")

    assert heights(chart, "found")[0] == 25
    assert heights(chart, "missed")[0] == 75
    assert heights(chart, "spurious")[1] == 50
    assert chart.count("<circle") == 2 + 1
    assert "<title>20.0 %</title>" in chart
    assert "things of &lt; 0.1 % of the image: 3 false negatives" in chart


def test_sizes_without_segments_have_no_points():
    assert "<circle" not in size_chart(SizeTally(), "stuff")
    assert len(SIZES) + 1 == heights(size_chart(SizeTally(), "stuff"), "found").count(0)


def test_the_score_chart_compares_matches_with_mean_scores():
    tally = ScoreTally()
    tally.count[8], tally.matched[8], tally.total[8] = 4, 1, 3.5

    chart = score_chart(tally)

    (found,) = heights(chart, "found")
    assert found == 180 / 4
    assert chart.count('class="promised"') == 1
    assert chart.count('class="count"') == SCORES
    assert "0.9: 1 of 4 match, 25.0 %" in chart


def frequency(name, value, *, isthing=True):
    return ClassBar(name=name, isthing=isthing, value=value, formatted=f"{value:g}")


def test_classes_are_drawn_from_the_most_frequent_to_the_rarest():
    chart = frequency_chart(
        [frequency("car", 1.0), frequency("sky", 100.0, isthing=False), frequency("bus", 10.0)],
        "Images",
    )

    assert re.findall(r"<title>(\w+): ", chart) == ["sky", "bus", "car"]
    assert re.findall(r'class="(thing|stuff)"', chart) == ["stuff", "thing", "thing"]
    first, second, third = heights(chart, "thing|stuff")
    assert first - second == pytest.approx(second - third, abs=0.01)
    assert third > 10


def test_names_are_shown_below_the_bars_of_few_classes():
    few = frequency_chart([frequency("a very long name of a class", 0.001)], "Pixels, %")
    many = frequency_chart([frequency(f"class {i}", 5.0) for i in range(200)], "Images")

    assert ">a very long na…</text>" in few
    assert "class 7</text>" not in many
    assert "<title>class 7: 5</title>" in many


def test_the_highest_bar_fills_the_diagram_and_an_empty_one_has_no_height():
    bars = [Bin(name="few", tick="0", count=30), Bin(name="many", tick="5", count=0)]

    chart = bar_chart(bars, "things", "thing")

    assert heights(chart, "thing|stuff") == [150, 0]
    assert "<title>few: 30</title>" in chart


def test_a_histogram_without_counts_has_flat_bars():
    assert heights(bar_chart([Bin(name="0", tick="0", count=0)], "things", "thing"), "thing") == [0]


def test_small_values_have_a_bin_each():
    bars = histogram(np.array([0, 2, 2, 3]))

    assert [(bar.name, bar.count) for bar in bars] == [("0", 1), ("1", 0), ("2", 2), ("3", 1)]


def test_large_values_share_bins():
    bars = histogram(np.array([0, 4, 5, 99]))

    assert len(bars) == 20
    assert (bars[0].tick, bars[0].count, bars[-1].tick) == ("0", 2, "95")


def test_no_values_give_one_empty_bin():
    assert [bar.count for bar in histogram(np.array([], np.int64))] == [0]
