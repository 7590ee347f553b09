import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jsisnet.formats.dataset import DataConfig
from jsisnet.training import loggers
from jsisnet.training.config import RunConfig, TrainConfig
from jsisnet.training.loggers import IDS, QUALITY, MLflow, TensorBoard, WandB, flatten

CONFIG = RunConfig(
    data=DataConfig(images="photos", annotations="photos.json"), train=TrainConfig(steps=6)
)
RED = np.tile(np.array([255, 0, 0], np.uint8), (4, 6, 1))


def log(kind, folder, *, start, steps, finish=True):
    """Log some steps, each with a loss, a quality and a picture."""
    logger = kind(CONFIG, folder)
    logger.start(start)
    for step in steps:
        logger.log_metrics(step, {"loss/total": step / 4})
        logger.log_metrics(step, {QUALITY: step * 10.0})
        logger.log_pictures(step, {"photos/1 street.jpg": RED})
    if finish:
        logger.finish(finished=True)


def messages(caplog):
    """Return our log messages, without those of the library."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("jsisnet")]


def test_flattened_names_are_joined():
    values = {"size": (64, 96), "deep": {"er": {"on": True}, "none": None}, "name": "street"}

    assert dict(flatten(values, ".")) == {"size": "(64, 96)", "deep.er.on": True, "name": "street"}


class TestTensorBoard:
    @pytest.fixture
    def read(self, tmp_path):
        """Return a function that reads the event files."""
        accumulator = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator"
        ).EventAccumulator

        def read():
            events = accumulator(str(tmp_path / "tensorboard"))
            events.Reload()
            return events

        return read

    def test_metrics_can_be_read_back(self, tmp_path, read):
        log(TensorBoard, tmp_path, start=0, steps=(2, 4))

        points = [(point.step, point.value) for point in read().Scalars("loss/total")]
        assert points == [(2, 0.5), (4, 1.0)]

    def test_a_picture_can_be_read_back(self, tmp_path, read):
        log(TensorBoard, tmp_path, start=0, steps=(2,))

        (image,) = read().Images("photos/1 street.jpg")
        assert (image.step, image.width, image.height) == (2, 6, 4)
        (tmp_path / "back.png").write_bytes(image.encoded_image_string)
        with Image.open(tmp_path / "back.png") as back:
            np.testing.assert_array_equal(np.array(back), RED)

    def test_settings_are_logged_as_hyperparameters(self, tmp_path, read):
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        log(TensorBoard, tmp_path, start=0, steps=())

        contents = read().PluginTagToContent("hparams")
        data = HParamsPluginData.FromString(contents["_hparams_/session_start_info"])
        assert data.session_start_info.hparams["train.steps"].number_value == 6
        assert data.session_start_info.hparams["data.images"].string_value == "photos"

    def test_a_resumed_run_has_each_point_once(self, tmp_path, read):
        log(TensorBoard, tmp_path, start=0, steps=(1, 2, 3), finish=False)
        log(TensorBoard, tmp_path, start=2, steps=(3, 4))

        events = read()
        assert [point.step for point in events.Scalars("loss/total")] == [1, 2, 3, 4]
        assert [point.step for point in events.Images("photos/1 street.jpg")] == [1, 2, 3, 4]

    def test_a_run_that_starts_again_hides_earlier_points(self, tmp_path, read):
        log(TensorBoard, tmp_path, start=0, steps=(1, 2, 3))
        log(TensorBoard, tmp_path, start=0, steps=(1,))

        assert [point.step for point in read().Scalars("loss/total")] == [1]

    def test_a_folder_that_can_not_be_created_is_an_error(self, tmp_path):
        (tmp_path / "tensorboard").touch()

        with pytest.raises(OSError, match="tensorboard"):
            TensorBoard(CONFIG, tmp_path).start(0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestWandB:
    @pytest.fixture(autouse=True)
    def alone(self, monkeypatch, tmp_path):
        """Remove the login and the settings of this machine."""
        pytest.importorskip("wandb")
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        yield
        import wandb

        wandb.teardown()

    @staticmethod
    def kept(folder):
        """Return the only file of a run, once the library's service process has written it."""
        import wandb

        wandb.teardown()
        (path,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
        return path

    def test_without_a_login_the_run_stays_in_its_folder(self, tmp_path, caplog):
        log(WandB, tmp_path, start=0, steps=(2, 4))

        (message,) = messages(caplog)
        assert "wandb: not logged in; logging to" in message
        kept = self.kept(tmp_path)
        assert b"loss/total" in kept.read_bytes()
        assert len(list((kept.parent / "files" / "media").rglob("*.png"))) == 2

    def test_offline_mode_by_choice_gives_no_warning(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setenv("WANDB_MODE", "offline")
        log(WandB, tmp_path, start=0, steps=(2,))

        assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1
        assert messages(caplog) == []

    def test_without_a_connection_the_run_stays_in_its_folder(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setattr(loggers, "_TIMEOUT", 1)
        log(WandB, tmp_path, start=0, steps=(2,))

        (message,) = messages(caplog)
        assert "can't reach the service" in message
        kept = self.kept(tmp_path)
        assert b"loss/total" in kept.read_bytes()

    def test_a_resumed_run_keeps_its_id_and_a_new_one_has_another(self, tmp_path, monkeypatch):
        monkeypatch.setenv("WANDB_MODE", "offline")
        log(WandB, tmp_path, start=0, steps=(1,))
        name = json.loads((tmp_path / IDS).read_text())["wandb"]
        log(WandB, tmp_path, start=1, steps=(2,))
        assert json.loads((tmp_path / IDS).read_text())["wandb"] == name
        log(WandB, tmp_path, start=0, steps=(1,))
        assert json.loads((tmp_path / IDS).read_text())["wandb"] != name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestMLflow:
    @pytest.fixture(autouse=True)
    def alone(self, monkeypatch):
        """Remove the settings of this machine."""
        pytest.importorskip("mlflow")
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    @staticmethod
    def read(folder: Path):
        """Read the only run of a folder, and the steps of its loss."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
        (experiment,) = client.search_experiments(filter_string="name = 'jsisnet'")
        (run,) = client.search_runs([experiment.experiment_id])
        history = client.get_metric_history(run.info.run_id, "loss/total")
        return run, [(metric.step, metric.value) for metric in history]

    def test_a_run_is_kept_in_its_folder(self, tmp_path):
        log(MLflow, tmp_path, start=0, steps=(2, 4))

        run, points = self.read(tmp_path)
        assert points == [(2, 0.5), (4, 1.0)]
        assert run.data.params["train.steps"] == "6"
        assert run.info.run_name == tmp_path.name
        assert run.info.status == "FINISHED"
        assert len(list((tmp_path / "mlflow" / "artifacts").rglob("*street.jpg*.png"))) == 2

    def test_a_resumed_run_is_continued_with_each_point_once(self, tmp_path):
        log(MLflow, tmp_path, start=0, steps=(1, 2, 3), finish=False)
        log(MLflow, tmp_path, start=2, steps=(3, 4))

        _, points = self.read(tmp_path)
        assert [step for step, _ in points] == [1, 2, 3, 4]
        assert len(list((tmp_path / "mlflow" / "artifacts").rglob("*street.jpg*.png"))) == 4
