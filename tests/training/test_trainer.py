import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

import factories
import networks
from jsisnet.data.sources import Sources
from jsisnet.data.transforms import TransformConfig
from jsisnet.formats.dataset import DataConfig
from jsisnet.inference.engine import EngineOptions
from jsisnet.inference.exported import open_onnxruntime
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.training import curves, run_folder, trainer
from jsisnet.training.callbacks import Callback, Pictures
from jsisnet.training.checkpoint import Checkpoint
from jsisnet.training.config import KeepConfig, RunConfig, TrainConfig, read_config, to_yaml
from jsisnet.training.devices import DeviceConfig
from jsisnet.training.fitted_anchors import with_fitted_anchors
from jsisnet.training.loop import StepReport
from jsisnet.training.metrics_file import METRICS
from jsisnet.training.optim import OptimConfig
from jsisnet.training.run_folder import (
    CHECKPOINT,
    CONFIG,
    PICTURES,
    PLOT,
    MetricsFile,
)
from jsisnet.training.trainer import train

STEPS = 5


class PowerCutError(Exception):
    """Ends a training between two steps."""


@dataclass
class Log(Callback):
    """Callback that keeps the numbers of its calls, and may cut the power after a step."""

    stop_after: int = 0
    began: list[tuple[int, int]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)

    def on_train_start(self, step: int, steps: int) -> None:
        self.began.append((step, steps))

    def on_step_end(self, report: StepReport) -> None:
        self.steps.append(report.step)
        if report.step == self.stop_after:
            raise PowerCutError

    def on_image_evaluated(self, done: int, total: int) -> None:
        assert 1 <= done <= total == 6

    def on_pictures(self, step: int, pictures: Pictures) -> None:
        assert step >= 1
        assert len(pictures) == 4

    def on_evaluation_end(self, step: int, result: dict[str, Any]) -> None:
        assert result["all"]["n"] == 6
        self.evaluations.append(step)

    def on_train_end(self, *, finished: bool) -> None:
        self.ended.append(finished)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> RunConfig:
    data = factories.tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")
    photos = DataConfig(images=data.images.name, annotations=data.annotations.name)
    return RunConfig(
        root=str(data.images.parent),
        data=photos,
        validation=photos,
        augment=TransformConfig(size=(64, 96), min_scale=0.7, max_scale=1.5, brightness=0.2),
        network=networks.TINY,
        merge=MergeConfig(min_stuff_area=100.0),
        optim=OptimConfig(lr=0.02, milestones=(3,), warmup=2, average=0.9),
        train=TrainConfig(
            steps=STEPS,
            batch_size=2,
            workers=0,
            log_every=1,
            checkpoint_every=2,
            evaluate_every=3,
            export=False,
        ),
    )


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory) -> Path:
    """Return the folder of a run without interruptions."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(settings, out=folder, callbacks=[Log()])
    return folder


def short(config: RunConfig, **changes) -> RunConfig:
    """Return settings without evaluation, and with other values in `train`."""
    pace = {"steps": 1} | changes
    return replace(config, validation=None, train=replace(config.train, **pace))


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file without time and memory."""
    entries = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    assert all(entry.pop("memory") > 0 for entry in entries if "terms" in entry)
    assert all(entry.pop("seconds") >= 0 for entry in entries)
    return entries


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a run without time and memory, which the metrics and the plot show."""
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / PLOT}
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    assert (folder / PLOT).is_file()
    return found | {METRICS: json.dumps(metrics_of(folder)).encode()}


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)


def assert_same(ours: Path, theirs: Path) -> None:
    """Check that two runs have equal checkpoints and models, bit for bit."""
    first, second = (Checkpoint.load(folder / CHECKPOINT) for folder in (ours, theirs))
    assert first.step == second.step
    for name in ("network", "average", "optimizer"):
        pairs = zip(tensors(getattr(first, name)), tensors(getattr(second, name)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs), name
    assert (ours / saved_model.WEIGHTS).read_bytes() == (theirs / saved_model.WEIGHTS).read_bytes()


def test_a_run_folder_holds_settings_metrics_pictures_checkpoint_and_model(finished, settings):
    assert {path.name for path in finished.iterdir()} == {
        CONFIG,
        METRICS,
        CHECKPOINT,
        PLOT,
        PICTURES,
        saved_model.DESCRIPTION,
        saved_model.WEIGHTS,
    }
    assert read_config(finished / CONFIG) == settings
    assert Checkpoint.load(finished / CHECKPOINT).step == STEPS


def test_metrics_have_a_line_for_every_step_and_evaluation(finished):
    entries = metrics_of(finished)

    assert [entry["step"] for entry in entries if "terms" in entry] == [1, 2, 3, 4, 5]
    assert [entry["step"] for entry in entries if "validation" in entry] == [3, 5]
    recalls = [e["validation"]["rpn_recall"]["all"] for e in entries if "validation" in e]
    assert [recall["own"] is not None for recall in recalls] == [True, True]
    assert [round(entry["lr"], 6) for entry in entries if "terms" in entry] == [
        *(0.01, 0.02, 0.02, 0.01, 0.01)
    ]
    for entry in entries:
        if "terms" in entry:
            assert sum(entry["terms"].values()) == pytest.approx(entry["total"], rel=1e-5)


def test_the_model_is_the_moving_average(finished, settings):
    model = saved_model.read(finished)
    checkpoint = Checkpoint.load(finished / CHECKPOINT)

    weights = model.network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in checkpoint.average.items())
    assert any(not torch.equal(weights[n], value) for n, value in checkpoint.network.items())
    assert model.config.size == settings.augment.size
    assert model.config.merge == settings.merge
    assert model.categories == factories.CATEGORIES


def test_a_model_predicts_at_a_size_of_its_own(settings, tmp_path):
    train(replace(short(settings), size=(96, 144)), out=tmp_path)

    assert saved_model.read(tmp_path).config.size == (96, 144)


def test_without_an_average_the_model_is_the_network(settings, tmp_path):
    train(short(replace(settings, optim=OptimConfig(lr=0.01))), out=tmp_path)

    checkpoint = Checkpoint.load(tmp_path / CHECKPOINT)
    weights = saved_model.read(tmp_path).network.state_dict()
    assert checkpoint.average is None
    assert all(torch.equal(weights[name], value) for name, value in checkpoint.network.items())


@pytest.mark.parametrize(("workers", "stop_after"), [(0, 3), (1, 4)])
def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_not_interrupted(
    settings, finished, tmp_path, workers, stop_after
):
    with pytest.raises(PowerCutError):
        train(settings, out=tmp_path, callbacks=[Log(stop_after=stop_after)])
    paced, log = replace(settings, train=replace(settings.train, workers=workers)), Log()

    train(paced, out=tmp_path, callbacks=[log], resume=True)

    assert (log.began, log.steps) == ([(2, STEPS)], [3, 4, 5])
    assert_same(tmp_path, finished)
    assert metrics_of(tmp_path) == metrics_of(finished)


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_run_is_left_as_it_is(settings, finished, resume):
    before = contents(finished)
    log = Log()

    train(settings, out=finished, callbacks=[log], resume=resume)

    assert (log.began, log.ended) == ([], [])
    assert contents(finished) == before


def fails_at(patch: pytest.MonkeyPatch, place: object, name: str, call: int) -> None:
    """Cut the power before one call of a function."""
    function, calls = getattr(place, name), itertools.count(1)

    def failing(*arguments, **named):
        if next(calls) == call:
            raise PowerCutError
        return function(*arguments, **named)

    patch.setattr(place, name, failing)


@pytest.fixture(scope="module")
def keeping(settings) -> RunConfig:
    """Return settings under which everything is written at the last step, the second."""
    photo = replace(settings.validation, first=1)
    pace = {"steps": 2, "evaluate_every": 0, "pictures": 1}
    keep = KeepConfig(best="miou", every=2)
    pace = replace(settings.train, keep=keep, **pace)
    return replace(settings, validation=photo, train=pace)


@pytest.fixture(scope="module")
def kept(keeping, tmp_path_factory) -> dict[str, bytes]:
    """Return the files of such a run without interruptions."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    train(keeping, out=folder)
    return contents(folder)


@pytest.mark.parametrize(
    ("place", "name", "call"),
    [
        (saved_model, "write", 2),  # after the snapshot
        (Checkpoint, "save", 1),
        (trainer, "_draw_pictures", 1),
        (MetricsFile, "on_evaluation_end", 1),
        (curves, "write", 1),
    ],
    ids=["before the model", "the checkpoint", "the pictures", "the evaluation", "the plot"],
)
def test_a_run_killed_at_any_point_has_the_same_files_after_resuming(
    keeping, kept, tmp_path, place, name, call
):
    with pytest.MonkeyPatch.context() as patch:
        fails_at(patch, place, name, call)
        with pytest.raises(PowerCutError):
            train(keeping, out=tmp_path)

    train(keeping, out=tmp_path, resume=True)

    assert contents(tmp_path) == kept


def test_a_training_begins_from_what_it_has_read(settings, tmp_path, monkeypatch):
    """Another one may end between the start of this one and its lock."""
    prepare = trainer._prepare

    def overtaken(*arguments):
        prepared = prepare(*arguments)
        (tmp_path / CHECKPOINT).write_bytes(b"of the other")
        return prepared

    monkeypatch.setattr(trainer, "_prepare", overtaken)

    with pytest.raises(ValueError, match="another command has just written to it; run yours again"):
        train(short(settings), out=tmp_path)

    assert not (tmp_path / METRICS).exists()


def test_settings_not_written_by_a_training_are_not_overwritten(settings, tmp_path):
    (tmp_path / CONFIG).write_text("base: lite.yaml  # mine\n")

    with pytest.raises(ValueError, match=r"config\.yaml was not written by a training"):
        train(short(settings), out=tmp_path, resume=True)

    assert [path.name for path in tmp_path.iterdir()] == [CONFIG]
    assert (tmp_path / CONFIG).read_text() == "base: lite.yaml  # mine\n"


def test_a_folder_without_a_checkpoint_can_be_used_again(settings, tmp_path):
    short_settings = short(settings)
    (tmp_path / CONFIG).write_text(to_yaml(short_settings))
    log = Log()

    train(short_settings, out=tmp_path, callbacks=[log])

    assert log.steps


def test_two_trainings_can_not_write_to_one_folder(settings, tmp_path):
    class Second(Log):
        def on_train_start(self, step: int, steps: int) -> None:
            with pytest.raises(ValueError, match="another command is writing to it"):
                train(short(settings), out=tmp_path)
            super().on_train_start(step, steps)

    log = Second()
    train(short(settings), out=tmp_path, callbacks=[log])

    assert log.steps


@pytest.mark.parametrize("missing", [saved_model.WEIGHTS, "the evaluation", "other settings"])
def test_a_folder_with_another_run_is_refused_without_resume(settings, finished, tmp_path, missing):
    run = shutil.copytree(finished, tmp_path / "run")
    if missing == "the evaluation":
        *lines, last = (run / METRICS).read_text().splitlines(keepends=True)
        assert "validation" in last
        (run / METRICS).write_text("".join(lines))
    elif missing == "other settings":
        settings = replace(settings, optim=replace(settings.optim, lr=0.3))
    else:
        (run / missing).unlink()

    with pytest.raises(ValueError, match="already holds a run; resume it"):
        train(settings, out=run, callbacks=[Log()])


def test_a_model_that_was_deleted_is_written_again_on_resuming(settings, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / saved_model.WEIGHTS).unlink()

    train(settings, out=run, resume=True)

    assert_same(run, finished)


@pytest.mark.parametrize(
    ("section", "change", "found"),
    [
        ("optim", {"lr": 0.01}, r"optim\.lr 0\.02, not 0\.01; resume it with its own settings, or"),
        ("train", {"steps": 9}, r"train\.steps 5, not 9; .*add steps by --extend, or"),
        ("train", {"batch_size": 4}, r"train\.batch_size 2, not 4;"),
        (
            "augment",
            {"min_scale": 0.5, "hue": 0.1},
            r"scale 0\.7, not 0\.5, augment\.hue 0\.0, not",
        ),
        ("data", {"weight": 2.0}, r"data\.weight 1\.0, not 2\.0;"),
    ],
)
def test_a_run_with_other_settings_is_not_resumed(settings, finished, section, change, found):
    changed = replace(settings, **{section: replace(getattr(settings, section), **change)})

    with pytest.raises(ValueError, match=f"was started with .*{found}.*--start {finished}"):
        train(changed, out=finished, callbacks=[Log()], resume=True)

    assert read_config(finished / CONFIG) == settings


def test_a_run_is_resumed_with_its_data_at_another_place_but_not_with_other_data(
    settings, finished, tmp_path
):
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(finished, run)
    shutil.copytree(settings.root, moved)
    (moved / settings.data.images).rename(moved / "images")
    photos = replace(settings.data, images="images")
    elsewhere = replace(settings, root=str(moved), data=photos, validation=photos)

    train(elsewhere, out=run, callbacks=[Log()], resume=True)

    assert read_config(run / CONFIG) == elsewhere
    truth = moved / settings.data.annotations
    truth.write_text(truth.read_text().replace('"category_id": 3', '"category_id": 6'))
    with pytest.raises(ValueError, match=r"other photos or annotations in data; .*--start"):
        train(elsewhere, out=run, callbacks=[Log()], resume=True)


def test_a_run_is_extended_with_the_schedule_of_more_steps(settings, finished, tmp_path, caplog):
    shutil.copytree(finished, tmp_path / "run")
    longer = replace(settings, validation=None, train=replace(settings.train, steps=STEPS + 2))
    log = Log()

    with pytest.raises(ValueError, match=r"validation\."):
        train(longer, out=tmp_path / "run", callbacks=[log], extend=True)
    longer = replace(longer, validation=settings.validation)
    train(longer, out=tmp_path / "run", callbacks=[log], extend=True)

    assert log.steps == [STEPS + 1, STEPS + 2]
    assert "extended from 5 to 7 steps; from here on the step schedule" in caplog.text
    assert "step 6 has the learning rate 0.01, the one before had 0.01" in caplog.text
    with pytest.raises(ValueError, match=r"train\.steps is 5, but the run has 7"):
        train(settings, out=tmp_path / "run", callbacks=[log], extend=True)


def test_epochs_become_steps(settings, tmp_path, caplog):
    optim = replace(settings.optim, milestone_epochs=(0.4,))
    epochs = replace(short(settings, epochs=0.7), optim=optim)  # of 6 photos, 2 a step

    train(epochs, out=tmp_path, callbacks=[Log()])

    written = read_config(tmp_path / CONFIG)
    assert (written.train.steps, written.optim.milestones) == (2, (1,))
    assert "an epoch has 6 photos, so 0.6667 epochs are 2 steps of 2; milestones: 1" in caplog.text
    train(epochs, out=tmp_path, callbacks=[Log()], resume=True)


def test_the_best_model_and_snapshots_are_kept(settings, tmp_path):
    keep = KeepConfig(best="mask_ap", every=1)
    pace = replace(settings.train, steps=2, evaluate_every=1, pictures=0, ap=True, keep=keep)

    train(replace(settings, train=pace), out=tmp_path)

    found = [e["validation"]["mask_ap"] for e in metrics_of(tmp_path) if "validation" in e]
    best = 1 if found[0] >= found[1] else 2
    snapshots = tmp_path / "snapshots"
    assert sorted(path.name for path in snapshots.iterdir()) == ["step_0000001", "step_0000002"]
    kept = (snapshots / f"step_{best:07}" / saved_model.WEIGHTS).read_bytes()
    assert (tmp_path / "best" / saved_model.WEIGHTS).read_bytes() == kept
    assert saved_model.read(tmp_path / "best").config.size == settings.augment.size


def test_deterministic_algorithms_give_the_same_on_a_cpu(settings, tmp_path):
    exact, plain = tmp_path / "exact", tmp_path / "plain"

    train(short(settings, deterministic=True), out=exact)
    train(short(settings), out=plain)

    assert_same(exact, plain)
    assert not torch.are_deterministic_algorithms_enabled()


def test_anchors_are_fitted_to_the_size_of_prediction(settings):
    samples = Sources(settings.sources())
    small, large = (
        with_fitted_anchors(replace(settings, size=size), samples).network.anchors.sizes
        for size in (None, (128, 192))
    )

    assert sum(large) > sum(small)


def test_a_pyramid_with_balance_pasted_things_and_fitted_anchors_is_resumed_bit_for_bit(
    settings, tmp_path
):
    varied = replace(
        short(settings, steps=4, fit_anchors=True),
        data=replace(settings.data, repeat_threshold=0.9),
        augment=replace(settings.augment, copy_paste=0.5),
        network=networks.PYRAMID,
        objective=replace(settings.objective, semantic_weights=("inverse-sqrt",)),
        optim=OptimConfig(lr=0.01),
    )
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(varied, out=whole, callbacks=[Log()])
    with pytest.raises(PowerCutError):
        train(varied, out=resumed, callbacks=[Log(stop_after=3)])

    train(varied, out=resumed, callbacks=[Log()], resume=True)

    anchors = [read_config(run / CONFIG).network.anchors for run in (whole, resumed)]
    assert anchors[0] == anchors[1] != networks.PYRAMID.anchors
    assert saved_model.read(resumed).config.network.anchors == anchors[0]
    assert run_folder.is_finished(varied, whole)
    assert (resumed / saved_model.WEIGHTS).read_bytes() == (
        whole / saved_model.WEIGHTS
    ).read_bytes()
    assert metrics_of(resumed) == metrics_of(whole)


def test_a_run_without_a_checkpoint_can_start_with_other_settings(settings, tmp_path):
    log = Log(stop_after=1)
    with pytest.raises(PowerCutError):
        train(settings, out=tmp_path, callbacks=[log])

    train(short(settings), out=tmp_path)

    assert read_config(tmp_path / CONFIG) == short(settings)


def test_a_run_is_not_resumed_with_other_classes(settings, tmp_path):
    train(short(settings), out=tmp_path)
    description = tmp_path / saved_model.DESCRIPTION
    description.write_text(description.read_text().replace('"bus"', '"tram"'))

    with pytest.raises(ValueError, match="was started with other classes than the data has"):
        train(short(settings), out=tmp_path, resume=True)


def test_a_resumed_run_may_have_other_intervals(settings, tmp_path):
    train(short(settings), out=tmp_path)
    paced = short(settings, workers=1, log_every=7, checkpoint_every=9, evaluate_every=0)

    train(paced, out=tmp_path, resume=True)

    assert read_config(tmp_path / CONFIG) == paced


def test_a_damaged_checkpoint_is_refused(settings, tmp_path):
    train(short(settings), out=tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"half a checkp")

    with pytest.raises(ValueError, match=r"checkpoint\.pt: not a training checkpoint"):
        train(short(settings), out=tmp_path, resume=True)


def test_an_incomplete_line_is_dropped_on_resuming(tmp_path):
    path = tmp_path / METRICS
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')

    metrics = MetricsFile(path, 1)
    metrics.on_train_start(2, 9)
    metrics.on_evaluation_end(3, {})

    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_batch_normalisation_of_a_single_photo_is_refused(settings, tmp_path):
    with pytest.raises(ValueError, match=r"more than one photo.*--train\.batch-size 2"):
        train(short(settings, batch_size=1), out=tmp_path / "run")

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "network",
    [
        replace(networks.TINY, semantic=replace(networks.TINY.semantic, norm="group")),
        replace(networks.TINY, semantic=replace(networks.TINY.semantic, bins=(2, 3))),
        replace(networks.TINY, branches="instance"),
    ],
    ids=["group norm", "no 1x1 bin", "no semantic branch"],
)
def test_a_single_photo_is_accepted_without_batch_normalisation_of_one_bin(
    settings, tmp_path, network
):
    log = Log()

    train(replace(short(settings, batch_size=1), network=network), out=tmp_path, callbacks=[log])

    assert log.steps == [1]


def test_a_run_with_half_precision_has_single_precision_weights(settings, tmp_path):
    train(short(settings, steps=2, precision="bf16-mixed"), out=tmp_path)

    state = Checkpoint.load(tmp_path / CHECKPOINT).network
    floats = [value for value in state.values() if value.is_floating_point()]
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in floats)


def test_a_diverging_loss_stops_the_run_with_advice(settings, tmp_path):
    wild = replace(settings, optim=OptimConfig(lr=1e30, max_gradient=0.0))

    with pytest.raises(ValueError, match=r"step [2-5]: .* at learning rate 1e\+30; ") as caught:
        train(short(wild, steps=STEPS), out=tmp_path)

    for part in (
        "normalisation: trunk batch, neck batch, semantic batch, region group, mask group;",
        "--optim.lr",
        "--optim.warmup 500",
    ):
        assert part in str(caught.value)


def test_a_run_starts_from_the_weights_of_a_classifier(settings, tmp_path):
    torch.manual_seed(7)
    weights = timm.create_model("test_resnet").state_dict()
    safetensors.torch.save_file(weights, tmp_path / "classifier.safetensors")
    trunk = replace(
        networks.TINY.trunk,
        weights=str(tmp_path / "classifier.safetensors"),
        freeze_norm=True,
        frozen_stages=5,
    )

    config = replace(short(settings), network=replace(networks.TINY, trunk=trunk))
    train(config, out=tmp_path / "run", callbacks=[Log()])

    stages = saved_model.read(tmp_path / "run").network.trunk.stages.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in stages.items())


def test_unreadable_weights_leave_no_run_folder(settings, tmp_path):
    trunk = replace(networks.TINY.trunk, weights=str(tmp_path / "nowhere.pth"))

    with pytest.raises(ValueError, match=r"nowhere\.pth: weights not found"):
        train(
            replace(settings, network=replace(networks.TINY, trunk=trunk)),
            out=tmp_path / "run",
        )

    assert not (tmp_path / "run").exists()


def test_weights_of_torchvision_that_do_not_fit_leave_no_run_folder(settings, tmp_path):
    unfit = replace(settings, start="torchvision:maskrcnn_resnet50_fpn")

    with pytest.raises(ValueError, match=r"^start: torchvision:\S+: network\.trunk\.name is test_"):
        train(unfit, out=tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_missing_data_leaves_no_run_folder(settings, tmp_path):
    lost = replace(settings, data=replace(settings.data, annotations="nowhere.json"))

    with pytest.raises(ValueError, match=r"nowhere\.json"):
        train(lost, out=tmp_path / "run", callbacks=[Log()])

    assert not (tmp_path / "run").exists()


def test_a_run_can_start_from_another_model(settings, finished, tmp_path, caplog):
    few = replace(networks.TINY.anchors, sizes=(16.0, 32.0, 64.0))
    other = replace(
        short(settings),
        start=str(finished),
        network=replace(networks.TINY, anchors=few),
        optim=OptimConfig(lr=1e-30),
    )

    train(other, out=tmp_path, callbacks=[Log()])

    before, after = (saved_model.read(folder).network for folder in (finished, tmp_path))
    assert torch.equal(after.trunk.neck.laterals[0].weight, before.trunk.neck.laterals[0].weight)
    assert torch.equal(after.semantic.classify.weight, before.semantic.classify.weight)
    shapes = [len(network.instance.rpn.objectness.weight) for network in (before, after)]
    assert shapes[0] < shapes[1]
    assert f"start: {finished}: took over 6 of 6 classes by name and " in caplog.text


@pytest.mark.parametrize("start", ["nowhere", "coco"])
def test_a_start_model_that_does_not_fit_is_named(settings, tmp_path, start):
    with pytest.raises(ValueError, match=f"^start: {start}: "):
        train(short(replace(settings, start=start)), out=tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_batch_must_divide_evenly_into_micro_batches(settings, tmp_path):
    uneven = replace(short(settings, batch_size=5), devices=DeviceConfig(accumulate=2))

    with pytest.raises(ValueError, match=r"batch_size is 5; expected a multiple of 2, for 1 dev"):
        train(uneven, out=tmp_path / "run", callbacks=[Log()])


def test_a_batch_that_no_device_holds_is_refused(settings, tmp_path):
    large = replace(settings, augment=replace(settings.augment, size=(4096, 4096)))

    message = r"a batch of 32 photos of 4096x4096 has 536,870,912 pixels per device; expected at m"
    with pytest.raises(ValueError, match=message):
        train(short(large, batch_size=32), out=tmp_path / "run")


def test_a_run_can_resume_with_other_micro_batches(settings, tmp_path):
    smooth = replace(networks.TINY.semantic, norm="group")
    config = short(replace(settings, network=replace(networks.TINY, semantic=smooth)), steps=4)
    log = Log()
    with pytest.raises(PowerCutError):
        train(config, out=tmp_path, callbacks=[Log(stop_after=3)])

    train(
        replace(config, devices=DeviceConfig(accumulate=2)),
        out=tmp_path,
        callbacks=[log],
        resume=True,
    )

    assert log.steps == [3, 4]


def test_synchronised_normalisation_works_on_one_device(settings, tmp_path):
    shared = short(settings, sync_norm=True)

    train(shared, out=tmp_path / "one", callbacks=[Log()])

    weights = saved_model.read(tmp_path / "one").network.state_dict()
    assert all(value.isfinite().all() for value in weights.values())


def test_synchronised_normalisation_without_batch_norm_is_refused(settings, tmp_path):
    trunk = replace(networks.TINY.trunk, freeze_norm=True, norm="group")
    network = replace(
        networks.TINY, trunk=trunk, semantic=replace(networks.TINY.semantic, norm="group")
    )

    with pytest.raises(ValueError, match="sync_norm is on, but no layer has batch normalisation"):
        train(
            short(replace(settings, network=network), sync_norm=True),
            out=tmp_path / "r",
            callbacks=[Log()],
        )


def test_adamw_with_a_cosine_schedule(settings, tmp_path):
    optim = OptimConfig(kind="adamw", lr=1e-3, weight_decay=0.05, schedule="cosine", warmup=1)
    weights = replace(settings.objective.weights, l2=0.0)
    objective = replace(settings.objective, weights=weights)

    train(
        short(replace(settings, optim=optim, objective=objective), steps=4),
        out=tmp_path,
        callbacks=[Log()],
    )

    rates = [entry["lr"] for entry in metrics_of(tmp_path)]
    assert rates == pytest.approx([1e-3, 0.853553e-3, 0.5e-3, 0.146447e-3], rel=1e-4)


def test_pictures_show_photo_prediction_and_truth(finished):
    pages = sorted((finished / PICTURES).iterdir())

    assert [page.name for page in pages] == ["step_0000003.jpg", "step_0000005.jpg"]
    with Image.open(pages[0]) as page:
        assert page.width > 3 * 96
        assert page.height > 4 * 64


@pytest.mark.parametrize("taken", [PICTURES, PLOT])
def test_a_picture_that_can_not_be_written_does_not_stop_a_run(settings, tmp_path, caplog, taken):
    other = {PICTURES: PLOT, PLOT: PICTURES}[taken]
    if taken == PLOT:
        (tmp_path / taken).mkdir()
    else:
        (tmp_path / taken).touch()

    train(replace(short(settings), validation=settings.validation), out=tmp_path)

    assert (tmp_path / saved_model.WEIGHTS).is_file()
    assert (tmp_path / other).exists()
    (record,) = caplog.records
    assert f"{tmp_path / taken}" in record.getMessage()
    assert "the training continues without it" in record.getMessage()


def test_a_checkpoint_without_settings_is_neither_resumed_nor_overwritten(settings, tmp_path):
    train(short(settings), out=tmp_path)
    (tmp_path / CONFIG).unlink()

    with pytest.raises(ValueError, match="already holds a run"):
        train(short(settings), out=tmp_path)
    with pytest.raises(ValueError, match=r"config\.yaml: does not exist$"):
        train(short(settings), out=tmp_path, resume=True)


def test_a_checkpoint_of_another_network_is_refused(settings, tmp_path):
    train(short(settings), out=tmp_path)
    written = Checkpoint.load(tmp_path / CHECKPOINT)
    replace(written, optimizer={"state": 3, "param_groups": 3}).save(tmp_path / CHECKPOINT)

    with pytest.raises(ValueError, match=r"checkpoint\.pt: does not fit this network"):
        train(short(settings), out=tmp_path, resume=True)


def test_contradictory_settings_leave_no_run_folder(settings, tmp_path):
    adam = replace(short(settings), optim=OptimConfig(kind="adamw"))

    with pytest.raises(ValueError, match="expected 0, and --optim"):
        train(adam, out=tmp_path / "run", callbacks=[Log()])

    assert not (tmp_path / "run").exists()


def test_callbacks_receive_whether_the_training_finished(settings, tmp_path):
    stopped, finished = Log(stop_after=1), Log()
    with pytest.raises(PowerCutError):
        train(short(settings, steps=2), out=tmp_path, callbacks=[stopped])

    train(short(settings, steps=2), out=tmp_path, callbacks=[finished], resume=True)

    assert (stopped.ended, finished.ended) == ([False], [True])


def test_settings_are_given_as_a_file_and_keywords(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("street.yaml").write_text(to_yaml(short(replace(settings, root="nowhere"), steps=9)))

    folder = train("street.yaml", root=Path(settings.root), train={"steps": 1}, optim={"lr": 0.5})

    assert folder == Path("runs", "street")
    written = read_config(folder / CONFIG)
    assert written == short(replace(settings, optim=replace(settings.optim, lr=0.5)))


def test_keywords_override_settings_that_are_objects(settings, tmp_path):
    size, optim = (64, 64), OptimConfig(lr=0.5, milestones=(1, 2))

    train(short(settings), out=tmp_path, augment={"size": size}, optim=optim)

    augment = replace(settings.augment, size=size)
    assert read_config(tmp_path / CONFIG) == short(replace(settings, augment=augment, optim=optim))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"optim": {"rate": 1}}, r"^settings: unknown setting optim\.rate"),
        ({"optim": 3}, r"^settings: optim is 3"),
        ({"optimizer": {}}, r"^settings: unknown setting optimizer"),
        ({"train": {"steps": -1}}, "train.steps is -1"),
    ],
)
def test_keywords_that_are_no_settings_are_refused(settings, tmp_path, keywords, message):
    with pytest.raises(ValueError, match=message):
        train(settings, out=tmp_path / "run", **keywords)

    assert not (tmp_path / "run").exists()


def test_settings_without_a_file_need_a_run_folder(settings):
    with pytest.raises(ValueError, match="out is missing; expected a run folder"):
        train(settings)


@pytest.mark.slow
def test_a_training_exports_what_it_has_learnt(settings, tmp_path):
    with networks.shapes_unchecked():
        run = train(settings, out=tmp_path / "run", train={"steps": 1, "export": True})

    assert open_onnxruntime(run, EngineOptions()).config.size == (64, 96)


def test_a_training_that_cannot_be_exported_has_its_model(settings, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "jsisnet.model.export", raising=False)

    run = train(settings, out=tmp_path / "run", train={"steps": 1, "export": True})

    assert (run / "model.safetensors").exists()
    assert not (run / "model.onnx").exists()
    assert caplog.messages[-1].startswith("the model was not exported (")
    assert f"try again with `jsisnet export {run}`" in caplog.messages[-1]
