"""The command `predict` with clips: which arguments they are, and what is printed."""

from pathlib import Path

import numpy as np
import pytest
from moving_shapes import write
from PIL import Image


@pytest.fixture(autouse=True)
def folder(toy_folder):
    """Work in a folder with a photo and two clips."""
    (toy_folder / "more").mkdir()
    Image.new("RGB", (30, 20), "red").save("car.png")
    frames = [np.full((16, 32, 3), 255, np.uint8)] * 3
    write(Path("a.mp4"), frames)
    write(Path("more/a.mkv"), frames)
    return toy_folder


def test_clips_and_photos_are_mixed(predict, folder):
    code, out, error = predict("a.mp4", "car.png", "more/*.mkv", "-o", "out")

    assert (code, error) == (0, "")
    first, second, *_ = out.splitlines()
    assert first.startswith("a.mp4: segmented 3 frames (")
    assert second.endswith(f"results in {Path('out/a_2')}")
    assert {path.name for path in (folder / "out").iterdir()} >= {"a", "a_2", "car.png"}
    assert (folder / "out/a_2/overlay.mp4").is_file()


def test_a_clip_needs_no_folder_and_a_finished_one_is_not_segmented_again(predict, folder):
    assert predict("a.mp4", "-o", "out", "-q") == (0, "", "")
    assert predict("a.mp4", "-o", "out")[1].startswith("a.mp4: already complete, 3 frames in")
    assert predict("a.mp4", "--stride", "2", "-o", "out")[0] == 1
    assert predict("a.mp4", "--stride", "2", "-o", "out", "--overwrite", "-q") == (0, "", "")
    assert predict("a.mp4", "--no-overlay", "--format", "jsonl", "-q") == (0, "", "")
    names = {path.name for path in (folder / "runs/predict/a").iterdir()}
    assert names == {".video.jsonl", "predictions.jsonl"}


def test_a_bad_clip_is_told_and_the_others_follow(predict, folder):
    (folder / "bad.mp4").write_text("text")

    code, out, error = predict("bad.mp4", "a.mp4", "-o", "out")

    assert code == 1
    assert error.startswith("jsisnet: bad.mp4: can't be opened (")
    assert error.count("\n") == 1
    assert out.startswith("a.mp4: segmented 3 frames")
    assert [path.name for path in (folder / "out").iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "--format", "cvat"], "--format is cvat; expected coco or jsonl for clips"),
        (["a.mp4", "car.png", "--format", "jsonl"], "expected coco for clips and photos together"),
        (["a.mp4", "--start", "3", "--end", "2"], "end is 2; expected more than start, 3 s"),
        (["a.mp4", "--cluster", "local"], "a.mp4: a clip; segment clips without --cluster"),
        (["a.mp4", "--tiles"], "--tiles is for photos, and only clips are given; leave it out"),
        (["a.mp4", "--overlap", "8"], "--tiles is for photos, and only clips are given"),
        (["a.mp4", "--raw", "raw"], "--raw is for photos, and only clips are given; leave it out"),
        (["missing.mp4"], "missing.mp4: No such file or directory"),
        (["--stream", "ftp://host/a"], "ftp://host/a: not a stream; expected a URL such as rtsp"),
        (["https://host/a.mp4"], "https://host/a.mp4: a URL; give it with --stream"),
    ],
)
def test_what_can_not_be_done_is_refused_in_a_sentence(predict, arguments, message):
    code, out, error = predict(*arguments, "-o", "out")

    assert (code, out) == (1, "")
    assert message in error
    assert error.count("\n") == 1


def test_a_name_too_long_for_those_of_the_results_is_refused(predict, folder):
    long = f"{'é' * 122}.mp4"
    Path("a.mp4").rename(long)

    code, _, error = predict(long, "-o", "out")

    assert code == 1
    assert error.endswith("file systems limit to 255 bytes; rename the clip\n")
    assert not (folder / "out").exists()
    assert predict(long, "-o", "out", "--format", "jsonl", "-q") == (0, "", "")


@pytest.mark.parametrize("name", ["..mp4", "...mp4"])
def test_no_name_of_a_clip_leads_out_of_the_folder(predict, folder, name):
    Path("a.mp4").rename(name)

    assert predict(name, "-o", "out", "-q") == (0, "", "")

    assert [path.name for path in (folder / "out").iterdir()] == [name]
    assert {path.name for path in folder.iterdir()} == {"car.png", "more", "out", name}
