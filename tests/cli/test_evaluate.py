import json
from dataclasses import replace

import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig


@pytest.fixture
def model(tmp_path):
    """A network of one branch or both, on disk."""

    def write(branches):
        config = replace(networks.TINY, branches=branches)
        settings = ModelConfig(size=(64, 96), network=config, merge=MergeConfig(min_stuff_area=0.0))
        network = networks.network(config)
        if network.instance is not None:
            network.instance.roi.classify.weight.data *= 100
        folder = tmp_path / branches
        saved_model.write(folder, settings, factories.CATEGORIES, network.state_dict())
        return str(folder)

    return write


def evaluated(tiny, tmp_path, *options):
    """Run `evaluate` and return its JSON."""
    json_file = tmp_path / "quality.json"
    files = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    assert run(["evaluate", *files, "--json", str(json_file), *options]) == 0
    return json.loads(json_file.read_text())


PRECISION = {"mask_ap", "mask_ap50", "box_ap", "box_ap50", "instances"}
"""Metrics of average precision, which `evaluate` can skip."""

ADDED = {"miou", "semantic", "rpn_recall", "mode", "images"} | PRECISION
"""Metrics of `evaluate` other than panoptic quality."""


def test_evaluate_gives_panoptic_quality_mean_iou_and_average_precision(
    tiny, tmp_path, model, capsys
):
    result = evaluated(tiny, tmp_path, "--model", model("joint"))

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert set(result) == {"all", "things", "stuff", "classes"} | ADDED
    assert ["mIoU", f"{result['miou']:.2f}"] in lines
    for title, name in (("mask", "mask_ap"), ("box", "box_ap")):
        assert [title, "AP", f"{result[name]:.2f}"] in lines
        assert [title, "AP50", f"{result[name + '50']:.2f}"] in lines
    car, road = (next(line for line in lines if line[:1] == [name]) for name in ("car", "road"))
    assert car[-2:] == [
        f"{result['semantic'][factories.CAR]['iou']:.2f}",
        f"{result['instances'][factories.CAR]['mask_ap']:.2f}",
    ]
    assert road[-1] == "-"


def test_average_precision_may_be_left_out(tiny, tmp_path, model, capsys):
    result = evaluated(tiny, tmp_path, "--model", model("joint"), "--no-ap")

    assert set(result) & ADDED == ADDED - PRECISION
    assert "AP" not in capsys.readouterr().out


def test_evaluate_gives_the_recall_of_the_proposals_by_number_and_size(
    tiny, tmp_path, model, capsys
):
    result = evaluated(tiny, tmp_path, "--model", model("joint"))["rpn_recall"]

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    recalls = [f"{result['all'][name]:.2f}" for name in ("100", "300", "1000", "own")]
    assert ["RPN", "mean", "recall,", "%", "100", "300", "1000", "own", "images"] in lines
    assert ["all", *recalls, "6"] in lines
    assert ["large", "-", "-", "-", "-", "0"] in lines
    own = networks.TINY.proposals.max_proposals
    assert result["proposals"]["own"] == own
    assert any(
        line[:3] == ["proposals", "per", "image"] and line[-1] == f"{own}.0" for line in lines
    )


@pytest.mark.parametrize(
    ("branches", "missing"),
    [("semantic", "mask_ap"), ("semantic", "rpn_recall"), ("instance", "miou")],
)
def test_metrics_of_a_missing_branch_are_not_measured(tiny, tmp_path, model, branches, missing):
    assert missing not in evaluated(tiny, tmp_path, "--model", model(branches))


def test_instances_may_come_from_another_network(tiny, tmp_path, model):
    semantic, instance = model("semantic"), model("instance")

    both = evaluated(tiny, tmp_path, "--model", semantic, "--instances-from", instance)

    assert both["semantic"] == evaluated(tiny, tmp_path, "--model", semantic)["semantic"]
    assert both["instances"] == evaluated(tiny, tmp_path, "--model", instance)["instances"]


def test_predict_takes_instances_from_another_network_too(tiny, tmp_path, model, capsys):
    photo, out = str(tiny.images / "street0.jpg"), str(tmp_path / "maps")
    pair = ("--model", model("semantic"), "--instances-from", model("instance"))

    assert run(["predict", photo, *pair, "--out", out]) == 0

    assert (tmp_path / "maps" / "predictions.json").is_file()
    printed = capsys.readouterr().out
    assert any(name in printed for name in ("sky", "road", "tree"))


def test_networks_that_do_not_fit_give_one_message(tiny, tmp_path, model, capsys):
    photo, out = str(tiny.images / "street0.jpg"), str(tmp_path / "maps")
    pair = ("--model", model("instance"), "--instances-from", model("semantic"))

    assert run(["predict", photo, *pair, "--out", out]) == 1

    assert "the model has no semantic branch" in capsys.readouterr().err


def test_a_truth_scores_full_marks_against_itself(tiny, tmp_path, capsys):
    truth, quality = str(tiny.annotations), tmp_path / "new" / "quality.json"

    assert run(["score", truth, truth, "--json", str(quality)]) == 0

    written = json.loads(quality.read_text())
    assert written["all"] == {"pq": 100, "sq": 100, "rq": 100, "n": 6}
    assert written["classes"][1] == {
        "name": "car",
        "isthing": True,
        "pq": 100,
        "sq": 100,
        "rq": 100,
        "tp": 6,
        "fp": 0,
        "fn": 0,
    }
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["All", "100.00", "100.00", "100.00", "6"] in table
    assert ["car", "thing", "100.00", "100.00", "100.00", "6", "0", "0"] in table


def test_a_class_that_no_image_has_gets_no_number(tiny, capsys):
    content = json.loads(tiny.annotations.read_text())
    content["annotations"] = content["annotations"][2:3]
    tiny.annotations.write_text(json.dumps(content))

    assert run(["score", *2 * [str(tiny.annotations)]]) == 0

    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["bus", "thing", "-", "-", "-", "0", "0", "0"] in table


def test_folders_of_pngs_may_be_named(tiny, tmp_path):
    moved = tiny.pngs.rename(tmp_path / "elsewhere")
    truth = str(tiny.annotations)

    assert run(["score", truth, truth]) == 1
    assert (
        run(["score", truth, truth, "--truth-pngs", str(moved), "--prediction-pngs", str(moved)])
        == 0
    )


def test_wrong_areas_are_accepted_on_demand(tiny):
    content = json.loads(tiny.annotations.read_text())
    content["annotations"][0]["segments_info"][0]["area"] += 1
    tiny.annotations.write_text(json.dumps(content))
    truth = str(tiny.annotations)

    assert run(["score", truth, truth]) == 1
    assert run(["score", truth, truth, "--recount-areas"]) == 0


def test_every_format_can_be_evaluated(tiny, tmp_path, model, capsys):
    written, options = tmp_path / "written", ("--model", model("semantic"))
    convert = ("data", "convert", "--annotations", str(tiny.annotations), "--out", str(written))
    assert run([*convert, "--from", "coco", "--to", "two-channel"]) == 0
    maps = ("--pngs", str(written / "maps"), "--categories", str(written / "index.json"))
    expected = evaluated(tiny, tmp_path, *options)

    files = ("--format", "two-channel", *maps, "--json", str(tmp_path / "again.json"))
    assert run(["evaluate", *files, "--images", str(tiny.images), *options]) == 0

    again = json.loads((tmp_path / "again.json").read_text())
    assert again["stuff"] == expected["stuff"]
    assert run(["evaluate", *files, *options]) == 1
    assert "--images is required" in capsys.readouterr().err


def test_a_folder_whose_maps_are_read_is_not_replaced(tiny, tmp_path, capsys):
    (tmp_path / "out" / "truth").mkdir(parents=True)
    files = ("--images", str(tiny.images), "--annotations", str(tiny.annotations))
    out = ("--pngs", str(tmp_path / "out" / "truth"), "--out", str(tmp_path / "out"))

    assert run(["evaluate", *files, *out]) == 1

    assert "truth is an input and would be replaced" in capsys.readouterr().err


def test_photos_may_be_in_the_working_folder(tiny, tmp_path, model, monkeypatch):
    monkeypatch.chdir(tiny.images)

    files = ("--images", ".", "--annotations", str(tiny.annotations), "--no-ap")
    json_file = tmp_path / "quality.json"

    assert run(["evaluate", *files, "--model", model("semantic"), "--json", str(json_file)]) == 0
    assert json_file.is_file()


def test_views_of_a_photo_may_be_pooled(tiny, tmp_path, model):
    pooled = evaluated(tiny, tmp_path, "--model", model("joint"), "--tta", "--engine", "torch")

    plain = evaluated(tiny, tmp_path, "--model", str(tmp_path / "joint"), "--engine", "torch")
    assert set(pooled) == set(plain)
    assert pooled["rpn_recall"] == plain["rpn_recall"]
    assert pooled["miou"] != plain["miou"]
