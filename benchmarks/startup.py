"""Time from `kedro run` to the first LM call, against importing DSPy and Kedro.

    python benchmarks/startup.py [--repeats 7]

The first call is the moment at which a server on loopback has the first chat request;
before it come the command line, the configuration, the catalog, data_prep on all
180 records, and the preflight's look at the server. Both are new processes, in turn,
after one of each that is not counted. Printed: median seconds of each and the median
of the ratios of neighbors (1.0: nothing but the imports).
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.faces.project import ENVIRONMENT, copy_project
from tests.servers.wire import serving

RUN = [sys.executable, "-m", "kedro", "run", f"--env={ENVIRONMENT}"]
IMPORTS = [sys.executable, "-c", "import dspy, kedro"]


def imports(variables: dict[str, str]) -> float:
    """Seconds of a process that only imports both."""
    clock = time.perf_counter()
    subprocess.run(IMPORTS, env=variables, check=True)  # noqa: S603 -- our own
    return time.perf_counter() - clock


def first_call(project: Path, variables: dict[str, str]) -> float:
    """Seconds from the start of `kedro run` to its first chat request."""
    asked = threading.Event()

    def answer(prompt: str) -> str:
        asked.set()
        return "{}"

    with serving(answer) as server:
        server.models = ["scripted"]
        clock = time.perf_counter()
        told = {"PO_LM_BASE_URL": server.address, "PO_LM_MODEL": "scripted"}
        with running(project, {**variables, **told}):
            if not asked.wait(120):
                sys.exit("the run asked nothing: see data/08_reporting in the project")
            return time.perf_counter() - clock


@contextlib.contextmanager
def running(project: Path, variables: dict[str, str]) -> Iterator[None]:
    """`kedro run` in the project; it is killed at the end of the block."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603 -- our own
        RUN, cwd=project, env=variables, stdout=quiet, stderr=quiet
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        variables = {**os.environ, "DO_NOT_TRACK": "true"}
        variables["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "compiled")
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # users have theirs compiled
        pairs = [
            (imports(variables), first_call(project, variables))
            for _ in range(repeats + 1)
        ][1:]
    plain, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(run / alone for alone, run in pairs)
    print("import_dspy_kedro_s  kedro_run_to_first_call_s  ratio")
    print(f"{plain:19.2f}  {ours:25.2f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()
