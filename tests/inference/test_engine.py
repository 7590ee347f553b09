"""Engines of other packages, found through their entry points."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import factories
from jsisnet.cli.app import run
from jsisnet.inference import engine
from jsisnet.inference.engine import Engine, EngineOptions, EngineUnavailableError, open_engine
from jsisnet.inference.model_folder import PredictionConfig
from jsisnet.inference.predictor import Predictor
from jsisnet.panoptic import PanopticMap, Segment

SKY, ROAD = (factories.CATEGORIES.stuff_labels[i] for i in (0, 1))


class Halves:
    """A network that calls the upper half of any picture sky, and the lower one road."""

    name, device, batch_size = "halves", "cpu", 2
    predicts = frozenset(["panoptic"])
    categories = factories.CATEGORIES

    def __init__(self, size):
        self.config = PredictionConfig(size=size)
        self.seen = []

    def __call__(self, images, extras=None):  # noqa: ARG002 - it has nothing else to say
        self.seen.append(images.shape)
        segments = tuple(Segment(label=label, isthing=False) for label in (SKY, ROAD))
        ids = np.ones(images.shape[1:3], np.int32)
        ids[len(ids) // 2 :] = 2
        return [PanopticMap(ids, segments) for _ in images]

    def fingerprint(self):
        return "halves"


def open_halves(model, options):  # noqa: ARG001 - the type of the entry points
    if not str(model).startswith("halves"):
        raise EngineUnavailableError("it knows halves only")
    return Halves((8, 8))


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Install a package with an engine."""
    package = tmp_path / "site"
    info = package / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[jsisnet.engines]\nhalves = toys:open_halves\nbroken = toys_without:anything\n"
    )
    (package / "toys.py").write_text("")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setitem(sys.modules, "toys", sys.modules[__name__])
    engine._entry_points.cache_clear()
    yield
    engine._entry_points.cache_clear()


def test_an_engine_is_an_object_with_the_members_of_the_protocol():
    assert isinstance(Halves((8, 8)), Engine)


@pytest.mark.usefixtures("plugged")
def test_the_network_of_another_package_predicts_panoptic_maps():
    predictor = Predictor("halves", engine="halves")

    results = predictor([np.zeros((40, 60, 3), np.uint8), np.zeros((10, 20, 3), np.uint8)])

    assert [result.panoptic.size for result in results] == [(40, 60), (10, 20)]
    assert [segment.label for segment in results[0].panoptic.segments] == [SKY, ROAD]
    assert (results[0].panoptic.ids[:20] == 1).all()
    assert (results[0].panoptic.ids[20:] == 2).all()
    assert predictor.engine.seen == [(2, 8, 8, 3)]


def test_a_network_that_takes_any_size_sees_each_photo_as_it_is():
    halves = Halves(None)

    results = Predictor(halves)([np.zeros((40, 60, 3), np.uint8), np.zeros((10, 20, 3), np.uint8)])

    assert halves.seen == [(1, 40, 60, 3), (1, 10, 20, 3)]
    assert [result.panoptic.size for result in results] == [(40, 60), (10, 20)]


@pytest.mark.usefixtures("plugged")
def test_the_network_of_another_package_is_evaluated_and_reported(tiny, tmp_path, capsys):
    data = ["--images", str(tiny.images), "--annotations", str(tiny.annotations)]
    model = ["--model", "halves", "--engine", "halves"]

    code = run(["evaluate", *data, *model, "--report", str(tmp_path / "report")])

    assert code == 0, capsys.readouterr().err
    assert "PQ" in capsys.readouterr().out
    assert "halves" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.usefixtures("plugged")
def test_the_network_of_another_package_segments_files(tiny, tmp_path):
    photo = str(next(tiny.images.iterdir()))

    code = run(
        [
            "predict",
            photo,
            "--model",
            "halves",
            "--engine",
            "halves",
            "--out",
            str(tmp_path / "out"),
        ]
    )

    assert code == 0
    assert list((tmp_path / "out").glob("*.png"))


@pytest.mark.usefixtures("plugged")
def test_an_engine_that_can_not_run_a_model_says_why():
    with pytest.raises(EngineUnavailableError, match="it knows halves only"):
        open_engine("coco", "halves")
    with pytest.raises(EngineUnavailableError, match="toys_without"):
        open_engine("coco", "broken", EngineOptions())


@pytest.mark.parametrize(
    "error", [ImportError("DLL load failed"), OSError("libcudart.so.13: cannot open shared object")]
)
def test_a_library_that_can_not_be_loaded_leaves_the_other_engines(monkeypatch, error):
    def load(module):
        if module == "jsisnet.inference.exported":
            raise error
        return SimpleNamespace(open_engine=open_halves)

    monkeypatch.setattr(engine, "import_module", load)

    made = open_engine("halves", options=EngineOptions(device="cpu"))

    assert made.name == "halves"
    with pytest.raises(EngineUnavailableError, match=f"onnxruntime can't be imported .{error}"):
        open_engine("halves", "onnxruntime")


def test_engines_return_an_output_for_each_image():
    class Short(Halves):
        def __call__(self, images, extras=None):
            return super().__call__(images, extras)[1:]

    with pytest.raises(ValueError, match="returned 0 outputs for 1 images"):
        Predictor(Short((8, 8))).panoptic(np.zeros((4, 4, 3), np.uint8))
