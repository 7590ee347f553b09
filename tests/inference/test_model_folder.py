import json

import pytest

import factories
from jsisnet.categories import Categories, Category
from jsisnet.formats import categories_json
from jsisnet.inference.model_folder import copy_with, read_description
from jsisnet.inference.rules import MergeConfig


def test_a_copy_has_other_rules_and_the_same_files(tmp_path):
    folder, out = tmp_path / "model", tmp_path / "copy"
    folder.mkdir()
    merged = Category(id=9, name="all", isthing=True, members=("a", "b"))
    classes = categories_json.entries(Categories((*factories.CATEGORIES, merged)))
    values = {"size": [8, 16], "network": {"rpn_channels": 3}, "categories": classes}
    (folder / "model.json").write_text(json.dumps(values))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "results.json").write_text("{}")
    rules = MergeConfig(min_score=0.4, class_min_scores=(("car", 0.2),), min_stuff_area=7.0)

    copy_with(folder, out, rules)

    description = read_description(out)
    assert description.config().merge == rules
    assert description.config().network.detection.min_score == 0.2
    assert description.values["network"]["rpn_channels"] == 3
    assert description.categories == read_description(folder).categories
    assert sorted(path.name for path in out.iterdir()) == ["model.json", "model.safetensors"]
    assert (out / "model.safetensors").read_bytes() == b"weights"
    with pytest.raises(ValueError, match="an exported network are part of it"):
        copy_with(folder / "model.safetensors", out, rules)
