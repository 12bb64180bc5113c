"""A save that dies leaves the old program or the new one, never a third thing."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from po_optimizer.errors import SaveError
from po_optimizer.files import atomic
from po_optimizer.persistence import load_program, save_program
from tests.persistence import crashes
from tests.persistence.conftest import ROOT

STEPS = ("open", "write", "fsync", "close", "replace", "mkdir", "unlink")


class FaultyOs(SimpleNamespace):
    """The `os` module, one of whose steps fails: the n-th, or all from it on."""

    def __init__(self, fail_at: int, error: int, *, lasting: bool = False) -> None:
        super().__init__()
        self.fail_at, self.error, self.lasting = fail_at, error, lasting
        self.done = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in STEPS:
            return real

        def step(*args: Any, **kwargs: Any) -> Any:
            self.done += 1
            if self.done == self.fail_at or (self.lasting and self.done > self.fail_at):
                raise OSError(self.error, os.strerror(self.error))
            if name == "write":  # the kernel may write less than it was given
                return real(args[0], bytes(args[1])[: max(1, len(args[1]) // 2 + 1)])
            return real(*args, **kwargs)

        return step


def crash_counts(mode: str, rounds: int, folder: Path) -> dict[str, Any]:
    """What `crashes.py` found."""
    done = subprocess.run(  # noqa: S603 our own interpreter
        [
            sys.executable,
            "-m",
            "tests.persistence.crashes",
            mode,
            str(rounds),
            str(folder),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip("ptrace is not allowed here")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.parametrize("mode", ["syscalls", "rescue"])
def test_kill_at_every_system_call(mode: str, tmp_path: Path) -> None:
    """Killed at each system call of a save or a rescue, a whole program is there."""
    counts = crash_counts(mode, 500, tmp_path)
    assert counts["wrong"] == []
    assert counts["old"] + counts["new"] == counts["rounds"]
    assert counts["rounds"] > 10
    assert (counts["new"] > 0) == (mode == "syscalls")


@pytest.mark.parametrize(
    "rounds", [12, pytest.param(1000, marks=pytest.mark.exhaustive)]
)
def test_kill_at_any_time(rounds: int, tmp_path: Path) -> None:
    """Killed after a random time, a whole program is there."""
    counts = crash_counts("random", rounds, tmp_path)
    assert counts["wrong"] == []
    assert counts["old"] + counts["new"] == rounds


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Path]:
    """A path at which the old program is stored."""
    path = tmp_path / "models" / "program.json"
    save_program(crashes.program(crashes.OLD), path, verify="off")
    yield path


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (errno.EIO, False),
        (errno.ENOSPC, True),
        pytest.param(errno.ENOSPC, False, marks=pytest.mark.exhaustive),
        pytest.param(errno.EIO, True, marks=pytest.mark.exhaustive),
    ],
)
def test_failure_of_every_step(
    stored: Path, error: int, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write, fsync, close and rename fails in turn: old or new, and an error."""
    for fail_at in range(1, 200):
        save_program(crashes.program(crashes.OLD), stored, verify="off")
        faulty = FaultyOs(fail_at, error, lasting=lasting)
        monkeypatch.setattr(atomic, "os", faulty)
        failed = save_fails(stored)
        monkeypatch.undo()
        if not failed and faulty.done < fail_at:
            break
        states = {crashes.found(stored, mode) for mode in ("off", "load")}
        assert len(states) == 1
        assert states <= ({"old", "new"} if failed else {"new"})
    assert fail_at > 10


def save_fails(path: Path) -> bool:
    """Save the new program; True when that was an error in words."""
    try:
        save_program(crashes.program(crashes.NEW), path, verify="off")
    except SaveError as error:
        assert str(error).count("was not saved") == 1
        return True
    return False


def test_failed_save_leaves_no_temporary_file(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails takes its temporary file with it."""
    monkeypatch.setattr(atomic, "os", FaultyOs(2, errno.ENOSPC))
    assert save_fails(stored)
    assert not list(stored.parent.glob(".*.tmp"))


def test_unconfirmed_save_says_so(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When only the folder's fsync fails, the error says that the new one is there."""
    calls = []

    def sync(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 2:  # the snapshot's rename, then the document's
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "_sync_folder", sync)
    with pytest.raises(SaveError, match="It is in place, but may be lost"):
        save_program(crashes.program(crashes.NEW), stored, verify="off")
    assert crashes.found(stored, "off") == "new"


def write_many(path: Path, instructions: str, rounds: int) -> None:
    """One of several writers of the same path."""
    for _ in range(rounds):
        save_program(crashes.program(instructions), path, verify="off")


def test_two_writers_and_a_reader(stored: Path) -> None:
    """While two processes save to one path, each load gives a whole program."""
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=write_many, args=(stored, text, 12))
        for text in (crashes.OLD, crashes.NEW)
    ]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen |= {crashes.found(stored, mode) for mode in ("off", "load")}
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {"old", "new"}
    assert not list(stored.parent.glob(".*.tmp"))


def coarsely(step: int, whole: int) -> pytest.MarkDecorator:
    """Every n-th place; all that the docs count under `exhaustive`."""
    thorough = pytest.param(whole, marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize("step", [step, thorough])


@coarsely(4, 1)
def test_truncation(stored: Path, step: int) -> None:
    """A file cut at any length is an error that names it, or the whole program."""
    whole = stored.read_bytes()
    small = 600  # the long instructions hold no surprises
    cuts = [
        *range(0, small, step),
        *range(small, len(whole), 97 * step),
        *range(len(whole) - small, len(whole), step),
    ]
    for length in cuts:
        stored.write_bytes(whole[:length])
        state = crashes.found(stored, "off")
        complete = whole[:length].strip() == whole.strip()
        assert ("is not a program as it was saved" in state) != complete


@coarsely(5, 1)
def test_every_flipped_byte(tmp_path: Path, step: int) -> None:
    """A file with any one byte flipped is an error, or loads as what was saved."""
    path = tmp_path / "p.json"
    save_program(crashes.program("Short."), path, verify="off", dill="off")
    whole = path.read_bytes()
    for i in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[i] ^= 1 << (i % 8)
        path.write_bytes(bytes(flipped))
        assert crashes.found(path, "off").startswith(("path=", "Short."))


@coarsely(21, 7)
def test_every_flipped_byte_of_a_snapshot(tmp_path: Path, step: int) -> None:
    """A snapshot with any one byte flipped is not unpickled; the components serve."""
    path = tmp_path / "p.json"
    saved = save_program(crashes.program("Short."), path, verify="off")
    snapshot = tmp_path / str(saved.snapshot)
    whole = snapshot.read_bytes()
    for i in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[i] ^= 1 << (i % 8)
        snapshot.write_bytes(bytes(flipped))
        assert load_program(path, dill="load").signature.instructions == "Short."
