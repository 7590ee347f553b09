"""The page of `jsisnet serve` in a real browser, with a real server."""

import base64
import io
import json
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jsisnet.datatools.scenes import write_scenes
from jsisnet.files.photos import read_image

TIMES = "\N{MULTIPLICATION SIGN}"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def server(browser):
    """Return the address of a server of two models."""
    del browser  # without one nothing is started
    models = ["--model", "street", "--model", "coco", "--workers", "1", "--port", "0"]
    command = [sys.executable, "-m", "jsisnet", "serve", *models]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        line = running.stdout.readline()
        yield re.search(r"http://\S+:\d+", line).group()
        running.send_signal(signal.SIGTERM)
        running.wait(20)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Return the path of a generated scene."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, (1, 3), (240, 320))
    return folder / "val" / "000002.png"


@pytest.fixture(scope="module")
def answers(server, photo):
    """Return for each model the answer for the photo, and the map decoded by Pillow."""

    def answer(model):
        url = f"{server}/v1/panoptic?model={model}&masks=png"
        request = urllib.request.Request(url, photo.read_bytes(), {"Content-Type": "image/png"})
        with urllib.request.urlopen(request) as response:
            found = json.load(response)
        with urllib.request.urlopen(found["map"]) as response:
            rgb = np.asarray(Image.open(io.BytesIO(response.read())), np.int64)
        return found, rgb @ [1, 256, 65536]

    return {model: answer(model) for model in ("street", "coco")}


@pytest.fixture
def visit(browser, server):
    """Return a function that opens the page, which must ask no other host and raise no errors."""
    contexts = []

    def opening(*, refused=False, script="", **options):
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(8000)
        context.add_init_script(script)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        contexts.append((context, complaints, requests, refused))
        return page

    yield opening
    for context, complaints, requests, refused in contexts:
        context.close()
        unexpected = [text for text in complaints if "Failed to load resource" not in text]
        assert (unexpected if refused else complaints) == []
        local = (f"{server}/", "data:", f"blob:{server}/")
        assert [url for url in requests if not url.startswith(local)] == []


@pytest.fixture
def page(visit, server):
    page = visit()
    page.goto(server)
    return page


@pytest.fixture
def shown(page, photo):
    """Return the page with the photo and its map."""
    upload(page, photo)
    return page


def upload(page, photo):
    page.locator("#file").set_input_files(photo)
    page.locator("#panel").wait_for()


def inner_pixel(ids, segment):
    """Return column and row of a pixel around which all pixels belong to the segment."""
    own = ids == segment
    inner = own[1:-1, 1:-1] & own[:-2, 1:-1] & own[2:, 1:-1] & own[1:-1, :-2] & own[1:-1, 2:]
    rows, columns = np.nonzero(inner)
    middle = len(rows) // 2
    return int(columns[middle]) + 1, int(rows[middle]) + 1


def place(page, pixel, size, view=0):
    """Return the point of the screen where a pixel of the photo is."""
    box = page.locator(".layers").nth(view).bounding_box()
    column, row = pixel
    height, width = size
    return (
        box["x"] + (column + 0.5) / width * box["width"],
        box["y"] + (row + 0.5) / height * box["height"],
    )


COPY = """const source = document.querySelectorAll(".view canvas")[number];
    const copy = new OffscreenCanvas(source.width, source.height)
        .getContext("2d", {willReadFrequently: true});
    copy.drawImage(source, 0, 0);"""


def drawn(page, canvas, pixel):
    """Return red, green, blue and alpha of a pixel of a canvas of the first view."""
    script = f"([number, x, y]) => {{{COPY} return [...copy.getImageData(x, y, 1, 1).data]; }}"
    return page.evaluate(script, [canvas, *pixel])


PHOTO, FILL, OUTLINES, LIGHT = range(4)


def big(answer, count=3):
    """Return the largest segments of an answer."""
    return sorted(answer["segments"], key=lambda each: -each["area"])[:count]


def test_a_photo_is_segmented_and_what_is_found_is_announced(shown, answers):
    found = answers["street"][0]
    things = sum(each["isthing"] for each in found["segments"])

    assert shown.locator("#photo-name").inner_text() == "000002.png"
    assert f"320 {TIMES} 240 pixels" in shown.locator("#facts").inner_text()
    assert shown.locator(".pieces button").count() == len(found["segments"])
    assert shown.locator("#count-things").inner_text() == str(things)
    said = shown.get_by_role("status").inner_text()
    assert said.startswith(f"street found {things} thing")
    assert {each["name"] for each in found["segments"]} <= set(re.findall(r"[a-z]+", said))


def test_the_pointer_names_and_lights_the_segment_below_it(shown, answers):
    found, ids = answers["street"]
    for segment in big(found):
        pixel = inner_pixel(ids, segment["id"])
        shown.mouse.move(*place(shown, pixel, ids.shape))
        tip = shown.locator("#tip", has_text=segment["name"])
        tip.wait_for()
        assert f"{segment['area']:,} pixels" in tip.inner_text()
        assert drawn(shown, LIGHT, pixel)[3] == 0
        other = next(each for each in big(found) if each is not segment)
        assert drawn(shown, LIGHT, inner_pixel(ids, other["id"]))[3] > 100
    shown.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_the_keyboard_steps_through_the_segments(shown):
    stage = shown.locator("#stage")
    stage.focus()
    names = []
    for _ in range(shown.locator(".pieces button").count()):
        shown.keyboard.press("ArrowRight")
        assert shown.locator("#tip").is_visible()
        names.append(shown.get_by_role("status").inner_text())

    labels = shown.locator(".pieces button").evaluate_all("all => all.map(each => each.ariaLabel)")
    assert [name.split(":")[1] for name in names] == [label.split(":")[1] for label in labels]
    shown.keyboard.press("Escape")
    assert not shown.locator("#tip").is_visible()


def test_a_button_of_the_list_lights_its_segment(shown):
    button = shown.locator(".pieces button").first
    button.focus()

    assert shown.locator("#tip").is_visible()
    assert shown.locator(".view.lit").count() == 1
    button.press("Enter")
    shown.locator("#opacity").focus()
    assert shown.locator("#tip").is_visible()  # until it is pressed again
    button.press("Enter")
    shown.locator("#opacity").focus()
    assert not shown.locator("#tip").is_visible()


def test_layers_and_classes_are_switched_off(shown, answers):
    found, ids = answers["street"]
    stuff = next(each for each in big(found, 99) if not each["isthing"])
    pixel = inner_pixel(ids, stuff["id"])
    box = shown.get_by_role("checkbox", name=re.compile(f"^{stuff['name']}"))

    assert drawn(shown, FILL, pixel)[3] > 100
    shown.get_by_role("switch", name="Stuff").uncheck()
    assert drawn(shown, FILL, pixel)[3] == 0
    shown.get_by_role("switch", name="Stuff").check()
    box.uncheck()
    assert drawn(shown, FILL, pixel)[3] == 0
    shown.mouse.move(*place(shown, pixel, ids.shape))
    assert not shown.locator("#tip").is_visible()
    shown.get_by_role("button", name="all", exact=True).click()
    assert box.is_checked()
    assert drawn(shown, FILL, pixel)[3] > 100


def test_outlines_and_opacity_are_set(shown):
    def outlined():
        count = "data.filter((value, at) => at % 4 === 3 && value > 0).length"
        script = f"number => {{{COPY} return copy.getImageData(0, 0, 320, 240).{count}; }}"
        return shown.evaluate(script, OUTLINES)

    assert outlined() > 300
    shown.get_by_role("switch", name="Outlines").uncheck()
    assert outlined() == 0
    shown.get_by_label("Opacity").fill("20")
    assert shown.locator(".fill").first.evaluate("fill => getComputedStyle(fill).opacity") == "0.2"


def test_two_models_are_compared(shown, answers):
    shown.get_by_label("Compare with").select_option("coco")
    shown.locator("#classes.comparing").wait_for()
    found, ids = answers["coco"]
    right = np.where(np.arange(320) > 200, ids, 0)
    segment = max(found["segments"], key=lambda each: (right == each["id"]).sum())
    pixel = inner_pixel(right, segment["id"])

    shown.mouse.move(*place(shown, pixel, ids.shape))
    shown.locator("#tip", has_text=f"coco: {segment['name']}").wait_for()
    assert "street" not in shown.locator("#tip").inner_text()
    divider = shown.get_by_role("slider", name="Share of the first model")
    y = divider.bounding_box()["y"] + 40
    shown.mouse.move(place(shown, (160, 0), ids.shape)[0], y)
    shown.mouse.down()
    shown.mouse.move(place(shown, (240, 0), ids.shape)[0], y)
    shown.mouse.up()
    assert divider.get_attribute("aria-valuenow") == "75"
    divider.press("End")
    shown.mouse.move(*place(shown, (3, 3), ids.shape))
    shown.mouse.move(*place(shown, pixel, ids.shape))
    shown.locator("#tip", has_text="street: ").wait_for()

    shown.get_by_label("Side by side").check()
    shown.mouse.move(*place(shown, pixel, ids.shape, view=1))
    both = shown.locator("#tip", has_text=f"coco: {segment['name']}").filter(has_text="street: ")
    both.wait_for()
    assert shown.locator(".view.lit").count() == 2


def test_results_are_downloaded(shown, answers):
    def saved(name):
        with shown.expect_download() as download:
            shown.get_by_role("button", name=name).click()
        return download.value.suggested_filename, Path(download.value.path())

    name, path = saved("This view")
    assert (name, read_image(path).shape) == ("000002_view.png", (240, 320, 3))
    name, path = saved("Overlay")
    assert (name, read_image(path).shape) == ("000002_overlay.png", (240, 320, 3))
    name, path = saved("LabelMe")
    shapes = json.loads(path.read_text())["shapes"]
    assert (name, len(shapes)) == ("000002.json", len(answers["street"][0]["segments"]))
    name, path = saved("COCO panoptic")
    with zipfile.ZipFile(path) as archive:
        assert (name, set(archive.namelist())) == (
            "000002_panoptic.zip",
            {"000002.png", "predictions.json"},
        )


def test_a_rotated_photo_and_its_map_lie_upright(page, photo, tmp_path):
    upright = read_image(photo)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    rotated = tmp_path / "rotated.png"
    Image.fromarray(np.rot90(upright)).save(rotated, exif=exif)

    upload(page, rotated)

    assert f"320 {TIMES} 240 pixels" in page.locator("#facts").inner_text()
    for column, row in [(5, 5), (300, 20), (60, 200)]:
        assert drawn(page, PHOTO, (column, row))[:3] == upright[row, column].tolist()


DATA = """name => { const data = new DataTransfer();
    data.items.add(new File([window.bytes], name, {type: "image/png"})); return data; }"""


def test_photos_are_dropped_and_pasted(page, photo):
    page.evaluate("bytes => { window.bytes = new Uint8Array(bytes); }", list(photo.read_bytes()))
    for name, event in [
        ("dropped.png", "new DragEvent('drop', {dataTransfer: data, bubbles: true})"),
        ("pasted.png", "new ClipboardEvent('paste', {clipboardData: data, bubbles: true})"),
    ]:
        script = f"name => {{ const data = ({DATA})(name); document.body.dispatchEvent({event}); }}"
        page.evaluate(script, name)

        page.get_by_role("heading", name=name).wait_for()
        page.get_by_label(f"Panoptic map of {name}").wait_for()
        assert page.get_by_role("status").inner_text().startswith("street found")


def test_the_camera_takes_a_photo(visit, server):
    stream = """const drawing = document.createElement("canvas");
        Object.assign(drawing, {width: 320, height: 240});
        setInterval(() => drawing.getContext("2d").fillRect(0, 0, 320, 240), 40);
        navigator.mediaDevices.getUserMedia = async () => drawing.captureStream(25);"""
    page = visit(script=stream)
    page.goto(server)
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the photo").click()

    page.locator("#panel").wait_for()
    assert page.locator("#photo-name").inner_text() == "camera.jpg"


def test_without_a_camera_the_page_says_so(visit, server):
    none = "navigator.mediaDevices.getUserMedia = async () => { throw new Error('none'); };"
    page = visit(script=none)
    page.goto(server)
    page.get_by_role("button", name="Use the camera").click()

    page.get_by_text("No camera was found.").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Choose a photo").is_visible()


REFUSALS = {
    413: "larger than the server accepts",
    415: "not a photo that the server can read",
    422: "could not read this photo",
    503: "starting or shutting down",
    504: "took too long",
}


def test_refusals_are_explained_and_the_photo_may_be_tried_again(visit, server, photo):
    page = visit(refused=True)
    page.goto(server)
    statuses = iter(REFUSALS)

    def refuse(route):
        problem = json.dumps({"detail": "<b>why</b>", "request_id": "abc"})
        route.fulfill(status=next(statuses), body=problem)

    page.route("**/v1/panoptic*", refuse, times=len(REFUSALS))
    page.locator("#file").set_input_files(photo)
    for sentence in REFUSALS.values():
        alert = page.get_by_role("alert").filter(has_text=sentence)
        alert.wait_for()
        assert "<b>why</b> (request abc)" in alert.inner_text()
        page.get_by_role("button", name="Try again").click()

    page.locator("#panel").wait_for()
    assert not alert.is_visible()


def test_a_refused_photo_is_shown(visit, server, photo):
    page = visit(refused=True)
    page.goto(server)
    page.route("**/v1/panoptic*", lambda route: route.fulfill(status=500), times=1)
    page.locator("#file").set_input_files(photo)

    page.get_by_role("alert").filter(has_text="failed on this photo").wait_for()
    assert page.locator("#stage").is_visible()


def test_a_file_that_is_no_photo_is_refused(visit, server, tmp_path):
    page = visit(refused=True)
    page.goto(server)
    path = tmp_path / "notes.txt"
    path.write_text("no photo")
    page.locator("#file").set_input_files(path)

    page.get_by_role("alert").filter(has_text=re.compile("server (can|could not) read")).wait_for()
    assert page.get_by_role("button", name="Choose another photo").is_visible()


def test_a_server_that_is_gone_is_told(visit, server, photo):
    page = visit(refused=True)
    page.goto(server)
    page.route("**/v1/panoptic*", lambda route: route.abort())
    page.locator("#file").set_input_files(photo)

    page.get_by_role("alert").filter(has_text="does not answer").wait_for()


def test_a_busy_server_is_asked_again_after_a_while(visit, server, photo):
    page = visit(refused=True)
    page.goto(server)
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "body": "{}"}
    page.route("**/v1/panoptic*", lambda route: route.fulfill(**busy), times=1)
    page.locator("#file").set_input_files(photo)

    page.get_by_text("The server is busy. Trying again in 1 s").wait_for()
    page.locator("#panel").wait_for()


def test_waiting_is_cancelled(visit, server, photo):
    page = visit(refused=True)
    page.goto(server)
    busy = {"status": 429, "headers": {"Retry-After": "60"}, "body": "{}"}
    page.route("**/v1/panoptic*", lambda route: route.fulfill(**busy), times=1)
    page.locator("#file").set_input_files(photo)

    page.get_by_text("Trying again in 60 s").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("alert").filter(has_text="Cancelled.").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.locator("#panel").wait_for()


def test_a_key_is_asked_for_until_it_is_right(visit, server, photo):
    page = visit(refused=True)
    used = []

    def guard(route):
        key = route.request.headers.get("authorization")
        used.append(key)
        if key == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, body="{}")

    page.route("**/v1/**", guard)
    page.goto(server)
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("did not accept the key").wait_for()
    page.get_by_label("API key").fill("secret")
    page.keyboard.press("Enter")
    page.locator("#models").wait_for()

    upload(page, photo)
    assert used[:2] == [None, "Bearer wrong"]
    assert set(used[2:]) == {"Bearer secret"}


def test_a_photo_that_the_browser_cannot_show_has_its_map_shown(page, photo, answers, tmp_path):
    path = tmp_path / "scene.tif"
    Image.fromarray(read_image(photo)).save(path)
    upload(page, path)
    found, ids = answers["street"]

    assert "cannot show photos of this kind" in page.locator("#facts").inner_text()
    assert drawn(page, FILL, inner_pixel(ids, big(found)[0]["id"]))[3] > 100


def test_a_photo_that_is_opened_before_the_models_are_known_is_segmented(visit, server, photo):
    page, waiting = visit(), []

    def hold(route):
        waiting.append(route)

    page.route("**/v1/models", hold)
    with page.expect_request("**/v1/models"):
        page.goto(server)

    page.locator("#file").set_input_files(photo)
    page.locator("#work").wait_for()
    waiting[0].continue_()
    page.locator("#panel").wait_for()

    assert page.get_by_role("status").inner_text().startswith("street found")


def test_a_photo_in_which_nothing_is_found_says_so(visit, server, photo, answers):
    page = visit()
    image = io.BytesIO()
    Image.new("RGB", (320, 240)).save(image, "PNG")
    void = "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
    empty = answers["street"][0] | {"segments": [], "map": void}
    page.route("**/v1/panoptic*", lambda route: route.fulfill(json=empty))
    page.goto(server)
    upload(page, photo)

    assert page.get_by_role("status").inner_text() == "street found nothing."
    assert page.locator("#classes").inner_text() == "nothing was found"
    page.locator("#stage").press("ArrowRight")
    assert not page.locator("#tip").is_visible()


def test_names_of_classes_are_text_and_no_markup(visit, server, photo, answers):
    page = visit()
    name = "<img src=x onerror=alert(1)>"
    answer = answers["street"][0]
    renamed = answer | {"segments": [each | {"name": name} for each in answer["segments"]]}
    page.route("**/v1/panoptic*", lambda route: route.fulfill(json=renamed))
    page.goto(server)
    upload(page, photo)

    assert name in page.locator("#classes").inner_text()
    assert page.locator("main img").count() == 0


def test_a_finger_names_a_segment(visit, server, photo, answers):
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(server)
    upload(page, photo)
    found, ids = answers["street"]
    segment = big(found)[0]

    page.touchscreen.tap(*place(page, inner_pixel(ids, segment["id"]), ids.shape))
    page.locator("#tip", has_text=segment["name"]).wait_for()
    assert page.get_by_role("status").inner_text().startswith(segment["name"])


def test_no_width_makes_the_page_scroll_sideways(page, photo):
    def too_wide():
        widths = [320, 390, 768, 1280]
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                yield width

    page.locator("#models").wait_for()
    assert list(too_wide()) == []
    page.get_by_label("Compare with").select_option("coco")
    upload(page, photo)
    assert list(too_wide()) == []
    page.set_viewport_size(PHONE)
    heights = page.locator(".bar button").evaluate_all("all => all.map(each => each.offsetHeight)")
    assert max(heights) < 50  # no name is broken into lines
    page.get_by_label("Side by side").check()
    assert list(too_wide()) == []


def test_axe_finds_no_fault(visit, server, photo):
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    page = visit(color_scheme="light", reduced_motion="reduce")
    page.goto(server)
    page.locator("#models").wait_for()
    page.evaluate(Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = [page.evaluate("axe.run()")]
    page.get_by_label("Compare with").select_option("coco")
    upload(page, photo)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found.append(page.evaluate("axe.run()"))

    faults = [
        (each["id"], [node["html"] for node in each["nodes"]])
        for result in found
        for each in result["violations"]
    ]
    assert faults == []
    assert all(len(result["passes"]) > 15 for result in found)


def test_reduced_motion_stops_every_animation(visit, server):
    page = visit(reduced_motion="reduce")
    page.goto(server)

    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("document.getAnimations().length") > 0
