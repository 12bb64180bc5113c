"""Threads for decoding: measured once on a machine, kept, measured again if needed."""

import os
from contextlib import contextmanager

import pytest

from po_optimizer.lms.embedded.calibration import calibrate, forget_if_unusual


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file of weights, beside which speeds are kept, on a machine without work."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv("PO_WEIGHTS_DIR", str(tmp_path))
    path = tmp_path / "some.gguf"
    path.write_bytes(b"weights")
    return path


class Machine:
    """Decodes so many tokens a second with so many threads."""

    def __init__(self, **speeds):
        self.speeds, self.started = speeds, []

    @contextmanager
    def start(self, threads):
        """A server that measures as the machine is."""
        self.started.append(threads)
        decoding = self.speeds[f"on_{threads}"]
        yield type("Probe", (), {"measure": lambda self, number: (decoding, 180.0)})()


@pytest.mark.parametrize(
    ("on_4", "on_8", "threads"), [(20.0, 36.0, 8), (20.0, 15.0, 4), (20.0, 20.5, 4)]
)
def test_all_cores_are_taken_where_they_decode_clearly_faster(
    weights, on_4, on_8, threads
):
    """On a machine with other work half of them are faster, or as fast."""
    speed = calibrate(weights, 8, Machine(on_4=on_4, on_8=on_8).start)
    assert speed.threads == threads
    assert speed.decoding == max(on_4, on_8 if threads == 8 else 0.0)


def test_a_speed_is_kept_for_the_machine_and_the_weights(weights):
    """Another number of cores, or other weights, are measured on their own."""
    machine = Machine(on_4=20.0, on_8=36.0, on_2=10.0)
    assert calibrate(weights, 8, machine.start) == calibrate(weights, 8, machine.start)
    assert machine.started == [4, 8]
    calibrate(weights, 4, machine.start)
    weights.write_bytes(b"other weights")
    calibrate(weights, 8, machine.start)
    assert machine.started == [4, 8, 2, 4, 4, 8]


def test_what_was_measured_beside_other_work_is_measured_again(weights, monkeypatch):
    """Once the machine is free; while it is not, the kept speed serves."""
    machine = Machine(on_4=20.0, on_8=15.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (4.0, 0.0, 0.0))
    assert calibrate(weights, 8, machine.start) == calibrate(weights, 8, machine.start)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 9.0, 9.0))
    machine.speeds["on_8"] = 36.0
    assert [calibrate(weights, 8, machine.start).threads for _ in "ab"] == [8, 8]
    assert machine.started == [4, 8, 4, 8]


def test_a_single_core_leaves_nothing_to_measure(weights):
    """No server is started for it."""
    machine = Machine()
    assert calibrate(weights, 1, machine.start) is None
    assert machine.started == []


@pytest.mark.parametrize(
    ("tokens", "decoding", "again"),
    [(500, 30.0, False), (500, 9.0, True), (500, 90.0, True), (50, 9.0, False)],
)
def test_a_machine_that_is_not_what_it_was_is_measured_again(
    weights, tokens, decoding, again
):
    """Much slower or faster than it was; a few tokens tell nothing."""
    machine = Machine(on_4=20.0, on_8=36.0)
    calibrate(weights, 8, machine.start)
    forget_if_unusual(weights, 8, tokens, decoding)
    calibrate(weights, 8, machine.start)
    assert machine.started == [4, 8] * (1 + again)


def test_what_cannot_be_kept_or_read_is_measured(weights, tmp_path):
    """A damaged file of speeds stops no run; neither does a folder that refuses."""
    (tmp_path / "speed.json").write_text("{")
    machine = Machine(on_4=20.0, on_8=36.0)
    assert calibrate(weights, 8, machine.start).threads == 8
    (tmp_path / "speed.json").unlink()
    (tmp_path / "speed.json").mkdir()
    assert calibrate(weights, 8, machine.start).threads == 8
