"""Commands that write results, each run twice into one folder."""

import pytest

import factories
import networks
from jsisnet.cli.app import run
from jsisnet.inference.rules import MergeConfig
from jsisnet.model import saved_model
from jsisnet.model.saved_model import ModelConfig

TRUTH = "panoptic_tiny.json"

COMMANDS = {
    "predict": "predict photos --model model -o out --raw raw --format coco,labelme --workers 1",
    "overwrite": "predict photos --model model -o out --raw raw --overwrite --workers 1",
    "evaluate": f"evaluate --model model --images photos --annotations {TRUTH} --no-ap --out out "
    "--raw raw --json out/quality.json --report out",
    "merge": f"merge --image-info {TRUTH} --instances no.json --semantic no.json --out out.json",
    "submit": f"submit --image-info {TRUTH} --model model --images photos --split a --name b",
    "pack": f"submit --image-info {TRUTH} --predictions {TRUTH} --split a --name b --out out",
    "score": f"score {TRUTH} {TRUTH} --json q.json --csv q.csv --images-csv i.csv --report out",
    "stats": f"data stats --annotations {TRUTH} --images photos --out out --json stats.json",
    "show": f"show photos/street0.jpg panoptic_tiny/map0.png {TRUTH} --out look.png",
    "generate": "data generate --out out --train 1 --val 1 --size 32x32",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    factories.tiny_dataset(tmp_path, count=2)
    (tmp_path / "no.json").write_text("[]")
    config = ModelConfig(size=(32, 48), network=networks.TINY, merge=MergeConfig())
    network = networks.network(networks.TINY)
    saved_model.write(tmp_path / "model", config, factories.CATEGORIES, network.state_dict())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_may_be_run_twice(folder, command):
    assert run(command.split()) == 0
    first = contents(folder)

    assert run(command.split()) == 0

    assert contents(folder) == first


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
