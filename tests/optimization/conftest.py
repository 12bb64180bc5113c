"""What the tests of one optimization share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def without_our_lines() -> Iterator[None]:
    """Our own log lines off the terminal, where Kedro's configuration puts them."""
    ours = logging.getLogger("po_optimizer")
    handlers, ours.handlers = ours.handlers, []
    yield
    ours.handlers = handlers
