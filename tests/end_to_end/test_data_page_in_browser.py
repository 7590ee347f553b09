"""The page about a data set in a real browser without network access."""

import pytest

import factories
from factories import BUS
from jsisnet.cli.app import run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    data = factories.tiny_dataset(folder / "tiny")
    files = ["--annotations", str(data.annotations), "--images", str(data.images)]
    assert run(["data", "stats", *files, "--processes", "1", "--out", str(folder / "out")]) == 0
    return folder / "out" / "index.html"


@pytest.fixture
def page(opened, written):
    with opened(written) as page:
        yield page


def names(page):
    return page.locator("#classes-table tbody tr:not([hidden]) > th").all_inner_texts()


def header(page, name):
    return page.locator("#classes-table thead").get_by_role("button", name=name, exact=True)


def test_the_classes_are_sorted_by_a_click_on_a_column(page):
    assert names(page)[:2] == ["sky", "road"]

    header(page, "class").click()
    assert names(page) == ["bus", "car", "person", "road", "sky", "tree"]

    header(page, "images").click()
    assert names(page)[-2:] == ["tree", "bus"]


def test_the_classes_are_filtered_by_name_and_kind(page):
    page.get_by_label("Name").fill("R")
    page.get_by_label("Kind").select_option("thing")

    assert sorted(names(page)) == ["car", "person"]
    assert page.locator("#classes-count").inner_text() == "2 of 6 classes"


def test_a_class_leads_to_its_examples(page):
    page.locator("#classes-table").get_by_role("link", name="bus").click()

    assert page.evaluate("location.hash") == f"#class-{BUS}"
    assert page.locator(f"#class-{BUS} img").count() == 2


def test_every_picture_can_be_seen_and_enlarged(page):
    pictures = page.locator(".card img")
    widths = pictures.evaluate_all(
        "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    )
    assert len(widths) > 12
    assert min(widths) > 0

    page.locator(".card .enlarge").first.press("Enter")
    assert page.locator("#large-name").inner_text().startswith("person, largest of 6")
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-name").inner_text().startswith("person, no. ")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= width
