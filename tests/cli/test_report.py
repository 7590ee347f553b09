import subprocess
import sys
import tempfile

import pytest

import factories
import known_errors
import networks
from jsisnet.cli.app import run
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig


@pytest.fixture
def files(tmp_path):
    return known_errors.written(tmp_path)


@pytest.fixture
def model(tmp_path):
    settings = ModelConfig(
        size=(64, 96), network=networks.TINY, merge=MergeConfig(min_stuff_area=0.0)
    )
    network = networks.network(networks.TINY)
    saved_model.write(tmp_path / "mine", settings, factories.CATEGORIES, network.state_dict())
    return str(tmp_path / "mine")


def test_score_writes_a_report_with_photos(files, tmp_path):
    truth, predictions = files
    folder = tmp_path / "a" / "report"

    photos = ("--images", str(truth.images))
    code = run(
        ["score", str(truth.annotations), str(predictions), "--report", str(folder), *photos]
    )

    assert code == 0
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    page = (folder / "index.html").read_text()
    assert "<title>Panoptic report: predictions.json</title>" in page
    assert "against panoptic_tiny.json" in page
    assert page.count('alt="Photo of image') == 5


def test_score_writes_a_report_without_torch(files, tmp_path):
    truth, predictions = files
    arguments = ["score", str(truth.annotations), str(predictions), "--report", str(tmp_path / "r")]
    code = (
        "import sys; from jsisnet.cli.app import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 'torch' in sys.modules or 'matplotlib' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)

    assert (tmp_path / "r" / "index.html").is_file()


def test_missing_photos_are_reported_before_anything_is_measured(files, tmp_path, capsys):
    truth, predictions = files
    report = ["--report", str(tmp_path / "report"), "--images", str(tmp_path / "nowhere")]

    assert run(["score", str(truth.annotations), str(predictions), *report]) == 1
    assert capsys.readouterr().err == f"jsisnet: {tmp_path / 'nowhere'}: no such folder\n"
    assert not (tmp_path / "report").exists()


def test_photos_without_a_report_are_refused(files, capsys):
    truth, predictions = files
    arguments = [str(truth.annotations), str(predictions), "--images", str(truth.images)]

    assert run(["score", *arguments]) == 1
    assert "--images needs --report DIR" in capsys.readouterr().err


def test_a_report_does_not_overwrite_inputs(files, capsys):
    truth, predictions = files
    annotations = truth.annotations.with_name("index.html")
    truth.annotations.rename(annotations)
    pngs = ("--truth-pngs", str(truth.pngs))
    report = ("--report", str(annotations.parent))

    assert run(["score", str(annotations), str(predictions), *pngs, *report]) == 1
    assert "is an input" in capsys.readouterr().err


def test_evaluate_writes_a_report_and_no_other_files(tmp_path, model, monkeypatch):
    truth = factories.tiny_dataset(tmp_path / "tiny")
    passing = tmp_path / "passing"
    passing.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(passing))
    report = tmp_path / "report"
    left = report / ".jsisnet-evaluation" / "truth"
    left.mkdir(parents=True)  # as a killed evaluation leaves it

    files = ("--images", str(truth.images), "--annotations", str(truth.annotations))
    assert run(["evaluate", "--model", model, *files, "--report", str(report)]) == 0

    page = (report / "index.html").read_text()
    assert "<title>Panoptic report: mine</title>" in page
    assert "against panoptic_tiny.json" in page
    assert "<dt>mIoU, %</dt>" in page
    assert 'alt="Photo of image' in page
    assert list(passing.iterdir()) == []
    assert [path.name for path in report.iterdir()] == ["index.html"]


def test_evaluate_reports_on_the_files_that_it_writes(tmp_path, model):
    truth = factories.tiny_dataset(tmp_path / "tiny")
    files = ("--images", str(truth.images), "--annotations", str(truth.annotations))
    outputs = ("--out", str(tmp_path / "out"), "--report", str(tmp_path / "out"))

    for _ in range(2):
        assert run(["evaluate", "--model", model, "--no-ap", *files, *outputs]) == 0

    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        ".evaluate.json",
        "index.html",
        "predictions",
        "predictions.json",
        "truth",
        "truth.json",
    }
