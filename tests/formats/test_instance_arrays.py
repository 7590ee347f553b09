from zipfile import ZipFile

import numpy as np
import pytest

import factories
from factories import BUS, CAR
from jsisnet.formats import predictions

TWO = {
    "boxes": np.array([[0, 1, 2, 3], [1, 1, 4, 5]]),
    "category_ids": np.array([3, 6]),
    "scores": np.array([0.25, 0.5]),
    "masks": np.ones((2, 3, 3), np.float16),
}


def test_instances_are_read_in_the_order_of_the_file(tmp_path):
    np.savez(tmp_path / "street.npz", **TWO)

    found = predictions.read_box_masks(tmp_path / "street.npz", factories.CATEGORIES)

    assert found.boxes.tolist() == TWO["boxes"].tolist()
    assert found.labels.tolist() == [CAR, BUS]
    assert found.scores.tolist() == [0.25, 0.5]
    assert found.masks.tolist() == TWO["masks"].tolist()


def test_an_image_may_have_no_instance(tmp_path):
    np.savez(tmp_path / "street.npz", **{name: values[:0] for name, values in TWO.items()})

    assert (
        len(predictions.read_box_masks(tmp_path / "street.npz", factories.CATEGORIES).labels) == 0
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.zeros((2, 5))}, r"boxes has the shape \(2, 5\); expected a row of 4"),
        ({"scores": np.zeros(3)}, r"scores has the shape \(3,\); expected \(2,\)"),
        ({"scores": np.array([np.inf, 0])}, "scores contains NaN or infinity"),
        ({"masks": np.zeros((2, 3, 4))}, r"masks has the shape \(2, 3, 4\); expected \(2, m, m\)"),
        ({"category_ids": np.array([3, 5])}, "category_ids contains 5; expected one of the 6"),
        ({"category_ids": np.array([True, False])}, "category_ids contains True; expected one"),
        ({"category_ids": np.array([b"3", b"6"])}, "category_ids contains b'3'; expected one"),
        (
            {"category_ids": np.array([3, 92])},
            r"category_ids contains 92 \('sky'\), which is stuff",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_explained(change, message, tmp_path):
    path = tmp_path / "street.npz"
    np.savez(path, **(TWO | change))

    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        predictions.read_box_masks(path, factories.CATEGORIES)


def test_a_missing_array_or_file_is_named(tmp_path):
    np.savez(tmp_path / "street.npz", boxes=TWO["boxes"])

    with pytest.raises(ValueError, match="no array 'category_ids'"):
        predictions.read_box_masks(tmp_path / "street.npz", factories.CATEGORIES)
    with pytest.raises(ValueError, match=r"nowhere.npz: does not exist"):
        predictions.read_box_masks(tmp_path / "nowhere.npz", factories.CATEGORIES)


def test_a_member_that_is_no_array_is_named(tmp_path):
    path = tmp_path / "street.npz"
    np.savez(path, **{name: TWO[name] for name in TWO if name != "masks"})
    with ZipFile(path, "a") as archive:
        archive.writestr("masks", bytes(100))

    with pytest.raises(ValueError, match=f"^{path}: can't be read .* 'masks': no .npy array"):
        predictions.read_box_masks(path, factories.CATEGORIES)
