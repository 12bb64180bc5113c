"""A running optimization does what the file in its workspace asks."""

import threading
from functools import partial

import pytest

from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.stops import Interrupted
from po_optimizer.optimization.steering import (
    FILE,
    SteeringRequest,
    follow_requests,
)
from po_optimizer.params.optimize import BudgetParams
from tests.optimization import world
from tests.optimization.test_budget import budget


@pytest.fixture
def steered(tmp_path):
    """A guard on a workspace, and its budget."""
    own = budget(Ledger(tmp_path / "ledger.sqlite"), max_calls=1)
    return partial(follow_requests, tmp_path, own, lambda: None), own


def ask(folder, **wanted):
    """Writes the file."""
    text = SteeringRequest(**wanted).model_dump_json(exclude_unset=True)
    (folder / FILE).write_text(text)


def test_nothing_asked_lets_every_call_pass(steered, tmp_path):
    """No file, or one that is no request, changes nothing."""
    steering, own = steered
    steering()
    (tmp_path / FILE).write_text("{")
    steering()
    assert own.params.max_calls == 1


def test_stop_ends_the_run_in_order(steered, tmp_path):
    """The next paid call is refused as by a first Ctrl-C."""
    ask(tmp_path, stop=True)
    with pytest.raises(Interrupted, match="stopped from the page"):
        steered[0]()


def test_bounds_that_are_named_are_replaced(steered, tmp_path):
    """They hold from the next paid call on; the others stay."""
    steering, own = steered
    ask(tmp_path, budget=BudgetParams(max_minutes=9))
    steering()
    assert (own.params.max_calls, own.params.max_minutes) == (1, 9)


def test_pause_holds_a_call_until_it_is_lifted(steered, tmp_path):
    """The call passes once the file says so; a stop is heard meanwhile."""
    ask(tmp_path, pause=True)
    passed = threading.Event()

    def call():
        steered[0]()
        passed.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert not passed.wait(0.3)
    ask(tmp_path)
    thread.join(10)
    assert passed.is_set()


def test_ctrl_c_is_heard_in_a_pause(tmp_path):
    """What stopped the run otherwise is raised."""

    def stopped():
        raise Interrupted

    steering = partial(follow_requests, tmp_path, None, stopped)
    ask(tmp_path, pause=True)
    with pytest.raises(Interrupted, match="by the user"):
        steering()


def test_what_an_earlier_run_was_asked_is_forgotten(tmp_path):
    """A run that was stopped from the page can be continued."""
    ask(tmp_path, stop=True)
    assert world.run(tmp_path, world.lm(tmp_path)).report.ended == "completed"
