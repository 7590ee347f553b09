import re

import numpy as np

from jsisnet.visualize.report.charts import FATES, fate_bars, score_chart, size_chart
from jsisnet.visualize.report.findings import SCORES, SIZES, ScoreTally, SizeTally


def heights(chart, name):
    return [
        float(height)
        for height in re.findall(rf'<rect [^>]*height="([^"]*)" class="{name}"', chart)
    ]


def test_a_bar_is_parted_by_what_became_of_the_segments():
    counts = np.array([3, 0, 0, 0, 0, 1, 0])
    assert len(counts) == len(FATES)

    chart = fate_bars([("true things", counts)])

    found, missed = re.findall(r'<rect x="([^"]*)" y="20" width="([^"]*)"', chart)
    assert found == ("0", "330")
    assert missed == ("330", "110")
    assert "true things: 1 missed, 25.0 %" in chart
    assert ">75 %<" in chart


def test_a_bar_of_nothing_is_empty():
    chart = fate_bars([("true stuff", np.zeros(len(FATES), np.int64))])

    assert "<rect" not in chart
    assert "true stuff: 0" in chart


def test_the_highest_bar_of_the_sizes_fills_its_part():
    tally = SizeTally()
    tally.tp[0], tally.fn[0], tally.fp[1], tally.iou[0] = 1, 3, 2, 0.5

    chart = size_chart(tally, "things")

    assert heights(chart, "found")[0] == 25
    assert heights(chart, "missed")[0] == 75
    assert heights(chart, "invented")[1] == 50
    assert chart.count("<circle") == 2 + 1
    assert "<title>20.0 %</title>" in chart
    assert "things of &lt; 0.1 % of the image: 3 not found" in chart


def test_sizes_without_segments_have_no_points():
    assert "<circle" not in size_chart(SizeTally(), "stuff")
    assert len(SIZES) + 1 == heights(size_chart(SizeTally(), "stuff"), "found").count(0)


def test_the_scores_show_the_matches_beside_what_they_promise():
    tally = ScoreTally()
    tally.count[8], tally.matched[8], tally.total[8] = 4, 1, 3.5

    chart = score_chart(tally)

    (found,) = heights(chart, "found")
    assert found == 180 / 4
    assert chart.count('class="promised"') == 1
    assert chart.count('class="count"') == SCORES
    assert "0.9: 1 of 4 match, 25.0 %" in chart
