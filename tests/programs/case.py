"""One program of the shapes with its metric, by import path, and a run of the whole."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.evaluation.predict import predict_all
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.forecast import Forecast, forecast
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Trial
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.optimization.run import optimize
from po_optimizer.params.lm import LMParams
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence import load_program_from_components, save_program
from po_optimizer.roles.build import load_metric, make_program
from tests.programs import world
from tests.programs.server import UNCOUNTED, LoopbackLM

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "miprov2": {"num_candidates": 3, "num_trials": 2},
    "gepa": {"max_metric_calls": 40, "max_full_evals": None},
    "bootstrap_random_search": {"num_candidate_programs": 1},
}
_FRESH = multiprocessing.get_context("forkserver")
_FRESH.set_forkserver_preload(["dspy", "po_optimizer.evaluation.predict"])


@dataclass(frozen=True)
class Case:
    """A program and its metric, as a role's parameters name them.

    Args:
        program: In the package of the shapes, as module:name.
        metric: Likewise, or a whole path.
        labels: What the examples call the facts.
        args: Of the program's constructor.
    """

    program: str
    metric: str
    labels: dict[str, str]
    args: dict[str, Any]

    def role(self) -> RoleParams:
        """As the parameters would say it."""
        base = "tests.programs.shapes."
        metric = self.metric if self.metric.startswith("dspy") else base + self.metric
        return RoleParams(
            program=base + self.program, program_args=self.args, metric=metric
        )

    def split(self, first: int, last: int) -> list[dspy.Example]:
        """The examples of the messages first to last."""
        return world.examples(range(first, last), **self.labels)


@dataclass(frozen=True)
class Outcome:
    """What a whole run came to."""

    forecast: Forecast
    spent_calls: int
    ledger_calls: int
    server_calls: int
    in_memory: list[float]
    loaded: list[float]
    statuses: list[str]
    baseline: float
    best: float


def task_lm(address: str, folder: Path, threads: int) -> MeteredLM:
    """The LM that answers, as the configuration would make it."""
    params = LMParams(
        provider="openai", model="scripted", api_base=address, num_threads=threads
    )
    return make_lm(params, folder / "lm", run_id="run", api_key="sk-tests")


def run_whole(
    case: Case, optimizer: str, threads: int, server: LoopbackLM, folder: Path
) -> Outcome:
    """Preflight, forecast, optimize, persist, load in a fresh process, evaluate."""
    address, before = server.address, server.asked()
    lm, role = task_lm(address, folder, threads), case.role()
    job = Job(
        student=make_program(role, lm),
        trainset=case.split(0, 6),
        valset=case.split(6, 12),
        metric=load_metric(role),
        task_lm=lm,
        prompt_lm=lm,
        params=OptimizeParams.model_validate(
            {"optimizer": optimizer, optimizer: OPTIMIZERS[optimizer]}
        ),
    )
    report = preflight(job, testset=case.split(12, 18), disk_path=folder)
    expected = forecast(job, report)
    result = optimize(
        job,
        workspace=folder,
        save_best=partial(_save, folder / "best.json"),
        forecast=expected,
    )
    save_program(result.program, folder / "program.json", verify="inline")
    spent = result.report.spent.paid
    statuses, loaded = in_fresh_process(
        _evaluate_stored, case, address, folder, threads
    )
    return Outcome(
        forecast=expected,
        spent_calls=spent,
        ledger_calls=paid_calls(folder),
        server_calls=server.asked() - before,
        in_memory=bare_scores(result.program, case, address),
        loaded=loaded,
        statuses=statuses,
        baseline=result.report.baseline.score,
        best=result.report.best.score,
    )


def _save(path: Path, program: dspy.Module, trial: Trial) -> None:
    save_program(program, path, dill="off", verify="inline")


def paid_calls(folder: Path) -> int:
    """Of all LMs, by all ledgers below the folder."""
    return sum(Ledger(path).totals().paid for path in folder.rglob("ledger.sqlite"))


def bare_scores(program: dspy.Module, case: Case, address: str) -> list[float]:
    """The testset's scores by DSPy alone; a program that raises scores 0.0."""
    lm = dspy.LM(
        f"openai/{UNCOUNTED}",
        api_base=address,
        api_key="x",
        cache=False,
        temperature=0.0,
    )
    adapter = dspy.JSONAdapter(use_native_function_calling=False)
    metric = load_metric(case.role())
    scores = []
    dspy.configure(lm=lm, adapter=adapter)  # as scripts do: threads see it
    try:
        for example in case.split(12, 18):
            try:
                score = metric(example, program(**example.inputs()))
            except Exception:  # noqa: BLE001 -- as dspy.Evaluate scores it
                score = 0.0
            scores.append(float(getattr(score, "score", score)))
    finally:
        dspy.configure(lm=None, adapter=None)
    return scores


def in_fresh_process(work: Callable[..., Any], *args: Any) -> Any:
    """What the function gives in a process that has not seen the program."""
    ours, theirs = _FRESH.Pipe(duplex=False)
    process = _FRESH.Process(target=_send, args=(theirs, work, args))
    process.start()
    theirs.close()
    try:
        return json.loads(ours.recv())
    finally:
        process.join()


def _send(pipe: Any, work: Callable[..., Any], args: Any) -> None:
    pipe.send(json.dumps(work(*args)))


def _evaluate_stored(
    case: Case, address: str, folder: Path, threads: int
) -> tuple[list[str], list[float]]:
    """Statuses and scores of the stored program on the testset."""
    lm, role = task_lm(address, folder, threads), case.role()
    made = make_program(role, lm)
    program = load_program_from_components(folder / "program.json", program=made)
    examples = case.split(12, 18)
    records = list(
        predict_all(
            program,
            examples,
            load_metric(role),
            lm,
            stage="evaluate optimized",
            n=len(examples),
        )
    )
    return [f"{r.status} {r.reason}" for r in records], [
        r.score or 0.0 for r in records
    ]
