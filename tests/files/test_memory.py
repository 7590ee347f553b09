import pytest

from jsisnet.files.memory import SETTING, check_memory, memory_text, picture_memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4GB", 4 * 2**30),
        ("1.5 gb", 3 * 2**29),
        ("500MB", 500 * 2**20),
        ("2GiB", 2**31),
        ("64k", 2**16),
        (" 123456 ", 123_456),
        ("", 2**30),
    ],
)
def test_the_limit_is_an_amount_of_memory(text, amount, monkeypatch):
    monkeypatch.setenv(SETTING, text)

    assert picture_memory() == amount


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "1e9", "GB", "1 PB", "1,5GB", "9" * 5000])
def test_another_value_is_refused(text, monkeypatch):
    monkeypatch.setenv(SETTING, text)

    with pytest.raises(ValueError, match=f"{SETTING} is '.{{1,40}}'; expected an amount") as error:
        picture_memory()
    assert len(str(error.value)) < 200


def test_the_value_that_a_message_names_is_enough(monkeypatch):
    monkeypatch.setenv(SETTING, "100MB")

    check_memory(100 * 2**20, "a picture")
    with pytest.raises(ValueError, match=f"a picture would take .*100 MB; .*{SETTING}=101MB to"):
        check_memory(100 * 2**20 + 1, "a picture")
    with pytest.raises(ValueError, match=f"about 2 GB of memory.*{SETTING}=3GB to"):
        check_memory(2**31 + 1, "a picture")
    assert memory_text(2**30 + 2**29) == "1.5 GB"
