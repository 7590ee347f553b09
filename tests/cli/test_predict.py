"""The command `predict`: where photos come from, what is written, and what is printed."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toy_engine


@pytest.fixture(autouse=True)
def folder(toy_folder):
    """Work in a folder with two photos."""
    Image.new("RGB", (30, 20), "white").save("sky.png")
    Image.new("RGB", (20, 40), "red").save("car.jpg")
    return toy_folder


@pytest.fixture
def interrupted(monkeypatch, predict):
    """Return a function that interrupts the command after its first photo."""

    def called(*arguments):
        from jsisnet.cli.photos import _View

        def stop(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(_View, "photo", stop)
            return predict(*arguments)

    return called


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def listed(folder):
    described = json.loads((folder / "predictions.json").read_text())
    return [annotation["image_id"] for annotation in described["annotations"]]


def test_one_photo_needs_no_options(predict, folder):
    code, out, error = predict("car.jpg")

    assert (code, error) == (0, "")
    first, last = out.splitlines()
    assert first.startswith("car.jpg: 20 x 40, 1 person (0.")
    assert last.startswith("Segmented 1 image: 1 segment in 0.")
    assert last.endswith(f"overlay in {Path('runs/predict/car_overlay.jpg')}")
    assert names(folder / "runs/predict") == ["car.png", "car_overlay.jpg", "predictions.json"]


def test_each_run_gets_a_folder_of_its_own(predict, folder):
    for _ in range(3):
        assert predict("sky.png")[0] == 0
    (folder / "runs/predict_10").mkdir()
    (folder / "runs/predictions").mkdir()

    assert predict("sky.png")[0] == 0

    assert names(folder / "runs") == [
        "predict",
        "predict_10",
        "predict_11",
        "predict_2",
        "predict_3",
        "predictions",
    ]


def test_an_interrupted_run_is_resumed_in_its_folder(interrupted, predict, folder):
    code, _, error = interrupted("sky.png", "car.jpg")
    assert code == 130
    assert error == "jsisnet: interrupted after 0 of 2 images; rerun the same command to resume\n"

    code, out, _ = predict("sky.png", "car.jpg")

    assert code == 0
    assert out.startswith(("Already complete: 2 images, ", "Segmented 2 images, 1 of them before"))
    assert names(folder / "runs") == ["predict"]
    assert listed(folder / "runs/predict") == ["sky", "car"]


@pytest.mark.parametrize(
    "other", [["sky.png", "car.jpg", "--no-overlay"], ["sky.png", "car.jpg", "--overwrite"]]
)
def test_another_command_does_not_resume_it(interrupted, predict, folder, other):
    interrupted("sky.png", "car.jpg")

    assert predict(*other)[0] == 0

    assert names(folder / "runs") == ["predict", "predict_2"]


def test_other_photos_do_not_resume_it(interrupted, predict, folder):
    interrupted("sky.png", "car.jpg")
    Image.new("RGB", (3, 3)).save("new.png")

    assert predict("new.png")[0] == 0

    assert names(folder / "runs") == ["predict", "predict_2"]


def test_another_command_into_the_same_folder_is_refused(predict):
    predict("sky.png", "-o", "out")

    code, _, error = predict("sky.png", "-o", "out", "--min-score", "0.9")

    assert code == 1
    assert error.count("\n") == 1
    assert "out: holds results of another model, settings or formats" in error
    assert predict("sky.png", "-o", "out", "--min-score", "0.9", "--overwrite")[0] == 0


def test_quiet_prints_errors_only(predict):
    assert predict("sky.png", "-q") == (0, "", "")

    code, out, error = predict("sky.png", "missing.png", "--quiet")

    assert (code, out, error) == (1, "", "jsisnet: missing.png: no image found\n")


def test_only_some_classes_are_segmented(predict, folder):
    code, out, _ = predict("sky.png", "car.jpg", "--classes", "sky,person", "-o", "out")

    assert code == 0
    assert "sky.png: 30 x 20, sky (" in out
    assert "car.jpg: 20 x 40, 1 person (" in out
    assert names(folder / "out")


def test_an_unknown_class_is_named(predict):
    code, _, error = predict("sky.png", "--classes", "persn")

    assert code == 1
    assert "No class named 'persn'. Did you mean 'person'?" in error


def test_the_minimum_score_reaches_the_settings(monkeypatch, predict):
    seen = []
    monkeypatch.setattr(
        toy_engine, "open_toy", lambda _, options: seen.append(options) or toy_engine.Toy()
    )

    assert predict("sky.png", "--min-score", "0.25")[0] == 0

    assert seen[0].settings["merge"]["min_score"] == 0.25
    assert seen[0].settings["network"] == {"detection": {"min_score": 0.25}}


def test_files_of_annotation_tools_have_folders_of_their_own(predict, folder):
    code, _, _ = predict(
        *("sky.png", "car.jpg", "-o", "out", "--no-overlay"),
        *("--format", "coco,labelme", "--format", "label-studio,cvat"),
    )

    assert code == 0
    assert names(folder / "out") == [
        *("car.png", "cvat", "label-studio", "labelme", "predictions.json", "sky.png")
    ]
    assert names(folder / "out/cvat") == ["car.xml", "sky.xml"]
    assert names(folder / "out/label-studio") == ["car.json", "sky.json"]
    labelme = folder / "out/labelme/car.json"
    described = json.loads(labelme.read_text())
    assert (labelme.parent / described["imagePath"]).samefile("car.jpg")
    assert [shape["label"] for shape in described["shapes"]] == ["person"]


def test_a_tool_alone_needs_no_maps(predict, folder):
    code, out, _ = predict("sky.png", "-o", "out", "--no-overlay", "--format", "labelme")

    assert code == 0
    assert names(folder / "out") == ["labelme"]
    assert out.endswith(f"map in {Path('out/labelme/sky.json')}\n")


def test_an_unknown_format_is_named(predict):
    code, _, error = predict("sky.png", "--format", "labelmi")

    assert code == 1
    assert "format is 'labelmi'. Did you mean 'labelme'?" in error


def test_the_drawing_has_options(predict, folder):
    predict("sky.png", "-o", "plain", "--opacity", "0")
    predict("sky.png", "-o", "strong", "--opacity", "1", "--no-names")
    predict("sky.png", "-o", "one", "--only", "person")

    pictures = [
        np.asarray(Image.open(folder / name / "sky_overlay.jpg"))
        for name in ("plain", "strong", "one")
    ]
    assert pictures[0].mean() > pictures[1].mean()
    assert pictures[2].mean() > pictures[1].mean()


def test_a_zip_is_read_in_place(predict, folder):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("sky.png", "first/a.png")
        archive.write("car.jpg", "second/a.jpg")
        archive.write("car.jpg", "__MACOSX/._a.jpg")
        archive.writestr("readme.txt", "no photo")
        archive.writestr("empty.jpg", "")

    code, out, error = predict("photos.zip", "-o", "out")

    assert code == 1
    assert error == "jsisnet: photos.zip/empty.jpg: empty; expected an image\n"
    assert "photos.zip/second/a.jpg: 20 x 40, 1 person" in out
    assert listed(folder / "out") == ["a", "a_2"]
    assert "Segmented 2 of 3 images" in out


@pytest.mark.parametrize("name", ["../escape.png", "/tmp/escape.png", "a/../../escape.png"])
def test_a_zip_whose_paths_lead_out_of_it_is_refused(predict, folder, name):
    with zipfile.ZipFile("bad.zip", "w") as archive:
        archive.writestr(name, Path("sky.png").read_bytes())

    code, _, error = predict("bad.zip", "sky.png", "-o", "out")

    assert code == 1
    assert error.count("\n") == 1
    assert "expected paths that stay inside the zip" in error
    assert listed(folder / "out") == ["sky"]


def test_a_zip_bomb_is_refused(predict, folder, monkeypatch):
    monkeypatch.setattr("jsisnet.files.archives._MAX_BYTES", 10_000)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(20_000))
        archive.write("sky.png")

    code, _, error = predict("bomb.zip", "-o", "out")

    assert code == 1
    assert error == "jsisnet: bomb.zip/bomb.png: larger than 10,000 bytes\n"
    assert listed(folder / "out") == ["sky"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4nonsense"])
def test_a_damaged_zip_is_named(predict, content):
    Path("bad.zip").write_bytes(content)

    code, _, error = predict("bad.zip")

    assert code == 1
    assert error.startswith("jsisnet: bad.zip: neither a folder nor a readable zip")
    assert error.count("\n") == 1


def test_a_photo_comes_from_standard_input(predict, folder, monkeypatch):
    content = (folder / "car.jpg").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    code, out, error = predict("-", "-o", "out")

    assert (code, error) == (0, "")
    assert out.startswith("standard input: 20 x 40, 1 person")
    assert names(folder / "out") == ["predictions.json", "stdin.png", "stdin_overlay.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input: empty; expected an image"),
        (b"text", "standard input: can't be read as an image (none of JPEG, PNG"),
    ],
)
def test_standard_input_without_a_photo_is_reported(predict, monkeypatch, content, message):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    code, _, error = predict("-", "-o", "out")

    assert code == 1
    assert error.startswith(f"jsisnet: {message}")
    assert error.count("\n") == 1


def test_results_beside_the_photos_are_no_photos(predict, folder):
    (folder / "sky.png").rename("sky.bmp")
    assert predict(".", "-o", ".")[0] == 0

    code, out, error = predict(".", "-o", ".")

    assert (code, error) == (0, "")
    assert out.startswith("Already complete: 2 images, 3 segments; ")


def test_several_processes_give_the_same_lines_and_files(predict, folder):
    for number in range(4):
        Image.new("RGB", (30, 20), "red").save(f"{number}.png")

    _, first, _ = predict(".", "-o", "one", "--workers", "1")
    code, second, error = predict(".", "-o", "two", "--workers", "2")

    assert (code, error) == (0, "")
    lines = [
        sorted(line.partition(" (")[0] for line in text.splitlines()[:-1])
        for text in (first, second)
    ]
    assert lines[0] == lines[1]
    for path in (folder / "one").iterdir():
        assert path.read_bytes() == (folder / "two" / path.name).read_bytes()


def test_bombs_and_damaged_photos_are_one_line_each(predict, folder):
    Image.new("L", (60_000, 4)).save("wide.png")
    (folder / "cut.jpg").write_bytes((folder / "car.jpg").read_bytes()[:300])
    (folder / "text.jpg").write_text("no photo")
    (folder / "empty.png").touch()

    code, out, error = predict(".", "-o", "out")

    assert code == 1
    assert [line.split(":")[1].strip() for line in error.splitlines()] == [
        *("cut.jpg", "empty.png", "text.jpg")
    ]
    assert "Segmented 3 of 6 images" in out
    assert listed(folder / "out") == ["car", "sky", "wide"]


def test_names_that_a_line_can_not_hold_are_escaped(predict, folder):
    (folder / "car.jpg").rename("new\nline\x1b[31m.jpg")
    (folder / "sky.png").rename("\udcff\n.png")
    Path("\udcff\n.png").write_bytes(b"")

    code, out, error = predict(".")

    assert code == 1
    assert out.splitlines()[0].startswith(r"'new\nline\x1b[31m.jpg': 20 x 40, ")
    assert error == "jsisnet: '\\udcff\\n.png': can't be read as an image (it is empty)\n"


def test_unknown_classes_of_the_drawing_are_refused_at_once(predict, folder):
    code, out, error = predict("car.jpg", "sky.png", "--only", "persn")

    assert (code, out) == (1, "")
    assert error == "jsisnet: no class is named 'persn'; did you mean 'person'?\n"
    assert not (folder / "runs" / "predict").exists()


def test_closed_standard_input_is_reported(predict, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)

    assert predict("-") == (1, "", "jsisnet: standard input: empty; expected an image\n")


def test_a_file_in_place_of_the_folder_is_named(predict):
    assert predict("car.jpg", "-o", "sky.png") == (
        1,
        "",
        "jsisnet: sky.png: a file; expected a folder\n",
    )


def test_the_place_of_the_results_is_a_pattern(predict, folder):
    (folder / "car.jpg").rename("l.jpg")

    _, out, _ = predict("l.jpg", "sky.png", "--format", "labelme", "--no-overlay")

    assert out.splitlines()[-1].endswith("maps in runs/predict/labelme/*.json")


def test_a_photo_that_is_gone_from_its_zip_fails_alone(predict, monkeypatch):
    from jsisnet.inference.photo_files import Photo

    pack("photos.zip", "car.jpg", "sky.png")
    read = Photo.read

    def replacing(photo):
        if "car" in photo.title:
            pack("photos.zip", "car.jpg")
        return read(photo)

    monkeypatch.setattr(Photo, "read", replacing)

    code, out, error = predict("photos.zip", "--workers", "1")

    assert (code, error) == (
        1,
        "jsisnet: photos.zip/sky.png: No such file in the zip, the zip holds car.jpg\n",
    )
    assert "Segmented 1 of 2 images" in out
    assert listed(Path("runs", "predict")) == ["car"]


def test_photos_that_vanish_once_they_are_done_keep_their_results(predict, monkeypatch):
    from jsisnet.inference.results_folder import ResultsFolder

    add = ResultsFolder.add

    def removing(results, entry):
        add(results, entry)
        Path(entry["file_name"]).unlink()

    monkeypatch.setattr(ResultsFolder, "add", removing)

    assert predict("car.jpg", "sky.png", "--workers", "1")[0] == 0
    assert listed(Path("runs", "predict")) == ["car", "sky"]
    assert Path("runs", "predict", "car.png").is_file()


def pack(archive, *names):
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.write(name)


def test_large_photos_are_segmented_in_tiles(predict, folder):
    code, out, error = predict(
        "car.jpg", "--tile-size", "16", "--overlap", "4", "-o", "maps", "--workers", "1"
    )

    assert (code, error) == (0, "")
    first, last = out.splitlines()
    assert first.startswith("car.jpg: 20 x 40, 1 person (")
    assert last.endswith(f"overlay in {Path('maps/car_overlay.jpg')} (at most 8 megapixels)")
    assert names(folder / "maps") == ["car.png", "car_overlay.jpg", "predictions.json"]


def test_tiles_go_with_the_format_coco_alone(predict):
    code, _, error = predict("car.jpg", "--tiles", "--format", "labelme")

    assert code == 1
    assert "labelme can't be written of pictures in tiles" in error
