"""A real Dask scheduler with worker processes on loopback, and nodes to run there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from po_optimizer.errors import BelowBoundError, SettingError
from po_optimizer.lms import MeteredLM, use_lm
from tests.faces.project import ROOT

_CODE = os.pathsep.join([str(ROOT / "src"), str(ROOT)])


@contextmanager
def cluster(folder: Path, num_workers: int) -> Iterator[str]:
    """`dask scheduler` and `dask worker`; the address. Their output is in the folder.

    The workers start elsewhere than where a project lies, as they do on a cluster.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with (
        _process(folder, "scheduler", "--scheduler-file", str(file), *place),
        workers(folder, num_workers),
    ):
        while not file.exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(num_workers, timeout=60)
            address = str(client.scheduler.address)
        yield address


@contextmanager
def workers(folder: Path, number: int) -> Iterator[None]:
    """Worker processes for the scheduler of this folder."""
    arguments = {
        "--scheduler-file": folder / "scheduler.json",
        "--host": "127.0.0.1",
        "--nworkers": number,
        "--nthreads": 1,
        "--memory-limit": 0,
        "--local-directory": folder,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    with _process(folder, "worker", "--no-dashboard", *words):
        yield


@contextmanager
def _process(folder: Path, kind: str, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    with (
        (folder / f"{kind}.log").open("a") as log,
        subprocess.Popen(  # noqa: S603 -- our own interpreter
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _CODE},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def add_one(number: int) -> int:
    """The number after."""
    return number + 1


def add_another(number: int) -> int:
    """The number after, once more."""
    return add_one(number)


def refuse(number: int) -> int:
    """Fails as a stage does when the records cannot be used."""
    raise SettingError("number", number, "it is too small", "Give a larger one.")


def miss(number: int) -> int:
    """Fails as a gate does, with an exit code of its own and a cause."""
    try:
        return number // 0
    except ZeroDivisionError as error:
        raise BelowBoundError("evaluate.fail_below.rubric", 0.9, 0.5) from error


def divide(number: int) -> int:
    """A defect."""
    return number // 0


def lose(number: int) -> int:
    """Ends its process, as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def interrupted(number: int) -> dict[str, str]:
    """The report of an optimization that Ctrl-C ended."""
    return {"ended": "interrupted", "reason": "interrupted by the user"}


def meet(folder: str, mine: str, other: str) -> int:
    """Waits for the node that writes `other`; the process that ran this one."""
    Path(folder, mine).touch()
    wait_for(Path(folder, other))
    return os.getpid()


def ask(lm: MeteredLM, folder: str) -> int:
    """Asks an LM a hundred questions, and says when the first is answered."""
    with use_lm(lm, stage="ask"):
        for number in range(100):
            lm(f"What comes after {number}?")
            Path(folder, "asked").touch()
    return 100


def refuse_later(folder: str) -> int:
    """Fails once the other node has an answer."""
    wait_for(Path(folder, "asked"))
    return refuse(0)


def wait_for(path: Path) -> None:
    """Returns once the file exists."""
    end = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.02)
