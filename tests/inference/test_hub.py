"""Models on a hub: a server on this computer that speaks its protocol, and another process."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import yaml

import fake_hub
from jsisnet.inference import hub, model_folder
from jsisnet.inference.model_folder import find, parse_description, read_description

STREET = find("street")


@pytest.fixture
def server():
    with fake_hub.serving() as found:
        yield found


@pytest.fixture
def call(tmp_path, server):
    """Return a function that runs a program which sees the hub, and returns its output."""

    def called(program, **environment):
        where = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        where |= {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "hf_test",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=where,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return called


MAPS = """
    import numpy as np
    from jsisnet import Predictor
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    image[20:] //= 3
    def digest(model):
        result = Predictor(model, threads=1, min_score=0.01, min_stuff_area=1)(image)
        return result.panoptic.ids.tobytes(), result.panoptic.segments
"""


def test_model_comes_back_from_the_hub_as_it_was(call, server, tmp_path):
    call(
        MAPS
        + """
    from jsisnet.inference.hub import push_to_hub, pull_from_hub
    from jsisnet.inference.model_folder import find
    url = push_to_hub(find("street"), "me/street-1", private=True)
    assert url.endswith("/me/street-1/commit/" + url[-40:]), url
    assert digest("me/street-1") == digest("street")
    assert digest("me/street-1@v1") == digest("street")
    pull_from_hub("me/street-1@" + url[-40:], "pulled")
    """
    )

    files = server.files("me/street-1")
    assert set(files) == {*hub.FILES, "README.md"}
    assert server.private == {"me/street-1": True}
    for name in hub.FILES:
        assert files[name] == (STREET / name).read_bytes()
        assert (tmp_path / "pulled" / name).read_bytes() == files[name]
    assert sorted(server.fetched) == sorted(hub.FILES)  # each once: the cache has it then


def test_nothing_else_is_fetched_and_the_cache_serves_without_a_connection(call, server):
    files = {name: (STREET / name).read_bytes() for name in hub.FILES}
    others = {"evil.py": b"boom", "sub/model.json": b"{}", "model.bin": b"x", "README.md": b"mine"}
    server.repositories["me/street"] = [files | others]
    program = """
    from jsisnet.inference.model_folder import find
    print(*sorted(path.name for path in find("me/street").iterdir()))
    """

    assert call(program).split() == sorted(hub.FILES)
    assert sorted(server.fetched) == sorted(hub.FILES)
    assert call(program, HF_HUB_OFFLINE="1").split() == sorted(hub.FILES)
    assert call(program, HF_ENDPOINT="http://127.0.0.1:9").split() == sorted(hub.FILES)
    assert sorted(server.fetched) == sorted(hub.FILES)


def test_what_is_missing_is_told_in_one_sentence(call, server, tmp_path):
    description = (STREET / "model.json").read_bytes()
    server.repositories |= {
        "me/street": [{"model.json": description}],
        "me/other": [{"config.json": b"{}"}],
        "me/damaged": [{"model.json": description, "model.onnx": b"junk"}],
    }
    (tmp_path / "local").mkdir()
    program = """
        from jsisnet import Predictor
        for name in {names!r}:
            try:
                Predictor(name)
            except ValueError as error:
                print(error)
    """
    names = ["me/none", "me/street@v9", "me/other", "me/damaged", "local/none"]

    lines = call(program.format(names=names)).splitlines()

    assert len(lines) == len(names)
    assert lines[0].startswith(f"me/none: neither a folder here nor a model on {server.url}")
    assert lines[1] == f"me/street on {server.url} has no revision 'v9'"
    assert "me/other" in lines[2]
    assert "model.onnx" in lines[3]
    assert lines[4].startswith("No model named 'local/none'.")

    (line,) = call(program.format(names=["me/new"]), HF_HUB_OFFLINE="1").splitlines()
    assert line.startswith("me/new: neither a folder here nor in the cache of models")


def test_a_card_that_is_there_is_kept(call, server):
    server.repositories["me/street"] = [{"README.md": b"by hand"}]
    call("""
        from jsisnet.cli.app import run
        from jsisnet.inference.model_folder import find
        assert run(["push", str(find("street")), "me/street"]) == 0
    """)

    assert server.files("me/street")["README.md"] == b"by hand"
    assert "model.json" in server.files("me/street")


def test_folders_win_over_names_on_a_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "user" / "model"
    folder.mkdir(parents=True)
    (folder / "model.json").write_bytes((STREET / "model.json").read_bytes())
    monkeypatch.setattr(hub, "download", lambda name: pytest.fail(f"downloads {name}"))

    assert find("user/model") == model_folder.Path("user/model")
    with pytest.raises(ValueError, match=r"No model named 'user/model2'. Did you mean user/model"):
        find("user/model2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user/model", True),
        ("user/model@v1.0", True),
        ("user/model@refs/pr/1", True),
        ("model", False),
        ("a/b/c", False),
        ("/model", False),
        ("../model", False),
        ("user/model@v1/../..", False),
        ("user/mo del", False),
        ("user/model@", False),
        ("user/model\n", False),
    ],
)
def test_names_of_models_on_a_hub(name, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert hub.is_name(name) is expected


def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(ImportError, match=r"user/model is no folder here.*'jsisnet\[hub\]'"):
        find("user/model")


@pytest.mark.parametrize("name", ["model", "a/b/c", "a/b@c", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="is no name of a model on a hub; expected user/model"):
        hub.push_to_hub(STREET, name)


def test_no_folder_of_files_is_overwritten_by_a_download(tmp_path):
    (tmp_path / "mine.txt").touch()

    with pytest.raises(ValueError, match="not empty"):
        hub.pull_from_hub("user/model", tmp_path)


def test_incomplete_and_damaged_models_are_not_uploaded(tmp_path):
    with pytest.raises(ValueError, match="not the description"):
        hub.push_to_hub(tmp_path, "me/model")

    (tmp_path / "model.json").write_bytes((STREET / "model.json").read_bytes())
    with pytest.raises(ValueError, match=r"neither model.safetensors nor model.onnx"):
        hub.push_to_hub(tmp_path, "me/model")

    content = bytearray((STREET / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        hub.push_to_hub(tmp_path, "me/model")


def test_the_card_tells_classes_scores_and_use():
    scores = json.loads((STREET / "results.json").read_text())

    card = hub.model_card(read_description(STREET), "me/street", licence="mit", scores=scores)

    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "mit"
    assert yaml.safe_load(front)["library_name"] == "jsisnet"
    assert "| 11 | bicyclist | thing |" in body
    assert f"| PQ | {scores['pq']:.2f} |" in body
    assert 'Predictor("me/street")' in body


def test_names_in_the_card_are_escaped():
    entries = [{"id": 1, "name": "<script>a|b\n# c", "isthing": 1}]
    values = {"size": [8, 8], "categories": entries}
    description = parse_description(json.dumps(values), "here")

    card = hub.model_card(description, "me/x", licence="mit\n---\nevil: 1", scores={"pq": "a"})

    assert yaml.safe_load(card.split("\n---\n")[0])["license"] == "mit\n---\nevil: 1"
    assert r"| 1 | &lt;script&gt;a\|b\\n\# c | thing |" in card
    assert "## Scores" not in card
