"""Memory of a whole run at the original project's largest size, 142 examples.

    python benchmarks/memory.py [--sizes 9 142]

`kedro run` of the Product Owner with the shipped records in a copied project, with the
default sizes (6 training, 3 validation, 6 test examples) and with all 180 records: 91,
51 and 38 of them, 10 candidates and 10 trials of up to 4 demos. The LM is a server on
loopback that answers with the data set's references; nothing of the embedded LM is in
it. Printed: LM calls, the peak of the resident memory of the process in MB of 10^6
bytes (the aim is at most 1,000), and the ratio of the two sizes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.faces.project import (
    ENVIRONMENT,
    SLUG,
    answering,
    copy_project,
    product_owner_answers,
)

from po_optimizer.lms.ledger import Ledger

LARGE = {
    "data_prep.sizes.train": 91,
    "data_prep.sizes.val": 51,
    "data_prep.sizes.test": 38,
    "optimize.miprov2.num_candidates": 10,
    "optimize.miprov2.num_trials": 10,
    "optimize.miprov2.max_bootstrapped_demos": 4,
    "optimize.miprov2.max_labeled_demos": 4,
    "lm.context_tokens": 100_000,
}
SIZES: dict[int, dict[str, int]] = {9: {}, 142: LARGE}


def peak_mb(project: Path, url: str, params: dict[str, int]) -> float:
    """Peak resident memory of one `kedro run`, in MB."""
    command = [sys.executable, "-m", "kedro", "run", f"--env={ENVIRONMENT}"]
    if params:
        command += ["--params", ",".join(f"{key}={n}" for key, n in params.items())]
    variables = {"DO_NOT_TRACK": "true", "PO_LM_BASE_URL": url}
    with subprocess.Popen(  # noqa: S603 -- our own
        command,
        cwd=project,
        env={**os.environ, **variables, "PO_LM_MODEL": "scripted"},
        stdout=subprocess.DEVNULL,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Prints one line per size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=[*SIZES])
    print("examples  LM calls  peak_MB  ratio")
    first = None
    for n in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as name:
            project = copy_project(Path(name) / "project")
            with answering(product_owner_answers(project)) as url:
                peak = peak_mb(project, url, SIZES[n])
            ledger = (
                project / "data/07_model_output/product_owner" / SLUG / "ledger.sqlite"
            )
            calls = Ledger(ledger).totals().paid
        first = first or peak
        print(f"{n:8}  {calls:8}  {peak:7.0f}  {peak / first:5.2f}", flush=True)


if __name__ == "__main__":
    main()
