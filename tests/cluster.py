"""A real Dask scheduler with worker processes on loopback, and nodes to run there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from po_optimizer.errors import BelowBoundError, DataError
from tests.faces.project import ROOT

_CODE = os.pathsep.join([str(ROOT / "src"), str(ROOT)])


@contextmanager
def cluster(folder: Path, num_workers: int) -> Iterator[str]:
    """`dask scheduler` and `dask worker`; the address. Their output is in the folder.

    The workers start elsewhere than where a project lies, as they do on a cluster.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    local = ["--host", "127.0.0.1", "--local-directory", str(folder)]
    workers = ["--nworkers", str(num_workers), "--nthreads", "1", *local]
    with (
        _process(folder, "scheduler", *common, "--host", "127.0.0.1", "--port", "0"),
        _process(folder, "worker", *common, *workers, "--memory-limit", "0"),
    ):
        while not file.exists():
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(num_workers, timeout=60)
            address = str(client.scheduler.address)
        yield address


@contextmanager
def _process(folder: Path, kind: str, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    with (
        (folder / f"{kind}.log").open("w") as log,
        subprocess.Popen(  # noqa: S603 -- our own interpreter
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _CODE},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield
        process.terminate()


def add_one(number: int) -> int:
    """The number after."""
    return number + 1


def refuse(number: int) -> None:
    """Fails as a stage does when the records cannot be used."""
    raise DataError("number", number, "it is too small", "Give a larger one.")


def miss(number: int) -> None:
    """Fails as a gate does."""
    raise BelowBoundError("evaluate.fail_below.rubric", 0.9, 0.5)


def divide(number: int) -> float:
    """A defect."""
    return number / 0


def meet(folder: Path, mine: str, other: str) -> int:
    """Waits for the node that writes `other`; the process that ran this one."""
    (folder / mine).touch()
    end = time.monotonic() + 30
    while not (folder / other).exists():
        if time.monotonic() > end:
            msg = f"no node wrote {other}"
            raise TimeoutError(msg)
        time.sleep(0.02)
    return os.getpid()
