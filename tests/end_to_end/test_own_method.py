"""The semantic method of the documentation is added by a package of its own, and trained."""

import sys
import tomllib

import pytest

from documentation import ROOT, blocks, follow
from jsisnet import sections
from jsisnet.model import saved_model

PAGE = "docs/how_to/methods.md"
SHORTENED = {
    "data generate": ("--train", "4", "--val", "1"),
    "train": ("--train.steps=3", "--train.batch-size=2", "--train.export=false"),
}


@pytest.fixture
def text(tmp_path, monkeypatch):
    """Install the package of the page as pip would, work in an empty folder, return the page."""
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    (project,), (module,) = (
        map(tomllib.loads, blocks(page, "toml")),
        blocks(page, "python"),
    )
    site = tmp_path / "site"
    info = site / "jsisnet_deeplab-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jsisnet-deeplab\nVersion: 0.1\n")
    ((group, points),) = project["project"]["entry-points"].items()
    lines = [f"{name} = {place}\n" for name, place in points.items()]
    (info / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")
    (site / "deeplab.py").write_text(module)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    sections._entry_points.cache_clear()
    yield page
    sections._entry_points.cache_clear()
    sys.modules.pop("deeplab", None)


@pytest.mark.slow
def test_a_method_of_another_package_is_trained_saved_and_read(text, tmp_path):
    assert len(blocks(text, "python")[0].splitlines()) < 100

    assert follow(text.partition("`deeplab.yaml`:")[2], SHORTENED) == []

    made = saved_model.read(tmp_path / "runs" / "deeplab")
    assert type(made.network.semantic).__name__ == "DeepLab"
    assert (made.config.network.semantic.channels, made.config.network.semantic.rates) == (
        48,
        (2, 4),
    )


def test_a_model_whose_package_is_missing_names_the_method(text, tmp_path, monkeypatch):
    del text
    kind = sections.Choice("method", {}, "jsisnet.semantic_methods").find("deeplab", "x")
    assert kind().channels == 128
    assert kind.__module__ == "deeplab"
    monkeypatch.setattr(sys, "path", [path for path in sys.path if str(tmp_path) not in path])
    sections._entry_points.cache_clear()

    with pytest.raises(ValueError, match=r"is 'deeplab'\. .*Other packages"):
        sections.Choice("method", {"psp": "x"}, "jsisnet.semantic_methods").find("deeplab", "m")
