import base64
import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from jsisnet.files import read_ids
from jsisnet.serve import AppConfig, Limits
from jsisnet.serve.panoptic import preferred

URL = "/v1/panoptic"
PNG = {"Content-Type": "image/png"}


def post(client, photo, query="", headers=PNG, **options):
    return client.post(f"{URL}{query}", content=photo, headers=headers, **options)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools'
def test_the_json_describes_the_segments_of_the_predictor(serving, pool, photo):
    found = post(serving(), photo).json()

    result = pool.predictor(photo)
    assert found["model"] == "toy"
    assert found["image"] == {"name": None, "width": 12, "height": 10}
    assert [(each["name"], each["isthing"], each["score"]) for each in found["segments"]] == [
        ("sky", False, None),
        ("road", False, None),
        ("person", True, 0.75),
    ]
    for entry, segment in zip(found["segments"], result, strict=True):
        assert (coco_mask.decode(entry["rle"]) == segment.mask).all()
        assert entry["area"] == segment.mask.sum()
        assert tuple(entry["box"]) == segment.box
    assert found["seconds"]["segmented"] > 0


def test_the_map_is_a_png_of_ids(serving, pool, photo):
    found = post(serving(), photo, "?masks=png").json()

    prefix, _, content = found["map"].partition(",")
    assert prefix == "data:image/png;base64"
    assert (read_ids(base64.b64decode(content)) == pool.predictor(photo).panoptic.ids).all()
    assert all("rle" not in each for each in found["segments"])
    assert all(len(each["color"]) == 3 for each in found["segments"])


def test_no_masks_are_sent_if_none_are_wanted(serving, photo):
    found = post(serving(), photo, "?masks=none").json()

    assert "map" not in found
    assert "rle" not in found["segments"][0]


def test_the_zip_holds_a_coco_panoptic_result(serving, pool, photo):
    response = serving().post(f"{URL}?as=coco", files={"image": ("a/street.png", photo)})

    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["street.png", "predictions.json"]
        described = json.loads(archive.read("predictions.json"))
        ids = read_ids(archive.read("street.png"))
    assert (ids == pool.predictor(photo).panoptic.ids).all()
    (annotation,) = described["annotations"]
    assert annotation["file_name"] == "street.png"
    assert {each["id"] for each in annotation["segments_info"]} == set(np.unique(ids).tolist())


def test_the_overlay_is_the_drawn_map(serving, pool, photo):
    response = post(serving(), photo, "?as=overlay")

    assert response.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(response.content)))
    assert (drawn == pool.predictor(photo).draw()).all()


def test_a_labelme_file_has_a_shape_for_each_segment(serving, photo):
    found = post(serving(), photo, "?as=labelme").json()

    assert [each["label"] for each in found["shapes"]] == ["sky", "road", "person"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "json"),
        ("", "json"),
        ("image/png", "overlay"),
        ("application/zip, application/json;q=0.5", "coco"),
        ("image/png;q=0.1, application/json", "json"),
        ("text/html", "json"),
        ("image/png;q=x", "json"),
        ("image/png;q=nan", "json"),
    ],
)
def test_the_header_accept_chooses_the_form(accept, form):
    assert preferred(accept) == form


def test_a_score_and_classes_select_segments(serving, photo):
    client = serving()

    assert [s["name"] for s in post(client, photo, "?min_score=0.8").json()["segments"]] == [
        "sky",
        "road",
    ]
    assert [s["name"] for s in post(client, photo, "?classes=person, sky").json()["segments"]] == [
        "sky",
        "person",
    ]


def test_the_name_of_a_file_is_kept_without_folders_and_control_characters(serving, photo):
    files = {"image": ("..\\x/<script>\u202e\x1b.png", photo)}

    found = serving().post(URL, files=files).json()

    assert found["image"]["name"] == "<script>.png"


def image_bytes(size=(4, 4), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


GOOD = image_bytes()
BOMB = image_bytes((2000, 2000))  # twelve megabytes of pixels in a few kilobytes


def test_a_compressed_body_is_refused_before_it_is_read(serving):
    headers = {"Content-Encoding": "gzip", "Content-Type": "image/png"}

    response = serving().post(URL, content=gzip.compress(GOOD), headers=headers)

    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    assert "Content-Encoding 'gzip'; send it without" in response.json()["detail"]
    headers["Content-Encoding"] = "identity"
    assert serving().post(URL, content=GOOD, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("status", "query", "content", "kind", "detail"),
    [
        (404, "?model=none", GOOD, "image/png", "no model 'none'; models: toy"),
        (415, "", GOOD, "text/plain", "'text/plain'"),
        (422, "", b"a=b", "application/x-www-form-urlencoded", "can't be read as an image"),
        (413, "", BOMB, "image/png", "2000 x 2000 pixels; expected at most 1,000,000"),
        (413, "", b"x" * 100_001, "image/png", "larger than"),
        (422, "", b"", "image/png", "the photo is empty"),
        (422, "", b"junk", "image/jpeg", "can't be read as an image"),
        (422, "", GOOD[:-20], "image/png", "can't be read as an image"),
        (422, "", b"PK\x03\x04" + bytes(200), "image/png", "can't be read as an image"),
        (422, "?min_score=2", GOOD, "image/png", "min_score: Input should be less than"),
        (422, "?min_score=nan", GOOD, "image/png", "min_score"),
        (422, "?as=gif", GOOD, "image/png", "as: "),
        (422, "?masks=x", GOOD, "image/png", "masks: "),
        (422, "?klasses=car", GOOD, "image/png", "klasses: "),
        (422, "?classes=,", GOOD, "image/png", "classes: no name"),
        (422, "?classes=car&classes=sky", GOOD, "image/png", "classes: given 2 times"),
        (422, "?" + "k" * 9000, GOOD, "image/png", "kkk..."),
        (422, "?classes=persn", GOOD, "image/png", "Did you mean 'person'"),
        (422, "", b"--x\r\n", "multipart/form-data", "boundary"),
        (422, "", b"--x\r\njunk", "multipart/form-data; boundary=x", "ends before"),
        (422, "", b"", "multipart/form-data; boundary=x", "ends before"),
        (422, "", b"--x--\r\n", "multipart/form-data; boundary=x", "no field 'image'"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(serving, status, query, content, kind, detail):
    client = serving(AppConfig(limits=Limits(body=100_000)))

    response = post(client, content, query, {"Content-Type": kind})

    found = response.json()
    assert (response.status_code, found["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in found["detail"]
    assert found["request_id"] == response.headers["x-request-id"]
    assert post(client, GOOD).status_code == 200


def test_a_truncated_form_is_refused(serving, photo):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    client = serving()

    assert post(client, head + photo + b"\r\n--x--\r\n", headers=kind).status_code == 200
    truncated = post(client, head + photo[:-30], headers=kind)

    assert truncated.status_code == 422
    assert "ends before its last boundary" in truncated.json()["detail"]


@pytest.mark.parametrize(
    ("names", "detail"), [(["image"] * 2, "several fields"), (["other"] * 40, "more than 32 parts")]
)
def test_a_form_of_many_files_is_refused(serving, photo, names, detail):
    response = serving().post(URL, files=[(name, ("a.png", photo)) for name in names])

    assert response.status_code == 422
    assert detail in response.json()["detail"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "IMAGE/PNG; q=1"])
def test_a_photo_is_taken_as_clients_send_it_by_default(serving, photo, kind):
    assert post(serving(), photo, headers={"Content-Type": kind}).status_code == 200


def test_a_body_of_unknown_length_is_read_up_to_the_limit(serving):
    taken = []

    def chunks():
        for number in range(100):
            taken.append(number)
            yield b"x" * 1000

    client = serving(AppConfig(limits=Limits(body=5_000)))
    response = client.post(URL, content=chunks(), headers=PNG)

    assert response.status_code == 413


def test_other_methods_and_paths_are_problems_too(serving):
    client = serving()

    assert client.get(URL).status_code == 405
    assert client.get("/nothing").json()["detail"].startswith("no such path: /nothing")
    elsewhere = client.get("/v1/models/", headers={"Host": "evil.example"}, follow_redirects=False)
    assert elsewhere.status_code == 404
