import json
import subprocess
import sys

import pytest
import yaml

from jsisnet.cli.app import run


def stats(*tokens):
    return run(["data", "stats", "--processes", "1", *map(str, tokens)])


def test_statistics_of_things_and_stuff_are_printed_separately(tiny, capsys):
    assert stats("--annotations", tiny.annotations) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["images:", "6", "lowest", "median", "mean", "highest"]
    assert lines[2].split() == ["height", "64", "64", "64", "64"]
    (sentence,) = (line for line in lines if line.startswith("segments: "))
    assert sentence.startswith("segments: 29; things: 14 (")
    assert sentence.endswith("; crowds: 1")
    names = [line.split()[0] for line in lines if line]
    assert names[names.index("thing") + 2 :][:3] in (
        ["car", "person", "bus"],
        ["person", "car", "bus"],
    )
    assert names[names.index("stuff") + 2 :] == ["sky", "road", "tree"]


def test_classes_that_are_never_seen_are_named(tiny, capsys):
    content = json.loads(tiny.annotations.read_text())
    content["categories"].append({"id": 7, "name": "unicorn", "isthing": 1})
    tiny.annotations.write_text(json.dumps(content))

    assert stats("--annotations", tiny.annotations) == 0

    assert capsys.readouterr().out.endswith("unused classes: 1 of 7: unicorn\n")


def test_all_numbers_go_to_a_json_file(tiny, tmp_path):
    path = tmp_path / "new" / "numbers.json"

    assert stats("--annotations", tiny.annotations, "--json", path) == 0

    numbers = json.loads(path.read_text())
    assert (numbers["images"], numbers["things"], len(numbers["classes"])) == (6, 14, 6)
    assert [each.name for each in path.parent.iterdir()] == ["numbers.json"]


def test_a_page_is_written_with_examples(tiny, tmp_path, capsys):
    out = tmp_path / "out"

    assert stats("--annotations", tiny.annotations, "--images", tiny.images, "--out", out) == 0

    page = (out / "index.html").read_text()
    assert "<h1>panoptic_tiny.json</h1>" in page
    assert "<img src" in page
    assert capsys.readouterr().out.endswith(f"Wrote {out / 'index.html'}\n")


def test_unreadable_photos_give_one_message(tiny, tmp_path, capsys):
    for path in tiny.images.iterdir():
        path.unlink()
    out = tmp_path / "out"

    assert stats("--annotations", tiny.annotations, "--images", tiny.images, "--out", out) == 0

    error = capsys.readouterr().err
    assert error.startswith("jsisnet: 6 images can't be shown, such as: ")
    assert error.count("\n") == 1


def test_every_format_gives_the_same_statistics(tiny, tmp_path, capsys):
    files = ("--annotations", str(tiny.annotations))
    pair = tmp_path / "pair"
    convert = ("data", "convert", "--from", "coco", "--to", "semantic-instance")
    assert run([*convert, *files, "--out", str(pair), "--processes", "1"]) == 0
    maps = ("--semantic", pair / "semantic", "--instances", pair / "instances")
    capsys.readouterr()

    assert stats(*files) == 0
    first = capsys.readouterr().out
    listed = ("--categories", pair / "index.json")
    assert stats("--format", "semantic-instance", *maps, *listed) == 0

    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--annotations is required by the format coco"),
        (("--annotations", "{json}", "--json", "{json}"), "is an input"),
        (("--annotations", "{json}", "--json", "{png}"), "is a file of the data set"),
        (("--annotations", "{json}", "--out", "{json}"), "{json}"),
        (("--annotations", "{json}", "--out", "{other}"), "{other} is a file, so"),
        (("--annotations", "{json}", "--split", "val"), "--split is not used by the format"),
        (("--annotations", "nowhere.json"), "nowhere.json"),
    ],
)
def test_invalid_arguments_give_one_message(tiny, capsys, options, message):
    other = tiny.annotations.with_name("other.txt")
    other.write_text("precious")
    names = {"json": tiny.annotations, "png": tiny.pngs / "map0.png", "other": other}
    before = tiny.annotations.read_bytes(), names["png"].read_bytes()
    pngs = ("--pngs", tiny.pngs) if options else ()

    assert stats(*(text.format(**names) for text in options), *pngs) == 1

    error = capsys.readouterr().err
    assert message.format(**names) in error
    assert error.count("\n") == 1
    assert before == (tiny.annotations.read_bytes(), names["png"].read_bytes())


def test_a_damaged_map_is_named(tiny, capsys):
    (tiny.pngs / "map3.png").write_bytes(b"no map")

    assert stats("--annotations", tiny.annotations) == 1

    error = capsys.readouterr().err
    assert "map3.png: image 103: not a PNG" in error
    assert error.count("\n") == 1


def test_counting_and_the_page_need_no_torch(tiny, tmp_path):
    tokens = ["--annotations", str(tiny.annotations), "--images", str(tiny.images)]
    program = (
        "import sys; from jsisnet.cli.app import run\n"
        f"code = run(['data', 'stats', *{tokens!r}, '--out', {str(tmp_path / 'out')!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_the_help_has_an_example(capsys):
    assert run(["data", "stats", "--help"]) == 0

    text = capsys.readouterr().out
    assert text.startswith("Usage: jsisnet data stats [--format FORMAT] [OPTIONS]")
    assert "\n    jsisnet data stats --annotations panoptic_val2017.json" in text


def test_images_with_errors_are_skipped_and_listed(tiny, tmp_path, capsys):
    sorted(tiny.annotations.with_suffix("").iterdir())[1].write_bytes(b"no PNG")
    location = ["--annotations", str(tiny.annotations), "--images", str(tiny.images)]
    command = ["data", "stats", *location, "--out", str(tmp_path), "--processes", "2"]

    assert run(command) == 1
    assert "images:" not in capsys.readouterr().out
    assert run([*command, "--keep-going"]) == 1

    streams = capsys.readouterr()
    assert streams.out.startswith("images: 5 ")
    assert "not a PNG" in streams.err
    assert streams.err.endswith("jsisnet: skipped 1 image with errors\n")
    assert (tmp_path / "index.html").is_file()


def test_anchors_of_a_configuration_are_measured_and_fitted_ones_printed_as_yaml(
    tiny, tmp_path, capsys
):
    path = tmp_path / "numbers.json"

    tokens = ("--annotations", tiny.annotations, "--anchors", "tiny.yaml", "--json", path)
    assert stats(*tokens) == 0

    found = json.loads(path.read_text())["anchors"]
    given, fitted = found["given"], found["fitted"]
    assert (found["input"], given["sizes"]) == ([128, 192], [20, 32, 48, 76])
    assert given["reached"]["all"]["things"] == 14
    assert fitted["reached"]["all"]["recall"] >= given["reached"]["all"]["recall"]
    printed = capsys.readouterr().out.partition("\nnetwork:\n")[2]
    assert yaml.safe_load(printed)["anchors"] == {
        "sizes": fitted["sizes"],
        "ratios": fitted["ratios"],
    }


def test_anchors_of_a_data_set_without_things_are_not_fitted(tiny, capsys):
    content = json.loads(tiny.annotations.read_text())
    for category in content["categories"]:
        category["isthing"] = 0
    tiny.annotations.write_text(json.dumps(content))

    assert stats("--annotations", tiny.annotations, "--anchors", "tiny.yaml") == 0

    assert "\nnetwork:\n" not in capsys.readouterr().out
