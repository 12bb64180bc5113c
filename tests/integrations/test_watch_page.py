"""The live page in a browser, while two optimizations run."""

import subprocess
import sys
import threading
import time

import dspy
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from po_optimizer import evaluate, load_program, optimize
from po_optimizer.errors import InterruptedRunError
from po_optimizer.optimization.steering import read_request
from po_optimizer.roles.build import load_metric, make_program
from tests.faces.test_browser import CHROMEDRIVER, CHROMIUM, open_browser
from tests.programs.cases import CASES
from tests.programs.server import serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER),
        reason="chromium and chromedriver are missing: make test-browser",
    ),
]
SECONDS = 120


class Search(threading.Thread):
    """An optimization in a thread; what became of it."""

    def __init__(self, folder, address):
        super().__init__(daemon=True)
        self.folder, self.address, self.outcome = folder, address, None

    def run(self):
        """Goes on for a quarter of an hour unless it is stopped."""
        case = CASES["module_level_object"]
        metric = load_metric(case.role())

        def slow(example, prediction, trace=None):
            time.sleep(0.3)
            return metric(example, prediction)

        lm = dspy.LM("openai/scripted", api_base=self.address, api_key="none")
        try:
            self.outcome = optimize(
                make_program(case.role(), None),
                trainset=case.split(0, 10),
                valset=case.split(10, 30),
                metric=slow,
                lm=lm,
                folder=self.folder,
                num_threads=1,
                num_candidates=6,
                num_trials=150,
                minibatch=False,
                racing=False,
            )
        except InterruptedRunError as error:
            self.outcome = error


@pytest.fixture
def page(tmp_path):
    """The address that the command prints."""
    process = subprocess.Popen(  # noqa: S603 -- our own command
        [sys.executable, "-u", "-m", "po_optimizer", "watch", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process.stdout.readline().split()[0]
    process.terminate()
    process.wait(30)


def test_one_of_two_searches_is_stopped_from_the_page(tmp_path, page):
    """Both are shown apart; one ends in order, the other goes on."""
    with serving() as server, open_browser(page) as browser:
        searches = [Search(tmp_path / name, server.address) for name in ("one", "two")]
        for number, search in enumerate(searches):
            search.start()
            _until(browser, lambda d, n=number: len(_running(d)) == n + 1)
        _until(browser, lambda d: _trials(d, "one") >= 1)
        _keeps_focus(browser, "two")
        _press(browser, "one", "Stop in order")
        searches[0].join(SECONDS)
        assert isinstance(searches[0].outcome, InterruptedRunError)
        assert "stopped from the page" in str(searches[0].outcome)
        assert (tmp_path / "one/program.json").is_file()
        _until(browser, lambda d: len(_running(d)) == 1)
        assert searches[1].is_alive()
        _evaluate(tmp_path / "one", server.address)
        _until(browser, lambda d: "Worst of 6 examples" in _box(d, "one").text)
        _until(browser, lambda d: _open(d, "one", "by the optimized program"))
        browser.save_screenshot(str(tmp_path / "page.png"))
        _press(browser, "two", "Set budget")
        browser.switch_to.alert.send_keys("max_calls=900, max_minutes=none")
        browser.switch_to.alert.accept()
        _until(browser, lambda d: "budget: asked" in d.page_source)
        budget = read_request(tmp_path / "two").budget
        bounds = {"max_calls": 900, "max_minutes": None}
        assert budget.model_dump(exclude_unset=True) == bounds
        _press(browser, "two", "Pause")
        _until(browser, lambda d: "paused" in _box(d, "two").text)
        _press(browser, "two", "Stop in order")
        searches[1].join(SECONDS)
        assert isinstance(searches[1].outcome, InterruptedRunError)


def _keeps_focus(browser, name):
    """A button that the keyboard reached is still reached when the page is newer."""
    button = _box(browser, name).find_element(By.XPATH, ".//button[.='Set budget']")
    browser.execute_script("arguments[0].focus()", button)
    _until(browser, staleness_of(button))
    assert browser.switch_to.active_element.text == "Set budget"


def _evaluate(folder, address):
    """Both programs of a stopped search."""
    case = CASES["module_level_object"]
    evaluate(
        make_program(case.role(), None),
        load_program(folder / "program.json"),
        testset=case.split(30, 36),
        metric=load_metric(case.role()),
        lm=dspy.LM("openai/scripted", api_base=address, api_key="none"),
        folder=folder,
    )


def _open(browser, name, title):
    """Whether an entry is open, and shows its input; if not, it is clicked."""
    path = f".//details[summary[contains(., '{title}')]]"
    details = _box(browser, name).find_element(By.XPATH, path)
    if details.get_attribute("open") is None:
        details.find_element(By.TAG_NAME, "summary").click()
        return False
    return "inputs" in details.text


def _until(browser, condition):
    WebDriverWait(browser, SECONDS, ignored_exceptions=[Exception]).until(condition)


def _box(browser, name):
    boxes = browser.find_elements(By.TAG_NAME, "section")
    return next(box for box in boxes if box.text.startswith(name))


def _running(browser):
    return browser.find_elements(By.XPATH, "//button[text()='Stop in order']")


def _trials(browser, name):
    return len(_box(browser, name).find_elements(By.TAG_NAME, "tr")) - 1


def _press(browser, name, text):
    def press(driver):
        buttons = _box(driver, name).find_elements(By.TAG_NAME, "button")
        next(b for b in buttons if b.text == text).click()
        return True

    _until(browser, press)
