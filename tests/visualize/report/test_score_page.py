"""The page as text; `end_to_end/test_report_in_browser.py` looks at it in a browser."""

import json
import re
from html.parser import HTMLParser

import pytest

import factories
import known_errors
from jsisnet.evaluation.compared_files import CompareRules
from jsisnet.visualize.report import gallery
from jsisnet.visualize.report.report_data import ReportData
from jsisnet.visualize.report.score_page import Sources, write
from jsisnet.visualize.report.templates import MISSING


def sources(found, **more):
    return Sources(truth=found.truth.annotations, title="mine", against="truth.json", **more)


def written(found, folder, **more):
    path = folder / "index.html"
    write(path, sources(found, **more), found.score, found.data)
    assert list(folder.iterdir()) == [path]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return known_errors.compared(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    return written(found, tmp_path_factory.mktemp("report"), images=found.truth.images)


def edited(found, change):
    """Change both files and compare them again."""
    for path in (found.truth.annotations, found.predictions):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return known_errors.of_files(found.truth, found.predictions)


def cards(page):
    return re.findall(r'<li class="card".*?</figcaption></figure></div></li>', page, re.DOTALL)


def test_the_page_is_well_formed(page):
    open_tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):  # noqa: ARG002
            if tag not in ("meta", "img", "input", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Parser().feed(page)

    assert open_tags == []
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>Panoptic report: mine</title>" in page


def test_the_page_refers_to_nothing_outside(page):
    for name in ("src", "href", "action", "srcset"):
        for value in re.findall(rf'\b{name}="([^"]*)"', page):
            assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert "url(" not in page
    assert "@import" not in page


def test_every_image_with_an_error_has_a_card_with_four_pictures(page):
    shown = cards(page)

    ids = {int(re.search(r"<h3><span>(\d+)", card).group(1)) for card in shown}
    assert ids == {100, 101, 102, 104, 105}
    assert all(card.count("<img") == card.count("alt=") == 4 for card in shown)


def test_a_card_lists_its_errors_with_the_names_of_the_classes(page):
    (swapped,) = (card for card in cards(page) if "<span>100<" in card)

    assert 'data-kind="misclassified" data-labels="1 2"><b>wrong class</b> car → bus' in swapped
    assert 'alt="Ground truth of image 100: sky, road, bus, car, person"' in swapped


def test_without_photos_the_cards_have_three_pictures(found, tmp_path):
    page = written(found, tmp_path / "report")

    assert {card.count("<img") for card in cards(page)} == {3}


def test_a_card_whose_photo_is_missing_or_damaged_has_three_pictures(found, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "street0.jpg").write_bytes(b"no photo")

    page = written(found, tmp_path / "report", images=photos)

    assert {card.count("<img") for card in cards(page)} == {3}
    assert "Photos that can&#39;t be read: 1" in page
    assert "street0.jpg: can&#39;t be read as an image" in page


def test_the_summary_has_the_numbers(found, page):
    quality = found.score.summary()["all"]

    assert f"<td>{quality['pq']:.2f}</td><td>{quality['sq']:.2f}</td>" in page
    assert "<dt>images</dt><dd>6</dd>" in page
    assert "<dt>mode</dt><dd>official</dd>" in page


def test_further_metrics_are_shown_if_they_are_defined(found, tmp_path):
    page = written(found, tmp_path / "report", figures={"mIoU": 12.345, "mask AP": None})

    assert "<dt>mIoU, %</dt><dd>12.35</dd>" in page
    assert "mask AP" not in page


def test_the_errors_of_a_class_add_up_to_its_unmatched_segments(page):
    rows = re.findall(r"<tr><th scope=\"row\" data-value.*?</tr>", page)
    assert len(rows) == len(factories.CATEGORIES)
    for row in rows:
        _, fp, fn, *errors = map(int, re.findall(r'data-value="\d+"[^>]*>(\d+)</td>', row))
        assert fp + fn == sum(errors)


def test_names_from_files_can_not_become_markup(tmp_path):
    found = known_errors.compared(tmp_path)
    hostile = "</script><img src=x onerror=alert(1)>\"'&"

    def change(content):
        content["categories"][1]["name"] = hostile
        for image in content["images"] + content["annotations"]:
            key = "id" if "id" in image else "image_id"
            image[key] = f"{hostile}{image[key]}"

    page = written(edited(found, change), tmp_path / "report", images=found.truth.images)

    assert "<img src=x" not in page
    assert page.count("</script>") == 1
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;100" in page


def test_predictions_without_scores_have_no_calibration(tmp_path):
    found = known_errors.compared(tmp_path)

    def change(content):
        for annotation in content["annotations"]:
            for info in annotation["segments_info"]:
                info.pop("score", None)

    page = written(edited(found, change), tmp_path / "report")

    assert "The predictions have no scores between 0 and 1." in page


def test_perfect_predictions_have_a_report(tmp_path):
    truth = factories.tiny_dataset(tmp_path / "tiny")

    page = written(known_errors.of_files(truth, truth.annotations), tmp_path / "report")

    assert "No image has an error." in page
    assert "No segment was predicted as another class." in page


def test_a_ground_truth_without_images_has_a_report(tmp_path):
    truth = factories.tiny_dataset(tmp_path / "tiny", count=0)

    page = written(known_errors.of_files(truth, truth.annotations), tmp_path / "report")

    assert "<dt>images</dt><dd>0</dd>" in page


def test_missing_predictions_and_images_left_out_are_reported(tmp_path):
    found = known_errors.compared(tmp_path)
    content = json.loads(found.predictions.read_text())
    del content["annotations"][1]
    found.predictions.write_text(json.dumps(content))
    (found.predictions.with_suffix("") / "street0.png").write_bytes(b"no map")
    rules = CompareRules(missing="void", keep_going=True)

    page = written(
        known_errors.of_files(found.truth, found.predictions, rules), tmp_path / "report"
    )

    assert "<dt>without prediction</dt><dd>1</dd>" in page
    assert "<dt>left out</dt><dd>1</dd>" in page
    assert "Images left out: 1" in page
    assert f'alt="Prediction for image 101: {MISSING}"' in page


def test_the_size_of_the_gallery_is_limited(found, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_MAX_BYTES", 20_000)

    page = written(found, tmp_path / "report", images=found.truth.images)

    assert 0 < len(cards(page)) < 5


def test_the_number_of_images_in_the_gallery_is_limited(found, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_IMAGES", 3)

    assert [image.image_id for image in gallery.select(found.data)] == [100, 102, 105]


def test_an_image_is_shown_once(found):
    numbers = [image.number for image in gallery.select(found.data)]

    assert len(numbers) == len(set(numbers))


def test_the_gallery_of_no_images_is_empty():
    assert gallery.select(ReportData(factories.CATEGORIES)) == []


def test_no_report_is_written_if_a_map_was_damaged_meanwhile(tmp_path):
    found = known_errors.compared(tmp_path)
    (found.truth.pngs / "map0.png").write_bytes(b"no map")

    with pytest.raises(ValueError, match="not a PNG"):
        write(tmp_path / "report" / "index.html", sources(found), found.score, found.data)

    assert not (tmp_path / "report").exists()
