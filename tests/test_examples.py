"""Every script in examples/ runs on generated data and does what it says."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import jsisnet
from jsisnet.datatools.scenes import write_scenes
from jsisnet.panoptic import IGNORE

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Four generated scenes to train on, and two to validate on."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, (4, 2), (64, 96))
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example with arguments, and return what it prints."""

    def output(name, *args):
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return output


def test_the_examples_are_short_and_each_has_a_test():
    scripts = sorted(EXAMPLES.glob("*.py"))
    source = Path(__file__).read_text(encoding="utf-8")

    assert len(scripts) >= 6
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 40 for path in scripts)
    assert all(f'run("{path.stem}"' in re.sub(r"\(\s+", "(", source) for path in scripts)


def test_predict_and_draw(run, scenes, tmp_path):
    photo = min((scenes / "val").iterdir())

    output = run("predict_and_draw", photo, tmp_path / "drawn.png")

    assert "96 x 64 pixels" in output.splitlines()[0]
    assert jsisnet.read_image(tmp_path / "drawn.png").shape == (64, 96, 3)


def test_score_two_files(run, scenes, tmp_path):
    truth = scenes / "panoptic_val.json"
    content = json.loads(truth.read_text(encoding="utf-8"))
    content["annotations"].pop()
    predictions = tmp_path / "predictions.json"
    predictions.write_text(json.dumps(content), encoding="utf-8")
    shutil.copytree(scenes / "panoptic_val", tmp_path / "predictions")

    output = run("score_two_files", truth, predictions)

    assert re.match(r"Score\(PQ \d\d\.\d\d, SQ .*, 2 images\)\nthings ", output)
    assert "lowest PQ: image 2, 0.0%" in output


def test_check_and_convert(run, scenes, tmp_path):
    out = tmp_path / "converted"

    output = run("check_and_convert", scenes / "panoptic_val.json", scenes / "val", out)

    assert output.startswith("Report(2 images, 0 errors, ")
    assert f"Wrote 2 maps to {out}" in output
    converted = jsisnet.open_dataset("two-channel", pngs=out, categories=out / "index.json")
    original = jsisnet.open_dataset("coco", annotations=scenes / "panoptic_val.json")
    for one, other in zip(converted.records, original.records, strict=True):
        labels = one.read().labels()
        crowds = labels == IGNORE  # the format has none
        assert np.array_equal(labels[~crowds], other.read().labels()[~crowds])
        assert crowds.mean() < 0.2


@pytest.mark.slow
def test_train_on_own_data(run, scenes, tmp_path):
    output = run("train_on_own_data", scenes, tmp_path / "run", 2)

    assert (tmp_path / "run" / "metrics.jsonl").is_file()
    assert len(re.findall(r"^0000.*\.png PanopticMap\(64x96, ", output, re.MULTILINE)) == 2


def test_metric_in_another_trainer(run, scenes):
    annotations = scenes / "panoptic_train.json"

    output = run("metric_in_another_trainer", annotations, scenes / "train", 15)

    losses = [float(loss) for loss in re.findall(r"loss (\S+),", output)]
    assert len(losses) == 15
    assert losses[-1] < losses[0]
    assert re.search(r"epoch 14: .* PQ \d+\.\d%", output)


def test_merge_another_network(run, tmp_path):
    output = run("merge_another_network", tmp_path / "merged.png")

    assert output.startswith("PanopticMap(120x160, 4 segments)")
    assert jsisnet.read_image(tmp_path / "merged.png").shape == (120, 160, 3)


def test_the_notebook(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = json.loads((EXAMPLES / "panoptic.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    names = {}
    for cell in code:
        exec("".join(cell["source"]), names)

    assert all(cell["outputs"] == [] for cell in code)  # so that changes of it can be reviewed
    assert "sky" in capsys.readouterr().out
    assert names["overlay"].size == (320, 240)
    assert names["saved"].parent.parent == names["folder"]
    assert names["score"].pq == pytest.approx(1)
