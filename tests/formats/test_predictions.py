import numpy as np
import pytest
from PIL import Image

import factories
from factories import PERSON, ROAD, SKY
from jsisnet.formats.image_list import ListedImage
from jsisnet.formats.predictions import SemanticFolder
from jsisnet.panoptic import IGNORE

PHOTO = ListedImage(name="city/street.jpg", size=(1, 3))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "city").mkdir()
    return tmp_path


def source(folder, **more):
    return SemanticFolder(folder=folder, categories=factories.CATEGORIES, **more)


def write(folder, values, mode=np.uint8):
    Image.fromarray(np.array([values], mode)).save(folder / "city" / "street.png")


def test_pngs_hold_ids_of_categories(folder):
    write(folder, [92, 100, 1])

    assert source(folder).read(PHOTO).tolist() == [[SKY, ROAD, PERSON]]


def test_void_is_0_and_255_by_default(folder):
    write(folder, [0, 255, 92])

    assert source(folder).read(PHOTO).tolist() == [[IGNORE, IGNORE, SKY]]
    assert source(folder, void=(0, 255, 92)).read(PHOTO).tolist() == [[IGNORE] * 3]


def test_pngs_may_hold_positions_from_0(folder):
    write(folder, [0, 3, 255])

    assert source(folder, png_values="labels").read(PHOTO).tolist() == [[PERSON, SKY, IGNORE]]


@pytest.mark.parametrize("write_array", [np.save, np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_arrays_hold_logits_on_any_grid(write_array, kind, folder):
    values = np.arange(12, dtype=kind).reshape(6, 1, 2)
    suffix = "npy" if write_array is np.save else "npz"
    write_array(folder / "city" / f"street.{suffix}", values)

    found = source(folder).read(PHOTO)

    assert found.dtype == np.float32
    assert found.tolist() == values.tolist()


def test_probabilities_become_logits_even_if_they_are_0(folder):
    values = np.zeros((6, 1, 1))
    values[SKY], values[ROAD] = 0.25, 0.75
    np.save(folder / "city" / "street.npy", values)

    found = source(folder, array_values="probabilities").read(PHOTO)

    assert np.isfinite(found).all()
    assert np.exp(found[:, 0, 0]).tolist() == pytest.approx([0, 0, 0, 0.25, 0.75, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([92, 92], "1x2 pixels, but the photo is 1x3"),
        ([92, 92, 77], "contains 77, which is neither a category id nor void"),
        ([[1, 2, 3]] * 3, "a colour PNG; expected grey or palette"),
    ],
)
def test_pngs_that_do_not_fit_are_explained(values, message, folder):
    write(folder, values)

    with pytest.raises(ValueError, match=f"^{folder / 'city' / 'street.png'}: {message}"):
        source(folder).read(PHOTO)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((5, 1, 3)), "contains 5 channels; expected one for each of 6 categories"),
        (np.zeros((6, 3)), r"contains an array of shape \(6, 3\); expected \(6, rows, columns\)"),
        (np.zeros((6, 0, 3)), r"contains an array of shape \(6, 0, 3\)"),
        (np.full((6, 1, 1), np.nan), "the array contains NaN or infinity"),
        (np.full((6, 1, 1), "x"), "the array has the type <U1; expected numbers"),
        (np.full((6, 1, 1), None), "can't be read as a NumPy file"),
        (np.full((6, 1, 1), -0.5), "contains -0.5; expected probabilities"),
    ],
)
def test_arrays_that_do_not_fit_are_explained(values, message, folder):
    np.save(folder / "city" / "street.npy", values)

    with pytest.raises(ValueError, match=f"^{folder / 'city' / 'street.npy'}: {message}"):
        source(folder, array_values="probabilities").read(PHOTO)


def test_several_arrays_in_a_file_are_refused(folder):
    np.savez(folder / "city" / "street.npz", a=np.zeros((6, 1, 1)), b=np.zeros(1))

    with pytest.raises(ValueError, match=r"contains 2 arrays \('a', 'b'\); expected one"):
        source(folder).read(PHOTO)


@pytest.mark.parametrize("suffix", ["png", "npz", "npy"])
def test_damaged_files_are_refused(suffix, folder):
    (folder / "city" / f"street.{suffix}").write_bytes(b"PK\x03\x04 nothing")

    with pytest.raises(ValueError, match=rf"street.{suffix}: (not a PNG|can't be read)"):
        source(folder).read(PHOTO)


def test_exactly_one_file_is_for_an_image(folder):
    with pytest.raises(ValueError, match=r"street.png: does not exist, nor does an .npz or .npy"):
        source(folder).file(PHOTO)

    write(folder, [0, 0, 0])
    np.save(folder / "city" / "street.npy", np.zeros(1))

    with pytest.raises(ValueError, match=r"street.png and street.npy are both for city/street"):
        source(folder).file(PHOTO)
