import pytest
from PIL import Image

from jsisnet.cli.app import run
from jsisnet.cli.inputs import sample_photo


def test_the_demo_has_its_photos():
    with Image.open(sample_photo("astronaut.png")) as photo:
        assert photo.size == (512, 512)


def test_a_photo_that_no_package_has_is_named():
    with pytest.raises(ValueError, match=r"has no photo unicorn\.png"):
        sample_photo("unicorn.png")


def test_the_sample_photos_say_what_to_install(monkeypatch):
    monkeypatch.setattr("jsisnet.cli.inputs.find_spec", lambda _: None)

    with pytest.raises(ValueError, match=r"needs scikit-image, .*: pip install 'jsisnet\[demo\]'"):
        sample_photo("astronaut.png")


def test_a_training_without_its_data_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    for command in ("train", "show-batch"):
        assert run([command, "tiny.yaml"]) == 1
        assert capsys.readouterr().err == (
            "jsisnet: panoptic_train.json: no such file or folder; give the folder of the data "
            "with --root DIR, or generate scenes with `jsisnet data generate --out scenes` and "
            "add --root scenes\n"
        )
    assert not list(tmp_path.iterdir())


def test_a_training_with_data_of_its_own_is_told_of_the_root_only(tmp_path, capsys):
    assert run(["train", "coco.yaml", "--root", str(tmp_path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"jsisnet: {tmp_path}/annotations/panoptic_train2017.json: no such")
    assert error.endswith("give the folder of the data with --root DIR\n")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["train", "tini.yaml"], "tini.yaml: does not exist. Did you mean tiny.yaml? Built-in: "),
        (["train", "Lite"], "Lite: does not exist. Did you mean lite.yaml? Built-in: "),
        (["describe", "lite"], "No model named 'lite'. Did you mean the configuration lite.yaml?"),
        (["describe", "cocoa"], "No model named 'cocoa'. Did you mean coco? Built-in models: "),
        (["export", "STREET"], "No model named 'STREET'. Did you mean street? Built-in models: "),
        (["train", "mien.yaml"], "mien.yaml: does not exist. Did you mean mine.yaml? Built-in"),
        (["train", "runs/mien.yml"], "runs/mien.yml: does not exist. Did you mean mine.yaml?"),
        (["export", "runs/ran"], "No model named 'runs/ran'. Did you mean runs/run? Built-in"),
    ],
)
def test_misspelt_names_of_files_and_models_suggest_the_right_ones(
    tokens, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "model.json").touch()
    for folder in (tmp_path, tmp_path / "runs"):
        (folder / "mine.yaml").touch()

    assert run(tokens) == 1

    assert capsys.readouterr().err.startswith(f"jsisnet: {message}")
