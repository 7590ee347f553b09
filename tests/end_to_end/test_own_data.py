"""Following the documentation line by line leads to a trained and scored model."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import factories
from documentation import commands, follow, section
from jsisnet.cli.app import run
from jsisnet.formats import coco
from jsisnet.panoptic import VOID


@pytest.mark.slow
def test_own_photos_become_a_scored_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert follow(section("docs/how_to/own_data.md")) == []

    told = capsys.readouterr().out
    assert "mine/panoptic.json: 10 images" in told
    assert "0 errors, 0 warnings" in told
    before, after = (
        {record.name: record.read() for record in coco.source(tmp_path / path).records}
        for path in ("scenes/panoptic_train.json", "mine/panoptic.json")
    )
    assert before.keys() == after.keys()
    for name, panoptic in before.items():
        assert sorted(panoptic.areas().tolist()) == sorted(after[name].areas().tolist())
        assert ((panoptic.ids == VOID) == (after[name].ids == VOID)).all()
    parts = [json.loads((tmp_path / f"parts/{name}.json").read_text()) for name in ("train", "val")]
    assert [len(part["images"]) for part in parts] == [8, 2]
    for path in ("look.jpg", "batch.jpg", "report/index.html", "prediction/000001_overlay.jpg"):
        assert (tmp_path / path).is_file()


@pytest.mark.slow
def test_the_first_training_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert follow(section("README.md", "Your first training")) == []

    trained = re.search(r"PQ after step 2: all ([\d.]+)", capsys.readouterr().out)
    assert trained is not None
    assert (tmp_path / "prediction/000001_overlay.jpg").is_file()


@pytest.mark.slow
def test_getting_started_runs(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    text = section("docs/getting_started.md")
    monkeypatch.chdir(tmp_path)
    for number, folder in enumerate(("holiday", "more")):
        Path(folder).mkdir()
        factories.photo_of(factories.tiny_map(number)).save(f"{folder}/{number}.png")

    assert ["demo"] in commands(text)
    assert follow(text) == []


def write_export(folder: Path) -> None:
    """Write the export of a labelling tool: polygons, ids from 0, palette PNGs in a subfolder."""
    (folder / "SegmentationClass").mkdir(parents=True)
    (folder / "photos").mkdir()
    outlines = ([10, 20, 40, 20, 25, 50], [50, 30, 80, 30, 90, 45, 70, 60, 48, 45])
    content = {
        "info": {"description": "export"},
        "categories": [{"id": 0, "name": "tent"}, {"id": 1, "name": "boat"}],
        "images": [],
        "annotations": [],
    }
    for number in range(4):
        name = f"IMG_{number:04}.jpg"
        picture = Image.new("RGB", (96, 64), (90, 140, 220))
        classes = Image.new("P", (96, 64), 4)
        for drawn, low, high in ((picture, (60, 120, 60), (200, 60, 40)), (classes, 3, 1)):
            pen = ImageDraw.Draw(drawn)
            pen.rectangle((0, 40 - number, 95, 63), fill=low)
            for outline in outlines:
                pen.polygon(outline, fill=high)
        picture.save(folder / "photos" / name)
        classes.putpalette([value for code in range(256) for value in (code, 0, 255 - code)])
        classes.save(folder / "SegmentationClass" / f"IMG_{number:04}.png")
        content["images"].append({"id": number, "file_name": name, "height": 64, "width": 96})
        content["annotations"] += [
            {
                "id": 2 * number + category,
                "image_id": number,
                "category_id": category,
                "segmentation": [outline],
                "bbox": [0, 0, 1, 1],
                "area": 1,
                "iscrowd": 0,
            }
            for category, outline in enumerate(outlines)
        ]
    (folder / "instances_default.json").write_text(json.dumps(content))
    names = (("tent", 1), ("boat", 1), ("grass", 0), ("sky", 0))
    classes = [{"id": i, "name": n, "isthing": t} for i, (n, t) in enumerate(names, 1)]
    (folder / "classes.json").write_text(json.dumps({"categories": classes}))


@pytest.mark.slow
def test_polygons_of_a_labelling_tool_become_a_scored_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_export(tmp_path / "export")
    places = (
        "--annotations export/instances_default.json --semantic export/SegmentationClass "
        "--categories export/classes.json --images export/photos"
    )
    settings = (
        "base: tiny.yaml\n"
        "data: {images: export/photos, annotations: parts/train.json}\n"
        "validation: {images: export/photos, annotations: parts/val.json}\n"
        "train: {steps: 2, batch_size: 2, workers: 0}\n"
    )
    Path("mine.yaml").write_text(settings)

    for command in (
        f"data convert --from coco-instances {places} --out mine",
        "data check --images export/photos --annotations mine/panoptic.json",
        "data split --annotations mine/panoptic.json --out parts --parts train=3 val=1",
        "train mine.yaml --out runs/mine",
        "predict export/photos/IMG_0000.jpg --model runs/mine --out prediction",
        "evaluate --model runs/mine --images export/photos --annotations parts/val.json --out out",
        "score out/truth.json out/predictions.json",
    ):
        assert run(command.split()) == 0

    assert "4 images, 16 segments: 0 errors, 0 warnings" in capsys.readouterr().out
    assert (tmp_path / "prediction/IMG_0000_overlay.jpg").is_file()
    record, *_ = coco.source(tmp_path / "mine/panoptic.json").records
    panoptic = record.read()
    kinds = [(segment.label, segment.isthing) for segment in panoptic.segments]
    assert sorted(kinds) == [(0, True), (1, True), (2, False), (3, False)]
    areas = dict(zip([label for label, _ in kinds], panoptic.areas().tolist(), strict=True))
    assert areas[0] == pytest.approx(450, rel=0.1)
