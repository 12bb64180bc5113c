"""The reference pages, with their benchmarks: each command runs."""

import pytest

from tests.faces.commands import REFERENCE_STEPS

pytestmark = pytest.mark.docs


@pytest.fixture(scope="module", autouse=True)
def finished(shell):
    """Some commands are about a run."""
    shell.shows("kedro run")


@pytest.mark.parametrize("command", REFERENCE_STEPS, ids=lambda one: one.line)
def test_command_ends_well(shell, command):
    """It exits with 0 and shows no traceback."""
    shell.shows(command.line, command.exports)
