"""Photos and results in an object store, here fsspec's in memory."""

import json

import numpy as np
import pytest
from PIL import Image

import toy_engine
from jsisnet.cli.app import run
from jsisnet.cli.cluster import local_path
from jsisnet.inference.batch import BatchConfig, Listener, predict_photos
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.predictor import Predictor
from jsisnet.scale import find_stored, predict_to_store

fsspec = pytest.importorskip("fsspec", reason="needs the extra scale")

OUT = "memory://out/maps"


@pytest.fixture(autouse=True)
def store(tmp_path):
    """Return a store with four photos in a folder, which are on the disk, too, and other files."""
    system = fsspec.filesystem("memory")
    (tmp_path / "photos").mkdir()
    for number in range(4):
        pixels = np.full((20, 30, 3), 200, np.uint8)
        pixels[5 : 5 + number, 3:20] = 250, 0, 0
        path = tmp_path / "photos" / f"{number}.png"
        Image.fromarray(pixels).save(path)
        system.pipe_file(f"/photos/{number}.png", path.read_bytes())
    system.pipe_file("/photos/notes.txt", b"no photo")
    system.pipe_file("/photos/more/9.png", path.read_bytes())
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def here(photos, job, _):
    """Segment photos in this process, which alone sees the store."""
    return map(job.segment, photos)


def segment(*urls, listener=None, predictor=None, **config):
    photos = find_photos(urls or ["memory://photos"], find_stored=find_stored).photos
    predictor = predictor or Predictor(toy_engine.Toy())
    return predict_to_store(photos, predictor, OUT, BatchConfig(segment=here, **config), listener)


def contents(system):
    root = "/out/maps/"
    return {path.removeprefix(root): system.cat_file(path) for path in system.find(root)}


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("memory://photos", ["0", "1", "2", "3"]),
        ("memory://photos/2.png", ["2"]),
        ("memory://photos/**/9*", ["9"]),
    ],
)
def test_a_url_stands_for_a_photo_a_folder_or_a_pattern(url, names):
    found = find_photos([url], find_stored=find_stored)

    assert [photo.name for photo in found.photos] == names


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nowhere", "memory://nowhere: no such file or folder in the object store"),
        ("nosuch://photos", "nosuch://photos: Protocol not known"),
        ("memory://photos::memory://more", "a chain of URLs; expected one"),
        ("ftp://me:secret@host/photos", r"ftp://\.\.\.@host/photos: a URL with a password"),
    ],
)
def test_what_cannot_be_read_is_told(url, message):
    with pytest.raises(ValueError, match=message):
        find_photos([url], find_stored=find_stored)


def test_the_files_equal_those_of_a_folder(store, tmp_path):
    photos = find_photos([str(tmp_path / "photos")]).photos
    predict_photos(photos, Predictor(toy_engine.Toy()), tmp_path / "out")

    summary = segment()

    visible = {name: data for name, data in contents(store).items() if name[0] != "."}
    assert visible == {
        path.name: path.read_bytes()
        for path in (tmp_path / "out").iterdir()
        if path.suffix != ".jsonl"
    }
    assert summary.segmented == 4


def test_an_interrupted_run_resumes(store):
    def stop(outcome):
        if outcome.photo.name == "2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(listener=Listener(on_photo=stop))
    assert "predictions.json" not in contents(store)

    summary = segment()

    assert (summary.segmented, summary.earlier) == (1, 3)
    listed = json.loads(contents(store)["predictions.json"])["annotations"]
    assert [entry["image_id"] for entry in listed] == ["0", "1", "2", "3"]


def test_changed_photos_and_missing_files_are_segmented_again(store):
    segment()
    store.rm_file("/out/maps/1.png")
    store.rm_file("/photos/3.png")
    store.pipe_file("/photos/3.png", store.cat_file("/photos/0.png") + b"more")

    assert segment().segmented == 2


def test_names_that_look_like_patterns_resume(store):
    store.mv("/photos/0.png", "/photos/[1].png")
    segment()

    assert segment().earlier == 4


@pytest.mark.parametrize("damage", [{"stamp": 3}, {"stamp": []}, {"files": [{}]}, {"files": 1}])
def test_a_photo_with_a_damaged_note_is_segmented_again(store, damage):
    segment()
    note = "/out/maps/.predict/1.json"
    store.pipe_file(note, json.dumps(json.loads(store.cat_file(note)) | damage).encode())

    assert (segment().segmented, segment().earlier) == (1, 4)


def test_results_are_not_taken_for_photos():
    segment()

    with pytest.raises(ValueError, match=r"/maps/0\.png: lies in the folder of the results"):
        segment("memory://out/**/*.png")


def test_a_damaged_photo_fails_alone(store):
    store.pipe_file("/photos/1.png", b"nothing")
    told = []

    summary = segment(listener=Listener(on_photo=told.append))

    (failed,) = (outcome for outcome in told if outcome.error is not None)
    assert f"{failed.error}".startswith("memory:///photos/1.png: ")
    assert (summary.segmented, summary.failed) == (3, 1)


def test_results_of_other_settings_are_refused_until_overwritten(store):
    segment()
    other = Predictor(toy_engine.Toy(), classes=["car"])

    with pytest.raises(ValueError, match="another model, settings or formats"):
        segment(predictor=other)

    assert segment(predictor=other, overwrite=True).segmented == 4
    assert sorted(contents(store))[0] == ".predict.json"


def test_results_of_other_photos_are_refused():
    segment()

    with pytest.raises(
        ValueError, match=r"results of other photos, such as memory:///photos/0\.png"
    ):
        segment("memory://photos/more")


def test_a_folder_of_other_files_is_refused(store):
    store.pipe_file("/out/maps/letter.txt", b"mine")

    with pytest.raises(ValueError, match="memory://out/maps: not empty"):
        segment()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/?[0-9].png", "/a/?[0-9].png"),
        ("FILE://localhost/a%20b#1", "/a b#1"),
        ("s3://a/%20", "s3://a/%20"),
    ],
)
def test_the_url_of_a_file_is_a_path(url, path):
    assert local_path(url) == path


def test_the_url_of_a_file_elsewhere_is_refused():
    with pytest.raises(ValueError, match="a file of another machine"):
        local_path("file://elsewhere/a")


def test_without_a_cluster_the_command_accepts_no_url(tmp_path, capsys):
    assert run(["predict", str(tmp_path / "photos"), "-o", OUT]) == 1

    assert "memory://out/maps: a URL; give a folder, or add --cluster" in capsys.readouterr().err
