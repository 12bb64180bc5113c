"""What stops a run is no Exception inside DSPy and an ordinary error outside."""

import pytest

from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.lms.stops import LMNotReady, LMUnreachable, StopRun, WriteFailed

STOPS = [
    LMUnreachable("slug", "http://here", "refused"),
    WriteFailed("the ledger", "/file", "disk full"),
    LMNotReady(SettingError("lm.x", 1, "no", "Correct it.")),
]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
def test_stop_is_a_base_exception_only(stop):
    """`except Exception` inside DSPy does not catch it."""
    assert isinstance(stop, StopRun)
    assert not isinstance(stop, Exception)


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
def test_stop_becomes_an_error_with_the_same_sentence(stop):
    """Outside DSPy the user reads what stopped the run."""
    error = stop.as_error()
    assert isinstance(error, PoOptimizerError)
    assert str(error) == str(stop)


@pytest.mark.parametrize("stop", STOPS[:2], ids=lambda stop: type(stop).__name__)
def test_stop_says_that_the_same_command_resumes(stop):
    """Nothing that was paid for is lost, and the sentence says so."""
    assert "the same command resumes" in str(stop)


def test_what_cannot_be_written_has_a_remedy():
    """SQLite says "unable to open database file" for lack of room and of handles."""
    words = str(WriteFailed("the ledger", "there", "unable to open database file"))
    assert "Make room" in words
    assert "ulimit -n" in words
