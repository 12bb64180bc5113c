"""A user's shell for the commands of the docs."""

import pytest

from tests.servers.shell import shell_in


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """One copy of the project for all tests of a module, which build on one another."""
    with shell_in(tmp_path_factory.mktemp("shell")) as made:
        yield made
