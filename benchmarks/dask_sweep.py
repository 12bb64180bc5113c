"""Shows how well a sweep of 8 configurations spreads over 1, 2 and 4 Dask workers.

    python -m benchmarks.dask_sweep                  (about 20 minutes)
    python -m benchmarks.dask_sweep --seconds 0.1

Each configuration is the real thing, optimize to report through `kedro run
--pipeline=sweep --runner=po_optimizer.runner.DaskRunner`: 60 training, 34 validation
and 20 test examples, 10 candidates, 10 trials. The LM is a server on loopback that
answers after 200 ms, asked for one thing at a time by each configuration; they share
its ledger and cache but differ in max_tokens, so that none gets another's answers. So
the LM bounds it and not the cores: what is measured is what the runner, Dask, the
catalog and the nodes' own work cost beside it.

Efficiency at k workers is T1 / (k * Tk), 1.0 at best, all from one run; the target at 4
is 0.85. It is below 1.0 because the splits and the leaderboard are made once, and
because the nodes' own work competes for the cores (`work`: the share of T1 that is not
seconds of the LM).

Tk is the runner's own time for the whole sweep. Starting scheduler and workers is not
in it, nor loading the project into them (a first run of data_prep does); the imports
that a worker's first nodes need are in it, amortized over the configurations.
"""

import argparse
import json
import re
import tempfile
import time
from pathlib import Path
from shutil import rmtree

import yaml
from tests.cluster import cluster
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

from po_optimizer.lms import Ledger, Usage

_TOOK = re.compile(r"completed successfully in ([\d.]+) sec")
_SETTINGS = {
    "role": ROLE,
    "data_prep": {"sizes": {"train": 60, "val": 34, "test": 20}},
    "optimize": {"miprov2": {"num_candidates": 10, "num_trials": 10}},
}


def make_project(folder: Path, num_configurations: int) -> Path:
    """A project whose sweep has configurations of the tests' small role."""
    project = copy_project(folder)
    settings = project / "conf" / ENVIRONMENT / "parameters_small.yml"
    sizes = [{"max_tokens": 1000 + number} for number in range(num_configurations)]
    configurations = [
        {"name": f"of_{number}", "lm": size, "prompt_lm": size}
        for number, size in enumerate(sizes)
    ]
    sweep = {"sweep": {"configurations": configurations}}
    settings.write_text(yaml.safe_dump({**_SETTINGS, **sweep}))
    write_records(project / "data/01_raw/product_owner.jsonl", 120)
    return project


def answer(prompt: str) -> str:
    """The product of the last text; to the proposer, an instruction."""
    asked = prompt.rsplit("Respond with", 1)[-1]
    if "label" not in asked:
        return proposal(prompt)
    product = re.findall(r"Item\d+", prompt)[-1]
    return json.dumps({"label": {"product": product, "tags": ["thing"]}})


def sweep(project: Path, url: str, num_workers: int, folder: Path) -> float:
    """Seconds of the sweep on so many workers; what earlier ones stored is removed."""
    for made in ("05_model_input", "06_models", "07_model_output"):
        rmtree(project / "data" / made, ignore_errors=True)
    with cluster(folder, num_workers) as address:
        for pipeline in ("data_prep", "sweep"):
            done = kedro(
                project,
                "run",
                f"--env={ENVIRONMENT}",
                f"--pipeline={pipeline}",
                "--params=lm.num_threads=1",
                "--runner=po_optimizer.runner.DaskRunner",
                f"--runner-params=address={address}",
                base_url=url,
                most_seconds=3600,
                PYTHONPATH=str(ROOT),
            )
            assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    found = _TOOK.search(done.stdout)
    assert found, done.stdout
    return float(found[1])


def paid(project: Path) -> Usage:
    """What the ledger says of the last sweep."""
    return Ledger(
        project / "data/07_model_output/product_owner" / SLUG / "ledger.sqlite"
    ).totals()


def main() -> None:
    """Prints one line for each number of workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.2, help="of an LM call")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--configurations", type=int, default=8)
    chosen = parser.parse_args()

    def slowly(prompt: str) -> str:
        time.sleep(chosen.seconds)
        return answer(prompt)

    print("workers  seconds  LM calls  LM seconds  work  speed-up  efficiency")
    with tempfile.TemporaryDirectory() as name, answering(slowly) as url:
        project = make_project(Path(name) / "project", chosen.configurations)
        alone = 0.0
        for number in chosen.workers:
            took = sweep(project, url, number, Path(name) / f"cluster{number}")
            totals = paid(project)
            alone = alone or took
            ratio = alone / took
            work = f"{1 - totals.seconds / took:.0%}" if number == 1 else ""
            lm = f"{totals.paid:8}  {totals.seconds:10.1f}"
            line = f"{number:7}  {took:7.1f}  {lm}  {work:>4}"
            print(f"{line}  {ratio:8.2f}  {ratio / number:10.2f}", flush=True)


if __name__ == "__main__":
    main()
