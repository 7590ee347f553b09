import json

import pytest

from jsisnet.formats import json_file


def test_fields_come_before_lists(tmp_path):
    entries = ({"id": number} for number in range(2))

    json_file.write(tmp_path / "new/x.json", {"info": "é"}, {"images": entries, "none": []})

    content = json.loads((tmp_path / "new/x.json").read_text())
    assert list(content.items()) == [
        ("info", "é"),
        ("images", [{"id": 0}, {"id": 1}]),
        ("none", []),
    ]


def test_lists_need_no_fields(tmp_path):
    json_file.write(tmp_path / "x.json", {}, {"images": []})

    assert json.loads((tmp_path / "x.json").read_text()) == {"images": []}


def test_a_list_that_breaks_off_leaves_no_file(tmp_path):
    def broken():
        yield {"id": 1}
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"):
        json_file.write(tmp_path / "x.json", {}, {"images": broken()})

    assert list(tmp_path.iterdir()) == []
