"""A small optimization whose LM is a function: what the tests of this folder share."""

import hashlib
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.journal import Trial
from po_optimizer.optimization.report import OptimizationResult
from po_optimizer.optimization.run import optimize
from po_optimizer.params.optimize import BudgetParams, OptimizeParams
from po_optimizer.persistence import extract_program_components
from po_optimizer.roles.score import Score
from tests.scripted import Answer, scripted_lm

_PARTS = ("student", "metric", "prompt_lm")

GARBAGE = "I would rather talk about the weather."


def examples(prefix: str, n: int) -> list[dspy.Example]:
    """Examples whose reference answer is 9, the best there is."""
    return [
        dspy.Example(question=f"{prefix}{i}", answer="9").with_inputs("question")
        for i in range(n)
    ]


def student() -> dspy.Module:
    """One predictor."""
    return dspy.Predict("question -> answer")


def metric(example: Any, prediction: Any, trace: Any = None) -> Score:
    """The answer's digit over 9; what is no digit is unusable."""
    answer = str(getattr(prediction, "answer", ""))
    if not answer.isdigit():
        return Score(0.0, feedback="no digit", unusable=f"{answer!r} is no digit")
    return Score(min(9, int(answer)) / 9, feedback="higher is better")


def answer(prompt: str) -> str:
    """Whatever is asked for, chosen by the prompt's hash."""
    number = int(hashlib.sha256(prompt.encode()).hexdigest(), 16)
    wanted = prompt.rsplit("Respond with", 1)[-1]
    if "answer" in wanted:
        return json.dumps({"answer": str(number % 10)})
    if "_instruction" in wanted:
        text = f"Answer with care, variant {number % 1000}."
        return json.dumps({"proposed_instruction": text, "new_instruction": text})
    names = ("program_description", "module_description", "observations", "summary")
    return json.dumps(dict.fromkeys(names, f"text {number % 1000}"))


def is_task(prompt: str) -> bool:
    """True for the program's own calls, False for the proposer's."""
    return "answer" in prompt.rsplit("Respond with", 1)[-1]


def task_only(task: Answer) -> Answer:
    """Answers the program's calls by `task` and the proposer's as usual."""
    return lambda prompt: task(prompt) if is_task(prompt) else answer(prompt)


def failing_after(n: int, error: Exception, then: Answer = answer) -> Answer:
    """Answers n calls, then raises at every one."""
    lock, count = threading.Lock(), 0

    def respond(prompt: str) -> str:
        nonlocal count
        with lock:
            count += 1
            if count > n:
                raise error
        return then(prompt)

    return respond


def slow(seconds: float, then: Answer = answer) -> Answer:
    """Answers after a while."""

    def respond(prompt: str) -> str:
        time.sleep(seconds)
        return then(prompt)

    return respond


def lm(folder: Path, respond: Answer = answer, **params: Any) -> MeteredLM:
    """A scripted LM that gives up at the first transport error."""
    return scripted_lm(respond, folder, **{"num_retries": 0, **params})


def settings(optimizer: str = "miprov2", **changes: Any) -> OptimizeParams:
    """Three trials if nothing else; `miprov2={...}` and the like change a part."""
    budget = changes.pop("budget", {})
    changes["miprov2"] = {"num_trials": 3, **changes.get("miprov2", {})}
    return OptimizeParams(optimizer=optimizer, budget=BudgetParams(**budget), **changes)


class Shelf:
    """Keeps what save_best was given."""

    def __init__(self) -> None:
        self.saved: list[tuple[Any, Trial]] = []

    def __call__(self, program: Any, trial: Trial) -> None:
        """Takes a program."""
        self.saved.append((program, trial))


def job(
    task_lm: MeteredLM,
    params: OptimizeParams | None = None,
    *,
    n_train: int = 8,
    n_val: int = 8,
    **changes: Any,
) -> Job:
    """The small world's optimization, with some parts changed."""
    parts: dict[str, Any] = {
        "student": student(),
        "trainset": examples("t", n_train),
        "valset": examples("v", n_val),
        "metric": metric,
        "task_lm": task_lm,
        "prompt_lm": task_lm,
        "params": params or settings(),
    }
    return Job(**{**parts, **changes})


def run(
    folder: Path,
    task_lm: MeteredLM,
    params: OptimizeParams | None = None,
    *,
    n_train: int = 8,
    n_val: int = 8,
    **more: Any,
) -> OptimizationResult:
    """One optimization of the student."""
    parts = {name: more.pop(name) for name in _PARTS if name in more}
    made = job(task_lm, params, n_train=n_train, n_val=n_val, **parts)
    arguments: dict[str, Any] = {
        "workspace": folder,
        "save_best": Shelf(),
        **more,
    }
    return optimize(made, **arguments)


def document(program: Any) -> str:
    """The program as text, to compare; without DSPy's random name of a predictor."""
    components = extract_program_components(program)
    text = json.dumps([components["program"], components["fingerprint"]])
    return re.sub(r'"stage": "[0-9a-f]{16}"', "", text)
