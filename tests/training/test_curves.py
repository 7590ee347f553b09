import json

import numpy as np
import pytest
from PIL import Image

from jsisnet.training.curves import plot, write

TERMS = ("rpn_objectness", "rpn_boxes", "classes", "boxes", "masks", "semantic", "l2")


def stepped(step, *, seconds=None, **more):
    """Return the line of a step of two seconds."""
    terms = dict.fromkeys(TERMS, 1.0 / step)
    entry = {"step": step, "terms": terms, "total": 7.0 / step, "gradient": 2.0, "lr": 0.01}
    return entry | {"seconds": 2.0 * step if seconds is None else seconds} | more


def evaluated(step, pq, *, seconds=None, **more):
    """Return the line of an evaluation."""
    quality = {name: {"pq": pq, "sq": 80.0, "rq": pq, "n": 3} for name in ("all", "things")}
    quality |= {"stuff": {"pq": None}, "classes": [{"name": "car", "pq": pq}]}
    seconds = 2.0 * step if seconds is None else seconds
    return {"step": step, "validation": quality | more, "seconds": seconds}


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a run folder."""

    def written(name, *entries, rest=""):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / "metrics.jsonl").write_text(lines + rest)
        return folder

    return written


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def legend(figure):
    return [text.get_text() for text in figure.texts]


def lines_of(figure, title):
    axes = dict(zip(titles(figure), figure.axes, strict=True))[title]
    return [line.get_ydata().tolist() for line in axes.lines]


def test_every_metric_of_a_training_has_a_panel(run):
    folder = run("a", stepped(1), stepped(2), evaluated(2, 40.0))

    assert titles(plot([folder])) == [
        "loss",
        "PQ on the validation data, %",
        "RPN objectness",
        "RPN boxes",
        "classes",
        "boxes",
        "masks",
        "semantic",
        "L2",
        "norm of the gradient",
        "learning rate",
        "seconds per step",
        "SQ and RQ, %",
    ]


def test_unknown_metrics_get_a_panel_too(run):
    measures = {"miou": 50.0, "mask_ap50": 30.0, "box_ap": 20.0, "odd_one": 5.0}
    measures["rpn_recall"] = {"all": {"100": 70.0, "own": 60.0, "images": 5}}
    folder = run("a", stepped(1, photos_per_second=3.5), evaluated(1, 40.0, **measures))

    figure = plot([folder])
    titled = {"photos per second", "mIoU, %", "mask AP, %", "box AP, %", "odd one, %"}
    assert titled < {*titles(figure)}
    assert lines_of(figure, "RPN recall, %") == [[60]]


def test_without_evaluations_there_is_no_panel_of_quality(run):
    assert not [title for title in titles(plot([run("a", stepped(1))])) if "%" in title]


def test_a_file_with_an_evaluation_alone_is_plotted(run):
    assert titles(plot([run("a", evaluated(5, 40.0))])) == [
        "PQ on the validation data, %",
        "SQ and RQ, %",
    ]


def test_terms_of_a_branch_that_the_network_lacks_are_left_out(run):
    terms = {"classes": 0.0, "semantic": 2.0}

    assert titles(plot([run("a", stepped(1, terms=terms))]))[:2] == ["loss", "semantic"]


def test_runs_share_their_panels(run):
    figure = plot([run("a", evaluated(1, 40.0)), run("b", evaluated(1, 50.0))])

    assert lines_of(figure, "PQ on the validation data, %") == [[40], [50], [40], [50]]
    assert len({line.get_color() for line in figure.axes[0].lines}) == 2


def test_the_legend_shows_progress_and_quality_of_a_run(run):
    evaluations = evaluated(500, 42.0), evaluated(1000, 40.0)
    folder = run("mine", stepped(1), evaluations[0], stepped(1000), evaluations[1])

    assert legend(plot([folder])) == [
        "mine: step 1,000, after 0:33:20, loss 0.007, PQ 40.00, best 42.00 at step 500"
    ]


def test_the_time_of_a_resumed_run_is_that_of_all_its_parts(run):
    folder = run("a", stepped(1, seconds=40.0), stepped(2, seconds=100.0), stepped(3, seconds=20.0))

    assert "after 0:02:00" in legend(plot([folder]))[0]


def test_the_pace_counts_neither_evaluations_nor_pauses(run):
    folder = run(
        "a",
        stepped(10, seconds=20.0),
        evaluated(10, 40.0, seconds=500.0),
        stepped(20, seconds=520.0),
        stepped(30, seconds=3.0),
        stepped(40, seconds=33.0),
    )

    assert lines_of(plot([folder]), "seconds per step")[0] == [2.0, 3.0]


def test_runs_are_named_by_the_shortest_unique_paths(run):
    folders = [run(name, stepped(1)) for name in ("x/run", "y/run", "other")]

    names = [text.partition(":")[0] for text in legend(plot(folders))]
    assert names[:2] == ["x/run", "y/run"]
    assert names[2].endswith("/other")
    assert legend(plot(folders[::2]))[0].startswith("run: ")


def test_a_run_given_twice_is_drawn_twice(run):
    folder = run("a", stepped(1))

    assert len(legend(plot([folder, folder]))) == 2


@pytest.mark.parametrize("name", ["_under", "$a$ and $b_$", "x" * 200])
def test_names_of_any_kind_are_written(run, tmp_path, name):
    figure = plot([run(name, stepped(1))])
    write(figure, tmp_path / "plot.png")

    assert name[-50:] in legend(figure)[0]
    assert len(legend(figure)[0]) < 120


def test_more_runs_than_named_colours_differ_in_colour(run):
    figure = plot([run(f"run{number}", stepped(1)) for number in range(12)])

    assert len({line.get_color() for line in figure.axes[0].lines}) == 12


def test_a_run_without_metrics_is_listed_with_the_others(run):
    figure = plot([run("new"), run("old", stepped(1))])

    assert legend(figure)[0] == "new: no metrics yet"


def test_an_incomplete_last_line_is_skipped(run):
    figure = plot([run("a", stepped(1), stepped(2), rest='{"step": 3, "tot')])

    assert legend(figure)[0].startswith("a: step 2, ")


def test_runs_without_any_metric_are_named(run, tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}/a, {tmp_path}/b: no metrics yet; a training"):
        plot([run("a"), run("b", {"step": 3})])


def test_a_folder_without_a_metrics_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"metrics\.jsonl: can't be read"):
        plot([tmp_path])


def test_no_two_panels_overlap_and_none_leaves_the_picture(run):
    figure = plot([run("a", stepped(1), stepped(2), evaluated(2, 40.0)), run("b", stepped(1))])

    boxes = [axes.get_position() for axes in figure.axes]
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)
    assert all(box.x0 > 0 < box.y0 and box.x1 < 1 > box.y1 for box in boxes)


def test_the_picture_is_1600_pixels_wide_and_always_the_same(run, tmp_path):
    folder = run("a", stepped(1), stepped(2), evaluated(2, 40.0))
    paths = [tmp_path / "one.png", tmp_path / "new" / "two.PNG"]
    for path in paths:
        write(plot([folder]), path)

    with Image.open(paths[0]) as picture:
        assert picture.width == 1600
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["plot", "plot.jpg", "plot.pdf"])
def test_another_kind_of_file_is_refused(run, tmp_path, name):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png"):
        write(plot([run("a", stepped(1))]), tmp_path / name)

    assert not (tmp_path / name).exists()
