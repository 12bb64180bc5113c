"""What others sent is shown, not obeyed: terminal, logs, reports, errors."""

import logging
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.pipeline import Node, Pipeline

from po_optimizer.cli import RunError
from po_optimizer.console.logs import escape_logs
from po_optimizer.console.next_step import Invocation
from po_optimizer.console.summary import show_summary
from po_optimizer.lms.visible import scrub, visible, visible_data
from po_optimizer.reporting.prompt_diff import environment

ATTACKS = {
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "bell": "\a",
    "carriage return": "failed\rpassed",
    "clear": "\x1b[2J\x1b[H",
    "C1": "\x9b31m\x9d0;owned\x9c",
    "backspace": "no\b\byes",
    "bidi": "\u202eevil\u202c \u2066a\u2069",
    "half a character": "\ud83d",
    "hidden": "a\u200bb\U000e0041",
}
KINDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HARMLESS = "\t\n\u200c\u200d\xad"


@pytest.fixture(params=ATTACKS.values(), ids=ATTACKS)
def attack(request):
    """One text that would steer a terminal or deceive who reads."""
    return request.param


def harmless(text):
    """Whether no terminal obeys any of it."""
    return "\x1b" not in text and not set("\a\b\r\x9b\u202e\u200b\ud83d") & set(text)


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left(text):
    """Whatever the text: letters, marks, symbols, line feeds and tabs remain."""
    shown = visible(text)
    steering = {c for c in shown if unicodedata.category(c) in KINDS} - set(HARMLESS)
    assert all(ord(c) >= 0x600 for c in steering)  # marks of numbers and letters
    shown.encode()  # no half character is left either


@pytest.mark.parametrize(
    "text", ["Straße 日本 🇪🇸 👨‍👩‍👧 naïve\n\tline", "می‌خواهم", "שלום", ""]
)
def test_ordinary_text_stays(text):
    """In every script, with emoji of several parts."""
    assert visible(text) == text


def test_escape_is_told_by_its_number():
    """It is seen that something was there."""
    assert visible("a\x1b[31mb\u202e") == r"a\x1b[31mb\u202e"


def test_data_is_made_visible_in_depth():
    """Keys too; what is no text stays."""
    data = {"a\a": ["\r", 1, None, {"b": "\x1b"}]}
    assert visible_data(data) == {r"a\x07": [r"\r", 1, None, {"b": r"\x1b"}]}


def test_error_of_a_run_is_visible(attack, capsys):
    """The sentence holds what a server said."""
    RunError(f"the LM said {attack}").show()
    assert harmless(capsys.readouterr().err)
    assert issubclass(RunError, click.ClickException)


def test_error_of_a_server_is_visible(attack):
    """Also in the traceback that some plugin writes."""
    error = ValueError(f"said {attack}")
    scrub(error, None)
    assert harmless(str(error))


def test_log_lines_are_visible(attack, tmp_path):
    """In the message, in its arguments and in the traceback."""
    path = tmp_path / "run.log"
    handler = logging.FileHandler(path, encoding="utf-8")
    logger = logging.getLogger("a.library")
    logger.addHandler(handler)
    try:
        escape_logs()
        escape_logs()
        logger.error(f"one {attack}")
        logger.error("two %s", attack)
        try:
            raise ValueError(attack)  # noqa: TRY301
        except ValueError:
            logger.exception("three")
    finally:
        logger.removeHandler(handler)
        handler.close()
    text = path.read_text(encoding="utf-8")
    assert harmless(text)
    assert [word in text for word in ("one", "two", "three", "Traceback")] == [True] * 4


def test_summary_of_a_run_is_visible(attack, capsys, summary_of):
    """Conflicts are the LM's own words; square brackets are no markup either."""
    summary_of(f"{attack} [bold]x[/bold] [link=http://evil.example]y[/link]")
    out = capsys.readouterr().out
    assert harmless(out)
    assert "[link=http" in out


@pytest.fixture
def summary_of():
    """Shows the end of a run whose review has one conflict."""

    class Catalog(dict):
        def load(self, name):
            return self[name]

    def show(conflict):
        report = {"status": "aligned", "program": "baseline", "reason": conflict}
        report["conflicts"] = [conflict]
        catalog = Catalog(integration_report=report)
        pipeline = Pipeline([Node(lambda: {}, None, "integration_report", name="node")])
        show_summary(pipeline, catalog, Invocation("base", {}))

    return show


def test_html_report_is_visible(attack):
    """Characters that turn the direction deceive on a page, too."""
    page = environment().from_string("<p>{{ text }}</p>").render(text=attack + "<b>")
    assert harmless(page)
    assert "&lt;b&gt;" in page
