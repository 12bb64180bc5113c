"""A search once more, by answers alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dspy
import orjson

from po_optimizer.errors import ArtifactError, ExecutionStopError, listed
from po_optimizer.integrations.packs.answers import AnswerMissing
from po_optimizer.integrations.packs.code import Code
from po_optimizer.integrations.packs.job import make_job
from po_optimizer.integrations.packs.pack_file import Pack
from po_optimizer.lms.cache import EndpointCache, caches_of
from po_optimizer.optimization import Job, OptimizationResult, Trial
from po_optimizer.optimization import optimize as run_optimizer
from po_optimizer.optimization.inputs import RunInputs
from po_optimizer.optimization.optimizers import make_optimizer
from po_optimizer.optimization.report import Event, Scored
from po_optimizer.optimization.run_identity import run_fingerprint
from po_optimizer.persistence import format as fmt
from po_optimizer.persistence.codec.values import Encoder
from po_optimizer.persistence.components import encode
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.roles import Synchronous

_TAKEN_OVER = ("made_with", "provenance", "not_compared", "snapshot", fmt.WHOLE)
"""Of a document: how the program came about and was saved, which is another story."""


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
        difference = _first_difference([s.trial for s in self.scored], pack.trials)
        if difference:
            return difference
        if missing and (pack.manifest.completed or self.result is None):
            return missing[0]
        if len(self.scored) != len(pack.trials) or self.result is None:
            return f"{len(pack.trials)} trials then, {len(self.scored)} now"
        stored, program = _document(pack.program), self.result.program
        problem = _difference(stored, program, code)
        if problem and isinstance(program, Synchronous):  # for the optimizer only
            problem = _difference(stored, program.program, code)
        return problem


@contextmanager
def repeated(
    inputs: RunInputs,
    code: Code,
    answers: Callable[[Path], EndpointCache],
    most_trials: int,
) -> Iterator[Repetition]:
    """Repeats a search; in the block its LMs still answer as they did in it.

    Args:
        inputs: What the run was made of.
        code: Its program and metric.
        answers: In the place of each endpoint's cache.
        most_trials: After them the search is ended.
    """
    scored: list[Scored] = []

    def collect(event: Event) -> None:
        if isinstance(event, Scored):
            scored.append(event)
            if len(scored) >= most_trials:
                raise AnswerMissing

    with TemporaryDirectory() as place, caches_of(answers):
        folder = Path(place)
        job = make_job(inputs, code, folder)
        meters = [lm.meter for lm in job.lms]
        for meter in meters:  # of an LM that no cache stands before
            meter.guards.append(_refuse)
        result = None
        with suppress(ExecutionStopError):  # before the baseline was evaluated
            result = run_optimizer(job, workspace=folder / "run", progress=collect)
        n_paid = sum(meter.ledger.totals().paid for meter in meters)
        fingerprint = run_fingerprint(job) | dict(_versions())
        yield Repetition(job, fingerprint, result, scored, n_paid)


def _versions() -> Iterator[tuple[str, str]]:
    for name in ("pydantic", "po-optimizer"):
        yield f"{name} version", version(name)


def _refuse() -> None:
    raise AnswerMissing


def _first_difference(trials: list[Trial], sealed: list[Trial]) -> str:
    """Where two journals part, in words; "": not as far as both go."""
    for here, there in zip(trials, sealed, strict=False):
        if not here.same_as(there):
            return (
                f"trial {there.trial} scored {there.score} (n={there.n}, instruction "
                f"{there.instruction}, demo set {there.demo_set}) then, and "
                f"{here.score} (n={here.n}, {here.instruction}, {here.demo_set}) now"
            )
    return ""


def _difference(stored: fmt.Document, program: Any, code: Code) -> str:
    """The parts in which two documents differ, in words; "": none."""
    here = document_like(stored, program, code)
    if fmt.file_bytes(here) == fmt.file_bytes(stored):
        return ""
    names = [name for name in {**stored, **here} if stored.get(name) != here.get(name)]
    return f"the program differs in {listed(names)}"


def document_like(stored: fmt.Document, program: Any, code: Code) -> fmt.Document:
    """The document of the program, with what a search does not find taken over.

    Taken over from the stored document are its provenance and versions, notes on how
    it was saved, the ids that DSPy draws for new predictors, and the order in which
    names stand. All else is the program's own, how its prompts render among it.

    Args:
        stored: Of the run, in today's format.
        program: What was found here.
        code: Tells the arguments of its constructor.
    """
    own = fmt.copy_of(encode(Encoder(), program, code.arguments))
    if fmt.WHOLE in stored:  # an earlier version rendered prompts in another way
        own["fingerprint"] = prompt_hashes(program, whole=True)
    own |= {name: stored[name] for name in _TAKEN_OVER if name in stored}
    if [*own["fingerprint"]] == [*stored["fingerprint"]]:  # else predictors moved
        own = _as_stored(own, stored)
    return fmt.seal(own)


def _document(data: bytes) -> fmt.Document:
    try:
        return fmt.check(orjson.loads(data), "program.json")
    except ValueError as error:
        raise ArtifactError(f"program.json is no JSON: {error}.") from error


def _as_stored(node: Any, stored: Any) -> Any:
    """The node with names in the order, and predictors with the ids, of the stored."""
    if isinstance(node, list) and isinstance(stored, list):
        pairs = zip(node, stored, strict=False)
        return [*(_as_stored(a, b) for a, b in pairs), *node[len(stored) :]]
    if not isinstance(node, dict) or not isinstance(stored, dict):
        return node
    drawn = {"stage"} if "stage" in node and "signature" in node else set()
    return {
        name: stored.get(name)
        if name in drawn
        else _as_stored(node[name], stored.get(name))
        for name in dict.fromkeys([*(n for n in stored if n in node), *node])
    }
