"""Kills whole runs at random moments, then resumes them.

python -m tests.pipelines.kill_rounds 60 [miprov2 | gepa | python | embedded]

Raw records to evaluation by the Kedro stages, or `optimize` and `evaluate` from Python,
on scripted LMs; or the command `kedro run --env=test` on the embedded LM, whose last
stage writes the documents.
"""

import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dspy
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import generate_timestamp
from kedro.runner import SequentialRunner

from po_optimizer import evaluate, optimize
from po_optimizer.params.evaluate import EvaluateParams, PromotionParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import DataPrepParams
from po_optimizer.pipeline_registry import make_pipelines
from po_optimizer.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from tests import test_api
from tests.datasets.kill_rounds import leftovers
from tests.faces.project import copy_project
from tests.pipelines.evaluating import CONF
from tests.pipelines.test_stages import KINDS, answer
from tests.scripted import ScriptedEngine, scripted_lm
from tests.small_role import raw_record
from tests.test_small_role import ROLE

Run = Callable[[Path], None]

PARAMETERS = {
    "role": ROLE,
    "data_prep": DataPrepParams(sizes={"train": 4, "val": 3, "test": 4}),
    "optimize": OptimizeParams(miprov2={"num_candidates": 2, "num_trials": 2}),
    "promotion": PromotionParams(num_resamples=1000),
    "evaluate": EvaluateParams(),
}


def run_stages(folder: Path, optimizer: str) -> None:
    """One `kedro run --pipeline=evaluate`, without Kedro's start, in that folder."""
    os.chdir(folder)
    loader = CONFIG_LOADER_CLASS(str(CONF), env="base", **CONFIG_LOADER_ARGS)
    entries = loader["catalog"]
    for entry in entries.values():
        entry.pop("credentials", None)
        if "DSPyProgramDataset" in entry.get("type", ""):
            entry["verify"] = "inline"  # a process for each would take the time
    entries["raw_records"]["filepath"] = "raw.jsonl"
    catalog = DataCatalog.from_config(entries, save_version=generate_timestamp())
    lm = scripted_lm(answer, folder / "lm", provider="embedded")
    chosen = PARAMETERS["optimize"].model_copy(update={"optimizer": optimizer})
    parameters = {**PARAMETERS, "optimize": chosen}
    given = {f"params:{name}": value for name, value in parameters.items()}
    for name, value in {**given, "task_lm": lm, "prompt_lm": lm}.items():
        catalog[name] = MemoryDataset(value, copy_mode="assign")
    SequentialRunner().run(make_pipelines()["evaluate"], catalog)


def run_python(folder: Path) -> None:
    """The same from Python, in one folder."""
    lm = dspy.LM("openai/scripted", engine=ScriptedEngine(test_api.answer))
    place = folder / "data/06_models/api/run"
    shared = {"metric": test_api.exact, "lm": lm, "folder": place}
    rows, student = test_api.ROWS, test_api.Answering()
    run = optimize(student, trainset=rows[:8], valset=rows[8:16], **shared)
    evaluate(student, run.program, testset=rows[16:], **shared)


def run_embedded(folder: Path) -> None:
    """`kedro run --env=test` in the place of this process."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder / "src")
    command = [sys.executable, "-m", "kedro", "run", "--env=test"]
    os.execv(sys.executable, command)  # noqa: S606


RUNS = {
    "miprov2": partial(run_stages, optimizer="miprov2"),
    "gepa": partial(run_stages, optimizer="gepa"),
    "python": run_python,
    "embedded": run_embedded,
}


def child(run: Run, folder: Path, seconds: float | None) -> bool:
    """A run in a process that is killed after that time; False if it was done."""
    pid = os.fork()
    if pid == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        code = 1
        try:
            run(folder)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit(f"a run failed in {folder}")
    return os.WIFSIGNALED(status)


def staged(folder: Path) -> list[str]:
    """What killed writers left anywhere."""
    hidden = [p for p in folder.rglob(".*") if p.is_file()]
    empty = [p for p in folder.rglob("*") if p.is_dir() and not any(p.iterdir())]
    return [str(p.relative_to(folder)) for p in (*hidden, *empty)]


def main(rounds: int, kind: str) -> dict[str, int]:
    """The counts; a round is killed up to three times."""
    dice = random.Random(9)  # noqa: S311 no secret
    names = ("rounds", "kills", "with_leftovers", "versions", "most_versions")
    counts, run = dict.fromkeys(names, 0), RUNS[kind]
    with tempfile.TemporaryDirectory() as name:
        lines = [json.dumps(raw_record(n, KINDS[n % 3])) for n in range(12)]
        span = 0.0
        for number in range(rounds + 1):
            folder = Path(name) / str(number)
            if kind == "embedded":
                copy_project(folder)
            folder.mkdir(exist_ok=True)
            (folder / "raw.jsonl").write_text("\n".join(lines))
            for _ in range(dice.randint(1, 3) if number else 0):
                counts["kills"] += child(run, folder, dice.uniform(0.0, 1.3) * span)
            started = time.perf_counter()
            child(run, folder, None)
            span = span or time.perf_counter() - started
            if not number:
                continue
            models = next((folder / "data/06_models").glob("*/*"))
            n_versions = len(list(models.glob("program.json/*/program.json")))
            n_versions += (models / "program.json").is_file()
            left = [p for p in leftovers(models) if "program.json/" in p]
            counts["with_leftovers"] += bool(
                left or staged(folder / "data") or staged(folder / "planning")
            )
            counts["versions"] += n_versions
            counts["most_versions"] = max(counts["most_versions"], n_versions)
            counts["rounds"] += 1
    return counts


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    sys.stdout.write(
        json.dumps(main(int(sys.argv[1]), *sys.argv[2:] or ["miprov2"])) + "\n"
    )
