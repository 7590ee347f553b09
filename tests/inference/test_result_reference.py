"""Each row of the tables in docs/reference/result.md is a test."""

import io
import json
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_masks

from documentation import section
from factories import CAR, CATEGORIES, ROAD, segment
from jsisnet.files import to_rgb, write_picture
from jsisnet.inference.result import Result
from jsisnet.panoptic import PanopticMap

COLORS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
GREY = COLORS[..., 0]
GREY_COLORS = np.stack([GREY] * 3, axis=-1)
FLAT = np.full((32, 48, 3), (200, 100, 50), np.uint8)
CAR_MASK = np.arange(6)[None, :] + np.arange(8)[:, None] > 8


def rows(title):
    """Return the first column of a section's table."""
    lines = re.findall(r"^\| (.*?) \|", section("docs/reference/result.md", title), re.MULTILINE)
    return lines[1:]


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PNG = encoded(Image.fromarray(COLORS), "PNG")


class Named:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


class Pipe:
    def __init__(self):
        self.stream = io.BytesIO(PNG)

    def read(self, size):
        return self.stream.read(size)


def zipped(path):
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.write(path, "photo.png")
    return zipfile.Path(path.with_suffix(".zip"), "photo.png")


def heic():
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(FLAT)).save(buffer, quality=95)
    return buffer.getvalue()


def opaque(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def few_colors():
    return Image.fromarray(COLORS).quantize(4)


PHOTOS = {
    "`str`": lambda path: (str(path), COLORS),
    "`pathlib.Path`": lambda path: (path, COLORS),
    "`os.PathLike`": lambda path: (Named(path), COLORS),
    "`zipfile.Path`": lambda path: (zipped(path), COLORS),
    "`bytes`": lambda _: (PNG, COLORS),
    "`bytearray`": lambda _: (bytearray(PNG), COLORS),
    "`memoryview`": lambda _: (memoryview(PNG), COLORS),
    "binary file object": lambda _: (io.BytesIO(PNG), COLORS),
    "pipe": lambda _: (Pipe(), COLORS),
    "PIL image": lambda _: (Image.fromarray(COLORS), COLORS),
    "array h w 3, uint8": lambda _: (COLORS, COLORS),
    "array h w, uint8": lambda _: (GREY, GREY_COLORS),
    "array h w 1, uint8": lambda _: (GREY[..., None], GREY_COLORS),
    "array h w 4, uint8": lambda _: (opaque(COLORS), COLORS),
    "array h w 3, uint16": lambda _: (COLORS.astype(np.uint16) * 257, COLORS),
    "array h w, bool": lambda _: (CAR_MASK, np.stack([CAR_MASK * 255] * 3, axis=-1)),
    "tensor 3 h w, uint8": lambda _: (torch.from_numpy(COLORS).permute(2, 0, 1), COLORS),
    "tensor h w 3, uint8": lambda _: (torch.from_numpy(COLORS), COLORS),
    "tensor h w, uint8": lambda _: (torch.from_numpy(GREY), GREY_COLORS),
    "16-bit grey PNG": lambda _: (
        encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        GREY_COLORS,
    ),
    "RGBA PNG": lambda _: (encoded(Image.fromarray(opaque(COLORS)), "PNG"), COLORS),
    "palette GIF": lambda _: (encoded(few_colors(), "GIF"), np.array(few_colors().convert("RGB"))),
    "CMYK JPEG": lambda _: (
        encoded(Image.fromarray(FLAT).convert("CMYK"), "JPEG", quality=100),
        FLAT,
    ),
    "AVIF": lambda _: (encoded(Image.fromarray(FLAT), "AVIF", quality=95), FLAT),
    "HEIC": lambda _: (heic(), FLAT),
}
LOSSY = {"AVIF", "CMYK JPEG", "HEIC"}


@pytest.mark.parametrize("row", rows("What a photo can be"))
def test_a_photo_may_be(row, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)

    source, expected = PHOTOS[row](path)
    image = to_rgb(source)

    assert (image.dtype, image.shape) == (np.uint8, expected.shape)
    assert np.allclose(image, expected, atol=4 if row in LOSSY else 0)


def saved(result, folder):
    result.save(folder)
    return sorted(path.name for path in folder.iterdir())


def transparent(result, folder):
    write_picture(result.cutout(result[0]), folder / "car.png")
    with Image.open(folder / "car.png") as image:
        return np.array(image)[..., 3] == 255


GIVES = {
    "`len(result)`": lambda r, _: len(r) == 2,
    "`result[i]`": lambda r, _: (r[0].name, r[-1].name) == ("car", "road"),
    "`for segment in result`": lambda r, _: [s.name for s in r] == ["car", "road"],
    "`segment.id`": lambda r, _: [s.id for s in r] == [1, 2],
    "`segment.name`": lambda r, _: r[0].name == "car",
    "`segment.label`": lambda r, _: r[0].label == CAR,
    "`segment.isthing`": lambda r, _: [s.isthing for s in r] == [True, False],
    "`segment.score`": lambda r, _: [s.score for s in r] == [0.75, None],
    "`segment.area`": lambda r, _: r[0].area == CAR_MASK.sum(),
    "`segment.box`": lambda r, _: r[0].box == (2, 4, 6, 8),
    "`segment.mask`": lambda r, _: np.array_equal(r[0].mask, CAR_MASK),
    "`result.masks()`": lambda r, _: np.array_equal(r.masks(), [CAR_MASK, ~CAR_MASK]),
    "`result.crop(segment)`": lambda r, _: np.array_equal(r.crop(r[0]), COLORS[4:, 2:]),
    "`result.cutout(segment)`": lambda r, folder: np.array_equal(
        transparent(r, folder), CAR_MASK[4:, 2:]
    ),
    "`result.draw()`": lambda r, _: r.draw().shape == (8, 6, 3),
    "`result` in a notebook": lambda r, _: np.array_equal(to_rgb(r._repr_png_()), r.draw()),
    "`print(result)`": lambda r, _: (
        str(r) == "Result('street.jpg', 6 x 8 pixels, 2 segments: car, road)"
    ),
    "`result.save(folder)`": lambda r, folder: (
        saved(r, folder) == ["street.json", "street.png", "street_overlay.jpg"]
    ),
    "`result.to_coco()`": lambda r, folder: (
        saved(r, folder) and json.loads((folder / "street.json").read_text()) == r.to_coco()
    ),
    "`result.to_coco_results()`": lambda r, _: (
        [(e["image_id"], e["category_id"], e["score"]) for e in r.to_coco_results(7)]
        == [(7, 3, 0.75)]
    ),
    "`result.to_rle()`": lambda r, _: np.array_equal(coco_masks.decode(r.to_rle()[0]), CAR_MASK),
    "`result.to_supervision()`": lambda r, _: np.array_equal(r.to_supervision().mask, r.masks()),
    "`result.to_fiftyone()`": lambda r, _: np.array_equal(
        r.to_fiftyone().detections[0].mask, CAR_MASK[4:, 2:]
    ),
    "`result.to_labelme()`": lambda r, _: (
        [shape["label"] for shape in r.to_labelme()["shapes"]] == ["car", "road"]
    ),
    "`result.to_label_studio()`": lambda r, _: (
        r.to_label_studio("/data/a.jpg")["data"] == {"image": "/data/a.jpg"}
    ),
    "`result.to_cvat()`": lambda r, _: (
        [m.get("label") for m in ElementTree.fromstring(r.to_cvat()).iter("mask")]
        == ["car", "road"]
    ),
}


@pytest.mark.filterwarnings("ignore:OpenCV", "ignore:__array__ implementation")
@pytest.mark.usefixtures("fiftyone")
@pytest.mark.parametrize("row", rows("What a result gives"))
def test_a_result_gives(row, tmp_path):
    segments = segment(CAR, score=0.75), segment(ROAD)
    panoptic = PanopticMap(np.where(CAR_MASK, 1, 2).astype(np.int32), segments)
    result = Result(COLORS, panoptic, CATEGORIES, "street.jpg")

    assert GIVES[row](result, tmp_path)


def test_the_tables_are_complete():
    assert rows("What a photo can be") == list(PHOTOS)
    assert rows("What a result gives") == list(GIVES)
    methods = {name for name in vars(Result) if not name.startswith("_")}
    documented = set(re.findall(r"result\.(\w+)", " ".join(GIVES)))
    fields = {*Result.__dataclass_fields__, "areas", "boxes", "stem"}
    assert methods - fields == documented


def test_files_for_annotation_tools_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    text = section("docs/reference/result.md", "Correcting predictions in an annotation tool")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    panoptic = PanopticMap(np.ones((8, 6), np.int32), (segment(ROAD),))

    exec("\n".join(blocks), {"result": Result(COLORS, panoptic, CATEGORIES, "photos/street.jpg")})

    assert json.loads(Path("photos/street.json").read_text())["imagePath"] == "street.jpg"
    assert len(json.loads(Path("tasks.json").read_text())) == 1
    assert ElementTree.parse("street.xml").find("image").get("name") == "street.jpg"
    *labels, raw = capsys.readouterr().out.splitlines()
    assert labels[:2] == ['<Label value="person"/>', '<Label value="car"/>']
    assert [label["name"] for label in json.loads(raw)] == [c.name for c in CATEGORIES]
