"""Repeating a sealed run here: by its answers alone, to the same program."""

from dataclasses import dataclass
from pathlib import Path

from po_optimizer.errors import PoOptimizerError, listed
from po_optimizer.files import write_whole
from po_optimizer.integrations.packs.answers import AnswerMissing, SealedAnswers
from po_optimizer.integrations.packs.code import Code, FindCode, find_code
from po_optimizer.integrations.packs.other_metric import RankedCandidate, rank_again
from po_optimizer.integrations.packs.pack_file import read_pack
from po_optimizer.integrations.packs.repetition import Repetition, repeated
from po_optimizer.lms import use_lm
from po_optimizer.optimization import Trial
from po_optimizer.optimization.run_identity import changes
from po_optimizer.persistence import format as fmt
from po_optimizer.roles.metric import Metric


@dataclass(frozen=True)
class Replayed:
    """A run that was repeated.

    Attributes:
        program: The file of the program, the sealed one byte for byte.
        sha256: Of that file.
        optimizer: The optimizer's name.
        trials: Those of the search here.
        differences: What is different here from where the run was made, in words.
        n_paid: LM calls that were sent: 0.
        ranking: Its candidates under another metric; []: none was asked for.
        n_val: Examples of the valset that candidates were chosen on.
    """

    program: Path
    sha256: str
    optimizer: str
    trials: list[Trial]
    differences: list[str]
    n_paid: int
    ranking: list[RankedCandidate]
    n_val: int


def replay(
    file: str | Path,
    folder: str | Path,
    *,
    code: Code | FindCode = find_code,
    metric: Metric | None = None,
) -> Replayed:
    """Repeats a sealed run with 0 LM calls, and proves that it is the same one.

    Args:
        file: As `pack_run` wrote it.
        folder: Takes `program.json` and, with another metric, `ranking.json`.
        code: Its program and metric; by itself it is the code of the role here.
        metric: Another one, by which its candidates are ranked again.

    Raises:
        PoOptimizerError: The file cannot be used, or the run came out differently.
    """
    pack = read_pack(Path(file))
    code = code if isinstance(code, Code) else code(pack.inputs)
    missing: list[str] = []
    sealed = SealedAnswers(missing, pack.answers)
    most = len(pack.trials) + pack.manifest.completed
    with repeated(pack.inputs, code, lambda _folder: sealed, most) as repetition:
        differences = changes(pack.manifest.fingerprint, repetition.fingerprint)
        if problem := repetition.problem(pack, code, missing):
            raise _not_the_same(file, problem, differences)
        ranking = _rank(repetition, metric) if metric else []
    target = Path(folder) / "program.json"
    write_whole(target, pack.program)
    if ranking:
        rows = ",\n".join(row.model_dump_json() for row in ranking)
        write_whole(target.with_name("ranking.json"), f"[\n{rows}\n]\n")
    return Replayed(
        program=target,
        sha256=fmt.sha256(pack.program),
        optimizer=pack.inputs.params.optimizer,
        trials=[event.trial for event in repetition.scored],
        differences=differences,
        n_paid=repetition.n_paid,
        ranking=ranking,
        n_val=len(repetition.valset),
    )


def _not_the_same(
    file: str | Path, problem: str, differences: list[str]
) -> PoOptimizerError:
    others = f"Different here: {listed(differences, 30)}. " if differences else ""
    return PoOptimizerError(
        f"{file} was not repeated: {problem}. {others}No LM was asked and nothing is "
        "written. Install the versions and the code of then to repeat it."
    )


def _rank(repetition: Repetition, metric: Metric) -> list[RankedCandidate]:
    """The ranking; a metric that asks an LM is given what the run has asked."""
    lm = repetition.job.task_lm
    try:
        with use_lm(lm, stage="replay"):
            return rank_again(repetition.scored, repetition.valset, metric)
    except AnswerMissing as error:
        raise PoOptimizerError(
            f"the other metric asks an LM what the run has not asked: {error} Name a "
            "metric that asks no LM."
        ) from error
