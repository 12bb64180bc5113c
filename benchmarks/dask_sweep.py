"""Shows how well a sweep of 8 configurations spreads over 1 and 4 Dask workers.

    python -m benchmarks.dask_sweep                  (about 20 minutes)
    python -m benchmarks.dask_sweep --seconds 0.1

Each configuration is the real thing, raw records to report, through `kedro run
--pipeline=sweep --params sweep.workers=4`: 60 training, 34 validation and 20 test
examples, 10 candidates, 10 trials. The LM is a server on loopback that answers after
200 ms, asked for one thing at a time by each configuration; they share its ledger and
cache but differ in max_tokens, so that none gets another's answers. So the LM bounds it
and not the cores: what is measured is what Dask, the sessions and the nodes' own work
cost beside it.

The last line is a sweep on 4 workers, one of which is killed with SIGKILL on the way.
`lost` says how many calls were asked and not paid, or not kept: those that the killed
worker had in flight. All others are found in the ledger, and are not asked again. (The
number of calls differs a little: a session that finds earlier calls in the ledger
probes the LM less.)

Efficiency at k workers is T1 / (k * Tk), 1.0 at best, all from one run; the target at 4
is 0.85. Tk is the whole run, the start of the workers and their imports included.
"""

import argparse
import json
import os
import re
import signal
import tempfile
import time
from pathlib import Path
from shutil import rmtree

import yaml
from tests.faces.project import (
    ENVIRONMENT,
    ROOT,
    SLUG,
    answering,
    copy_project,
    kedro,
    proposal,
)
from tests.small_role import ROLE, write_records

from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.usage import Usage

_TOOK = re.compile(r"completed successfully in ([\d.]+) sec")
_LOG = "data/08_reporting/run.log"
_SETTINGS = {
    "role": {"name": "labels", **ROLE},
}


class SlowLM:
    """Answers after a while, and kills a worker when it is told to.

    Args:
        project: Whose log names the worker processes.
        seconds: Of an answer.
    """

    def __init__(self, project: Path, seconds: float) -> None:
        self.asked = 0
        self.kill_at: int | None = None
        self._project = project
        self._seconds = seconds

    def __call__(self, prompt: str) -> str:
        """The product of the last text; to the proposer, an instruction."""
        self.asked += 1
        if self.asked == self.kill_at:
            begun = re.findall(
                r"begun by process (\d+)", (self._project / _LOG).read_text()
            )
            os.kill(int(begun[-1]), signal.SIGKILL)
        time.sleep(self._seconds)
        asked = prompt.rsplit("Respond with", 1)[-1]
        if "label" not in asked:
            return proposal(prompt)
        product = re.findall(r"Item\d+", prompt)[-1]
        return json.dumps({"label": {"product": product, "tags": ["thing"]}})


def make_project(folder: Path, num_configurations: int, sizes: list[int]) -> Path:
    """A project whose sweep has configurations of the tests' small role."""
    project = copy_project(folder)
    conf = project / "conf"
    own = [{"max_tokens": 1000 + number} for number in range(num_configurations)]
    configurations = [
        {"name": f"of_{number}", "lm": lm, "prompt_lm": lm}
        for number, lm in enumerate(own)
    ]
    train, val, test, trials = sizes
    settings = {
        **_SETTINGS,
        "data_prep": {"sizes": {"train": train, "val": val, "test": test}},
        "optimize": {"miprov2": {"num_candidates": trials, "num_trials": trials}},
        "sweep": {"configurations": configurations},
    }
    small = conf / ENVIRONMENT / "parameters_small.yml"
    small.write_text(yaml.safe_dump(settings))
    (conf / "base/roles").mkdir(exist_ok=True)
    (conf / "base/roles/labels.yml").write_text(yaml.safe_dump({"role": ROLE}))
    write_records(project / "data/01_raw/product_owner.jsonl", 120)
    return project


def sweep(project: Path, url: str, num_workers: int) -> tuple[float, Usage]:
    """Seconds of the sweep, and what its calls took; earlier results are removed."""
    for folder in ("05_model_input", "06_models", "07_model_output", "08_reporting"):
        rmtree(project / "data" / folder, ignore_errors=True)
    done = kedro(
        project,
        "run",
        f"--env={ENVIRONMENT}",
        "--pipeline=sweep",
        "--params=lm.num_threads=1,"
        f"raw_records=data/01_raw/product_owner.jsonl,sweep.workers={num_workers}",
        base_url=url,
        most_seconds=3600,
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    took = _TOOK.findall((project / _LOG).read_text())[-1]
    ledger = next((project / "data/07_model_output").rglob(f"{SLUG}/ledger.sqlite"))
    return float(took), Ledger(ledger).totals()


def main() -> None:
    """Prints one line for each sweep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.2, help="of an LM call")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--configurations", type=int, default=8)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs=4,
        default=[60, 34, 20, 10],
        help="trainset, valset, testset, trials",
    )
    chosen = parser.parse_args()

    print("workers  killed  seconds  LM calls   lost  speed-up  efficiency")
    with tempfile.TemporaryDirectory() as name:
        project = make_project(
            Path(name) / "project", chosen.configurations, chosen.sizes
        )
        lm = SlowLM(project, chosen.seconds)
        sweeps = [*((n, 0) for n in chosen.workers), (max(chosen.workers), 1)]
        alone, calls = 0.0, 0
        with answering(lm) as url:
            for number, killed in sweeps:
                lm.asked, lm.kill_at = 0, calls // 2 if killed else None
                took, usage = sweep(project, url, number)
                alone, calls = alone or took, calls or lm.asked
                ratio = alone / took
                line = f"{number:7}  {killed:6}  {took:7.1f}  {usage.paid:8}"
                line = f"{line}  {lm.asked - usage.paid:5}  {ratio:8.2f}"
                print(f"{line}  {ratio / number:10.2f}", flush=True)


if __name__ == "__main__":
    main()
