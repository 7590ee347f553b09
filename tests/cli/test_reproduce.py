import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import factories
import networks
import training_runs
from jsisnet.cli.app import run
from jsisnet.experiments.merge_ablation import UNCHANGED
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig
from jsisnet.training.config import read_config, to_yaml


@pytest.fixture
def model(tmp_path):
    """A network of one branch or both, on disk."""

    def write(branches="joint"):
        config = replace(networks.TINY, branches=branches)
        settings = ModelConfig(
            size=(64, 96), network=config, merge=MergeConfig(min_stuff_area=100.0, min_score=0.1)
        )
        folder = tmp_path / branches
        saved_model.write(
            folder, settings, factories.CATEGORIES, networks.network(config).state_dict()
        )
        return str(folder)

    return write


@pytest.fixture
def data(tiny):
    return ["--images", str(tiny.images), "--annotations", str(tiny.annotations)]


NAMES = (
    "data",
    "table1",
    "table2",
    "table3",
    "table4",
    "figure1",
    "figure2",
    "figure3",
    "speed",
    "training-ablation",
    "merge-ablation",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_experiment_has_an_example(name, capsys):
    assert run(["reproduce", name, "--help"]) == 0

    text = capsys.readouterr().out
    assert text.startswith(f"Usage: jsisnet reproduce {name} ")
    assert f"\n    jsisnet reproduce {name}" in text


def test_the_experiments_are_listed(capsys):
    assert run(["reproduce"]) == 0

    text = capsys.readouterr().out
    assert all(name in text for name in NAMES)


def test_table_1_prints_the_papers_figures(model, data, tmp_path, capsys):
    out = tmp_path / "table1.json"
    command = ["reproduce", "table1", *data, "--model", model(), "--beside", "vistas-val"]

    assert run([*command, "--json", str(out)]) == 0

    shown = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert set(result) == {"all", "things", "stuff"}
    assert f"{result['all']['pq']:.2f}" in shown
    assert "measured on 6 images" in shown
    assert "the paper on vistas-val" in shown
    assert [line.split() for line in shown.splitlines()][-2] == ["Stuff", "27.50", "66.90", "35.80"]


def test_table_2_adds_up(tiny, tmp_path, capsys):
    config = training_runs.write_config(tmp_path / "street.yaml", tiny, steps=1)
    out = tmp_path / "table2.json"

    assert run(["reproduce", "table2", str(config), "--json", str(out)]) == 0

    result = json.loads(out.read_text())
    values = [term["value"] for term in result["terms"]]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(values) == 7
    assert sum(values) == pytest.approx(result["total"])
    assert ["boxes", "0.15", "0.15"] in [line[:3] for line in lines]
    assert ["total", f"{result['total']:.4f}"] in lines


def test_table_2_is_the_first_step_of_the_training(tiny, tmp_path, capsys):
    config = training_runs.write_config(tmp_path / "street.yaml", tiny, steps=1)
    out, folder = tmp_path / "table2.json", tmp_path / "run"
    assert run(["reproduce", "table2", str(config), "--json", str(out)]) == 0

    assert run(["train", str(config), "--out", str(folder)]) == 0

    capsys.readouterr()
    entry = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    terms = {term["name"]: term["value"] for term in json.loads(out.read_text())["terms"]}
    assert entry["terms"] == pytest.approx(terms, rel=1e-4)


def test_table_4_needs_an_instance_branch(model, data, capsys):
    assert run(["reproduce", "table4", *data, "--model", model("semantic")]) == 1

    assert "has no instance branch" in capsys.readouterr().err


def test_table_4_gives_recall_by_number_and_size(model, data, tmp_path, capsys):
    out = tmp_path / "table4.json"
    command = ["reproduce", "table4", *data, "--model", model(), "--beside", "coco-val"]

    assert run([*command, "--json", str(out)]) == 0

    shown = capsys.readouterr().out
    result = json.loads(out.read_text())
    groups = {"small", "medium", "large", "compact", "long", "thin"}
    assert {"all", "proposals"} | groups == set(result)
    assert groups <= {line.split()[0] for line in shown.splitlines() if line.strip()}
    assert "The paper on coco-val: 82.7" in shown


def test_the_merge_ablation_lists_every_variant(model, data, tmp_path, capsys):
    out = tmp_path / "ablation.json"

    code = run(["reproduce", "merge-ablation", *data, "--model", model(), "--json", str(out)])

    result = json.loads(out.read_text())
    shown = capsys.readouterr().out
    assert code == 0
    assert next(iter(result)) == UNCHANGED
    assert len(result) > 8
    assert all(name in shown for name in result)
    assert f"{result[UNCHANGED]['all']['pq']:.2f}" in shown


@pytest.mark.parametrize("branches", ["semantic", "instance"])
def test_one_branch_can_not_be_merged(model, data, capsys, branches):
    assert run(["reproduce", "merge-ablation", *data, "--model", model(branches)]) == 1

    assert "has only one branch; expected both, to merge them" in capsys.readouterr().err


def test_figure_1_shows_the_output_of_each_branch(model, tiny, tmp_path):
    photo, out = tiny.images / "street0.jpg", tmp_path / "figure1.png"

    assert run(["reproduce", "figure1", str(photo), "--out", str(out), "--model", model()]) == 0

    with Image.open(out) as picture:
        width, height = picture.size
        page = np.array(picture)
    assert width > 2 * 96
    assert height > 2 * 64
    # The photo is in the first quarter, and no other quarter equals it.
    quarters = [page[y : y + 60, x : x + 90] for y in (4, height // 2) for x in (4, width // 2 + 2)]
    assert len({quarter.tobytes() for quarter in quarters}) == 4


def test_figure_3_has_a_row_for_each_photo(model, tiny, tmp_path):
    sizes = []
    for photos in ([tiny.images / "street0.jpg"], [tiny.images]):
        out = tmp_path / f"{len(sizes)}.png"
        names = [str(photo) for photo in photos]
        assert run(["reproduce", "figure3", *names, "--out", str(out), "--model", model()]) == 0
        with Image.open(out) as picture:
            sizes.append(picture.size)

    (width, row), (same, page) = sizes
    assert width == same
    assert page > 5 * row


def test_a_figure_of_no_photo_is_refused(model, tmp_path, capsys):
    out = str(tmp_path / "figure.png")

    assert run(["reproduce", "figure1", "nowhere.jpg", "--out", out, "--model", model()]) == 1
    assert run(["reproduce", "figure3", "nowhere.jpg", "--out", out, "--model", model()]) == 1

    assert capsys.readouterr().err.count("no image found: nowhere.jpg") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --images and --annotations, --root, or --tiny"),
        (["--images", "photos"], "give --images and --annotations, --root, or --tiny"),
        (["--tiny", "--images", "photos"], "--images and --tiny can't be combined"),
        (["--root", "coco", "--tiny"], "--root and --tiny can't be combined"),
        (["--root", "."], "neither COCO nor Mapillary Vistas; expected annotations/"),
    ],
)
@pytest.mark.parametrize("name", ["table1", "table4", "merge-ablation"])
def test_exactly_one_data_set_is_required(name, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run(["reproduce", name, *options]) == 1

    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["table1", "table4", "merge-ablation"])
def test_the_truth_is_not_replaced_by_figures(name, data, tiny, tmp_path, capsys):
    before = tiny.annotations.read_bytes()

    assert run(["reproduce", name, *data, "--json", str(tiny.annotations)]) == 1
    assert run(["reproduce", name, *data, "--json", str(tmp_path)]) == 1

    first, second = capsys.readouterr().err.splitlines()
    assert "is an input and would be overwritten" in first
    assert "is a folder; give the name of a file" in second
    assert tiny.annotations.read_bytes() == before


@pytest.mark.parametrize("name", ["table2", "table3", "speed"])
def test_settings_and_data_are_not_replaced_by_figures(name, config, tiny, tmp_path, capsys):
    before = tiny.annotations.read_bytes(), config.read_bytes()
    command = ["reproduce", name, str(config), *(["--out", str(tmp_path / "runs")] * ("3" in name))]

    assert run([*command, "--json", str(tiny.annotations)]) == 1
    assert run([*command, "--json", str(config)]) == 1

    assert capsys.readouterr().err.count("is an input and would be overwritten") == 2
    assert (tiny.annotations.read_bytes(), config.read_bytes()) == before
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("options", [[], ["--tiny", "--model", "coco"]])
def test_steps_apply_only_to_the_training_of_tiny(options, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    places = [] if options else data

    assert run(["reproduce", "table1", *places, *options, "--steps", "3"]) == 1

    assert "--steps applies only to the training of --tiny" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["table2", "table3", "speed"])
def test_settings_and_generated_scenes_exclude_each_other(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run(["reproduce", name]) == 1
    assert run(["reproduce", name, "tiny.yaml", "--tiny"]) == 1

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("jsisnet: give CONFIG")
    assert second == "jsisnet: tiny.yaml and --tiny can't be combined"


def test_a_figure_shows_photos_or_scenes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run(["reproduce", "figure3", "photo.jpg", "--tiny", "--out", "a.png"]) == 1

    assert "photo.jpg and --tiny can't be combined" in capsys.readouterr().err


def test_coco_is_found_as_it_unpacks(model, tiny, capsys):
    root = tiny.images.parent / "data"
    shutil.copytree(tiny.images, root / "val2017")
    shutil.copytree(tiny.pngs, root / "annotations/panoptic_val2017")
    shutil.copy(tiny.annotations, root / "annotations/panoptic_val2017.json")

    assert run(["reproduce", "table1", "--root", str(root), "--model", model()]) == 0

    shown = capsys.readouterr().out
    assert "measured on 6 images" in shown
    assert "the paper on coco-val" in shown


@pytest.mark.parametrize("inner", ["validation/v1.2", "validation"])
def test_vistas_is_found_as_it_unpacks(inner, model, tmp_path, capsys):
    root = tmp_path / "vistas"
    newer = factories.tiny_vistas(root, count=2, split="validation")
    (root / "config_v2.0.json").rename(root / "config_v1.2.json")
    for folder in list(newer.iterdir()):
        (root / inner).mkdir(exist_ok=True)
        folder.rename(root / inner / folder.name)
    newer.rmdir()

    assert run(["reproduce", "table1", "--root", str(root), "--model", model()]) == 0

    shown = capsys.readouterr().out
    assert "measured on 2 images" in shown
    assert "the paper on vistas-val" in shown


@pytest.fixture
def config(tiny, tmp_path):
    path = training_runs.write_config(tmp_path / "street.yaml", tiny, steps=4)
    settings = read_config(path)
    path.write_text(to_yaml(replace(settings, train=replace(settings.train, log_every=1))))
    return path


def test_table_3_needs_validation_data(config, tmp_path, capsys):
    settings = read_config(config)
    config.write_text(to_yaml(replace(settings, validation=None)))

    assert run(["reproduce", "table3", str(config), "--out", str(tmp_path / "runs")]) == 1

    assert capsys.readouterr().err == (
        "jsisnet: validation is missing; Table 3 is evaluated on it\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices.count", "2"], "measured on one device"),
        (["--train.log-every", "4"], "train.log_every is 4, which logs only one of 4 steps"),
    ],
)
def test_unmeasurable_settings_are_refused_before_any_training(
    config, tmp_path, capsys, options, message
):
    out = tmp_path / "runs"

    assert run(["reproduce", "table3", str(config), "--out", str(out), *options]) == 1

    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_invalid_figure_name_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run(["reproduce", "figure1", "--tiny", "--out", "figure.txt"]) == 1

    assert "figure.txt: expected a name that ends in .jpg or .png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
