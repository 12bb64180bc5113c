"""A search once more, by answers alone: its job, its run, its comparison."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dspy

from po_optimizer.errors import ArtifactError, ExecutionStopError, listed
from po_optimizer.integrations.packs.answers import AnswerMissing
from po_optimizer.integrations.packs.code import Code
from po_optimizer.integrations.packs.pack_file import Pack
from po_optimizer.lms.answer_store import Answers
from po_optimizer.lms.build import adopt_lm, make_lm
from po_optimizer.lms.cache import caches_of
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.inputs import LMInput, OwnLM, RunInputs
from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.report import Event, OptimizationResult, Scored
from po_optimizer.optimization.run import optimize as run_optimizer
from po_optimizer.optimization.run_identity import run_fingerprint
from po_optimizer.params.optimize import BudgetParams
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.imports import import_path
from po_optimizer.persistence.codec.values import Encoder
from po_optimizer.persistence.components import encode
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.roles.build import Synchronous

_ADAPTERS = {
    import_path(adapter): adapter
    for adapter in (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter)
}
_RUN_ID = "replay"
_SAVING = ("made_with", "provenance", "not_compared", "snapshot", "digest")
_NOT_COMPARED = {*_SAVING, fmt.WHOLE}
"""The parts of a document that say how the program came about and was saved."""


@dataclass(frozen=True)
class Repetition:
    """A search that was repeated.

    Attributes:
        job: What it was.
        fingerprint: What its result depends on, as it is here.
        result: What it gave; None: its baseline was not evaluated.
        scored: Its trials with the results of each example.
        n_paid: LM calls that were sent.
    """

    job: Job
    fingerprint: dict[str, str]
    result: OptimizationResult | None
    scored: list[Scored]
    n_paid: int

    @property
    def valset(self) -> list[dspy.Example]:
        """The examples that candidates were chosen on."""
        return make_optimizer(self.job.params).choose_valset(self.job.valset)

    def problem(self, pack: Pack, code: Code, missing: Sequence[str]) -> str:
        """Why it is not the sealed run; "": it is.

        Args:
            pack: The run, whose program is compared byte for byte.
            code: Of this repetition.
            missing: Why answers were not there; the first ends what has ended early.
        """
        for event, there in zip(self.scored, pack.trials, strict=False):
            here = event.trial
            if not here.same_as(there):
                return (
                    f"trial {there.trial} scored {there.score} (n={there.n}, "
                    f"instruction {there.instruction}, demo set {there.demo_set}) "
                    f"then, and {here.score} (n={here.n}, {here.instruction}, "
                    f"{here.demo_set}) now"
                )
        if missing and (pack.manifest.completed or self.result is None):
            return missing[0]
        if len(self.scored) != len(pack.trials) or self.result is None:
            return f"{len(pack.trials)} trials then, {len(self.scored)} now"
        stored = fmt.parse(pack.program, "program.json")
        program = self.result.program
        problem = _difference(stored, program, code)
        if problem and isinstance(program, Synchronous):  # for the optimizer only
            problem = _difference(stored, program.program, code)
        return problem


@contextmanager
def repeated(
    inputs: RunInputs,
    code: Code,
    answers: Callable[[Path], Answers],
    most_trials: int,
) -> Iterator[Repetition]:
    """Repeats a search; in the block its LMs still answer as they did in it.

    Args:
        inputs: What the run was made of.
        code: Its program and metric.
        answers: In the place of each endpoint's cache.
        most_trials: After them the search is ended.

    Raises:
        ArtifactError: Its LMs or examples cannot be made again.
    """
    scored: list[Scored] = []

    def collect(event: Event) -> None:
        if isinstance(event, Scored):
            scored.append(event)
            if len(scored) >= most_trials:
                raise AnswerMissing

    with TemporaryDirectory() as place, caches_of(answers):
        folder = Path(place)
        job = _make_job(inputs, code, folder)
        meters = [lm.meter for lm in job.lms]
        for meter in meters:  # of an LM that no cache stands before
            meter.guards.append(_refuse)
        result = None
        with suppress(ExecutionStopError):  # before the baseline was evaluated
            result = run_optimizer(job, workspace=folder / "run", progress=collect)
        n_paid = sum(meter.ledger.totals().paid for meter in meters)
        versions = {f"{p} version": version(p) for p in ("pydantic", "po-optimizer")}
        fingerprint = run_fingerprint(job) | versions
        yield Repetition(job, fingerprint, result, scored, n_paid)


def _refuse() -> None:
    raise AnswerMissing


def _make_job(inputs: RunInputs, code: Code, folder: Path) -> Job:
    """The job of the run, without a budget."""
    if problem := inputs.examples.problem:
        raise ArtifactError(f"the run's examples are no data: {problem}")
    train, val = inputs.examples.decode(code.packages)
    task_lm = _make_lm(inputs.task_lm, folder / "task")
    return Job(
        student=code.student(task_lm),
        trainset=train,
        valset=val,
        metric=code.metric,
        task_lm=task_lm,
        prompt_lm=_make_lm(inputs.prompt_lm, folder / "prompt"),
        params=inputs.params.model_copy(update={"budget": BudgetParams()}),
    )


def _make_lm(recorded: LMInput, folder: Path) -> MeteredLM:
    """An LM of the run, one call at a time; nothing is started or asked."""
    if recorded.own is not None:
        return _own_lm(recorded.own, recorded.params.model, folder)
    lm = make_lm(recorded.params, folder, run_id=_RUN_ID)
    lm.weights, lm.num_threads = recorded.weights, 1  # a server would be asked for them
    lm.cache_folder = folder / recorded.cache_folder
    return lm


def _own_lm(own: OwnLM, model: str, folder: Path) -> MeteredLM:
    if own.adapter not in _ADAPTERS:
        raise ArtifactError(
            f"the run's adapter is {own.adapter}: only DSPy's ChatAdapter, JSONAdapter "
            "and XMLAdapter can be replayed."
        )
    adapter: Any = _ADAPTERS[own.adapter]()
    vars(adapter).update({k: v for k, v in own.switches.items() if k in vars(adapter)})
    try:
        lm: Any = dspy.LM(model, model_type=own.model_type, cache=own.cache)
    except ValueError as error:
        raise ArtifactError(f"the run's LM cannot be made again: {error}") from error
    lm.kwargs = dict(own.settings)  # as they were after the constructor's changes
    return adopt_lm(lm, folder, run_id=_RUN_ID, adapter=adapter, num_threads=1)


def _difference(stored: fmt.Document, program: Any, code: Code) -> str:
    """The parts in which the document of the program differs, in words; "": none.

    What a search does not find is not compared: provenance and versions, notes on how
    it was saved, the ids that DSPy draws for new predictors, and the order in which
    names stand. All else is the program's own, how its prompts render among it.

    Args:
        stored: Of the run, in today's format.
        program: What was found here.
        code: Tells the arguments of its constructor.
    """
    here = encode(Encoder(), program, code.arguments)
    if fmt.WHOLE in stored:  # an earlier version rendered prompts in another way
        here["fingerprint"] = prompt_hashes(program, whole=True)
    first, second = fmt.lasting(stored), fmt.lasting(here)
    names = [
        name
        for name in {**first, **second}
        if name not in _NOT_COMPARED and first.get(name) != second.get(name)
    ]
    if not names and [*stored["fingerprint"]] != [*here["fingerprint"]]:
        names = ["the order of its predictors"]
    return f"the program differs in {listed(names)}" if names else ""
