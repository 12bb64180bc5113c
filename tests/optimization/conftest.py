"""What the tests of one optimization share."""

import logging
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from po_optimizer.optimization.journal import Trial
from po_optimizer.optimization.report import OptimizationReport
from tests.optimization import world


class Whole(NamedTuple):
    """An optimization of the small world that nothing interrupted."""

    folder: Path
    document: str
    report: OptimizationReport
    trials: list[Trial]
    prompts: list[str]


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Whole]:
    """By optimizer: what the others are compared with, made once and only read."""

    @cache
    def run(optimizer: str = "miprov2") -> Whole:
        folder = tmp_path_factory.mktemp(optimizer)
        lm = world.lm(folder)
        result = world.run(folder, lm, world.settings(optimizer))
        document = world.document(result.program)
        prompts = list(lm.scripted.prompts)
        return Whole(folder, document, result.report, result.trials, prompts)

    return run


@pytest.fixture
def without_our_lines() -> Iterator[None]:
    """Our own log lines off the terminal, where Kedro's configuration puts them."""
    ours = logging.getLogger("po_optimizer")
    handlers, ours.handlers = ours.handlers, []
    yield
    ours.handlers = handlers
