"""The page as text; `end_to_end/test_data_page_in_browser.py` looks at it in a browser."""

import json
import re

import pytest

import factories
from jsisnet.datatools.statistics import statistics
from jsisnet.formats import coco
from jsisnet.visualize.report.data_page import write


def written(data, folder, *, images=True, title="streets"):
    source = coco.source(data.annotations, images=data.images if images else None)
    faults = write(folder / "index.html", statistics(source), source, title=title)
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    return (folder / "index.html").read_text(encoding="utf-8"), faults


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    text, faults = written(factories.tiny_dataset(folder / "tiny"), folder / "out")
    assert faults == ()
    return text


def row(page, name):
    (found,) = re.findall(rf'<tr><th scope="row" data-value="{name}".*?</tr>', page)
    return re.findall(r">([^<>]*)</td>", found)


def test_the_summary_has_the_numbers(page):
    assert "<dt>images</dt><dd>6</dd>" in page
    assert "<dt>things</dt><dd>14</dd>" in page
    assert "<dt>crowds</dt><dd>1</dd>" in page
    assert '<th scope="row">height</th><td>64</td><td>64</td><td>64</td><td>64</td>' in page


def test_the_table_has_a_row_for_each_class(page):
    kind, images, segments, crowds, *_ = row(page, "person")

    assert (kind, images, segments, crowds) == ("thing", "6", "6", "1")
    assert row(page, "sky")[:3] == ["stuff", "6", "6"]


def test_every_class_with_a_photo_has_a_card_that_its_row_links_to(page):
    links = set(re.findall(r'href="#(class-\d+)"', page))

    assert links == set(re.findall(r'<li class="card" id="(class-\d+)"', page))
    assert len(links) == 6
    assert 'alt="bus, largest of 2, ' in page


def test_the_page_refers_to_nothing_outside(page):
    for value in re.findall(r'\b(?:src|href|action|srcset)="([^"]*)"', page):
        assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert "url(" not in page


def test_without_photos_there_are_no_pictures(tiny, tmp_path):
    page, faults = written(tiny, tmp_path / "out", images=False)

    assert faults == ()
    assert "<img src" not in page
    assert "There are no images to show." in page


def test_photos_that_can_not_be_read_are_reported(tiny, tmp_path):
    for path in tiny.images.iterdir():
        path.unlink()

    page, faults = written(tiny, tmp_path / "out")

    assert len(faults) == 6
    assert "Photos that can&#39;t be read: 6" in page


def test_classes_that_never_occur_are_listed(tmp_path):
    page, _ = written(factories.tiny_dataset(tmp_path / "one", count=1), tmp_path / "out")

    assert "Classes that never occur: 1" in page
    assert "<li>tree</li>" in page
    assert row(page, "tree")[:3] == ["stuff", "0", "0"]


def test_a_data_set_without_images_has_a_page(tmp_path):
    page, _ = written(factories.tiny_dataset(tmp_path / "none", count=0), tmp_path / "out")

    assert "<dt>images</dt><dd>0</dd>" in page
    assert "There are no segments." in page


def test_an_image_of_one_pixel_has_a_page(tmp_path):
    data = factories.tiny_dataset(tmp_path / "one", count=1, size=(1, 1))

    page, _ = written(data, tmp_path / "out")

    assert 'alt="sky, largest of 1, 100 % of image 100"' in page


def test_names_from_files_can_not_become_markup(tiny, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)>\"'&"
    content = json.loads(tiny.annotations.read_text())
    content["categories"][1]["name"] = hostile
    for image in content["images"] + content["annotations"]:
        key = "id" if "id" in image else "image_id"
        image[key] = f"{hostile}{image[key]}"
    tiny.annotations.write_text(json.dumps(content))

    page, _ = written(tiny, tmp_path / "out", title=hostile)

    assert "<img src=x" not in page
    assert page.count("</script>") == 1
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;</a>" in page
