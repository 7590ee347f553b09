"""Clips are segmented into whole files, whatever is wrong with them and whenever it ends."""

import json
import os
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest
from moving_shapes import write
from PIL import Image

import toy_engine
from jsisnet import Predictor
from jsisnet.cli.app import run
from jsisnet.video import (
    Clip,
    ClipListener,
    Selection,
    VideoConfig,
    is_clip,
    predict_clip,
)
from jsisnet.video.clips import stream
from jsisnet.video.reading import open_clip
from jsisnet.video.writing import EncoderConfig


def frames(count=10, size=(48, 64)):
    """Return frames with a red square that moves to the right by 4 pixels each."""
    for number in range(count):
        image = np.full((*size, 3), 255, np.uint8)
        image[16:32, 4 * number : 4 * number + 16] = (255, 0, 0)
        yield image


@pytest.fixture
def predictor():
    return Predictor(toy_engine.Toy())


def decoded(path):
    """Return the frames of a video, and their times in milliseconds."""
    with av.open(str(path)) as container:
        found = list(container.decode(video=0))
    return [each.to_ndarray(format="rgb24") for each in found], [
        round(1000 * each.time) for each in found
    ]


def contents(folder):
    """Return what each file holds; of videos the times, as encoders may differ in a bit."""
    return {
        path.relative_to(folder).as_posix(): decoded(path)[1]
        if path.suffix == ".mp4"
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_clip_becomes_a_video_and_maps_with_stable_ids(tmp_path, predictor):
    clip = write(tmp_path / "a.mp4", frames(), rate=10, sound="aac")
    told = []

    summary = predict_clip(
        Clip(clip, "a"),
        predictor,
        tmp_path / "out",
        None,
        ClipListener(on_frame=lambda *n: told.append(n)),
    )

    assert (summary.frames, summary.problems, told[-1]) == (10, (), (10, 10))
    images, times = decoded(tmp_path / "out/overlay.mp4")
    assert times == [100 * number for number in range(10)]
    assert {image.shape for image in images} == {(48, 64, 3)}
    listed = json.loads((tmp_path / "out/predictions.json").read_text())
    ids = [[each["id"] for each in one["segments_info"]] for one in listed["annotations"]]
    assert ids == [[1, 2, 3]] * 10
    for one in listed["annotations"]:
        png = np.asarray(Image.open(tmp_path / "out/predictions" / one["file_name"]))[..., 0]
        assert [(png == each["id"]).sum() for each in one["segments_info"]] == [
            each["area"] for each in one["segments_info"]
        ]
    path = str(tmp_path / "out/predictions.json")
    assert run(["score", path, path]) == 0


def test_the_sound_is_copied_packet_by_packet(tmp_path, predictor):
    clip = write(tmp_path / "a.mp4", frames(), rate=10, sound="aac")

    predict_clip(Clip(clip, "a"), predictor, tmp_path / "out")

    def packets(path):
        with av.open(str(path)) as container:
            return [bytes(each) for each in container.demux(audio=0) if each.size and each.pts >= 0]

    assert packets(tmp_path / "out/overlay.mp4") == packets(clip)


def test_sound_that_an_mp4_can_not_hold_is_left_out_and_told(tmp_path, predictor):
    clip = write(tmp_path / "a.mkv", frames(), sound="pcm_s16le")
    told = []

    predict_clip(
        Clip(clip, "a"), predictor, tmp_path / "out", None, ClipListener(on_warning=told.append)
    )

    assert [each.partition(": ")[2] for each in told] == [
        "its sound, pcm_s16le, can't be copied to an MP4, so the video is silent"
    ]
    with av.open(str(tmp_path / "out/overlay.mp4")) as container:
        assert not container.streams.audio


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [("ffv1", "yuv444p"), ("ffv1", "gray"), ("ffv1", "yuv420p10le"), ("ffv1", "bgr0")],
)
def test_frames_of_any_format_are_read_as_rgb(tmp_path, codec, pixels):
    clip = write(tmp_path / "a.mkv", frames(2), codec=codec, pixels=pixels)

    with open_clip(Clip(clip, "a")) as reader:
        found = [frame.image for frame in reader]

    red = (76, 76, 76) if pixels == "gray" else (255, 0, 0)
    assert [image.shape for image in found] == [(48, 64, 3)] * 2
    assert np.abs(found[1][24, 12].astype(int) - red).max() < 8
    assert np.abs(found[1][24, 40].astype(int) - 255).max() < 4


def test_odd_sizes_are_padded_by_a_copy_of_the_last_row_and_column(tmp_path, predictor):
    clip = write(tmp_path / "a.mkv", frames(3, (47, 63)), codec="ffv1", pixels="yuv444p")
    config = VideoConfig(encoder=EncoderConfig(crf=0))

    predict_clip(Clip(clip, "a"), predictor, tmp_path / "out", config)

    images, _ = decoded(tmp_path / "out/overlay.mp4")
    assert images[0].shape == (48, 64, 3)
    with Image.open(tmp_path / "out/predictions/a_000000.png") as png:
        assert png.size == (63, 47)


def test_the_times_of_a_variable_frame_rate_are_kept(tmp_path, predictor):
    times = [0, 40, 300, 310, 900, 1000]
    clip = write(tmp_path / "a.mkv", frames(6), times=times)
    config = VideoConfig(format="jsonl")

    predict_clip(Clip(clip, "a"), predictor, tmp_path / "out", config)

    assert decoded(tmp_path / "out/overlay.mp4")[1] == times
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
    assert [round(1000 * json.loads(line)["time"]) for line in lines] == times


def test_frames_of_an_avi_that_are_not_stored_in_their_order_have_their_times(tmp_path):
    clip = Clip(write(tmp_path / "a.avi", frames(12)), "a")

    with open_clip(clip) as reader:
        found = list(reader)

    assert [each.time for each in found] == [Fraction(number, 25) for number in range(12)]
    lefts = [int(np.flatnonzero(each.image[24, :, 1] < 128)[0]) for each in found]
    assert lefts == [4 * number for number in range(12)]


@pytest.mark.parametrize(
    ("missing", "problems"), [(0, ()), (100, ("ends in the middle of a packet",))]
)
def test_a_file_for_broadcasting_that_was_cut_is_noticed(tmp_path, predictor, missing, problems):
    path = write(tmp_path / "a.ts", frames(12))
    os.truncate(path, path.stat().st_size - missing)

    summary = predict_clip(Clip(path, "a"), predictor, tmp_path / "out")

    assert summary.problems == problems
    assert summary.frames > 10


@pytest.mark.parametrize("turned", [90, 180, -90])
def test_turned_frames_are_upright(tmp_path, turned):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:8] = 255
    clip = write(tmp_path / "a.mp4", [image] * 2, turned=turned)

    with open_clip(Clip(clip, "a")) as reader:
        found = next(iter(reader)).image

    expected = np.rot90(image, turned // 90)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4


def test_some_frames_are_taken(tmp_path, predictor):
    clip = write(tmp_path / "a.mp4", frames(), rate=10)
    config = VideoConfig(selection=Selection(stride=2, start=0.2, end=0.8))

    summary = predict_clip(Clip(clip, "a"), predictor, tmp_path / "out", config)

    names = sorted(path.name for path in (tmp_path / "out/predictions").iterdir())
    assert names == ["a_000002.png", "a_000004.png", "a_000006.png"]
    assert decoded(tmp_path / "out/overlay.mp4")[1] == [0, 200, 400]
    assert summary.frames == 3


def test_maps_between_those_of_the_network_are_carried(tmp_path):
    clip = write(tmp_path / "a.mp4", frames(8, (64, 64)), rate=10)
    engine = toy_engine.Toy()
    calls = []
    made = Predictor(engine)
    run = made.run
    made.run = lambda images: calls.append(len(images)) or run(images)

    predict_clip(Clip(clip, "a"), made, tmp_path / "out", VideoConfig(every=2, format="jsonl"))

    text = (tmp_path / "out/predictions.jsonl").read_text()
    lines = [json.loads(each) for each in text.splitlines()]
    assert [line["carried"] for line in lines] == [False, True] * 4
    assert calls == [1] * 4
    boxes = [line["segments"][-1]["bbox"] for line in lines]
    assert [box[0] for box in boxes[4:]] == pytest.approx([16, 20, 24, 28], abs=4)


@pytest.mark.parametrize("format", ["coco", "jsonl"])
@pytest.mark.parametrize("every", [1, 2])
def test_an_interrupted_run_resumes_to_the_same_files(tmp_path, predictor, format, every):
    clip = Clip(write(tmp_path / "a.mp4", frames(), rate=10, sound="aac"), "a")
    config = VideoConfig(format=format, every=every)
    predict_clip(clip, predictor, tmp_path / "whole", config)

    def stop(done, _):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_clip(clip, predictor, tmp_path / "out", config, ClipListener(on_frame=stop))
    assert not (tmp_path / "out/overlay.mp4").exists()
    summary = predict_clip(clip, predictor, tmp_path / "out", config)

    assert (summary.frames, summary.earlier) == (10, 4)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    pictures = [decoded(tmp_path / each / "overlay.mp4")[0] for each in ("out", "whole")]
    assert np.abs(np.array(pictures[0], int) - pictures[1]).mean() < 1
    assert predict_clip(clip, predictor, tmp_path / "out", config).earlier == 10


def test_a_map_that_is_gone_or_damaged_is_made_again(tmp_path, predictor):
    clip = Clip(write(tmp_path / "a.mp4", frames(4), rate=10), "a")
    predict_clip(clip, predictor, tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out/overlay.mp4").unlink()
    (tmp_path / "out/predictions/a_000001.png").unlink()
    (tmp_path / "out/predictions/a_000002.png").write_bytes(b"damaged")

    predict_clip(clip, predictor, tmp_path / "out")

    assert contents(tmp_path / "out") == before


def test_other_settings_and_other_files_are_refused(tmp_path, predictor):
    clip = Clip(write(tmp_path / "a.mp4", frames(2)), "a")
    predict_clip(clip, predictor, tmp_path / "out")

    with pytest.raises(ValueError, match="holds results of another clip, model or settings"):
        predict_clip(clip, predictor, tmp_path / "out", VideoConfig(every=2))
    with pytest.raises(ValueError, match="not empty; choose a new or empty folder"):
        predict_clip(clip, predictor, tmp_path)
    predict_clip(clip, predictor, tmp_path / "out", VideoConfig(format="jsonl"), overwrite=True)
    assert sorted(contents(tmp_path / "out")) == ["overlay.mp4", "predictions.jsonl"]


@pytest.mark.parametrize("part", [0.5, 0.8])
def test_a_clip_that_ends_in_the_middle_is_kept_as_far_as_it_goes(tmp_path, predictor, part):
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    whole = write(tmp_path / "a.mp4", noise, rate=10).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(part * len(whole))])

    summary = predict_clip(Clip(cut, "cut"), predictor, tmp_path / "out")

    assert 0 < summary.frames < 20
    assert any("ends after" in problem for problem in summary.problems)
    images, _ = decoded(tmp_path / "out/overlay.mp4")
    assert len(images) == summary.frames
    again = predict_clip(Clip(cut, "cut"), predictor, tmp_path / "out")
    assert again.problems == summary.problems


def faulty(folder):
    """Return files that are no clips, and what is said of each."""
    write(folder / "good.mp4", frames(2), sound="aac")
    content = (folder / "good.mp4").read_bytes()
    (folder / "text.mp4").write_text("no video\n" * 100)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "headless.mp4").write_bytes(content[-900:])
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\ngood.mp4\n")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    os.mkfifo(folder / "pipe.mp4")
    write(folder / "sound.mkv", [], sound="aac")
    opened = "can't be opened .*; expected a video"
    return {
        "text.mp4": opened,
        "empty.mp4": "empty; expected a video",
        "headless.mp4": opened,
        "playlist.mp4": opened,
        "list.mp4": opened,
        "pipe.mp4": "a pipe; expected a regular file",
        "missing.mp4": "No such file or directory",
    }


def test_what_is_no_clip_is_refused_in_a_sentence_and_leaves_nothing(tmp_path, predictor):
    for name, message in faulty(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            predict_clip(Clip(tmp_path / name, "x"), predictor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_clip_without_the_wanted_frames_leaves_nothing(tmp_path, predictor):
    clip = Clip(write(tmp_path / "a.mp4", frames(3), rate=10), "a")

    with pytest.raises(ValueError, match=r"no frame from 5 s on; it ends after 0\.20 s"):
        predict_clip(clip, predictor, tmp_path / "out", VideoConfig(selection=Selection(start=5.0)))

    assert not (tmp_path / "out").exists()


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    clip = write(tmp_path / "a.mp4", frames(2))
    monkeypatch.setenv("JSISNET_PICTURE_MEMORY", "100KB")

    with (
        pytest.raises(ValueError, match="frames of 64x48 pixels would take"),
        open_clip(Clip(clip, "a")),
    ):
        pass


def test_a_live_stream_that_is_interrupted_leaves_whole_files(tmp_path, predictor, monkeypatch):
    path = write(tmp_path / "a.mp4", frames(), rate=10)
    monkeypatch.setattr("jsisnet.video.reading._opened", lambda _: av.open(str(path)))

    def stop(done, _):
        if done == 4:
            raise KeyboardInterrupt

    summary = predict_clip(
        stream("rtsp://user:secret@host/live"),
        predictor,
        tmp_path / "out",
        None,
        ClipListener(on_frame=stop),
    )

    assert summary.interrupted
    assert len(decoded(tmp_path / "out/overlay.mp4")[0]) == summary.frames == 4
    assert "predictions.json" in contents(tmp_path / "out")


def test_streams_are_named_without_their_password():
    live = stream("rtsp://user:secret@host/live?x=1")

    assert (live.name, live.title) == ("live", "rtsp://host/live?x=1")
    assert (stream("0").camera, stream("/dev/video2").camera) == ("/dev/video0", "/dev/video2")
    with pytest.raises(ValueError, match="not a stream; expected a URL such as rtsp"):
        stream("file:///etc/passwd")


def test_clips_are_known_by_name_or_content(tmp_path):
    clip = write(tmp_path / "a.mp4", frames(2))
    shutil.copy(clip, tmp_path / "clip")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.jpg")

    found = {name: is_clip(tmp_path / name) for name in ("a.mp4", "clip", "photo.jpg", "missing")}

    assert found == {"a.mp4": True, "clip": True, "photo.jpg": False, "missing": False}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Selection, {"stride": 0}),
        (Selection, {"start": -1.0}),
        (Selection, {"start": 2.0, "end": 1.0}),
        (VideoConfig, {"every": 0}),
        (EncoderConfig, {"crf": 52}),
        (EncoderConfig, {"preset": "fastest"}),
        (EncoderConfig, {"threads": 0}),
    ],
)
def test_settings_out_of_their_ranges_are_refused(kind, settings):
    with pytest.raises(ValueError, match=r"expected|Choices"):
        kind(**settings)


def test_sound_whose_times_jump_back_costs_no_frame(tmp_path, predictor):
    clip = write(tmp_path / "a.ts", frames(10), rate=10, sound="aac")
    clip.write_bytes(2 * clip.read_bytes())

    summary = predict_clip(Clip(clip, "a"), predictor, tmp_path / "out")

    assert summary.frames == len(decoded(tmp_path / "out/overlay.mp4")[0]) == 20
    assert summary.problems[-1].endswith("damaged packets of sound")


def test_tags_in_an_unknown_encoding_do_not_matter(tmp_path, predictor):
    clip = write(tmp_path / "a.mkv", frames(3))
    clip.write_bytes(clip.read_bytes().replace(b"ENCODER", b"ENC\xff\xfeER"))

    assert predict_clip(Clip(clip, "a"), predictor, tmp_path / "out").frames == 3


def test_a_codec_that_nobody_knows_is_told(tmp_path, predictor):
    clip = write(tmp_path / "a.mp4", frames(3))
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))

    with pytest.raises(ValueError, match=r"a\.mp4: its video has an unknown codec; convert it"):
        predict_clip(Clip(clip, "a"), predictor, tmp_path / "out")


def test_frames_too_wide_for_the_encoder_get_maps_alone(tmp_path, predictor):
    wide = write(tmp_path / "a.mkv", frames(1, (48, 16_400)), codec="ffv1", pixels="bgr0")

    with pytest.raises(ValueError, match="16400x48 pixels; a video takes"):
        predict_clip(Clip(wide, "a"), predictor, tmp_path / "out")
    maps = predict_clip(Clip(wide, "a"), predictor, tmp_path / "maps", VideoConfig(overlay=None))

    assert maps.frames == 1
