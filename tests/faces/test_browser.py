"""The built page in a browser: what a visitor finds and reads."""

import functools
import shutil
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

NAMES = ("chromium", "google-chrome", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
CHROMEDRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER),
        reason="chromium and chromedriver are missing: make test-browser",
    ),
]

STAGES = ("data_prep", "optimize", "persist", "evaluate", "report", "integrate")
LAYERS = [
    "raw",
    "model_input",
    "models",
    "model_output",
    "reporting",
]  # of what stages exchange
SECONDS = 40


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def page(build):
    """The address of the published page."""
    handler = functools.partial(_Quiet, directory=str(build))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@contextmanager
def open_browser(page):
    """A headless Chromium with the page open."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage"
    for flag in [*flags.split(), "--window-size=1600,1000"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(CHROMEDRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.get(page)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def browser(page):
    """A browser with the published page."""
    with open_browser(page) as driver:
        yield driver


def _wait_for(browser, condition):
    wait = WebDriverWait(
        browser, SECONDS, ignored_exceptions=[StaleElementReferenceException]
    )
    return wait.until(condition)


def _nodes_named(browser, name):
    nodes = browser.find_elements(By.CSS_SELECTOR, ".pipeline-node")
    return [node for node in nodes if _text(node) == name]


def _text(element):
    """Its text, also where the drawing is being moved."""
    return element.get_attribute("textContent").strip()


def _preview_of(browser, name, kind):
    """Text that the page shows of a dataset after a click on it, once it is there."""
    click = "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))"

    def shown(driver):
        titles = driver.find_elements(By.CSS_SELECTOR, ".pipeline-metadata__title")
        if [_text(title) for title in titles] != [name]:
            driver.execute_script(click, _nodes_named(driver, name)[0])
            return None
        found = driver.find_elements(By.CSS_SELECTOR, kind)
        return _text(found[0]) if found else None

    _wait_for(browser, lambda b: _nodes_named(b, name))
    return _wait_for(browser, shown)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_drawn(browser, name):
    """The page opens with the five stages by name."""
    assert _wait_for(browser, lambda b: _nodes_named(b, name))


@pytest.mark.parametrize("name", ["score_report", "uplift_figure"])
def test_results_are_seen_while_the_stages_are_closed(browser, name):
    """Scores and figures need no click on a stage."""
    assert _wait_for(browser, lambda b: _nodes_named(b, name))


def test_layers_go_from_raw_to_reporting(browser):
    """The layers stand in the order of the folders, from top to bottom."""
    found = browser.find_elements(By.CSS_SELECTOR, ".pipeline-layer-name")
    shown = [_text(layer) for layer in found]
    assert [layer for layer in shown if layer in LAYERS] == LAYERS


def test_instructions_can_be_read(browser):
    """A visitor who clicks on the program reads instructions and field names."""
    kind = ".pipeline-metadata__preview-html"
    text = _preview_of(browser, "optimized_program", kind)
    assert "You are the Product Owner" in text or "Judge every requirement" in text
    assert "requirements_yaml" in text
    assert "product_owner_review" in text


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("trainset", "table", "input.concept"),
        ("score_report", ".pipeline-metadata__preview-json", "target_rubric"),
        ("uplift_figure", ".js-plotly-plot", "uplift, 95% interval"),
        ("product_vision", ".pipeline-metadata__preview-html", "key_capabilities"),
    ],
)
def test_what_is_stored_can_be_looked_at(page, browser, name, kind, word):
    """With the stages open: a table, a tree, a figure that is drawn, YAML as text."""
    browser.get(f"{page}?expandAllPipelines=true")
    assert word in _preview_of(browser, name, kind)
