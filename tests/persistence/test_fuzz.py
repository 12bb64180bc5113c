"""A hostile document acts in no way of opening it, and is done in bounds."""

from pathlib import Path
from typing import Any

import pytest

from tests.persistence.fuzz import fuzz


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen when hostile documents were opened."""
    return fuzz(tmp_path_factory.mktemp("fuzz"), count=40, seed=1)


def test_hooks_see_what_acts(report: dict[str, Any]) -> None:
    """The watch sees processes, writing, sockets, imports, eval, exec and pickles."""
    assert report["proofs"]
    assert all(report["proofs"].values())


def test_honest_documents_load(report: dict[str, Any]) -> None:
    """What is mutated is a document that loads: refusing all would prove nothing."""
    assert set(report["honest"]["plain"].values()) == {"loaded"}
    endings = [set(ways.values()) for ways in report["honest"].values()]
    assert len(endings) > 10
    assert all(ending == {"loaded"} for ending in endings)


def test_hostile_document_runs_nothing(report: dict[str, Any]) -> None:
    """No attack, bomb or mutation runs code, opens a socket, writes or imports."""
    assert report["acts"] == []


def test_hostile_document_is_a_program_or_an_error(report: dict[str, Any]) -> None:
    """Each ends in a program or in an error of ours, in bounded time and memory."""
    assert report["crashes"] == []


@pytest.mark.exhaustive
def test_every_reference_by_every_dangerous_path(tmp_path: Path) -> None:
    """Each reference replaced by each dangerous callable: nothing runs."""
    report = fuzz(tmp_path, count=0, seed=0, each=True)
    assert (report["acts"], report["crashes"]) == ([], [])


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(2, 5))
def test_thousands_of_hostile_documents(tmp_path: Path, seed: int) -> None:
    """The same with two thousand mutations by other dice."""
    report = fuzz(tmp_path, count=2000, seed=seed)
    assert (report["acts"], report["crashes"]) == ([], [])
