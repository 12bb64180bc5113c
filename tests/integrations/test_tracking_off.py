"""Tracking is off until it is named, and says what it needs."""

import sys

import pytest

from po_optimizer.errors import PoOptimizerError
from po_optimizer.hooks import _register_trackers
from po_optimizer.optimization.report import Phase, listening, publish


class Plugins:
    """A Kedro context as far as a tracker is registered in it."""

    def __init__(self):
        self.registered = []
        self._hook_manager = self

    def register(self, hooks):
        """Takes one."""
        self.registered.append(hooks)


def test_nothing_is_loaded_without_a_line(monkeypatch):
    """No parameter, no variable: no integration."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plugins = Plugins()
    for parameters in ({}, {"tracking": None}, {"tracking": {"mlflow": None}}):
        _register_trackers(plugins, parameters)
    assert plugins.registered == []


def test_variable_that_kedro_mlflow_sets_asks_for_nothing(monkeypatch):
    """It sets the variable in every run, whatever the user said."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    monkeypatch.setitem(sys.modules, "kedro_mlflow", object())
    plugins = Plugins()
    _register_trackers(plugins, {})
    assert plugins.registered == []


def test_missing_package_is_named(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    with pytest.raises(PoOptimizerError, match=r"po-optimizer\[mlflow\]"):
        _register_trackers(Plugins(), {})


def test_listener_is_told_until_the_block_ends():
    """Whoever listens hears what every optimization tells."""
    heard = []
    with listening(heard.append):
        publish(Phase("baseline"))
    publish(Phase("later"))
    assert heard == [Phase("baseline")]
