from dataclasses import replace

import numpy as np
import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.experiments.architecture import architecture, draw_architecture
from jsisnet.files.photos import read_image


def test_every_block_has_the_sizes_of_its_tensors():
    found = architecture(networks.TINY, factories.CATEGORIES, (64, 96))

    labels, things = len(factories.CATEGORIES), len(factories.CATEGORIES.thing_labels)
    titles = [block.title for block in found.instance]
    assert found.shared[0].sizes == ("3 x 64 x 96",)
    assert found.semantic[-1].sizes == (f"{labels} x 64 x 96",)
    assert titles[0] == "region proposals"
    assert titles[-1] == "masks"
    assert f"({things} x " in found.instance[-1].sizes[0]


@pytest.mark.parametrize(("branches", "rows"), [("joint", 4), ("semantic", 3), ("instance", 3)])
def test_only_the_branches_that_there_are_get_a_row(branches, rows):
    config = replace(networks.TINY, branches=branches)

    found = architecture(config, factories.CATEGORIES, (64, 96))

    assert len(found.lines()) == rows
    assert draw_architecture(found, "tiny").shape[2] == 3


def test_figure_2_draws_and_prints_the_papers_networks(tmp_path, capsys):
    out = tmp_path / "figure2.png"

    assert run(["reproduce", "figure2", "--out", str(out)]) == 0

    text = " ".join(capsys.readouterr().out.split())
    assert "coco.yaml: 80 things and 53 stuff" in text
    assert "vistas.yaml: 37 things and 28 stuff" in text
    assert "logits [133 x 100 x 100] -> bilinear [133 x 400 x 400]" in text
    assert "shared map [512 x 64 x 128]" in text
    assert "region proposals [45000 x 2, 45000 x 4]" in text
    assert "region proposals [245760 x 2, 245760 x 4]" in text
    picture = read_image(out)
    half = len(picture) // 2
    assert (picture != 255).any()
    assert not np.array_equal(picture[:half], picture[half : 2 * half])


def test_figure_2_refuses_to_replace_a_configuration(tmp_path, capsys):
    config = tmp_path / "mine.png"
    config.write_text("x")

    assert run(["reproduce", "figure2", str(config), "--out", str(config)]) == 1

    assert "is an input and would be overwritten" in capsys.readouterr().err
