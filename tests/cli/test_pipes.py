"""A pipe or device in place of a file is refused, and never read."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.files.photos import read_header, read_image
from jsisnet.files.png import read_ids, read_values
from jsisnet.inference.model_folder import read_description, weights_digest
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import read_config
from jsisnet.training.metrics_file import read_entries

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such pipes")

READERS = {
    "photo.jpg": read_image,
    "map.png": read_ids,
    "values.png": read_values,
    "model.json": lambda path: read_description(path.parent),
    "model.safetensors": lambda path: weights_digest(path.parent),
    "checkpoint.pt": Checkpoint.load,
    "street.yaml": read_config,
    "metrics.jsonl": read_entries,
}


@pytest.fixture
def pipe():
    """Return a function that makes a pipe, which is empty for those who read it all the same."""
    made = []

    def at(path):
        os.mkfifo(path)
        made.append(path)
        threading.Thread(target=lambda: path.open("wb").close(), daemon=True).start()
        return path

    yield at
    for path in made:
        with suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused(tmp_path, pipe, name):
    with pytest.raises((ValueError, OSError), match="a pipe; expected a regular file; write"):
        READERS[name](pipe(tmp_path / name))


def test_a_photo_that_is_a_pipe_has_no_header(tmp_path, pipe):
    assert read_header(pipe(tmp_path / "photo.jpg")) is None


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_a_mapping_of_classes_is_a_file(tmp_path, pipe, capsys, kind):
    data = factories.tiny_dataset(tmp_path / "tiny", count=1)
    mapping = pipe(tmp_path / "classes.yaml") if kind == "a pipe" else Path(os.devnull)
    words = ["--annotations", str(data.annotations), "--out", str(tmp_path / "out")]

    assert run(["data", "merge-classes", "--mapping", str(mapping), *words]) == 1

    found = f"jsisnet: {mapping}: can't be read: {kind}; expected a regular file"
    assert capsys.readouterr().err.startswith(found)


def test_an_archive_to_check_is_a_file(tmp_path, pipe, capsys):
    data = factories.tiny_dataset(tmp_path / "tiny", count=1)
    archive = pipe(tmp_path / "maps.zip")

    assert run(["submit", "--check", str(archive), "--image-info", str(data.annotations)]) == 1

    found = f"jsisnet: {archive}: a pipe; expected a regular file"
    assert capsys.readouterr().err.startswith(found)


def test_a_map_to_pack_is_a_file(tmp_path, pipe, capsys):
    data = factories.tiny_dataset(tmp_path / "tiny", count=1)
    words = ["--image-info", str(data.annotations), "--predictions", str(data.annotations)]
    (data.pngs / "map0.png").unlink()
    png = pipe(data.pngs / "map0.png")

    assert run(["submit", *words, "--split", "a", "--name", "b", "--out", str(tmp_path)]) == 1

    assert capsys.readouterr().err.startswith(f"jsisnet: {png}: a pipe; expected a regular file")


def test_two_lists_of_annotations_are_refused(tmp_path, capsys):
    data = factories.tiny_dataset(tmp_path / "tiny", count=1)
    text = json.dumps({**json.loads(data.annotations.read_text())})
    data.annotations.write_text(text[:-1] + ', "annotations": []}')
    words = ["--annotations", str(data.annotations), "--out", str(tmp_path / "out")]

    assert run(["data", "convert", "--from", "coco", "--to", "two-channel", *words]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"jsisnet: {data.annotations}: invalid JSON: at byte ")
    assert error.endswith(': duplicate name "annotations"\n')
