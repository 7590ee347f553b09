import pytest
from PIL import Image

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
