import numpy as np
import pytest
from matplotlib.figure import Figure

from jsisnet.training.curves import Panel, Run, draw, smoothed
from jsisnet.training.metrics_file import Curve

RED, BLUE = "#ff0000", "#0000ff"


def curve(*values):
    return Curve(np.arange(1.0, len(values) + 1), np.array(values, float))


def run(color=RED, **curves):
    return Run(name="run", curves=curves, color=color)


def axes_of(panel, *runs, end=10.0):
    axes = Figure().add_subplot()
    draw(axes, panel, runs, end=end)
    return axes


def loss(**more):
    return Panel(title="loss", names={"total": ""}, **more)


PARTS = Panel(title="PQ", names={"things": "things", "stuff": "stuff"}, percent=True)


def test_a_noisy_curve_is_drawn_pale_with_its_mean_over_it():
    pale, bold = axes_of(loss(noisy=True), run(total=curve(*[1, 3] * 50))).lines

    assert pale.get_alpha() < 0.5
    assert pale.get_ydata().tolist() == [1, 3] * 50
    assert abs(bold.get_ydata()[1:-1] - 2).max() < 0.4


def test_a_curve_without_noise_is_drawn_as_it_is():
    (line,) = axes_of(loss(), run(total=curve(1, 3, 1))).lines

    assert line.get_ydata().tolist() == [1, 3, 1]


def test_smoothing_leaves_what_does_not_change():
    line = np.full(40, 5.0)

    assert smoothed(line) == pytest.approx(line)


@pytest.mark.parametrize("values", [[2.0], [2.0, 4.0]])
def test_few_values_are_their_own_means(values):
    assert smoothed(np.array(values)).tolist() == values


def test_several_runs_differ_by_colour_and_their_curves_by_style_and_mark():
    lines = axes_of(
        PARTS,
        run(RED, things=curve(1, 2), stuff=curve(3, 4)),
        run(BLUE, things=curve(5, 6)),
    ).lines

    things, other, stuff = lines
    assert [line.get_color() for line in lines] == [RED, BLUE, RED]
    assert things.get_linestyle() == other.get_linestyle() != stuff.get_linestyle()
    assert things.get_marker() == other.get_marker() != stuff.get_marker()


def test_the_curves_of_a_single_run_differ_by_colour_too_and_their_last_values_are_written():
    axes = axes_of(PARTS, run(things=curve(1, 2), stuff=curve(3, 4)))

    assert len({line.get_color() for line in axes.lines}) == 2
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["things 2.0", "stuff 4.0"]


def test_a_curve_that_a_run_lacks_is_left_out():
    assert len(axes_of(PARTS, run(RED), run(BLUE, stuff=curve(1))).lines) == 1


def test_a_single_point_has_a_mark():
    (line,) = axes_of(loss(noisy=True), run(total=curve(2))).lines

    assert line.get_marker() == "o"


@pytest.mark.parametrize(
    ("values", "scale"),
    [((1, 11), "linear"), ((1, 13), "log"), ((0, 13), "linear"), ((-1, 13), "linear")],
)
def test_a_wide_range_of_positive_values_gets_a_logarithmic_axis(values, scale):
    assert axes_of(loss(), run(total=curve(*values))).get_yscale() == scale


@pytest.mark.parametrize(("values", "most"), [((0.001, 90), 99), ((0, 0), 1)])
def test_percentages_begin_with_zero(values, most):
    axes = axes_of(PARTS, run(things=curve(*values), stuff=curve(0)))

    assert axes.get_ylim() == pytest.approx((0, most))


def test_all_panels_end_with_the_same_step():
    axes = axes_of(loss(), run(total=curve(1, 2)), end=500.0)

    assert axes.get_xlim() == pytest.approx((0, 510))


def test_long_curves_are_thinned_without_losing_their_mean():
    values = np.random.default_rng(0).random(9999)
    (line,) = axes_of(loss(), run(total=Curve(np.arange(9999.0), values))).lines

    assert len(line.get_ydata()) == 1000
    assert line.get_ydata().mean() == pytest.approx(values.mean(), abs=0.01)
