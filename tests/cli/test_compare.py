import csv
import json

import pytest

import factories
from factories import quality
from jsisnet.cli.app import run


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two results of eight images, b.json with more cars, and one of other images."""
    cars = {number: quality(car=(0.6, 1, 0, 1), sky=(0.5, 1, 0, 0)) for number in range(8)}
    more = {number: quality(car=(1.6, 2, 0, 0), sky=(0.5, 1, 0, 0)) for number in range(8)}
    factories.write_result(tmp_path / "a.json", cars, miou=10.0)
    factories.write_result(tmp_path / "b.json", more, miou=12.0)
    factories.write_result(tmp_path / "c.json", more | {"new": quality()})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(text, start):
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith(start)]


@pytest.mark.usefixtures("results")
def test_the_differences_are_printed(capsys):
    assert run(["compare", "a.json", "b.json", "--top", "3"]) == 0

    text = capsys.readouterr().out
    assert lines(text, "car ") == ["car thing 8 40.00 80.00 +40.00 +40.00 to +40.00 * 100"]
    assert lines(text, "sky ") == ["sky stuff 8 50.00 50.00 +0.00 +0.00 to +0.00 0"]
    assert lines(text, "bus ") == ["bus thing 0 - - - - -"]
    assert lines(text, "mIoU ") == ["mIoU 10.00 12.00 +2.00"]
    assert lines(text, "All ") == ["All PQ 45.00 65.00 +20.00 +20.00 to +20.00 * 100"]
    assert len(lines(text, ("0 ", "1 ", "2 ", "3 "))) == 3
    assert "8 images with 1000 bootstrap samples" in text


def test_files_receive_all_numbers(results, capsys):
    tokens = ["a.json", "b.json", "--json", "out.json", "--csv", "out.csv", "--top", "0"]

    assert run(["compare", *tokens]) == 0

    values = json.loads((results / "out.json").read_text())
    with (results / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(values["images"]) == 8
    assert [row["name"] for row in rows[:4]] == ["all", "things", "stuff", "car"]
    assert float(rows[3]["pq_difference"]) == values["classes"][0]["pq"]["difference"]
    assert (rows[3]["kind"], rows[3]["pq_clear"]) == ("thing", "True")
    assert rows[-1]["pq_low"] == ""
    assert "image " not in capsys.readouterr().out


@pytest.mark.usefixtures("results")
def test_images_without_a_difference_are_not_listed(capsys):
    assert run(["compare", "a.json", "a.json"]) == 0

    text = capsys.readouterr().out
    assert "image " not in text
    assert "*" not in text.partition("samples;")[0]


@pytest.mark.usefixtures("results")
def test_the_seed_and_the_number_of_draws_are_options(capsys):
    assert run(["compare", "a.json", "b.json", "--samples", "200", "--seed", "7"]) == 0

    assert "8 images with 200 bootstrap samples" in capsys.readouterr().out


@pytest.mark.usefixtures("results")
def test_common_images_are_compared_on_demand(capsys):
    assert run(["compare", "a.json", "c.json"]) == 1
    assert "in one file only: 1, such as 'new' in c.json" in capsys.readouterr().err

    assert run(["compare", "a.json", "c.json", "--common"]) == 0
    assert "8 images" in capsys.readouterr().out


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["a.json", "nowhere.json"], "nowhere.json: can't be read"),
        (["a.json", "b.json", "--json", "a.json"], "a.json is an input"),
        (["a.json", "b.json", "--samples", "5"], "--samples"),
        (["a.json"], "B"),
    ],
)
def test_results_that_cannot_be_compared_give_one_message(capsys, tokens, message):
    assert run(["compare", *tokens]) > 0

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
