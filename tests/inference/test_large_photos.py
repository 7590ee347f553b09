"""Pictures of any size: segmented in tiles, with the result of the whole at once."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tifffile
from PIL import Image

import color_engine
from jsisnet.files.png import read_ids
from jsisnet.inference import large_photos
from jsisnet.inference.batch import BatchConfig, Listener, predict_photos
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.photo_job import OutputConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.results_folder import JOURNAL
from jsisnet.inference.seams import TileMap, join
from jsisnet.inference.tiles import TileConfig
from jsisnet.panoptic import Segment

TILES = TileConfig(size=(32, 32), overlap=8)


def picture(size, seed=0):
    """Return a picture of stuff and of things, each of which has a colour of its own."""
    random = np.random.default_rng(seed)
    height, width = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2] = 4, 0, 0
    pixels[height // 2 :, : width // 3] = 2, 0, 0
    for number in range(1, 13):
        y, x = random.integers(0, height), random.integers(0, width)
        rows, columns = random.integers(3, 60, 2)
        pixels[y : y + rows, x : x + columns] = 2 * random.integers(3) + 1, number, 0
    return pixels


def segment(path, out, **config):
    config.setdefault("tiles", TILES)
    listener = config.pop("listener", None)
    photos = find_photos([str(path)]).photos
    predictor = Predictor(color_engine.Colors())
    return predict_photos(photos, predictor, out, BatchConfig(**config), listener)


def described(folder):
    return json.loads((folder / "predictions.json").read_text())


def as_written(folder, name):
    """Return what is known of each segment, in no order, and the colour of each pixel."""
    (annotation,) = described(folder)["annotations"]
    ids = read_ids(folder / f"{name}.png")
    infos = annotation["segments_info"]
    assert [info["id"] for info in infos] == list(range(1, len(infos) + 1))
    return ids, sorted(
        tuple(info[key] for key in ("category_id", "area", "bbox", "isthing")) for info in infos
    )


@pytest.mark.parametrize("size", [(150, 201), (1, 1), (5, 9), (32, 32), (33, 31), (1, 3000)])
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_map_in_tiles_equals_that_of_the_whole(size, suffix, tmp_path):
    path = tmp_path / f"large.{suffix}"
    pixels = picture(size)
    Image.fromarray(pixels).save(path)

    tiled = segment(path, tmp_path / "tiled")
    segment(path, tmp_path / "whole", tiles=None)

    ids, infos = as_written(tmp_path / "tiled", "large")
    expected, expected_infos = as_written(tmp_path / "whole", "large")
    assert tiled.segmented == 1
    assert infos == expected_infos
    pairs = np.unique(np.stack([ids, expected], axis=2).reshape(-1, 2), axis=0)
    assert len(pairs) == len(np.unique(ids)) == len(np.unique(expected))
    assert np.array_equal(ids == 0, expected == 0)
    names = {found.name for found in (tmp_path / "tiled").iterdir()}
    assert names == {JOURNAL, "large.png", "large_overlay.jpg", "predictions.json"}


def test_a_row_of_many_pixels_is_segmented(tmp_path):
    path = tmp_path / "row.tif"
    pixels = picture((1, 100_000))
    tifffile.imwrite(path, pixels, photometric="rgb")

    segment(path, tmp_path / "out", tiles=TileConfig(size=(64, 4096)))

    ids, _ = as_written(tmp_path / "out", "row")
    assert ids.shape == (1, 100_000)
    assert np.array_equal(ids == 0, ~pixels.any(axis=2))
    with Image.open(tmp_path / "out" / "row_overlay.jpg") as overlay:
        assert overlay.size == (50_000, 1)


def test_overlay_is_reduced_to_a_size_that_people_can_open(tmp_path, monkeypatch):
    monkeypatch.setattr(large_photos, "MAX_OVERLAY_PIXELS", 3000)
    monkeypatch.setattr(large_photos, "_WINDOW", 20)
    path = tmp_path / "large.png"
    pixels = np.zeros((100, 150, 3), np.uint8)
    pixels[:50] = 4, 200, 80
    Image.fromarray(pixels).save(path)

    segment(path, tmp_path / "out")
    plain = OutputConfig(overlay=None)
    segment(path, tmp_path / "plain", outputs=plain)

    with Image.open(tmp_path / "out" / "large_overlay.jpg") as overlay:
        assert overlay.size == (50, 34)
    assert not (tmp_path / "plain" / "large_overlay.jpg").exists()


def test_processes_share_the_tiles(tmp_path):
    path = tmp_path / "large.tif"
    Image.fromarray(picture((100, 90))).save(path)

    segment(path, tmp_path / "one")
    segment(path, tmp_path / "two", workers=2)

    for name in ("large.png", "large_overlay.jpg", "predictions.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


class Stopped(Listener):
    """Listener that interrupts a run after some tiles, and counts them."""

    def __new__(cls, at, error=KeyboardInterrupt):
        seen = []

        def note(done, total):
            seen.append((done, total))
            if done == at:
                raise error

        listener = Listener(on_tile=note)
        return listener, seen


def test_interrupted_run_resumes_at_its_tile(tmp_path):
    path = tmp_path / "large.tif"
    Image.fromarray(picture((100, 90))).save(path)
    out = tmp_path / "out"

    listener, _ = Stopped(7)
    with pytest.raises(KeyboardInterrupt):
        segment(path, out, listener=listener)
    assert not (out / "large.png").exists()
    listener, seen = Stopped(None)
    segment(path, out, listener=listener)
    segment(path, tmp_path / "other")

    assert seen[0][0] >= 7
    assert seen[-1][0] == seen[-1][1] == 16
    for name in ("large.png", "large_overlay.jpg", "predictions.json"):
        assert (out / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_tiles_of_another_picture_or_grid_are_not_reused(tmp_path):
    path = tmp_path / "large.tif"
    Image.fromarray(picture((100, 90))).save(path)
    out = tmp_path / "out"
    listener, _ = Stopped(7)
    with pytest.raises(KeyboardInterrupt):
        segment(path, out, listener=listener)

    Image.fromarray(picture((100, 90), seed=1)).save(path)
    listener, seen = Stopped(None)
    segment(path, out, listener=listener)

    assert seen[0][0] == 0
    assert not [found for found in out.iterdir() if found.is_dir()]


def test_killed_run_resumes(tmp_path):
    path, out = tmp_path / "large.tif", tmp_path / "out"
    Image.fromarray(picture((100, 90))).save(path)
    script = f"""
        import os, signal, sys
        sys.path[:0] = {sys.path!r}
        import color_engine
        from pathlib import Path
        from test_large_photos import segment, Listener
        kill = lambda done, total: done == 9 and os.kill(os.getpid(), signal.SIGKILL)
        segment(Path({str(path)!r}), Path({str(out)!r}), listener=Listener(on_tile=kill))
    """
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}  # noqa: PTH120 - a path of the system's
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, env=where)

    listener, seen = Stopped(None)
    segment(path, out, listener=listener)
    segment(path, tmp_path / "other")

    assert killed.returncode == -signal.SIGKILL
    assert seen[0][0] >= 8
    assert (out / "large.png").read_bytes() == (tmp_path / "other" / "large.png").read_bytes()


def test_bad_pictures_are_told_and_the_others_segmented(tmp_path):
    good, cut = tmp_path / "good.tif", tmp_path / "cut.tif"
    tifffile.imwrite(good, picture((50, 60)), photometric="rgb", rowsperstrip=4)
    cut.write_bytes(good.read_bytes()[:-900])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    errors = []

    summary = segment(tmp_path, tmp_path / "out", listener=Listener(on_photo=errors.append))

    assert (summary.segmented, summary.failed) == (1, 2)
    for outcome in errors:
        if outcome.error is not None:
            assert str(outcome.error).startswith(str(outcome.photo.source))
            assert "\n" not in str(outcome.error)
    assert sorted(found.name for found in (tmp_path / "out").iterdir()) == [
        JOURNAL, "good.png", "good_overlay.jpg", "predictions.json"
    ]  # fmt: skip


def test_a_tile_that_is_damaged_is_told_once(tmp_path):
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, picture((100, 90)), photometric="rgb", rowsperstrip=8, compression=8)
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[5]
    content = bytearray(path.read_bytes())
    content[start : start + 12] = bytes(12)
    path.write_bytes(content)
    outcomes = []

    segment(path, tmp_path / "out", listener=Listener(on_photo=outcomes.append))

    (outcome,) = outcomes
    assert str(outcome.error).startswith(f"{path}: can't be read as an image")
    assert str(outcome.error).endswith("other tiles failed)")
    assert not (tmp_path / "out" / "damaged.png").exists()


def test_other_formats_are_refused_at_once():
    with pytest.raises(ValueError, match="labelme can't be written of pictures in tiles"):
        BatchConfig(outputs=OutputConfig(formats=("coco", "labelme")), tiles=TILES)


def test_what_is_no_file_on_disk_is_refused(tmp_path):
    photos = find_photos(["-"], lambda _: b"x").photos
    outcomes = []

    predict_photos(
        photos,
        Predictor(color_engine.Colors()),
        tmp_path / "out",
        BatchConfig(tiles=TILES),
        Listener(on_photo=outcomes.append),
    )

    assert "not a file on disk" in str(outcomes[0].error)


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_those_of_the_tiles_they_belong_to(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(large_photos, "_STRIP", 100)
    random = np.random.default_rng(seed)
    grid = TileConfig(size=(16, 20), overlap=8).grid((59, 70), None)
    segments = [Segment(label=0, isthing=False), Segment(label=1, isthing=False)]
    maps = {
        (i, j): TileMap(row, column, random.integers(0, 3, (16, 20)).astype(np.uint32))
        for i, row in enumerate(grid.rows)
        for j, column in enumerate(grid.columns)
    }
    expected = np.zeros(grid.size, np.uint32)

    found = join(grid, lambda i, j: maps[i, j], segments, 0.5)
    rows = large_photos._rows_of_ids(grid, lambda i, j: maps[i, j], found, tmp_path)
    for (i, j), tile in maps.items():
        window = np.ix_(tile.rows.whole, tile.columns.whole)
        owned = found.cuts.owned(i, j)
        expected[window] = np.where(owned, found.ids[tile.numbers], expected[window])

    assert np.array_equal(np.concatenate([strip.copy() for strip in rows]), expected)
    assert found.cuts.across.any()


@pytest.mark.parametrize(("size", "count"), [((30, 30), 1), ((50, 70), 2), ((100, 90), 4)])
def test_few_tiles_take_few_processes(size, count, tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.fromarray(picture(size)).save(path)
    taken = []

    def predicted(tiles, predictor, folder, config, listener):
        taken.append(config.workers)
        config = dataclasses.replace(config, workers=1)
        return predict_photos(tiles, predictor, folder, config, listener)

    monkeypatch.setattr(large_photos, "predict_photos", predicted)
    segment(path, tmp_path / "out", workers=16)

    assert taken == [count]


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_picture_that_changes_meanwhile_is_told(suffix, tmp_path):
    path, out = tmp_path / f"large.{suffix}", tmp_path / "out"
    Image.fromarray(picture((100, 90))).save(path)
    outcomes = []

    def change(done, total):
        if done == total:
            Image.fromarray(picture((100, 90), seed=1)).save(path)
            os.utime(path, (1, 1))

    segment(path, out, listener=Listener(on_tile=change, on_photo=outcomes.append))

    assert "it changed while it was segmented; run it again" in str(outcomes[0].error)
    assert not (out / "large.png").exists()
