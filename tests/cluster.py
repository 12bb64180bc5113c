"""A real Dask scheduler with worker processes on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

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
