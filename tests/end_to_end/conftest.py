import shutil
from contextlib import contextmanager

import pytest

import factories
import training_runs
from jsisnet.cli.app import run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = factories.tiny_dataset(folder / "tiny")
    config = training_runs.write_config(folder / "street.yaml", data, steps=10)
    assert run(["train", str(config), "--out", str(folder / "run")]) == 0
    return training_runs.Trained(data=data, config=config, run=folder / "run")


@pytest.fixture(scope="module")
def browser():
    """Return a browser without network access.

    While Playwright is open, its event loop runs in this thread, and other tests could start none.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    quiet = (
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--proxy-server=127.0.0.1:9",
    )
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page, which must raise no errors and request no files."""

    @contextmanager
    def opening(path):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(5000)
        page = context.new_page()
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        yield page
        assert complaints == []
        assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
        context.close()

    return opening
