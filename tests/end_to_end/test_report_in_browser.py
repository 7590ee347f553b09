"""The report in a real browser without network access."""

import pytest

import known_errors
from factories import BUS, CAR, PERSON
from jsisnet.cli.app import run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    truth, predictions = known_errors.written(folder)
    files = [str(truth.annotations), str(predictions)]
    code = run(["score", *files, "--report", str(folder / "report"), "--images", str(truth.images)])
    assert code == 0
    return folder / "report" / "index.html"


@pytest.fixture
def page(opened, report):
    """Return the open page, which must raise no errors and request no files."""
    with opened(report) as page:
        yield page


def column(page, number):
    return page.locator(
        f"#classes-table tbody tr:not([hidden]) > :nth-child({number})"
    ).all_inner_texts()


def header(page, name):
    return page.locator("#classes-table thead").get_by_role("button", name=name, exact=True)


def shown_cards(page):
    names = page.locator(".card:not([hidden]) h3 > span:first-child").all_inner_texts()
    return {int(name) for name in names}


def test_the_classes_are_sorted_by_a_click_on_a_column(page):
    assert column(page, 1)[0] == "car"

    header(page, "PQ").click()
    pq = [float(value) for value in column(page, 3)]
    assert pq == sorted(pq, reverse=True)
    assert page.locator("#classes-table th[aria-sort=descending]").inner_text() == "PQ"

    header(page, "class").click()
    assert column(page, 1) == ["bus", "car", "person", "road", "sky", "tree"]


def test_the_classes_are_sorted_by_the_keyboard(page):
    header(page, "FN").focus()
    page.keyboard.press("Enter")

    assert column(page, 8) == ["2", "1", "0", "0", "0", "0"]


def test_the_classes_are_filtered_by_name_and_kind(page):
    page.get_by_label("Name").fill("R")
    assert set(column(page, 1)) == {"car", "person", "road", "tree"}

    page.get_by_label("Kind").select_option("thing")
    assert set(column(page, 1)) == {"car", "person"}
    assert page.locator("#classes-count").inner_text() == "2 of 6 classes"


def test_the_gallery_is_filtered_by_error_and_class(page):
    everything = shown_cards(page)
    assert len(everything) == 5

    page.get_by_label("Error", exact=True).select_option("wrong class")
    assert shown_cards(page) == {known_errors.MISCLASSIFIED}

    page.get_by_label("Class", exact=True).select_option("person")
    assert shown_cards(page) == set()
    assert page.locator("#gallery-count").inner_text() == "0 of 5 images"

    page.get_by_label("Error", exact=True).select_option("any")
    assert shown_cards(page) == {known_errors.MISSED}

    page.get_by_role("button", name="Show all").click()
    assert shown_cards(page) == everything


def test_a_class_leads_to_its_images(page):
    page.locator("#classes-table").get_by_role("button", name="bus").click()

    assert shown_cards(page) == {known_errors.MISCLASSIFIED}
    assert page.get_by_label("Class", exact=True).input_value() == str(BUS)


def test_chips_that_do_not_fit_the_filter_are_pale(page):
    page.get_by_label("Class", exact=True).select_option(str(CAR))

    for card in page.locator(".card:not([hidden])").all():
        for chip in card.locator(".chips .chip").all():
            labels = chip.get_attribute("data-labels").split()
            assert ("off" in chip.get_attribute("class").split()) == (str(CAR) not in labels)
    page.get_by_label("Class", exact=True).select_option(str(PERSON))
    assert page.locator(".card:not([hidden]) .chip.off").count() == 0


def test_every_picture_can_be_seen(page):
    pictures = page.locator(".card img")

    assert pictures.count() == 4 * 5
    assert pictures.evaluate_all(
        "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    ) == [96] * (4 * 5)


def test_a_picture_is_enlarged_and_the_arrows_lead_to_the_others(page):
    page.locator(".card .enlarge").first.press("Enter")
    name = page.locator("#large-name")

    assert name.inner_text().startswith("Photo of image")
    page.keyboard.press("ArrowRight")
    assert name.inner_text().startswith("Ground truth of image")
    page.get_by_role("button", name="previous").click()
    assert name.inner_text().startswith("Photo of image")
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark_pages_differ(page):
    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = paper()
    page.emulate_media(color_scheme="dark")
    assert light != paper()


def test_everything_that_can_be_used_has_a_name(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, img, svg")].filter(
            each => !(each.innerText || each.alt || each.ariaLabel || each.labels?.length
                || each.querySelector("img")?.alt || each.closest("dialog"))
        ).map(each => each.outerHTML)"""
    )

    assert unnamed == []
