import json

from jsisnet.cli.app import run


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


def test_areas_that_differ_are_accepted_on_demand(tiny):
    content = json.loads(tiny.annotations.read_text())
    content["annotations"][0]["segments_info"][0]["area"] += 1
    tiny.annotations.write_text(json.dumps(content))
    truth = str(tiny.annotations)

    assert run(["score", truth, truth]) == 1
    assert run(["score", truth, truth, "--recount-areas"]) == 0
