import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

import jsisnet
import networks
from factories import CAR, CATEGORIES, PERSON, ROAD, SKY, odd_maps, panoptic_map, segment
from jsisnet.categories import Categories
from jsisnet.files import write_picture
from jsisnet.formats import coco, cvat, label_studio, labelme
from jsisnet.inference.result import Result
from jsisnet.panoptic import PanopticMap

MAPS = [pytest.param(panoptic, id=name) for name, panoptic in odd_maps().items()]
STREET = panoptic_map(
    [[1, 1, 1, 1, 1, 1], [2, 2, 3, 3, 1, 1], [2, 2, 3, 3, 0, 4], [4, 4, 4, 4, 4, 4]],
    segment(SKY),
    segment(CAR, score=0.75),
    segment(CAR, score=0.5),
    segment(ROAD),
)
PHOTO = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def result_of(panoptic, name="photos/a b.jpg"):
    return Result(np.full((*panoptic.size, 3), 200, np.uint8), panoptic, CATEGORIES, name)


@pytest.fixture
def street():
    return Result(PHOTO, STREET, CATEGORIES, "trip/stréet.jpeg")


def seen(panoptic):
    """Return number and segment of the segments that have pixels."""
    present = set(np.unique(panoptic.ids).tolist())
    return [(i, s) for i, s in enumerate(panoptic.segments, 1) if i in present]


def test_segments_are_iterated_with_all_that_is_known_of_them(street):
    found = [
        (s.id, s.name, s.label, s.isthing, s.score, s.area, s.box) for s in street
    ]  # fmt: skip

    assert found == [
        (1, "sky", SKY, False, None, 8, (0, 0, 6, 2)),
        (2, "car", CAR, True, 0.75, 4, (0, 1, 2, 3)),
        (3, "car", CAR, True, 0.5, 4, (2, 1, 4, 3)),
        (4, "road", ROAD, False, None, 7, (0, 2, 6, 4)),
    ]


def test_segments_are_found_by_their_position(street):
    assert len(street) == 4
    assert street[1] == list(street)[1]
    assert street[-1].name == "road"
    assert repr(street[1]) == "PredictedSegment(2, 'car', score 0.75, 4 pixels)"
    assert repr(street[0]) == "PredictedSegment(1, 'sky', 8 pixels)"
    with pytest.raises(IndexError):
        street[4]


@pytest.mark.parametrize("panoptic", MAPS)
def test_masks_are_those_of_the_map(panoptic):
    result = result_of(panoptic)

    masks = result.masks()

    assert masks.shape == (len(panoptic.segments), *panoptic.size)
    assert masks.dtype == bool
    for found, segment_ in zip(masks, result, strict=True):
        assert np.array_equal(found, panoptic.ids == segment_.id)
        assert np.array_equal(found, segment_.mask)
        assert segment_.area == found.sum()


def test_a_crop_is_the_photo_inside_the_box(street):
    assert np.array_equal(street.crop(street[2]), PHOTO[1:3, 2:4])


def test_a_cutout_has_a_transparent_background(street, tmp_path):
    road = street[3]

    cutout = street.cutout(road)
    write_picture(cutout, tmp_path / "road.png")

    assert cutout.shape == (2, 6, 4)
    assert np.array_equal(cutout[..., 3] == 255, STREET.ids[2:] == 4)
    assert np.array_equal(cutout[1, :, :3], PHOTO[3])
    assert not cutout[0, :5].any()
    with Image.open(tmp_path / "road.png") as saved:
        assert np.array_equal(np.array(saved), cutout)
    with pytest.raises(ValueError, match="a JPEG has no transparency"):
        write_picture(cutout, tmp_path / "road.jpg")


def test_a_segment_of_another_result_is_refused(street):
    other = Result(PHOTO, STREET, CATEGORIES)

    for call in (street.crop, street.cutout):
        with networks.shapes_unchecked(), pytest.raises(TypeError, match="0 is not a segment"):
            call(0)
        with pytest.raises(ValueError, match="of another result"):
            call(other[0])


def test_a_photo_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the photo has 6 x 4 pixels, but the map has 4 x 4"):
        Result(PHOTO, PanopticMap(np.zeros((4, 4), np.int32), ()), CATEGORIES)
    with pytest.raises(ValueError, match="label 1; expected a label of the 0 categories"):
        Result(PHOTO, STREET, Categories(()))


def test_a_negative_label_is_refused():
    panoptic = PanopticMap(np.ones(PHOTO.shape[:2], np.int32), (segment(-1, score=0.5),))

    with pytest.raises(ValueError, match="label -1; expected a label of the 6 categories"):
        Result(PHOTO, panoptic, CATEGORIES)


@pytest.mark.parametrize("panoptic", MAPS)
@pytest.mark.parametrize("overlay", [True, False])
def test_what_is_saved_can_be_read_again(tmp_path, panoptic, overlay):
    result = result_of(panoptic)

    png = result.save(tmp_path / "new", overlay=overlay)

    names = {"a b.png", "a b.json", *(["a b_overlay.jpg"] if overlay else [])}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    assert png == tmp_path / "new" / "a b.png"
    stored = coco.read_annotations(png.with_suffix(".json"), pngs=png.parent, predicted=True)
    (annotation,) = stored.annotations
    found = coco.read_png(annotation, CATEGORIES)
    assert stored.categories == CATEGORIES
    assert found.segments == tuple(segment_ for _, segment_ in seen(panoptic))
    assert np.array_equal(found.labels(), panoptic.labels())
    assert json.loads(png.with_suffix(".json").read_text(encoding="utf-8")) == result.to_coco()


def test_results_of_several_photos_are_saved_in_one_folder(tmp_path):
    for name in ("a.jpg", "b.png"):
        result_of(odd_maps()["one pixel"], name).save(tmp_path)

    assert len(list(tmp_path.glob("?.json"))) == 2


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (None, "image"),
        ("", "image"),
        ("..", "image"),
        ("a/..", "image"),
        ("/etc/passwd", "passwd"),
        ("C:\\photos\\ä.b.jpg", "ä.b"),
        ("日本/写真.heic", "写真"),
    ],
)
def test_names_never_lead_out_of_the_folder(tmp_path, name, stem):
    png = result_of(odd_maps()["void"], name).save(tmp_path / "out")

    assert png == tmp_path / "out" / f"{stem}.png"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert png.is_file()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
@pytest.mark.parametrize("panoptic", MAPS)
def test_run_lengths_are_decoded_by_pycocotools(panoptic):
    runs = json.loads(json.dumps(result_of(panoptic).to_rle()))

    assert len(runs) == len(panoptic.segments)
    for number, run in enumerate(runs, 1):
        assert np.array_equal(coco_masks.decode(run), panoptic.ids == number)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
@pytest.mark.parametrize("panoptic", MAPS)
def test_coco_results_are_loaded_by_pycocotools(panoptic, capsys):
    result = result_of(panoptic)
    things = [(number, s) for number, s in seen(panoptic) if s.isthing]
    truth = COCO()
    truth.dataset = {**result.to_coco(7), "annotations": []}
    truth.createIndex()

    entries = json.loads(json.dumps(result.to_coco_results(7)))
    loaded = truth.loadRes(entries) if entries else truth

    assert len(loaded.anns) == len(things)
    for annotation, (number, expected) in zip(loaded.anns.values(), things, strict=True):
        mask = panoptic.ids == number
        x, y, width, height = map(int, annotation["bbox"])
        assert np.array_equal(loaded.annToMask(annotation), mask)
        assert annotation["category_id"] == CATEGORIES[expected.label].id
        assert annotation["score"] == pytest.approx(expected.score)
        assert annotation["area"] == mask.sum()
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
    capsys.readouterr()


def test_a_coco_file_lists_the_photo_and_its_segments(street):
    content = street.to_coco()

    assert content["images"] == [
        {"id": "stréet", "file_name": "stréet.jpeg", "height": 4, "width": 6}
    ]
    (annotation,) = content["annotations"]
    assert (annotation["image_id"], annotation["file_name"]) == ("stréet", "stréet.png")
    assert [info["id"] for info in annotation["segments_info"]] == [1, 2, 3, 4]
    assert street.to_coco(7)["annotations"][0]["image_id"] == 7


@pytest.mark.filterwarnings("ignore:OpenCV")
@pytest.mark.parametrize("panoptic", MAPS)
def test_supervision_gets_the_same_segments(panoptic):
    import supervision

    detections = result_of(panoptic).to_supervision()

    expected = seen(panoptic)
    assert isinstance(detections, supervision.Detections)
    assert len(detections) == len(expected)
    assert detections.class_id.tolist() == [s.label for _, s in expected]
    names = [CATEGORIES[s.label].name for _, s in expected]
    assert detections.data["class_name"].tolist() == names
    assert detections.data["isthing"].tolist() == [s.isthing for _, s in expected]
    assert detections.confidence.tolist() == pytest.approx(
        [1.0 if s.score is None else s.score for _, s in expected]
    )
    assert detections.mask.shape == (len(expected), *panoptic.size)
    for (number, _), mask in zip(expected, detections.mask, strict=True):
        assert np.array_equal(mask, panoptic.ids == number)
    assert detections.area.tolist() == [(panoptic.ids == i).sum() for i, _ in expected]
    if expected:
        # Its boxes include the last row and column, ours end behind them.
        inclusive = supervision.mask_to_xyxy(detections.mask)
        assert np.array_equal(detections.xyxy - inclusive, [[0, 0, 1, 1]] * len(expected))


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_supervision_filters_and_writes_its_detections(street, tmp_path):
    import supervision

    detections = street.to_supervision()
    image = np.zeros((4, 6, 3), np.uint8)
    dataset = supervision.DetectionDataset(
        classes=[category.name for category in CATEGORIES],
        images=["a.png"],
        annotations={"a.png": detections},
    )

    assert len(detections[detections.confidence > 0.6]) == 3
    assert len(detections[detections.data["isthing"]]) == 2
    assert supervision.MaskAnnotator().annotate(image.copy(), detections).any()
    write_picture(image, tmp_path / "a.png")
    assert len(dataset) == 1


@pytest.mark.parametrize("panoptic", MAPS)
def test_fiftyone_gets_masks_in_relative_boxes(fiftyone, panoptic):
    detections = result_of(panoptic).to_fiftyone()

    assert isinstance(detections, fiftyone.Detections)
    height, width = panoptic.size
    expected = seen(panoptic)
    assert len(detections.detections) == len(expected)
    for found, (number, segment_) in zip(detections.detections, expected, strict=True):
        x, y, columns, rows = np.array(found.bounding_box) * [width, height, width, height]
        mask = np.zeros(panoptic.size, bool)
        mask[round(y) : round(y + rows), round(x) : round(x + columns)] = found.mask
        assert np.array_equal(mask, panoptic.ids == number)
        assert found.label == CATEGORIES[segment_.label].name
        assert (found.confidence, found.isthing) == (segment_.score, segment_.isthing)


@pytest.mark.parametrize(
    ("method", "module", "message"),
    [
        ("to_supervision", "supervision", r"supervision, .*'jsisnet\[supervision\]'"),
        ("to_fiftyone", "fiftyone", r"FiftyOne, .*'jsisnet\[fiftyone\]'"),
    ],
)
def test_a_missing_library_names_its_extra(street, monkeypatch, method, module, message):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ImportError, match=rf"Result\.{method} needs {message}"):
        getattr(street, method)()


def test_files_of_annotation_tools_are_returned(street):
    assert street.to_labelme() == labelme.document(STREET, CATEGORIES, "stréet.jpeg")
    assert street.to_labelme("../a.jpg")["imagePath"] == "../a.jpg"
    assert street.to_label_studio() == label_studio.task(STREET, CATEGORIES, "stréet.jpeg")
    assert street.to_label_studio("/data/a.jpg")["data"] == {"image": "/data/a.jpg"}
    assert street.to_cvat() == cvat.document(STREET, CATEGORIES, "stréet.jpeg")
    assert 'name="a.jpg"' in street.to_cvat("a.jpg")


@pytest.mark.parametrize("panoptic", MAPS)
def test_a_notebook_shows_the_overlay(panoptic):
    result = result_of(panoptic)

    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.format == "PNG"
        assert np.array_equal(np.array(shown), result.draw())
    assert np.array_equal(
        result.draw(), jsisnet.draw(result.image, panoptic, CATEGORIES)
    )  # fmt: skip


def test_a_notebook_shows_large_photos_at_a_smaller_size():
    ids = np.repeat(np.arange(1, 3, dtype=np.int32), 700)[None].repeat(300, axis=0)
    result = result_of(PanopticMap(ids, (segment(SKY), segment(PERSON, score=0.5))))

    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.size == (1024, 219)


def test_a_result_is_shown_in_short(street):
    assert repr(street) == (
        "Result('trip/stréet.jpeg', 6 x 4 pixels, 4 segments: sky, 2 car, road)"
    )
    assert repr(result_of(odd_maps()["void"], None)) == "Result(6 x 4 pixels, 0 segments)"
    assert repr(result_of(odd_maps()["300 segments"])).endswith("50 road, ...)")


def test_a_result_survives_pickling(street):
    street.areas  # noqa: B018 - what is cached must not be in the way
    copy = pickle.loads(pickle.dumps(street))

    assert repr(copy) == repr(street)
    assert copy[1].box == street[1].box
    assert np.array_equal(copy.cutout(copy[1]), street.cutout(street[1]))


def test_a_result_needs_no_torch():
    program = (
        "import sys, numpy, jsisnet;"
        "panoptic = jsisnet.PanopticMap(numpy.zeros((2, 2), numpy.int32), ());"
        "r = jsisnet.Result(numpy.zeros((2, 2, 3), numpy.uint8), panoptic, jsisnet.Categories(()));"
        "r.draw(), r.to_coco(), r.to_labelme(), r._repr_png_();"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
