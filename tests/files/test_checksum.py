import hashlib
import random

import pytest

from jsisnet.files.checksum import NAME, UNSET, check_intact, seal

MARK = f"{NAME}: {UNSET}".encode()


def write(path, before, after):
    with path.open("w+b") as file:
        file.write(before + MARK + after)
        seal(file)
    return path.read_bytes()


@pytest.mark.parametrize(("before", "after"), [(b"head", bytes(200_000)), (bytes(200_000), b"")])
def test_each_flipped_bit_of_the_data_is_found(tmp_path, before, after):
    path, dice = tmp_path / "file", random.Random(0)
    content = write(path, before, after)
    check_intact(path, "")
    data = [*range(len(before)), *range(len(content) - len(after), len(content))]

    for place in [*data[:4], *data[-4:], *dice.sample(data, 50)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="file: damaged, as its checksum does not match; x"):
            check_intact(path, "x")


def test_files_without_a_checksum_are_not_checked(tmp_path):
    path = tmp_path / "file"
    for content in (b"", b"a", bytes(200_000), b"sha256: none"):
        path.write_bytes(content)
        check_intact(path, "")


def test_a_checksum_may_be_computed_by_hand(tmp_path):
    content = write(tmp_path / "file", b"head", b"tail")

    found = content[len(b"head" + MARK) - 64 : -4]
    assert found.decode() == hashlib.sha256(content.replace(found, UNSET.encode())).hexdigest()
