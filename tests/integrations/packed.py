"""A run to be packed: a program and a metric as people write them, and an LM."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import dspy

from po_optimizer.api.optimized import search as run_search
from po_optimizer.lms.build import lm_of
from po_optimizer.optimization.forecast import forecast
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.preflight.run import preflight
from po_optimizer.params.optimize import OptimizeParams
from po_optimizer.persistence import attach_provenance, save_program
from po_optimizer.persistence import format as fmt
from tests.optimization import world
from tests.scripted import ScriptedEngine

PROGRAM = "tests.integrations.packed:Answering"
METRIC = "tests.integrations.packed:digit"
OTHER = "tests.integrations.packed:low_digit"
NAMES = ["--program", PROGRAM, "--own-metric", METRIC]
SETTINGS: dict[str, Any] = {
    "miprov2": {
        **{"num_trials": 4, "num_candidates": 3},
        **{"minibatch": True, "minibatch_size": 3, "minibatch_full_eval_steps": 3},
    },
    "gepa": {"max_full_evals": 2},
    "bootstrap_random_search": {"num_candidate_programs": 2},
}


class Answering(dspy.Module):
    """One predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        """One call."""
        return self.answer(question=question)


def digit(example: Any, prediction: Any, trace: Any = None) -> float:
    """The answer's digit over 9."""
    return int(prediction.answer) / 9


def low_digit(example: Any, prediction: Any, trace: Any = None) -> float:
    """The opposite."""
    return 1 - int(prediction.answer) / 9


def answer(prompt: str) -> str:
    """A digit, higher after a proposal; or what the optimizer asks for, as JSON."""
    number = int(hashlib.sha256(prompt.encode()).hexdigest(), 16)
    if world.is_task(prompt):
        digit = min(9, number % 10 + 4 * ("variant" in prompt))
        return json.dumps({"reasoning": "so", "answer": str(digit)})
    return world.answer(prompt)


class OwnClass(dspy.BaseLM):
    """An LM as people write one: DSPy keeps no answers of it."""

    def __init__(self) -> None:
        super().__init__("openai/scripted", max_tokens=100)
        self.n_asked = 0

    def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
        """One answer, in OpenAI's form."""
        self.n_asked += 1
        text = answer("\n".join(m["content"] for m in messages))
        message = SimpleNamespace(content=text, tool_calls=None)
        choice = SimpleNamespace(message=message, finish_reason="stop", logprobs=None)
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return SimpleNamespace(choices=[choice], usage=usage, model=self.model)


def search(
    folder: Path,
    optimizer: Any = "miprov2",
    lm: Any = None,
    student: dspy.Module | None = None,
    **more: Any,
) -> dspy.Module:
    """An optimization in the folder, and the program that is stored as its result."""
    lm = lm or dspy.LM("openai/scripted", engine=ScriptedEngine(answer))
    task_lm = lm_of(lm, folder / "lms", run_id="x", adapter=dspy.JSONAdapter())
    job = Job(
        student=student or Answering(),
        trainset=world.examples("t", 6),
        valset=world.examples("v", 6),
        metric=digit,
        task_lm=task_lm,
        prompt_lm=task_lm,
        params=OptimizeParams(
            optimizer=optimizer, **{optimizer: SETTINGS[optimizer]}, **more
        ),
    )
    expected = forecast(job, preflight(job, disk_path=folder))
    result = run_search(job, folder, expected)
    program = attach_provenance(result.program, {"optimizer": optimizer})
    save_program(program, folder / "program.json", verify="inline")
    return program


def contents(path: Path) -> dict[str, bytes]:
    """The members of a pack."""
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> None:
    """A zip file of these members."""
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = ZipInfo(name)
            info.compress_type = ZIP_DEFLATED
            archive.writestr(info, content)


def sealed_again(members: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The members with a manifest that fits them, as a forger would write it."""
    manifest = json.loads(members["manifest.json"]) | changes
    others = {k: v for k, v in members.items() if k != "manifest.json"}
    manifest["sha256"] = {k: fmt.sha256(v) for k, v in others.items()}
    return {"manifest.json": fmt.file_bytes(manifest), **others}
