"""The built page in a browser: what a visitor finds and reads."""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="chromium and chromedriver are missing: make test-browser",
    ),
]

STAGE_NODES = (
    "split_checked_records_node",
    "optimize_program_node",
    "release_program_node",
    "compare_programs_node",
    "choose_program_node",
)
SECONDS = 20


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def page(build):
    """The address of the published page."""
    handler = functools.partial(_Quiet, directory=str(build))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(page):
    """A headless Chromium with the page open."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage"
    for flag in [*flags.split(), "--window-size=1600,1000"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.get(page)
    yield driver
    driver.quit()


def _wait_for(browser, condition):
    return WebDriverWait(browser, SECONDS).until(condition)


def _nodes_named(browser, name):
    nodes = browser.find_elements(By.CSS_SELECTOR, ".pipeline-node")
    return [node for node in nodes if node.text.strip() == name]


def _preview(browser):
    shown = browser.find_elements(By.CSS_SELECTOR, ".pipeline-metadata__preview-html")
    return shown[0].text if shown else ""


@pytest.mark.parametrize("name", STAGE_NODES)
def test_every_stage_is_drawn(browser, name):
    """A node of each of the five stages is in the drawing."""
    assert _wait_for(browser, lambda b: _nodes_named(b, name))


def test_instructions_can_be_read(browser):
    """A visitor who clicks on the program reads the instructions that it has."""
    program = _wait_for(browser, lambda b: _nodes_named(b, "optimized_program"))[0]
    click = "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    browser.execute_script(click, program)
    text = _wait_for(browser, _preview)
    assert "You are the Product Owner" in text or "Judge every requirement" in text
