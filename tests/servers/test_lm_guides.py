"""The guides for each LM: each command runs."""

import pytest

from tests.faces.commands import LM_STEPS

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("command", LM_STEPS, ids=lambda one: one.line)
def test_command_ends_well(shell, command):
    """It exits with 0 and shows no traceback."""
    shell.shows(command.line, command.exports)
