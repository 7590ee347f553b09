"""The functions at the top of the package return what the commands write, and print nothing."""

import json

import numpy as np
import pytest

import factories
import jsisnet
from factories import CATEGORIES, quality
from jsisnet.cli.app import run
from jsisnet.formats import coco
from jsisnet.inference.evaluator import Evaluation


def command(*args, out):
    """Run a command, and return the JSON file that it writes."""
    assert run([*map(str, args), "--json", str(out)]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def test_score_returns_what_the_command_writes(tiny, tmp_path, capsys):
    expected = command("score", tiny.annotations, tiny.annotations, out=tmp_path / "pq.json")
    capsys.readouterr()

    score = jsisnet.score(str(tiny.annotations), tiny.annotations, truth_pngs=str(tiny.pngs))

    assert score.summary() == expected
    assert (score.pq, score.sq, score.rq) == (1, 1, 1)
    assert repr(score) == "Score(PQ 100.00, SQ 100.00, RQ 100.00, 6 images)"
    assert capsys.readouterr() == ("", "")


def test_score_takes_the_rules_as_keywords(tiny, tmp_path):
    content = json.loads(tiny.annotations.read_text(encoding="utf-8"))
    content["annotations"].pop()
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(content), encoding="utf-8")

    score = jsisnet.score(
        tiny.annotations, path, prediction_pngs=tiny.pngs, missing="void", boundary=True
    )

    assert score.missing == 1
    assert score.boundary is not None
    with pytest.raises(ValueError, match="no prediction for image"):
        jsisnet.score(tiny.annotations, path, prediction_pngs=tiny.pngs)


def test_compare_returns_what_the_command_writes(tmp_path, capsys):
    a = factories.write_result(
        tmp_path / "a.json", {i: quality(car=(0.5, 1, 0, 0)) for i in range(8)}
    )
    b = factories.write_result(
        tmp_path / "b.json", {i: quality(car=(0.7, 1, 0, 0)) for i in range(8)}
    )
    expected = command("compare", a, b, out=tmp_path / "difference.json")
    capsys.readouterr()

    comparison = jsisnet.compare(str(a), b)

    assert comparison.summary() == expected
    assert comparison.pq.difference == pytest.approx(0.2)
    assert comparison.pq.clear
    assert comparison.rq.difference == 0
    assert repr(comparison) == (
        "Comparison(8 images, PQ 50.00 and 70.00, difference +20.00 to +20.00)"
    )
    assert capsys.readouterr() == ("", "")


def test_check_returns_what_the_command_writes(tiny, tmp_path, capsys):
    paths = "--images", tiny.images, "--annotations", tiny.annotations
    expected = command("data", "check", *paths, out=tmp_path / "found.json")
    capsys.readouterr()

    report = jsisnet.check(str(tiny.annotations), images=str(tiny.images))

    assert report.summary() == expected
    assert repr(report).startswith("Report(6 images, 0 errors, ")
    assert capsys.readouterr() == ("", "")


def test_check_takes_an_open_data_set(tiny):
    source = coco.source(tiny.annotations, images=tiny.images)

    assert jsisnet.check(source).images == 6
    with pytest.raises(ValueError, match="apply only to a JSON file"):
        jsisnet.check(source, pngs=tiny.pngs)


def test_check_repairs_into_a_copy(tiny, tmp_path):
    report = jsisnet.check(tiny.annotations, images=tiny.images, copy=tmp_path / "copy")

    assert report.images == 6
    assert (tmp_path / "copy" / tiny.annotations.name).is_file()


def test_check_needs_the_photos_of_a_json_file(tiny):
    with pytest.raises(ValueError, match="images is missing"):
        jsisnet.check(tiny.annotations)


def test_values_are_shown_in_short():
    panoptic = jsisnet.PanopticMap(np.zeros((480, 640), np.int32), ())

    assert repr(panoptic) == "PanopticMap(480x640, 0 segments)"
    assert repr(CATEGORIES) == "Categories(6: 3 things, 3 stuff)"
    assert (
        repr(Evaluation(panoptic=quality(car=(0.5, 1, 0, 0)))) == "Evaluation(PQ 50.00, 0 images)"
    )
    assert repr(quality(car=(0.5, 1, 0, 0))) == "PanopticQuality(pq=0.5000, 1 of 6 classes)"


def test_a_data_set_and_a_result_are_shown_in_short(tiny, tmp_path):
    path = factories.write_result(tmp_path / "a.json", {1: quality(), 2: quality()})

    source = coco.source(tiny.annotations, images=tiny.images)

    assert repr(source) == "Source(6 images, Categories(6: 3 things, 3 stuff))"
    assert (
        repr(jsisnet.evaluation.read_result(path)) == f"Result({str(path)!r}, 2 images, 6 classes)"
    )
