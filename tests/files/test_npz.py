import io
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from jsisnet.files.memory import SETTING
from jsisnet.files.npz import ONLY, open_arrays

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def header(shape, descr="<f4", fortran=False):
    file = io.BytesIO()
    values = {"shape": shape, "fortran_order": fortran, "descr": descr}
    npy.write_array_header_1_0(file, values)
    return file.getvalue()


def write(path, content, compression=zipfile.ZIP_DEFLATED, name="logits.npy"):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


def read(path, *names):
    with open_arrays(path) as arrays:
        return arrays.read(names)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<i8", "|b1", "<U3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_numpy_reads(kind, order, tmp_path):
    values = np.asarray(VALUES.astype(kind), order=order)
    np.savez_compressed(tmp_path / "a.npz", one=values, two=values[:0], three=values[0, 0, 0])
    np.save(tmp_path / "a.npy", values)

    one, two, three = read(tmp_path / "a.npz", "one", "two", "three")

    assert one.tolist() == read(tmp_path / "a.npy", ONLY)[0].tolist() == values.tolist()
    assert one.dtype == kind
    assert one.flags.c_contiguous
    assert (two.shape, three.shape) == ((0, 3, 4), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "array 'logits': no .npy array; expected what numpy.savez writes"),
        (b"nothing of the kind", "array 'logits': no .npy array"),
        (npy.MAGIC_PREFIX + b"\x09\x00", r"array 'logits': the version \(9, 0\)"),
        (header((2, 3)) + bytes(20), r"float32 values of the shape \(2, 3\) .*has 20 bytes"),
        (header((2, 3)) + bytes(28), r"float32 values of the shape \(2, 3\) .*has 28 bytes"),
        (header((10**9, 10**9)), "are declared, but it has 0 bytes"),
        (header((-1,)) + bytes(4), r"the shape \(-1,\) are declared"),
        (header((2,), "|O") + bytes(16), "array 'logits': the type object; expected numbers"),
        (header((2,), "<U0"), "array 'logits': the type <U0; expected numbers"),
        (header((2,), [("x", "<f4")]) + bytes(8), "array 'logits': the type .*; expected numbers"),
    ],
)
def test_what_is_no_array_is_named(content, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        read(write(tmp_path / "a.npz", content), "logits")
    assert len(str(error.value)) < 400


def test_what_a_small_file_declares_is_bounded_before_it_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, "1MB")
    path = write(tmp_path / "a.npz", header((2**17,)) + bytes(2**19))
    assert read(path, "logits")[0].shape == (2**17,)

    write(path, header((2**18,)) + bytes(2**20))
    with pytest.raises(
        ValueError, match=r"'logits' with float32 .*\(262144,\) .*the limit is 1 MB"
    ):
        read(path, "logits")


def test_two_arrays_of_a_name_and_damage_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, one=VALUES)
    content = path.read_bytes()
    path.write_bytes(content.replace(VALUES[1].tobytes(), bytes(48)))
    with pytest.raises(ValueError, match=r"array 'one': Bad CRC-32 for file 'one.npy'"):
        read(path, "one")

    write(path, header((1,)) + bytes(4), zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="compressed in another way than NumPy"):
        read(path, "logits")

    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("one", b"")
    with pytest.raises(ValueError, match="contains two arrays 'one'"):
        read(path, "one")
