import pytest

import factories
import runs
from jsisnet.cli.app import run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = factories.tiny_dataset(folder / "tiny")
    config = runs.write_config(folder / "street.yaml", data, steps=10)
    assert run(["train", str(config), "--out", str(folder / "run")]) == 0
    return runs.Trained(data=data, config=config, run=folder / "run")
