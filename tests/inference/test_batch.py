"""Runs over many photos: journal, resumption, bad photos and worker processes."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

import toy_engine
from jsisnet.files.atomic import lock_folder
from jsisnet.files.journal import Journal
from jsisnet.files.photos import MAX_JPEG_SIDE
from jsisnet.formats import coco
from jsisnet.inference.batch import BatchConfig, Listener, predict_photos
from jsisnet.inference.photo_files import find_photos
from jsisnet.inference.photo_job import OutputConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.inference.results_folder import JOURNAL, results_in

GREEN = (0, 255, 0)
"""Colour on which the toy engine kills its process, if it is told to."""

PLAIN = OutputConfig(overlay=None)


@pytest.fixture
def photos(tmp_path):
    """Return a folder of six photos, some of them with a red car."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        pixels = np.full((20, 30, 3), 200, np.uint8)
        pixels[5 : 5 + number, 3:20] = 250, 0, 0
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def segment(photos, out, *, listener=None, predictor=None, **config):
    config.setdefault("outputs", PLAIN)
    found = find_photos([str(photos)]).photos
    predictor = predictor or Predictor(toy_engine.Toy())
    return predict_photos(found, predictor, out, BatchConfig(**config), listener)


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def listed(out):
    described = json.loads((out / "predictions.json").read_text())
    return [annotation["image_id"] for annotation in described["annotations"]]


class Interruption:
    """Listener that interrupts a run after a number of photos."""

    def __init__(self, count, error=KeyboardInterrupt):
        self.left, self.error = count, error

    def __call__(self, _):
        self.left -= 1
        if self.left == 0:
            raise self.error


def test_each_photo_gets_a_map_an_overlay_and_an_entry(photos, tmp_path):
    out = tmp_path / "out"

    summary = segment(photos, out, outputs=OutputConfig())

    assert (summary.segmented, summary.earlier, summary.failed) == (6, 0, 0)
    assert listed(out) == list("012345")
    described = coco.read_annotations(out / "predictions.json", pngs=out, predicted=True)
    maps = [coco.read_png(each, described.categories) for each in described.annotations]
    assert sum(len(panoptic.segments) for panoptic in maps) == summary.segments
    for photo in photos.iterdir():
        with Image.open(out / f"{photo.stem}_overlay.jpg") as overlay:
            assert overlay.size == (30, 20)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_resumes_to_the_same_files(photos, tmp_path, workers, error):
    out = tmp_path / "out"
    segment(photos, tmp_path / "whole")

    with pytest.raises(error):
        segment(photos, out, workers=workers, listener=Listener(on_photo=Interruption(2, error)))
    after_interruption = listed(out)
    summary = segment(photos, out, workers=workers)

    assert 2 <= len(after_interruption) < 6
    assert summary.earlier == len(after_interruption)
    assert summary.segmented == 6 - summary.earlier
    assert contents(out) == contents(tmp_path / "whole")


def test_an_interrupted_run_describes_what_it_has_done(photos, tmp_path):
    out = tmp_path / "out"

    with pytest.raises(KeyboardInterrupt):
        segment(photos, out, listener=Listener(on_photo=Interruption(1)))

    described = coco.read_annotations(out / "predictions.json", pngs=out, predicted=True)
    assert described.annotations
    for annotation in described.annotations:
        coco.read_png(annotation, described.categories)


def test_the_results_of_a_killed_run_are_kept_without_a_description(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos, out)
    whole = contents(out)
    lines = whole[JOURNAL].splitlines(keepends=True)
    (out / JOURNAL).write_bytes(b"".join(lines[:3]) + lines[3][:40])
    (out / "predictions.json").unlink()

    assert segment(photos, out).earlier == 2
    assert contents(out) == whole


@pytest.mark.parametrize("lines", [0, 1])
def test_a_journal_that_lost_its_lines_is_written_anew(photos, tmp_path, lines):
    out = tmp_path / "out"
    segment(photos, out)
    whole = contents(out)
    kept = whole[JOURNAL].splitlines(keepends=True)[:lines]
    (out / JOURNAL).write_bytes(b"".join(kept))

    assert segment(photos, out).segmented == 6
    assert contents(out) == whole


def test_a_repeated_run_does_nothing_again(photos, tmp_path):
    segment(photos, tmp_path / "out")
    starts = []

    summary = segment(
        photos, tmp_path / "out", listener=Listener(on_start=lambda *args: starts.append(args))
    )

    assert (summary.segmented, summary.earlier) == (0, 6)
    assert starts == [(6, 6)]


def test_photos_that_were_added_or_changed_are_segmented(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos, out)
    Image.new("RGB", (9, 9)).save(photos / "2.png")
    Image.new("RGB", (9, 9)).save(photos / "25.png")

    summary = segment(photos, out)

    assert (summary.segmented, summary.earlier) == (2, 5)
    assert listed(out) == ["0", "1", "2", "25", "3", "4", "5"]
    with Image.open(out / "2.png") as png:
        assert png.size == (9, 9)


def test_missing_results_are_written_again(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos, out)
    whole = contents(out)
    (out / "3.png").unlink()

    assert segment(photos, out).segmented == 1
    assert contents(out) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": OutputConfig()},
        {"outputs": OutputConfig(overlay=None, formats=("labelme",))},
        {"predictor": Predictor(toy_engine.Toy(), classes=["sky"])},
    ],
)
def test_results_of_another_command_are_not_mixed(photos, tmp_path, change):
    out = tmp_path / "out"
    segment(photos, out)
    before = contents(out)

    with pytest.raises(ValueError, match=r"out: holds results of another model, settings or form"):
        segment(photos, out, **change)
    assert contents(out) == before

    segment(photos, out, overwrite=True, **change)
    segment(photos, tmp_path / "new", **change)
    assert set(contents(out)) - {"predictions.json"} == set(contents(tmp_path / "new")) - {
        "predictions.json"
    }


def test_results_of_other_photos_are_not_mixed(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos / "1.png", out)

    with pytest.raises(ValueError, match=r"results of other photos, such as .*1\.png"):
        segment(photos / "2.png", out)

    segment(photos / "2.png", out, overwrite=True)
    assert set(contents(out)) == {"2.png", "predictions.json", JOURNAL}


def test_overwriting_deletes_no_photo(photos, tmp_path):
    photo = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(photo)
    segment(photo, tmp_path)
    (tmp_path / "a.png").write_bytes((photos / "1.png").read_bytes())

    with pytest.raises(ValueError, match="is one of the photos"):
        predict_photos(
            find_photos([str(photo), str(tmp_path / "a.png")]).photos,
            Predictor(toy_engine.Toy()),
            tmp_path,
            BatchConfig(outputs=PLAIN, overwrite=True),
        )

    assert (tmp_path / "a.png").read_bytes() == (photos / "1.png").read_bytes()


def test_a_run_beside_the_photos_resumes(photos, tmp_path):
    out = tmp_path / "out"
    for photo in list(photos.iterdir()):
        photo.rename(photo.with_suffix(".bmp"))
    segment(photos, out)

    with pytest.raises(KeyboardInterrupt):
        segment(photos / "*.bmp", photos, listener=Listener(on_photo=Interruption(2)))
    segment(photos / "*.bmp", photos)

    assert (photos / "5.png").read_bytes() == (out / "5.png").read_bytes()


@pytest.mark.parametrize("name", ["3.png", "predictions.json"])
def test_files_of_others_are_only_replaced_on_request(photos, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    (out / ".mine.1.part").touch()

    with pytest.raises(ValueError, match="that no earlier run has written"):
        segment(photos, out)
    assert (out / name).read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == sorted([name, ".mine.1.part"])

    segment(photos, out, overwrite=True)
    assert listed(out) == list("012345")
    assert (out / ".mine.1.part").exists()


def test_starting_anew_deletes_all_earlier_results(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos, out)

    segment(photos, out, outputs=OutputConfig(formats=("labelme",), overlay=None), overwrite=True)

    assert {path.name for path in out.iterdir()} == {JOURNAL, "labelme"}


def test_starting_anew_deletes_no_file_outside_the_folder(photos, tmp_path):
    out, moved = tmp_path / "out", tmp_path / "moved.png"
    segment(photos, out)
    (out / "3.png").rename(moved)
    (out / "3.png").symlink_to(moved)

    segment(photos, out, overwrite=True)

    assert moved.is_file()
    assert not (out / "3.png").is_symlink()


def test_a_photo_that_can_no_longer_be_read_loses_its_results(photos, tmp_path):
    out = tmp_path / "out"
    segment(photos, out)
    (photos / "3.png").write_bytes(b"")

    assert segment(photos, out).failed == 1
    assert listed(out) == list("01245")
    assert not (out / "3.png").exists()


def test_results_that_were_written_but_not_noted_are_deleted(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(Journal, "add", interrupted_at_the_second(Journal.add))

    with pytest.raises(KeyboardInterrupt):
        segment(photos / "1.png", out)

    assert not out.exists()


def interrupted_at_the_second(add):
    calls = []

    def added(journal, values):
        calls.append(values)
        if len(calls) > 1:
            raise KeyboardInterrupt
        add(journal, values)

    return added


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_runs_do_not_write_to_one_folder(photos, tmp_path, overwrite):
    out = tmp_path / "out"
    segment(photos, out)
    whole = contents(out)

    with (
        lock_folder(out),
        pytest.raises(ValueError, match="another command is writing to it"),
    ):
        segment(photos, out, overwrite=overwrite)

    assert contents(out) == whole


def test_a_description_never_stands_beside_maps_that_it_does_not_describe(
    photos, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    segment(photos, out)
    Image.new("RGB", (9, 9)).save(photos / "3.png")
    described = []
    write = coco.write_png
    monkeypatch.setattr(
        coco,
        "write_png",
        lambda panoptic, path: (
            described.append((out / "predictions.json").exists()) or write(panoptic, path)
        ),
    )

    assert segment(photos, out).segmented == 1

    assert described == [False]
    assert listed(out) == list("012345")


@pytest.mark.parametrize("place", ["/dev/zero", "mine.txt"])
def test_a_link_in_place_of_the_journal_is_not_followed(photos, tmp_path, place):
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    mine.write_text("mine")
    out.mkdir()
    (out / JOURNAL).symlink_to(tmp_path / place)

    assert results_in(out) == set()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"jsonl: a .*; delete it, or choose another folder"):
            segment(photos, out, overwrite=overwrite)

    assert mine.read_text() == "mine"


ENTRY = (
    b'{"name": "a", "stamp": ["x"], "file_name": "a.png", "height": 20, "width": 30, '
    b'"files": [], "segments_info": [{"id": 7, "category_id": 1}]}\n'
)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"files": 3}\n',
        b'{"name": "a", "files": [], "stamp": [[]]}\n',
        ENTRY.replace(b"[{", b"[3, {"),
        ENTRY.replace(b"7", b"[]"),
        ENTRY.replace(b": 20", b": -20"),
        b'{"name": 3, "stamp": ["x"], "files": []}\n',
        b'{"files": ["../../../etc/passwd"]}\n',
        b'{"name": "a", "file_name": "a.png", "files": []}\n',
    ],
)
def test_a_damaged_journal_is_named_and_can_be_overwritten(photos, tmp_path, line):
    out = tmp_path / "out"
    segment(photos, out)
    whole = contents(out)
    with (out / JOURNAL).open("ab") as journal:
        journal.write(line)

    results_in(out)
    with pytest.raises(ValueError, match=r"predict\.jsonl: damaged; start anew"):
        segment(photos, out)

    segment(photos, out, overwrite=True)
    assert contents(out) == whole


def test_a_run_without_results_leaves_nothing(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")

    summary = segment(tmp_path / "bad.png", tmp_path / "out")

    assert (summary.segmented, summary.failed) == (0, 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_photos_fail_alone_and_are_tried_again(photos, tmp_path, workers):
    out = tmp_path / "out"
    good = (photos / "3.png").read_bytes()
    (photos / "3.png").write_bytes(good[:50])
    failures = []

    summary = segment(photos, out, workers=workers, listener=Listener(on_photo=failures.append))

    assert (summary.segmented, summary.failed) == (5, 1)
    (failed,) = (each for each in failures if each.error is not None)
    assert str(photos / "3.png") in str(failed.error)
    (photos / "3.png").write_bytes(good)
    assert segment(photos, out).segmented == 1
    assert listed(out) == list("012345")


def test_a_photo_whose_results_can_not_all_be_written_leaves_none(photos, tmp_path):
    out = tmp_path / "out"
    (out / "3.png").mkdir(parents=True)

    summary = segment(photos, out, outputs=OutputConfig())

    assert summary.failed == 1
    assert "3_overlay.jpg" not in contents(out)
    assert listed(out) == list("01245")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_photo_with_too_long_a_name_fails_alone(photos, tmp_path, workers):
    long = photos / f"{'ä' * 120}.png"
    (photos / "3.png").rename(long)
    failures = []

    summary = segment(
        *(photos, tmp_path / "out"),
        listener=Listener(on_photo=failures.append),
        outputs=OutputConfig(),
        workers=workers,
    )

    assert (summary.segmented, summary.failed) == (5, 1)
    (failed,) = (each for each in failures if each.error is not None)
    assert str(failed.error).startswith(f"{failed.photo.title}: its name is too long")


def test_an_overlay_that_is_too_large_for_a_jpeg_is_a_png(tmp_path):
    photo, out = tmp_path / "wide.png", tmp_path / "out"
    Image.new("RGB", (MAX_JPEG_SIDE + 1, 2)).save(photo)

    summary = segment(photo, out, outputs=OutputConfig())

    assert summary.failed == 0
    with Image.open(out / "wide_overlay.large.png") as overlay:
        assert (overlay.format, overlay.size) == ("PNG", (MAX_JPEG_SIDE + 1, 2))
    assert segment(photo, out, outputs=OutputConfig()).earlier == 1


def test_a_network_that_fails_on_a_batch_gets_its_photos_one_by_one(photos, tmp_path):
    class Small(toy_engine.Toy):
        def __call__(self, images, extras=None):
            if len(images) > 1:
                raise RuntimeError("out of memory")
            return super().__call__(images, extras)

    summary = segment(photos, tmp_path / "out", predictor=Predictor(Small()))

    assert summary.segmented == 6


def test_worker_processes_write_the_same_files(photos, tmp_path):
    everything = OutputConfig(formats=("coco", "labelme", "cvat", "label-studio"))

    segment(photos, tmp_path / "one", outputs=everything)
    segment(photos, tmp_path / "two", outputs=everything, workers=3)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_killed_worker_is_replaced(photos, tmp_path, monkeypatch):
    Image.new("RGB", (20, 20), GREEN).save(photos / "1.png")
    segment(photos, tmp_path / "one")
    monkeypatch.setenv("TOY_BOMB", str(tmp_path / "bomb"))
    warnings = []

    segment(photos, tmp_path / "two", workers=2, listener=Listener(on_warning=warnings.append))

    assert len(warnings) == 1
    assert "a worker process ended unexpectedly (exit code 9)" in warnings[0]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_photo_that_kills_its_worker_each_time_is_named(photos, tmp_path, monkeypatch):
    Image.new("RGB", (20, 20), GREEN).save(photos / "1.png")
    monkeypatch.setenv("TOY_BOMB", "always")
    outcomes = []

    summary = segment(
        photos, tmp_path / "out", workers=2, listener=Listener(on_photo=outcomes.append)
    )

    assert (summary.segmented, summary.failed) == (5, 1)
    (failed,) = (each for each in outcomes if each.error is not None)
    assert failed.photo.name == "1"
    assert "each time it was tried" in str(failed.error)


def test_workers_that_can_not_load_the_network_are_reported(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(toy_engine.Toy, "__reduce__", lambda _: (toy_engine.open_toy, ("x", None)))

    with pytest.raises(ValueError, match="it knows toy only"):
        segment(photos, tmp_path / "out", workers=2)


def test_an_engine_that_can_not_be_pickled_needs_one_worker(photos, tmp_path):
    engine = toy_engine.Toy()
    engine.lock = lambda: None

    with pytest.raises(ValueError, match=r"can't be used by several processes.*; use one worker"):
        segment(photos, tmp_path / "out", predictor=Predictor(engine), workers=2)

    assert segment(photos, tmp_path / "out", predictor=Predictor(engine)).segmented == 6


def test_workers_end_with_the_run(photos, tmp_path):
    before = set(_children())

    with pytest.raises(KeyboardInterrupt):
        segment(photos, tmp_path / "out", workers=2, listener=Listener(on_photo=Interruption(1)))

    assert set(_children()) <= before


def test_ctrl_c_is_not_blocked_after_workers_were_started(photos, tmp_path):
    segment(photos, tmp_path / "out", workers=2)

    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _children():
    found = []
    for folder in os.listdir("/proc"):  # noqa: PTH208
        try:
            with open(f"/proc/{folder}/stat") as file:  # noqa: PTH123
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(folder)
    return found


def test_what_every_worker_logs_is_told_once(photos, tmp_path, caplog):
    segment(photos, tmp_path / "out", predictor=Predictor(toy_engine.Chatty()), workers=2)

    assert [record.getMessage() for record in caplog.records].count("a toy is running") == 1
