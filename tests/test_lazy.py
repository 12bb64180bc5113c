"""Modules that are imported when they are first used."""

import importlib.util
import sys

import pytest

from po_optimizer.lazy import defer


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """The name of a module that nothing has imported."""
    (tmp_path / "slow_grammar.py").write_text(
        "def valid(rule, *, text):\n    return rule == text\nRULES = ('iri',)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_grammar"
    sys.modules.pop("slow_grammar", None)


def _is_imported():
    return "RULES" in vars(sys.modules["slow_grammar"])


def test_deferred_module_is_imported_at_the_first_call(slow):
    """Whoever holds the function already, calls the true one."""
    defer(slow, "valid")
    from slow_grammar import valid  # noqa: PLC0415

    assert not _is_imported()
    assert valid("iri", text="iri")
    assert _is_imported()


def test_everything_else_of_a_deferred_module_is_there(slow):
    """Its place and, once asked for, its other names."""
    defer(slow, "valid")
    assert importlib.util.find_spec(slow).origin == sys.modules[slow].__file__
    assert not hasattr(sys.modules[slow], "__warningregistry__")
    assert not _is_imported()
    from slow_grammar import RULES  # noqa: PLC0415

    assert RULES == ("iri",)


def test_imported_or_missing_module_is_left_alone(slow):
    """There is nothing to defer."""
    module = importlib.import_module(slow)
    defer(slow, "valid")
    defer("nosuch_module", "valid")
    assert sys.modules[slow] is module
    assert "nosuch_module" not in sys.modules
