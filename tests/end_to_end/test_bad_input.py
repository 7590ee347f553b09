import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jsisnet.cli.app import run

GREY = np.tile(np.arange(48, dtype=np.uint8) * 5, (40, 1))


@pytest.fixture
def predict(trained, tmp_path, capsys):
    """Return a function that segments files and returns the exit code and standard error."""

    def called(*photos):
        out = str(tmp_path / "maps")
        code = run(["predict", *map(str, photos), "--model", str(trained.run), "--out", out])
        return code, capsys.readouterr().err

    return called


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("grey.jpg", Image.fromarray(GREY)),
        ("grey16.png", Image.fromarray(GREY.astype(np.uint16) * 257)),
        ("cmyk.jpg", Image.fromarray(GREY).convert("CMYK")),
        ("rgba.png", Image.fromarray(GREY).convert("RGBA")),
        ("palette.gif", Image.fromarray(GREY).convert("P")),
        ("pixel.png", Image.new("RGB", (1, 1))),
        ("strip.png", Image.new("RGB", (300, 1))),
    ],
)
def test_any_kind_of_picture_is_segmented_at_its_own_size(predict, tmp_path, name, picture):
    picture.save(tmp_path / name)

    code, error = predict(tmp_path / name)

    assert (code, error) == (0, "")
    with Image.open((tmp_path / "maps" / name).with_suffix(".png")) as written:
        assert written.size == picture.size


def test_a_photo_with_exif_rotation_is_segmented_upright(predict, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "phone.jpg", exif=exif)

    assert predict(tmp_path / "phone.jpg") == (0, "")
    with Image.open(tmp_path / "maps" / "phone.png") as written:
        assert written.size == (40, 48)


def test_unreadable_photos_are_reported_and_the_others_are_segmented(predict, trained, tmp_path):
    good = trained.data.images / "street0.jpg"
    (tmp_path / "text.jpg").write_text("This is no photo.")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:-800])

    code, error = predict(tmp_path / "text.jpg", good, tmp_path / "empty.jpg", tmp_path / "cut.jpg")

    described = json.loads((tmp_path / "maps" / "predictions.json").read_text())
    assert code == 1
    assert [annotation["image_id"] for annotation in described["annotations"]] == ["street0"]
    assert [line.split(": ")[1] for line in error.splitlines()] == [
        str(tmp_path / name) for name in ("text.jpg", "empty.jpg", "cut.jpg")
    ]
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        ".predict.jsonl",
        "street0.png",
        "street0_overlay.jpg",
        "predictions.json",
    }


def test_a_decompression_bomb_is_refused(predict, tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("RGB", (1, 1)).save(bomb)
    content = bytearray(bomb.read_bytes())
    content[16:24] = struct.pack(">II", 40_000, 40_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    bomb.write_bytes(content)

    code, error = predict(bomb)

    assert code == 1
    assert error.count("\n") == 1
    assert "40000 x 40000" in error


def test_a_missing_photo_is_reported_and_the_others_are_segmented(predict, trained, tmp_path):
    code, error = predict(trained.data.images / "street0.jpg", tmp_path / "missing.jpg")

    assert (code, error) == (1, f"jsisnet: {tmp_path / 'missing.jpg'}: no image found\n")
    assert (tmp_path / "maps" / "street0.png").is_file()


def test_a_map_never_overwrites_a_photo(trained, tmp_path, capsys):
    Image.fromarray(GREY).save(tmp_path / "street.png")
    before = (tmp_path / "street.png").read_bytes()

    code = run(
        [
            *("predict", str(tmp_path / "street.png"), "--model", str(trained.run)),
            *("--out", str(tmp_path)),
        ]
    )

    assert code == 1
    assert "is one of the photos to segment" in capsys.readouterr().err
    assert (tmp_path / "street.png").read_bytes() == before


def test_a_file_with_the_name_of_the_output_folder_is_reported(predict, trained, tmp_path):
    (tmp_path / "maps").touch()

    code, error = predict(trained.data.images / "street0.jpg")

    assert code == 1
    assert error == f"jsisnet: {tmp_path / 'maps'}: a file; expected a folder\n"


def test_a_damaged_model_is_named(trained, tmp_path, capsys):
    (tmp_path / "model.json").write_bytes((trained.run / "model.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights")

    code = run(["predict", "photo.jpg", "--model", str(tmp_path), "--out", str(tmp_path)])

    assert code == 1
    assert "no image found" in capsys.readouterr().err
    photo = str(trained.data.images / "street0.jpg")
    assert run(["predict", photo, "--model", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "model.safetensors: not the weights" in capsys.readouterr().err


def test_an_unknown_category_is_named(trained, tmp_path, capsys):
    content = json.loads(trained.data.annotations.read_text())
    content["categories"][0]["name"] = "unicorn"
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(content))

    code = run(
        [
            *("evaluate", "--model", str(trained.run), "--images", str(trained.data.images)),
            *("--annotations", str(truth), "--pngs", str(trained.data.pngs)),
        ]
    )

    assert code == 1
    assert "'unicorn'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ("--images", "nowhere"),
        ("--annotations", "nowhere.json"),
        ("--pngs", "nowhere"),
        ("--model", "nowhere"),
        ("--device", "abacus"),
    ],
)
def test_missing_files_are_named(trained, tmp_path, capsys, option, missing):
    path = missing if option == "--device" else str(tmp_path / missing)
    options = {
        "--model": str(trained.run),
        "--images": str(trained.data.images),
        "--annotations": str(trained.data.annotations),
        "--pngs": str(trained.data.pngs),
    } | {option: path}

    code = run(["evaluate", *(token for pair in options.items() for token in pair)])

    error = capsys.readouterr().err
    assert code == 1
    assert error.count("\n") == 1
    assert path in error


def test_a_png_id_without_a_json_entry_is_named(trained, tmp_path, capsys):
    content = json.loads(trained.data.annotations.read_text())
    removed = content["annotations"][3]["segments_info"].pop(0)
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(content))

    code = run(
        [
            *("score", str(truth), str(trained.data.annotations)),
            *("--truth-pngs", str(trained.data.pngs), "--mode", "strict"),
        ]
    )

    error = capsys.readouterr().err
    assert code == 1
    assert "map3.png" in error
    assert f"segment {removed['id']}" in error


def test_a_misspelt_setting_in_a_file_is_suggested(trained, tmp_path, capsys):
    config = tmp_path / "street.yaml"
    config.write_text(trained.config.read_text().replace("batch_size:", "batch_sise:"))

    code = run(["train", str(config), "--out", str(tmp_path / "run")])

    error = capsys.readouterr().err
    assert code == 1
    assert "street.yaml" in error
    assert "did you mean" in error.lower()
    assert "batch" in error.split("mean")[1]


def test_a_misspelt_setting_among_the_options_is_suggested(trained, tmp_path, capsys):
    out = str(tmp_path / "run")

    code = run(["train", str(trained.config), "--out", out, "--train.batch-sise", "3"])

    assert code == 2
    assert "Did you mean --train.batch-size?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_training_with_one_message(trained, tmp_path, capsys):
    out = str(tmp_path / "run")

    code = run(["train", str(trained.config), "--out", out, "--optim.lr", "1e30"])

    error = capsys.readouterr().err
    assert code == 1
    assert error.count("\n") == 1
    for part in ("step ", "learning rate 1e+30", "normalisation: trunk batch", "--optim.lr"):
        assert part in error
